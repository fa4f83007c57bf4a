"""A short version of each part of scripts/torture.py; and that each of its detectors can fire."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from forks import CONTEXT

SCRIPTS = Path(__file__).parent.parent / "scripts"
sys.path.append(str(SCRIPTS))

from torture_parts import child, damage, hostile, kills, runs, together, writes
from torture_parts.forked import Streams, preload
from torture_parts.harness import Case, Part, Place
from torture_parts.long import Seen, growth
from torture_parts.rows import Row, table

from cnntrain.runs import checkpoint, run_folder


def apart(work: Callable[..., Any]) -> Any:
    """Return what a function returns in a process of its own, which has one thread and so can fork."""
    with tempfile.TemporaryDirectory(prefix="t") as name:  # short: a socket's path has at most 107 bytes
        folder = Path(name)
        process = CONTEXT.Process(target=returning, args=(work, folder / "returned.json", folder))
        process.start()
        process.join(600)
        if process.is_alive():
            process.kill()
        assert process.exitcode == 0, f"exit code {process.exitcode}"
        return json.loads((folder / "returned.json").read_text())


def returning(work: Callable[..., Any], file: Path, folder: Path) -> None:
    multiprocessing.set_start_method(None, force=True)  # that of commands, not that of this process
    preload()
    file.write_text(json.dumps(work(folder)))


# Cases of each part, chosen so that each of its kinds is tried and all take a few seconds.
SHORT = {
    "kills": [1],
    "writes": [0],
    "hostile": [3, 17, 18],
    "data": [14],
    "streams": [0, 11],
    "together": [1],
    "damage": [1, 2, 15],
    "same": [9],
    "long": [0],
    "cli": [*range(6)],
}


@pytest.mark.slow
def test_a_short_version_of_each_part() -> None:
    failures = apart(all_parts)
    assert not failures, "\n".join(failures)


def all_parts(folder: Path) -> list[str]:
    from torture_parts.all import PARTS

    rows = [
        part.tried(SHORT[part.name], 0, Place(folder / part.name)) for part in PARTS if part.name in SHORT
    ]
    return [text for row in rows for _, text in row.failures]


def outside(folder: Path) -> Path:
    return folder.parent.parent / "elsewhere"


def allocate() -> None:
    held = bytearray(700 * 2**20)  # a child does not hold the pages of libraries until it needs them
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(0.3)


def leave_running() -> None:
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)


def connect() -> None:
    with socket.socket() as one:
        one.settimeout(0.1)
        one.connect(("127.0.0.1", 9))


def start_unseen() -> None:
    ctypes.CDLL(None).system(b"gs --version")  # past Python's audit events


# What a command may do wrong, each with the words by which the harness tells of it.
PLANTED: dict[str, tuple[Callable[[], object], str]] = {
    "nothing": (lambda: None, ""),
    "an exception": (lambda: 1 / 0, "traceback: ZeroDivisionError"),
    "an exit code": (lambda: sys.exit(7), "exit code 7"),
    "an escape sequence": (lambda: print("\x1b[2J"), r"control character '\x1b' on stdout"),
    "an escape sequence in an error": (lambda: print("\x9b", file=sys.stderr), r"'\x9b' on stderr"),
    "a text that turns round": (lambda: print("\u202e"), r"control character '\u202e' on stdout"),
    "a flood": (lambda: print("x" * 30_000, file=sys.stderr), "30,001 characters on stderr"),
    "memory": (allocate, "GiB of memory"),
    "no end": (lambda: time.sleep(60), "not ended after 1 s"),
    "a program": (lambda: subprocess.run(["true"]), "program started: subprocess.Popen"),
    "a shell": (lambda: os.system("true"), "program started: os.system"),
    "a program by exec": (lambda: os.execvp("true", ["true"]), "program started: os.exec"),
    "a program of C": (start_unseen, "code run: gs"),
    "a connection": (connect, "connection: socket.connect"),
    "a name looked up": (lambda: socket.getaddrinfo("localhost", 1), "connection: socket.getaddrinfo"),
    "a file elsewhere": (lambda: outside(Path.cwd()).write_text("x"), "written outside: open"),
    "a folder elsewhere": (lambda: outside(Path.cwd()).mkdir(), "written outside: os.mkdir"),
    "a file removed elsewhere": (lambda: outside(Path.cwd()).unlink(), "written outside: os.remove"),
    "a process left": (leave_running, "processes left running"),
    "a stream that can't be flushed": (lambda: print("x"), "exit code 120"),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """Return what the harness sees of commands that do wrong, and of a cnntrain that was made worse."""
    found: dict[str, Any] = apart(worse)
    return found


def worse(folder: Path) -> dict[str, Any]:
    """Both in one process, which has to import all of cnntrain; ``planted`` leaves no command in it whole."""
    return {"sabotaged": sabotaged(folder / "s"), "planted": planted(folder / "p")}


@pytest.mark.slow
def test_each_detector_fires(seen: dict[str, Any]) -> None:
    found = seen["planted"]
    for name, (_, words) in PLANTED.items():
        told = "\n".join(found[name])
        assert bool(told) == bool(words) and words in told, f"{name}: {told!r}"


def planted(folder: Path) -> dict[str, list[str]]:
    from cnntrain.cli import main

    child.MEMORY = child.largest_memory(os.getpid()) + 200 * 2**20
    child.outlives.__defaults__ = (0.2,)  # type: ignore[attr-defined]
    found = {}
    for name, (fault, _) in PLANTED.items():
        main.main = fault  # type: ignore[assignment]
        case = Case(Place(folder / "place"), "case", "0")
        streams = Streams(full=(1,)) if "flushed" in name else Streams()
        case.command(name, streams=streams, timeout=1 if name == "no end" else 60)
        case.close()
        found[name] = case.faults
    return found


@pytest.mark.slow
def test_other_bits_damage_and_code_are_seen(seen: dict[str, Any]) -> None:
    bits, code, accepted, both, other = seen["sabotaged"]
    assert bits == ["last.pt differs", "best.pt differs", "metrics.csv differs"]
    assert any(fault.startswith("code run: evil") for fault in code), code
    assert len(accepted) >= 2, "damaged checkpoints that are not verified pass for whole ones"
    assert both, "two processes in one run folder, and nothing holds them off"
    assert any("last.pt differs" in fault for fault in other), other


def sabotaged(folder: Path) -> tuple[list[str], ...]:
    """Return the faults that are found when cnntrain is made worse in five ways."""
    place = Place(folder / "place")
    one, other = (runs.reference(place, f"seed{seed}", *runs.TINY, f"seed={seed}") for seed in (0, 1))
    assert not runs.differences(one, one)
    code = trusting(place, one)
    checkpoint.verify_opened = lambda file, path: None  # type: ignore[assignment]
    accepted = [text for _, text in damage.DAMAGE.tried([1, 5, 7], 0, place).failures]
    run_folder.locked = lambda folder, *_: contextlib.nullcontext()  # type: ignore[assignment]
    run_folder.new_run_folder = in_whatever_is_there  # type: ignore[assignment]
    run_folder.check_still_new = lambda folder: None  # type: ignore[assignment]
    both = [text for _, text in together.TOGETHER.tried([0], 0, place).failures]
    load = checkpoint.load
    checkpoint.load = lambda *words: moved(load(*words))  # type: ignore[assignment]
    return runs.differences(one, other), code, accepted, both, resumed(place, one)


def in_whatever_is_there(out: str, label: str) -> Path:
    Path(out).mkdir(exist_ok=True)
    return Path(out)


def resumed(place: Place, untouched: Path) -> list[str]:
    """Kill a run once it has a checkpoint, resume it, and return in what it differs."""
    case = Case(place, "killed", "0")
    process = case.start("train", *runs.TINY, "save_every_steps=1", "seed=0", "out=run")
    while not (case.folder / "run/checkpoints/last.pt").exists() and process.poll() is None:
        kills.pause(0.002, process)
    process.kill()
    case.finished(process, killed=True)
    runs.finish(case, "run", runs.TINY)
    runs.same(case, untouched, "run")
    case.close()
    return case.faults


def moved(state: dict[str, Any]) -> dict[str, Any]:
    for weight in state["model"].values():
        weight += 1e-6
    return state


def trusting(place: Place, run: Path) -> list[str]:
    """Let a checkpoint name the planted module evil.py, and trust it."""
    case = Case(place, "case", "0")
    (case.folder / "evil.py").write_text(hostile.EVIL.format(marker=str(place.folder / "markers/evil")))
    runs.copied(case, run)
    state = copy.deepcopy(hostile.state_of(run / "checkpoints/best.pt"))
    hostile.replace(state["config"], ("model",), {"_target_": "evil.Payload"})
    for path in (case.folder / "run/checkpoints").glob("*.pt"):
        path.write_bytes(hostile.serialized(case, state))
    case.command("eval", "run", "trust=[evil]")
    case.close()
    return case.faults


def test_what_is_left_over_or_written_elsewhere_is_seen(tmp_path: Path) -> None:
    case = Case(Place(tmp_path), "case", "0")
    writes.left_over(case)
    assert not case.faults
    (case.folder / "run").mkdir()
    (case.folder / "run/.last.pt.tmp").touch()
    writes.left_over(case)
    assert case.faults == ["left over: run/.last.pt.tmp"]
    assert hostile.is_expected(Path("run/x")) and not hostile.is_expected(Path("elsewhere/x"))


def test_each_leaf_of_a_checkpoint_is_replaced_by_each_odd_value(cnntrain: Command) -> None:
    outcome = cnntrain("train", *hostile.SOURCE, "out=run")
    assert outcome.code == 0, outcome.err
    paths = list(hostile.leaves(hostile.state_of(Path("run/checkpoints/last.pt"))))
    assert len(paths) > 200
    tried = [hostile.choice(paths, n)[:2] for n in range(hostile.HOSTILE.full) if n % 4 != 3]
    assert set(tried) == {(path, kind) for path in paths for kind in range(len(hostile.ODD))}
    assert len({path for path, _ in tried[:18]}) == 18  # a short run goes to many places


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"memory": 2**20}, "memory grew"),
        ({"files": 1}, "open files grew"),
        ({"seconds": 0.02}, "an epoch took"),
    ],
)
def test_what_grows_with_the_epochs_is_seen(change: dict[str, float], words: str) -> None:
    def at(epoch: int) -> Seen:
        seconds = 0.01 * epoch + change.get("seconds", 0) * epoch**2 / 400
        memory = 2**28 + epoch * int(change.get("memory", 0))
        return Seen(memory, 9 + epoch * int(change.get("files", 0)) // 20, seconds, epoch)

    found = "\n".join(growth([at(epoch) for epoch in range(400)]))
    assert bool(found) == bool(words) and words in found


def test_a_failure_tells_how_to_see_it_again(tmp_path: Path) -> None:
    def attempt(case: Case, number: int) -> None:
        case.must(case.random.random() < 0.5, f"drew {case.random.random()}")

    part = Part("dice", "", 0, 0, attempt)
    row = part.tried(range(20), 7, Place(tmp_path / "all"))
    assert 0 < len(row.failures) < 20 and row.tests == 20
    number, text = row.failures[0]
    assert f"scripts/torture.py --seed 7 --only dice --case {number}" in text
    kept = Path(text.rpartition("kept: ")[2])
    assert "drew" in (kept / "what-happened.txt").read_text()

    again = part.tried([number], 7, Place(tmp_path / "again"))

    assert again.failures[0][1].splitlines()[0] == text.splitlines()[0]
    assert len(list((tmp_path / "all/cases").iterdir())) == len(row.failures)


def test_the_table_adds_up() -> None:
    rows = [Row("a", 3, [(1, "x")], 1, 0, 2**20, 1.0), Row("b", 4, [], 0, 2, 2**21, 2.0)]
    last = table(rows).splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == [
        "all",
        "7",
        "6",
        "1",
        "1",
        "2",
        "2 MiB",
        "3",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "kill"], "there is no part kill: there are kills, "),
        (["--case", "1"], "--case is of one part"),
        (["--counts", "many"], "--counts takes full, small or a number, not many"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    import torture

    with pytest.raises(SystemExit, match="2"):
        torture.main(arguments)
    assert words in capsys.readouterr().err
