"""Torture cnntrain: kill it, fill its disk, damage its files, feed it hostile ones; count what goes wrong.

    python scripts/torture.py --counts small                # all parts, some tens of cases each
    python scripts/torture.py --only kills,cli              # two parts at full counts
    python scripts/torture.py --only cli --counts 500       # 500 cases of one part
    python scripts/torture.py --seed 3 --only cli --case 17 # one case again, as a failure tells

It prints a table with a row for each part, and of each failure how to see it again and where its folder is.
Exit code 1 if anything failed. All choices follow from --seed, the part and the number of the case. It works
below a temporary folder of its own, which is removed if nothing failed, and uses no network. What counts as a
failure, in any part: a traceback, an undocumented exit code, a control character on the screen, more than
2.5 GiB of memory, no end within a minute, a program started or planted code run, a file written outside.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from torture_parts.all import PARTS
from torture_parts.files import remove
from torture_parts.forked import preload
from torture_parts.harness import Part, Place
from torture_parts.rows import Row, is_right, table


def main(argv: Sequence[str] | None = None) -> int:
    """Torture, and return 1 if anything failed."""
    typed = arguments(argv)
    folder = Path(typed.folder or tempfile.mkdtemp(prefix="cnntrain-torture-")).resolve()
    preload()
    rows: list[Row] = []
    for part in typed.only:
        numbers = [typed.case] if typed.case is not None else range(count(part, typed.counts))
        row = part.tried(numbers, typed.seed, Place(folder / part.name, typed.case is not None), say)
        rows.append(row)
        say(" | ".join(row.cells()))
        if not row.failures and typed.case is None:
            remove(folder / part.name)
    print(f"\n{table(rows)}")
    if all(is_right(row) for row in rows):
        if typed.case is None and not typed.folder:
            remove(folder)
        return 0
    print(f"\n{sum(len(row.failures) for row in rows)} failed; their folders are below {folder}")
    return 1


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what was typed."""
    parts = "\n".join(f"  {p.name:<12}{p.full:>6} {p.small:>4}  {p.about}" for p in PARTS)
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"parts, with their full and small counts:\n{parts}",
    )
    parser.add_argument("--seed", type=int, default=0, help="from which all choices follow")
    parser.add_argument("--only", help="parts, with commas between them")
    parser.add_argument("--counts", default="full", help="full, small, or a number of cases for each part")
    parser.add_argument("--case", type=int, metavar="N", help="one case alone; its folder is kept")
    parser.add_argument("--folder", help="work there, and leave it")
    typed = parser.parse_args(argv)
    by_name = {part.name: part for part in PARTS}
    chosen = typed.only.split(",") if typed.only else list(by_name)
    unknown = [name for name in chosen if name not in by_name]
    if unknown:
        parser.error(f"there is no part {unknown[0]}: there are {', '.join(by_name)}")
    if typed.case is not None and len(chosen) != 1:
        parser.error("--case is of one part: --only PART --case N")
    if typed.counts not in ("full", "small") and not typed.counts.isdecimal():
        parser.error(f"--counts takes full, small or a number, not {typed.counts}")
    typed.only = [by_name[name] for name in chosen]
    return typed


def count(part: Part, counts: str) -> int:
    """Return how many cases of a part are to be tried."""
    return int(counts) if counts.isdecimal() else {"full": part.full, "small": part.small}[counts]


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
