"""The other files of a run folder: damaged, hostile, unwritable, or not there yet."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import TINY, Command, is_told
from permissions import held_to_permissions

from cnntrain.compare.page import curves_of
from cnntrain.errors import RunFailed, UserError
from cnntrain.report.entry import history_of
from cnntrain.runs import checkpoint
from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.run_files import read_json, read_line, read_yaml
from cnntrain.runs.run_folder import locked
from cnntrain.runtime.console import Console
from cnntrain.tasks.classification.scores import SCORES

DEEP = "[" * 100_000 + "]" * 100_000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{here}: &{here} [{','.join([f'*{before}'] * 9)}]"
    for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)


# ---- reading


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"epochs": 1e400}', "1e400 is not a finite number"),
        ('{"epochs": NaN}', "NaN is not a finite number"),
        ('{"epochs": ' + "9" * 50 + "}", "is too large a number"),
        (DEEP, "nested too deeply"),
        ("{", "Expecting"),
    ],
)
def test_json_that_is_none_of_a_run_s(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "summary.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=part):
        read_json(path)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (BOMB, "aliases"),
        ("a: &a [*a]", "aliases"),
        ("[" * 1200, "nested too deeply|while parsing"),
        ("[" * 40 + "]" * 40, "nested too deeply"),
        ("!!python/object/apply:os.system ['touch marker']", "could not determine a constructor"),
        ("a: [", "while parsing"),
        ("? {a: 1}\n: b", "unhashable"),
    ],
)
def test_yaml_that_is_none_of_a_run_s(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=part):
        read_yaml(path)
    assert not Path("marker").exists()


def test_files_without_an_end_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2**40)
    for name in ("pipe", "zero", "large"):
        for read in (read_json, read_yaml, read_line):
            with pytest.raises(ValueError, match=r"regular file|bytes"):
                read(tmp_path / name)


@pytest.mark.parametrize("text", ['{"epochs": 1e400}', DEEP, "[]", '{"epochs": []}', '{"test": 3}'])
def test_a_damaged_summary_stops_compare_with_a_line(torchless: Command, run: Path, text: str) -> None:
    shutil.copytree(run, "other")
    (run / "summary.json").write_text(text)
    is_told(torchless("compare", "run", "other"), "run/summary.json can't be read")


@pytest.mark.parametrize("text", [BOMB, "[" * 1200, "[]", "a: !!python/name:os.system"])
def test_a_damaged_configuration_stops_compare_with_a_line(torchless: Command, run: Path, text: str) -> None:
    shutil.copytree(run, "other")
    (run / "config.yaml").write_text(text)
    is_told(torchless("compare", "run", "other"), "run/config.yaml can't be read")


@pytest.mark.parametrize("text", [BOMB, "[" * 1200, "[]", "jobs: 3"])
def test_a_damaged_plan_stops_the_sweep_with_a_line(torchless: Command, text: str) -> None:
    Path("sweep").mkdir()
    Path("sweep/sweep.yaml").write_text(text)
    is_told(torchless("resume", "sweep"), "sweep/sweep.yaml is damaged, or `train -m` did not write it")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"a\nb\n", b"x" * 100_000, b"\0"])
def test_a_damaged_pointer_is_as_if_there_were_none(torchless: Command, content: bytes) -> None:
    Path("outputs").mkdir()
    Path("outputs/.last").write_bytes(content)
    for words in (("eval", "last"), ("resume", "last"), ("compare", "last")):
        is_told(torchless(*words), "there is no last run here: `cnntrain train` makes one")
    Path("outputs/.last").unlink()
    Path("outputs/.last").mkdir()
    is_told(torchless("eval", "last"), "there is no last run here")


# ---- before the first checkpoint


@pytest.fixture
def stopped(run: Path) -> Path:
    """Return the folder of a run that was killed before its first checkpoint."""
    shutil.rmtree(run / "checkpoints")
    for name in ("summary.json", "metrics.csv"):
        (run / name).unlink()
    return run


def test_a_run_without_a_checkpoint_begins_again(cnntrain: Command, stopped: Path, trained: Path) -> None:
    is_told(cnntrain("eval", "run"), "the run ended before its first; cnntrain resume run begins it again")
    outcome = cnntrain("resume", "run")
    assert outcome.code == 0, outcome.err
    assert "run was stopped before its first checkpoint, and begins again" in outcome.out
    for name in ("last.pt", "best.pt"):
        before, after = (checkpoint.load(folder / "checkpoints" / name) for folder in (trained, stopped))
        assert all(weight.equal(after["model"][key]) for key, weight in before["model"].items())
    assert "is finished after 1 epoch;" in cnntrain("resume", "run").out


def test_a_run_that_was_killed_between_its_first_two_checkpoints_begins_again(
    cnntrain: Command, stopped: Path, trained: Path
) -> None:
    (stopped / "checkpoints").mkdir(exist_ok=True)
    best = (trained / "checkpoints/best.pt").read_bytes()
    (stopped / "checkpoints/best.pt").write_bytes(best)
    table = (trained / "metrics.csv").read_text()
    (stopped / "metrics.csv").write_text(table)  # which says that the epoch has ended: last.pt was removed
    is_told(cnntrain("resume", "run"), "best.pt holds the weights of an epoch", "init_from=")
    (stopped / "metrics.csv").write_text(table.splitlines(keepends=True)[0])
    outcome = cnntrain("resume", "run")
    assert outcome.code == 0, outcome.err
    assert "begins again" in outcome.out
    assert (stopped / "checkpoints/last.pt").exists()


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("_target_: cnntrain.models.MLP", "_target_: os.system", "refusing to import os.system"),
        ("_target_: cnntrain.models.MLP", "_target_: my_pkg.Net", "allow with trust=[my_pkg]"),
        ("logger: {}", "logger: {t: {_target_: cnntrain.loggers.TensorBoard, folder: /x}}", "leads outside"),
        ("epochs: 1\n", "epochs: ${oc.env:HOME}\n", "would run when it is read"),
        ("epochs: 1\n", "epochs: &a 1\nseeds: *a\n", "can't be read: it has anchors"),
        ("epochs: 1\n", "1: 1\n", "is damaged, or not a configuration"),
        ("model:\n", "model:\n  weights: DEFAULT\n", "resume does not download pretrained weights"),
    ],
)
def test_its_configuration_is_data(cnntrain: Command, stopped: Path, old: str, new: str, part: str) -> None:
    text = (stopped / "config.yaml").read_text()
    assert old in text
    (stopped / "config.yaml").write_text(text.replace(old, new, 1))
    is_told(cnntrain("resume", "run"), part)
    assert not (stopped / "checkpoints").exists()


def test_what_a_killed_run_leaves_before_it_begins_is_no_obstacle(cnntrain: Command) -> None:
    Path("run").mkdir()
    for name in ("train.log", ".lock"):
        Path("run", name).touch()
    is_told(cnntrain("resume", "run"), "it is not a run folder, or its run ended before it began")
    assert cnntrain("train", *TINY, "-q", "out=run").code == 0


# ---- writing


def test_eval_prints_its_result_where_it_cannot_be_written(cnntrain: Command, run: Path) -> None:
    (run / "eval_test.json").mkdir()
    outcome = cnntrain("eval", "run")
    assert outcome.code == 0
    assert "test accuracy" in outcome.out
    assert "run/eval_test.json can't be written" in outcome.err
    assert not list(run.glob(".*.tmp"))


@pytest.mark.parametrize("name", [".lock", "metrics.csv", "config.yaml"])
def test_resume_tells_in_a_line_what_cannot_be_written(cnntrain: Command, run: Path, name: str) -> None:
    (run / name).unlink()
    (run / name).mkdir()
    (run / name / "file").touch()
    outcome = cnntrain("resume", "run", "epochs=2")
    assert outcome.code == 1
    assert "can't be written" in outcome.err and name.strip(".") in outcome.err
    assert "Traceback" not in outcome.err and len(outcome.err.splitlines()) <= 2
    assert not list(run.rglob(".*.tmp"))


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "folder"
    folder.mkdir(parents=True)
    (folder / "file").touch()
    with pytest.raises(OSError, match="folder"):
        write_atomically(folder, b"x")
    assert list(folder.parent.iterdir()) == [folder]


def test_what_a_killed_process_left_is_removed_and_no_link_is_written_through(
    cnntrain: Command, run: Path
) -> None:
    Path("precious").write_text("mine")
    (run / "checkpoints" / ".last.pt.tmp").write_bytes(b"x" * 1000)
    (run / ".eval_test.json.tmp").symlink_to(Path("precious").absolute())
    assert cnntrain("eval", "run").code == 0
    assert cnntrain("resume", "run", "epochs=2").code == 0
    assert Path("precious").read_text() == "mine"
    assert not list(run.rglob(".*.tmp"))


@pytest.mark.parametrize("name", ["checkpoints", "train.log", "plots"])
def test_a_link_out_of_the_run_folder_is_not_written_through(cnntrain: Command, run: Path, name: str) -> None:
    Path("elsewhere").mkdir()
    if (run / name).exists():
        (run / name).rename(Path("elsewhere") / name)
    (run / name).symlink_to(Path("elsewhere").absolute() / name)
    for words in (("resume", "run", "epochs=2"), ("report", "run"), ("export", "run", "formats=[pt2]")):
        is_told(cnntrain(*words), f"run/{name} is a link that leads outside the run folder")
    (run / name).unlink()
    if (Path("elsewhere") / name).exists():
        (Path("elsewhere") / name).rename(run / name)
    Path("link").symlink_to("run")
    assert cnntrain("resume", "link", "epochs=2").code == 0


SWEEP = ("-m", "limit=64", "epochs=1", "model=mlp", "report=false", "optim.lr=0.001,0.01", "-q", "out=sweep")


@pytest.mark.parametrize("name", ["train.log", ".lock", "checkpoints/last.pt", "metrics.csv"])
def test_a_fifo_in_a_run_folder_hangs_nothing(process: Command, run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    outcome = process("resume", "run", "epochs=2")
    is_told(outcome, f"run/{name} is not a regular file, but a FIFO: remove it")


def test_a_fifo_hangs_neither_who_trains_nor_who_reads_metrics(run: Path) -> None:
    os.mkfifo(run / "pipe")
    (run / "metrics.csv").unlink()
    os.mkfifo(run / "metrics.csv")
    assert curves_of(run, SCORES) == {"val_accuracy": [], "val_loss": []}
    with pytest.raises(UserError, match="not a regular file, but a FIFO"):
        history_of(run)
    (run / ".lock").unlink(missing_ok=True)
    os.mkfifo(run / ".lock")
    with pytest.raises(RunFailed, match=r"\.lock can't be written: "), locked(run):
        pass
    Console(0, run / "pipe").line("a line")


@pytest.mark.parametrize(
    "text", ["a,b\n1,2,3\n", "epoch\nnan\n", "lr\n1\n", 'epoch\n"' + "1" * 200_000 + '"\n', "\xff"]
)
def test_metrics_that_are_none_are_told(run: Path, text: str) -> None:
    (run / "metrics.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"metrics\.csv (can't be read|has no column)"):
        history_of(run)
    curves_of(run, SCORES)


def test_the_jobs_of_a_sweep_write_nowhere_else(cnntrain: Command) -> None:
    assert cnntrain("train", *SWEEP).code == 0
    sweep = Path("sweep")
    first, second = sorted(path.parent for path in sweep.glob("*/job.json"))
    elsewhere = Path("elsewhere").absolute()
    elsewhere.write_text("mine")
    for job in (first, second):
        (job / "job.json").write_text('{"state": "failed", "reason": "x", "overrides": []}')
    (first / "train.log").unlink()
    (first / "train.log").symlink_to(elsewhere)
    outcome = cnntrain("resume", "sweep")
    assert outcome.code == 1
    assert (
        f"{first}/train.log is a link that leads outside the run folder: replace the link by" in outcome.err
    )
    assert elsewhere.read_text() == "mine"
    assert json.loads((second / "job.json").read_text())["state"] == "finished"

    shutil.rmtree(first)
    Path("folder").mkdir()
    first.symlink_to(Path("folder").absolute())
    is_told(cnntrain("resume", "sweep"), f"{first} is a link that leads outside the sweep folder: replace")
    assert not list(Path("folder").iterdir())


# ---- what resume can do


def test_resume_after_early_stopping_names_the_key(cnntrain: Command) -> None:
    words = ("train", *TINY[:1], *TINY[2:], "epochs=9", "early_stopping=1", "optim.lr=1e-30", "-q", "out=run")
    assert cnntrain(*words).code == 0
    epoch = checkpoint.load(Path("run/checkpoints/last.pt"))["progress"]["epoch"]
    assert epoch == 2
    told = "run is finished after 2 epochs, stopped early by early_stopping=1; to train longer: "
    assert cnntrain("resume", "run", "epochs=40").out == f"{told}early_stopping=null\n"
    assert cnntrain("resume", "run", "epochs=2").out == f"{told}early_stopping=null epochs=N\n"
    assert cnntrain("resume", "run", "early_stopping=null", "epochs=3").code == 0
    assert checkpoint.load(Path("run/checkpoints/last.pt"))["progress"]["epoch"] == 3


def test_the_best_checkpoint_holds_what_using_it_takes_and_says_so(cnntrain: Command, run: Path) -> None:
    best, last = (run / "checkpoints" / name for name in ("best.pt", "last.pt"))
    assert "optimizer" not in checkpoint.load(best) and "optimizer" in checkpoint.load(last)
    assert best.stat().st_size < 0.5 * last.stat().st_size
    is_told(
        cnntrain("resume", str(best), "epochs=2"),
        "best.pt holds the weights of an epoch, not the state of the optimizer to go on from",
        "cnntrain resume run goes on from last.pt; "
        "cnntrain train init_from=run/checkpoints/best.pt starts over",
    )
    last.unlink()
    told = "cnntrain train init_from=run/checkpoints/best.pt starts over"
    is_told(cnntrain("resume", "run", "epochs=2"), told)
    assert cnntrain("train", *TINY, "-q", "init_from=run", "out=new").code == 0
    assert cnntrain("eval", "run").code == 0
    assert json.loads((run / "eval_test.json").read_text())["checkpoint"] == "best.pt"


@pytest.mark.parametrize("key", ["threads=20000", "workers=1000000"])
def test_more_threads_or_workers_than_any_machine_has(torchless: Command, key: str) -> None:
    is_told(torchless("train", key), f"{key} is not possible", "1024")


def test_what_may_not_be_read_or_written_is_told_in_a_line(cnntrain: Command, run: Path) -> None:
    """As somebody else's run is."""
    try:
        with held_to_permissions():
            run.chmod(0o555)
            evaluated = cnntrain("eval", "run")
            run.chmod(0o000)
            hidden = cnntrain("resume", "run")
    finally:
        run.chmod(0o755)
    assert evaluated.code == 0 and "test accuracy" in evaluated.out
    assert "run/eval_test.json can't be written: Permission denied" in evaluated.err
    assert hidden.code == 2 and hidden.err.startswith("cnntrain: run/")
    assert hidden.err.endswith("permission denied\n") and len(hidden.err.splitlines()) == 1
    assert not list(run.rglob(".*.tmp"))


def test_a_full_disk_before_the_first_checkpoint_is_told_in_a_line(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cnntrain.training.record.write_atomically", full)
    outcome = cnntrain("train", *TINY, "out=full")
    assert outcome.code == 1
    assert outcome.err.strip() == "cnntrain: a file can't be written: no space left on device"


@pytest.mark.parametrize("name", ["summary.json", "metrics.csv"])
def test_a_folder_in_the_place_of_a_file_is_told_in_a_line(cnntrain: Command, run: Path, name: str) -> None:
    shutil.copytree(run, "other")
    (run / name).unlink()
    (run / name).mkdir()
    for command in (("compare", "run", "other"), ("resume", "run")):
        outcome = cnntrain(*command)
        assert outcome.code in (0, 1, 2) and "Traceback" not in outcome.err, outcome
