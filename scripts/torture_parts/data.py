"""Hostile data: image folders, IDX files, cache folders, and streams that lead nowhere as files."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from torture_parts import idx_files, images
from torture_parts.harness import Case, Part
from torture_parts.runs import STEADY, TINY, copied, reference, same

FOLDER = (*STEADY, "report=false", "model=mlp", "model.hidden=[4]", "epochs=1", "batch_size=4", "data=folder")
TWICE = ("data.cache=disk", "data.cache=ram", "data.cache=auto")


def attempt(case: Case, number: int) -> None:
    """Try folders of images twice in three times, then IDX files and caches, by turns."""
    if number % 3 < 2:
        kinds = images.KINDS
        step = number - number // 3  # among those that are folders of images
        folder(case, kinds[step * 41 % len(kinds)])
    elif number % 6 == 2:
        idx(case, number // 6)
    else:
        cache(case, number // 6)


def folder(case: Case, kind: str) -> None:
    """Audit, train on, and predict with a folder of one kind."""
    case.commands.append(f"# folder of images: {kind}")
    run = copied(case, reference(case.place, "untouched", *TINY))
    root = case.folder / "images"
    more = images.fill(kind, root)
    bound = kind == "locked"
    case.command(
        "data", "images", *case.random.choice(((), ("--html", "sheet.html"), ("--json", "-"))), bound=bound
    )
    choices = (
        case.random.choice(("data.cache=auto", "data.cache=off", "data.cache=disk")),
        case.random.choice(("data.on_bad_image=skip", "data.on_bad_image=stop", "data.on_bad_image=skip")),
        case.random.choice(("workers=0", "workers=0", "workers=2")),
        case.random.choice(("data.image_size=16", "data.image_size=auto", "data.resize=pad")),
    )
    trained = case.command("train", *FOLDER, "data.root=images", *choices, "out=trained", bound=bound)
    if trained.code == 0:
        for words in (
            ("eval", "trained"),
            ("report", "trained"),
            ("predict", "trained", "images", "--csv", "p.csv"),
        ):
            case.command(*words, bound=bound)
    named = [f"./{Path(name).relative_to(case.folder)}" for name in more]
    case.command("predict", str(run.relative_to(case.folder)), "images", *named, bound=bound)
    case.command("predict", "run", "images", "--json", "-", bound=bound)


def idx(case: Case, number: int) -> None:
    """Train on, and evaluate with, IDX files that lie."""
    names = list(idx_files.IDX)
    name, packed = names[number % len(names)], case.random.random() < 0.5
    case.commands.append(f"# IDX files: {name}, {'packed' if packed else 'not packed'}")
    copied(case, reference(case.place, "untouched", *TINY))
    idx_files.write_idx(case.folder / "data", name, packed)
    ended = case.command("train", *TINY, "data=mnist", "data.root=data", "out=trained")
    if name == "honest":
        case.succeeds(ended)
    case.command("eval", "run", "data=mnist", "data.root=data")


def cache(case: Case, number: int) -> None:
    """Train with a cache folder that is hostile or damaged: to the same bits, or refused."""
    kinds: tuple[Callable[[random.Random, Path], str | None], ...] = (
        zeros,
        flip,
        flip,
        shorter,
        garbage,
        as_file,
        pipes,
        folders,
        elsewhere,
        read_only,
        nobodys_home,
        odd_name,
    )
    kind, mode = kinds[number % len(kinds)], TWICE[number // len(kinds) % 3]
    root = images.two_classes(case.folder / "images", size=40, per_class=12)
    own = case.folder / "cache"
    own.mkdir()
    arguments = (*FOLDER, f"data.root={root}", mode)
    case.succeeds(case.command("train", *arguments, "out=first", env={"CNNTRAIN_CACHE": str(own)}))
    case.succeeds(case.command("train", *TINY, "out=digits", env={"CNNTRAIN_CACHE": str(own)}))
    name = kind(case.random, own) or str(own)
    case.commands.append(f"# cache: {kind.__name__}")
    env = {"CNNTRAIN_CACHE": name}
    for out, untouched, words in (("second", "first", arguments), ("digits2", "digits", TINY)):
        ended = case.command("train", *words, f"out={out}", env=env, bound=kind is read_only)
        for again in range(4):  # a file found damaged within a run ends it with a line, and is made anew
            if ended.code != 1 or b"damaged" not in ended.err:
                break
            out = f"{out.partition('-')[0]}-{again}"
            ended = case.command("train", *words, f"out={out}", env=env)
        impossible = ended.code == 2 and b"CNNTRAIN_CACHE=" in ended.err  # told, with what to do
        if not impossible and case.ends_with(ended, 0):
            same(case, case.folder / untouched, out)
    case.command("data", "images", env=env, bound=kind is read_only)


def files(cache: Path) -> list[Path]:
    """Return the files in a cache, largest first."""
    found = [path for path in cache.rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: (-path.stat().st_size, path.name))


def zeros(draw: random.Random, cache: Path) -> None:
    """Overwrite a stretch of the largest files by zeros."""
    for path in files(cache)[:3]:
        whole = path.read_bytes()
        start = draw.randrange(len(whole))
        overwrite(path, whole[:start] + bytes(min(500, len(whole) - start)) + whole[start + 500 :])


def flip(draw: random.Random, cache: Path) -> None:
    """Flip one bit of each file."""
    for path in files(cache):
        whole = bytearray(path.read_bytes())
        if whole:
            whole[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
            overwrite(path, bytes(whole))


def overwrite(path: Path, data: bytes) -> None:
    """Write into a file so that neither its length nor its time tells of it."""
    status = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def shorter(draw: random.Random, cache: Path) -> None:
    """Truncate each file."""
    for path in files(cache):
        path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size + 1)])


def garbage(draw: random.Random, cache: Path) -> None:
    """Fill each file with noise, nested JSON, or nothing."""
    for path in files(cache):
        path.write_bytes(draw.choice((b"", draw.randbytes(1000), b"[" * 100_000, b"null", b'{"a": NaN}')))


def as_file(draw: random.Random, cache: Path) -> None:
    """Put a file in the cache's place."""
    shutil.rmtree(cache)
    cache.write_bytes(b"a file")


def pipes(draw: random.Random, cache: Path) -> None:
    """Put pipes in the place of the files."""
    for path in files(cache):
        path.unlink()
        os.mkfifo(path)


def folders(draw: random.Random, cache: Path) -> None:
    """Put folders in the place of the files."""
    for path in files(cache):
        path.unlink()
        path.mkdir()


def elsewhere(draw: random.Random, cache: Path) -> None:
    """Put links to nowhere and to devices in the place of the files."""
    for path in files(cache):
        path.unlink()
        path.symlink_to(draw.choice(("/dev/zero", "/nonexistent/x", "/etc/passwd", path.name)))


def read_only(draw: random.Random, cache: Path) -> None:
    """Take the permission to write, or all."""
    for path in (*files(cache), *(p for p in cache.rglob("*") if p.is_dir()), cache):
        path.chmod(draw.choice((0o555, 0o000)))


def nobodys_home(draw: random.Random, cache: Path) -> str:
    """Name a cache in the home of nobody."""
    return "~nosuchuser/cache"


def odd_name(draw: random.Random, cache: Path) -> str:
    """Name a cache by characters that are no text, or too many."""
    return draw.choice(
        (f"{cache}/new\nline", f"{cache}/\udce9", f"{cache}/\x1b[2J", f"{cache}/{'x' * 300}", "/dev/null/x")
    )


DATA = Part("data", "hostile image folders, IDX files that lie, damaged and hostile caches", 330, 24, attempt)
