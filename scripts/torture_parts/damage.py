"""Checkpoints and other files of a run that are truncated, or some of whose bytes are others."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from torture_parts.harness import Case, Part
from torture_parts.runs import TINY, copied, reference
from torture_parts.writes import beside

Damage = Callable[[random.Random, bytes], bytes]


def truncated(draw: random.Random, whole: bytes) -> bytes:
    """Leave the first bytes alone."""
    return whole[: draw.choice((draw.randrange(len(whole)), len(whole) - draw.randrange(1, 100)))]


def flipped(draw: random.Random, whole: bytes) -> bytes:
    """Flip one bit."""
    place = draw.randrange(len(whole))
    return whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :]


def overwritten(draw: random.Random, whole: bytes) -> bytes:
    """Overwrite a stretch by zeros, ones or noise."""
    start, length = stretch(draw, whole)
    filling = draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length)))
    return whole[:start] + filling + whole[start + length :]


def cut(draw: random.Random, whole: bytes) -> bytes:
    """Leave a stretch out."""
    start, length = stretch(draw, whole)
    return whole[:start] + whole[start + length :]


def doubled(draw: random.Random, whole: bytes) -> bytes:
    """Write a stretch twice."""
    start, length = stretch(draw, whole)
    return whole[: start + length] + whole[start:]


def near_the_end(draw: random.Random, whole: bytes) -> bytes:
    """Change up to four bytes among the last 200, where the archive's directory and the checksum are."""
    changed = bytearray(whole)
    for _ in range(draw.randrange(1, 5)):
        changed[-draw.randrange(1, min(200, len(changed) + 1))] = draw.randrange(256)
    return bytes(changed)


def lengthened(draw: random.Random, whole: bytes) -> bytes:
    """Add bytes at the end or before the beginning."""
    more = draw.choice((bytes(draw.randrange(1, 5000)), draw.randbytes(50), whole))
    return whole + more if draw.random() < 0.7 else more + whole


def stretch(draw: random.Random, whole: bytes) -> tuple[int, int]:
    """Return where a stretch of bytes begins, and its length."""
    length = int(2 ** draw.uniform(0, 12))
    return draw.randrange(len(whole)), length


KINDS: tuple[Damage, ...] = (truncated, flipped, near_the_end, overwritten, cut, doubled, flipped, lengthened)
READERS = (
    ("eval", "run"),
    ("resume", "run"),
    ("resume", "run", "epochs=3"),
    ("report", "run"),
    ("predict", "run", "a.png"),
    ("export", "run", "formats=[safetensors]"),
    ("train", *TINY, "init_from=run", "out=tuned"),
    ("eval", "run/checkpoints/last.pt"),
)
TEXTS = ("config.yaml", "summary.json", "metrics.csv", "train.log")


def attempt(case: Case, number: int) -> None:
    """Damage all checkpoints of a run in one of the ways, by turns; every 16th time another of its files."""
    source = reference(case.place, "untouched", *TINY)
    run = copied(case, source)
    beside(case)
    if number % 16 == 15:
        text_file(case, run)
        return
    damage = KINDS[number % len(KINDS)]
    whole = (run / "checkpoints/last.pt").read_bytes()
    broken = damage(case.random, whole)
    for path in (run / "checkpoints").glob("*.pt"):
        path.write_bytes(broken)
    case.commands.append(f"# {damage.__name__}: {len(whole):,} bytes became {len(broken):,}")
    ended = case.command(*READERS[number // len(KINDS) % len(READERS)])
    if broken != whole:
        case.ends_with(ended, 2)


def text_file(case: Case, run: Path) -> None:
    """Damage a file of a run that people read, or ``.last``."""
    path = case.random.choice([*(run / name for name in TEXTS), case.folder / "outputs/.last"])
    if path.name == ".last":
        path.parent.mkdir()
        path.write_text(str(run))
    damage = case.random.choice((*KINDS, hostile_text))
    path.write_bytes(damage(case.random, path.read_bytes()))
    case.commands.append(f"# {path.relative_to(case.folder)}: {damage.__name__}")
    case.command(
        *case.random.choice((("compare", "run", "other"), ("resume", "last"), ("resume", "run", "epochs=3")))
    )
    case.command(*case.random.choice((("eval", "last"), ("report", "run"), ("eval", "run"))))


def hostile_text(draw: random.Random, whole: bytes) -> bytes:
    """Return JSON or YAML that is deep, wide, huge or no text."""
    bomb = "a0: &a0 [x,x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1},*a{n - 1}]\n" for n in range(1, 40))
    return draw.choice(
        (
            b"[" * 100_000,
            b'{"a":' * 50_000,
            bomb.encode(),
            whole.replace(b"0.", b"1e400 #"),
            b'{"test": {"accuracy": 1e400}, "best": NaN, "versions": 3}',
            b"\xff\xfe\x00",
            b"\x1b]0;owned\x07\x1b[2J",
            b"!!python/object/apply:os.system [touch x]",
            b"epoch,step\n1," + b"9" * 5000,
        )
    )


DAMAGE = Part(
    "damage", "truncated, flipped, cut, doubled checkpoints; other files of a run", 2200, 24, attempt
)
