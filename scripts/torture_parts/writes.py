"""Disks that are full, folders that can't be written, and folders where a file should be."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from pathlib import Path

from torture_parts.files import files_below, open_to_all
from torture_parts.harness import Case, Part
from torture_parts.runs import TINY, copied, finish, reference, same

MS_NOSUID, MS_REMOUNT, MS_REC, MS_PRIVATE = 2, 32, 0x4000, 0x40000  # mount(2)
CLONE_NEWNS = 0x20000  # unshare(2)
READING = (("eval", "run"), ("predict", "run", "a.png", "--json", "p.json"))  # which need write nothing there
LOGS = ("schedule=constant", "save_every_steps=1")


def attempt(case: Case, number: int) -> None:
    """Try one of the kinds, by turns."""
    kinds = (file_limit, small_disk, without_permission, folder_for_file, file_for_folder)
    kinds[number % len(kinds)](case)


def file_limit(case: Case) -> None:
    """Train, or resume, where files can't grow beyond some bytes, as on a full disk; go on without one."""
    arguments = (*TINY, *LOGS)
    untouched = reference(case.place, "untouched", *arguments)
    limit = int(2 ** case.random.uniform(6, 17.5))
    case.command("train", *arguments, "out=run", file_size=limit)
    left_over(case)
    if case.random.random() < 0.3 and (case.folder / "run" / "config.yaml").exists():
        case.command("resume", "run", file_size=int(limit * case.random.uniform(0.5, 2)))
        left_over(case)
    finish(case, "run", arguments)
    same(case, untouched, "run")


def small_disk(case: Case) -> None:
    """Train on a disk that fills up; make it larger, and go on."""
    arguments = (*TINY, *LOGS, "model.hidden=[64]")
    untouched = reference(case.place, "larger", *arguments)
    disk = case.folder / "disk"
    disk.mkdir()
    if not mount(disk, case.random.randrange(16, 1800)):
        case.commands.append("# file systems can't be mounted here: not tried")
        return
    try:
        first = case.random.choice(("disk/run", "disk"))
        case.command("train", *arguments, f"out={first}")
        left_over(case)
        mount(disk, 64 * 1024, again=True)
        finish(case, first, arguments)
        same(case, untouched, first)
        if case.faults:
            shutil.copytree(disk, case.folder / "kept-disk", dirs_exist_ok=True)
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(disk), 2)  # MNT_DETACH


def left_over(case: Case) -> None:
    """Note temporary files that a command has left after it ended."""
    found = [path for path in files_below(case.folder) if path.name.endswith(".tmp")]
    case.must(not found, f"left over: {', '.join(str(path.relative_to(case.folder)) for path in found)}")


def mount(folder: Path, kilobytes: int, again: bool = False) -> bool:
    """Mount a small file system in memory, for this process and its children; say whether it worked."""
    libc = ctypes.CDLL(None)
    if not again:
        if getattr(mount, "private", None) is None:
            works = libc.unshare(CLONE_NEWNS) == 0
            works = works and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
            mount.private = works  # type: ignore[attr-defined]
        if not mount.private:  # type: ignore[attr-defined]
            return False
    flags = MS_NOSUID | (MS_REMOUNT if again else 0)
    size = f"size={kilobytes}k,mode=777".encode()
    return bool(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, size) == 0)


def without_permission(case: Case) -> None:
    """Use a run, all or some of which may not be written or not be read."""
    copied(case, reference(case.place, "untouched", *TINY, *LOGS))
    beside(case)
    cache = case.folder / "cache"
    cache.mkdir()
    open_to_all(case.folder)
    places = [path for path in sorted((case.folder / "run").rglob("*")) if case.random.random() < 0.2]
    whole = case.random.random() < 0.4  # a share of a colleague's, which can be read and not written
    mode = 0o500 if whole else case.random.choice((0o500, 0o000))
    chosen = sorted((case.folder / "run").rglob("*"), reverse=True) if whole else places
    for path in chosen:
        path.chmod((0o555 if path.is_dir() else 0o444) if whole else mode)
    (case.folder / "run").chmod(0o555 if whole or case.random.random() < 0.5 else 0o777)
    case.commands.append(
        f"# read-only: {'all of run' if whole else [str(p.relative_to(case.folder)) for p in chosen]}"
    )
    if case.random.random() < 0.3:
        cache.chmod(case.random.choice((0o555, 0o000)))
    env = {"CNNTRAIN_CACHE": str(cache)}
    for words in commands(case):
        ended = case.command(*words, env=env, bound=True)
        if whole and words in READING:
            case.succeeds(ended)
    for path in sorted(case.folder.rglob("*")):
        with contextlib.suppress(OSError):
            path.chmod(0o755)


def folder_for_file(case: Case) -> None:
    """Put a folder in the place of one of a run's files, or of a file that a command writes."""
    run = copied(case, reference(case.place, "untouched", *TINY, *LOGS))
    beside(case)
    names = [str(path.relative_to(run)) for path in files_below(run)]
    names += ["eval_test.json", "report.html", "export", "plots/curves.png", ".lock", "../outputs/.last"]
    name = case.random.choice(names)
    path = run / name
    if path.is_file():
        path.unlink()
    (path / "inner").mkdir(parents=True, exist_ok=True)
    case.commands.append(f"# {path.relative_to(case.folder)} is a folder")
    for words in commands(case):
        case.command(*words)


def file_for_folder(case: Case) -> None:
    """Put a file in the place of a folder that a command makes or reads."""
    copied(case, reference(case.place, "untouched", *TINY, *LOGS))
    beside(case)
    name = case.random.choice(
        (
            "run/checkpoints",
            "run/plots",
            "run/export",
            "outputs",
            "outputs/train",
            "outputs/explain",
            "cache",
            "run",
            "conf",
        )
    )
    path = case.folder / name
    if path.exists():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(case.random.choice((b"", b"a file\n", b"\x00\xff")))
    case.commands.append(f"# {name} is a file")
    for words in commands(case):
        case.command(*words, env={"CNNTRAIN_CACHE": str(case.folder / "cache")})


def commands(case: Case) -> list[tuple[str, ...]]:
    """Return three of the commands that read or write a run."""
    every = [
        ("eval", "run"),
        ("predict", "run", "a.png", "--csv", "run/predictions.csv"),
        ("predict", "run", "a.png", "--json", "p.json"),
        ("resume", "run"),
        ("resume", "run", "epochs=3"),
        ("report", "run"),
        ("compare", "run", "other", "--csv", "run/compare.csv", "--html", "c.html"),
        ("export", "run", "formats=[safetensors]"),
        ("train", *TINY, "out=run/inner"),
        ("train", *TINY, "name=x"),
        ("train", *TINY, "init_from=run", "out=tuned"),
        ("explain", *TINY, "run=run", "filters"),
        ("data", "run", "--html", "run/sheet.html"),
    ]
    return case.random.sample(every, 3)


def beside(case: Case) -> None:
    """Put another run, and a small image, beside the run."""
    from PIL import Image

    copied(case, reference(case.place, "untouched", *TINY, *LOGS), "other")
    Image.linear_gradient("L").resize((28, 28)).save(case.folder / "a.png")


WRITES = Part("writes", "full disks, no permission, folders in place of files", 250, 10, attempt)
