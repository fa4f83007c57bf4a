"""A screen that is closed, full or of another encoding ends no command; names are printed as they are."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY, Command
from PIL import Image

from cnntrain.runtime.console import Console, Screen, filled, print_folded
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.text import argument
from cnntrain.training.epoch_table import EpochScreen

RUN = f"{shlex.quote(sys.executable)} -m cnntrain"
ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(
        command, shell=True, executable="/bin/bash", capture_output=True, text=True, env=env
    )


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&- <&-", "> /dev/full 2> /dev/full"])
def test_a_run_whose_screen_is_gone_is_complete(closed: str) -> None:
    done = shell(f"{RUN} train {' '.join(TINY)} workers=1 out=run {closed}")
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr
    assert {"summary.json", "metrics.csv", "train.log", "checkpoints"} <= {
        p.name for p in Path("run").iterdir()
    }
    assert "test accuracy" in Path("run/train.log").read_text()


def test_the_workers_of_a_sweep_whose_screen_is_gone_go_on() -> None:
    pytest.importorskip("joblib")
    done = shell(f"{RUN} train -m {' '.join(TINY)} seed=1,2 launcher=joblib out=sweep > /dev/full 2>&-")
    assert done.returncode == 0, done
    assert all(Path(f"sweep/seed-{seed}/summary.json").exists() for seed in (1, 2))


@pytest.mark.parametrize("what", ["--help", "train --help"])
def test_what_only_prints_fails_in_one_line_if_nobody_can_have_read_it(what: str) -> None:
    full = shell(f"{RUN} {what} > /dev/full")
    assert (full.returncode, full.stderr) == (
        1,
        "cnntrain: standard output can't be written: No space left on device\n",
    )
    assert shell(f"{RUN} {what} >&-").returncode == 0
    piped = shell(f"{RUN} {what} | head -1 > /dev/null; exit ${{PIPESTATUS[0]}}")
    assert (piped.returncode, piped.stderr) == (0, "")


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE], ids=["ascii", "C"])
def test_a_screen_that_is_not_utf8_gets_what_it_can_show(environment: dict[str, str]) -> None:
    done = shell(f"{RUN} train {' '.join(TINY)} data.val_fraction=0 out=run", **environment)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.isascii() and "1x28x28" in done.stdout
    assert "1×28×28" in Path("run/train.log").read_text(encoding="utf-8")
    assert shell(f"{RUN} train --help", **environment).returncode == 0


def test_names_that_are_not_utf8_reach_screen_log_and_files_as_escapes(cnntrain: Command) -> None:
    for number, name in enumerate((b"caf\xe9", b"\x1b[31mred\x07", b"[bold]:dog:")):
        folder = Path("data", os.fsdecode(name))
        folder.mkdir(parents=True)
        for image in range(12):
            grey = (80 * number + image) % 256
            Image.new("RGB", (8, 8), (grey, grey, grey)).save(folder / f"\udce9{image}.png")
    typed = (
        "data=folder",
        "data.root=data",
        "data.val_fraction=0.2",
        "model=mlp",
        "epochs=1",
        "batch_size=8",
    )
    outcome = cnntrain("train", *typed, "out=run", "verbose=2")
    assert (outcome.code, outcome.err) == (0, ""), outcome
    log = Path("run/train.log").read_text(encoding="utf-8")
    page = Path("run/report.html").read_text(encoding="utf-8")
    for text in (outcome.out, log, page):
        assert r"caf\xe9" in text and "[bold]:dog:" in text
    assert "\x1b" not in outcome.out + log
    predicted = cnntrain("predict", "run", "data", "--csv", "found.csv", "--json", "found.json")
    assert predicted.code == 0 and "Traceback" not in predicted.err, predicted
    assert r"caf\xe9" in Path("found.csv").read_text(encoding="utf-8")


def test_a_folder_named_like_markup_is_printed_as_it_is(cnntrain: Command) -> None:
    name = "o[/x]{} :dog: [bold]"
    outcome = cnntrain("train", *TINY, f"out={name}")
    assert outcome.code == 0, outcome.err
    assert f"run folder: {name}\n" in outcome.out
    assert outcome.out.endswith(f"every class: cnntrain eval '{name}'\n")
    assert f"written to {name}/eval_test.json" in cnntrain("eval", name).out


def test_a_command_with_a_name_that_is_not_printable_can_be_copied() -> None:
    for name in ("caf\udce9 'a'", "\x1b[31m\n\\"):
        word = argument(name)
        assert word.isprintable()
        echoed = subprocess.run(["/bin/bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
        assert os.fsdecode(echoed.stdout) == name


def test_no_control_character_reaches_a_terminal_but_those_of_rich() -> None:
    text = io.StringIO()
    screen = Screen(file=text, force_terminal=True, width=80, color_system="standard")
    screen.print(filled("[bold]{}[/] \x1b]0;owned\x07", ["a\x1b[2Jb\rc"]))
    assert text.getvalue() == "\x1b[1ma\\x1b[2Jb\\rc\x1b[0m \\x1b]0;owned\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_are_folded_between_words_and_commands_never(width: int) -> None:
    text = Terminal()
    command = "cnntrain resume 'a folder with a name of several words that is longer than the line' epochs=30"
    told = "the loss became NaN or infinite at step 1,234 of a run, as when the learning rate is too high"
    print_folded(
        Screen(file=text, width=width, force_terminal=True), filled(f"{told}\nto go on: {command}"), 2
    )
    lines = text.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines) == f"{told} to go on: {command}"
    assert all(len(line) <= width for line in lines if command not in line)
    assert any(line.strip() == command or line.endswith(f": {command}") for line in lines)


def test_the_table_of_epochs_fits_80_columns_even_when_a_run_diverges(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = Terminal()
    monkeypatch.setattr(sys, "stdout", text)
    monkeypatch.setenv("COLUMNS", "80")
    console = Console()
    screen = EpochScreen(console, SCORES, epochs=100)
    row = {
        "epoch": 100,
        "step": 12_345_678,
        "lr": 1.234e-05,
        "train_loss": 4836977.1386,
        "train_accuracy": 1.0,
        "val_loss": 26196546.5480,
        "val_accuracy": 0.0998,
        "seconds": 123456.7,
        "images_per_second": 1234567.8,
    }
    screen.row(row, is_best=True)
    _, headings, line = re.sub(r"\x1b\[[0-9;]*m", "", text.getvalue()).splitlines()
    assert len(headings) <= 80 and len(line) <= 80
    shown = "100/100 1.23e-05 4.84e+06 100.00% 2.62e+07 9.98% 123457 1235k best"
    assert line.split() == shown.split()
    assert " ".join(headings.split()) == "epoch lr train loss train acc val loss val acc s img/s"


def test_jobs_of_a_sweep_show_the_header_once_and_whole_sentences(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "seed=1,2", "out=sw x/[y]")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("2 jobs: sw x/[y]\n\njob 1 of 2: seed=1\n")
    assert outcome.out.count("  precision ") == outcome.out.count("cnntrain 0.1.0") == 1
    assert outcome.out.count("\nval accuracy ") == 2 and outcome.out.count("\nweights of epoch 1,") == 2
    assert "  precision " in Path("sw x/[y]/seed-2/train.log").read_text()  # of each job there
    assert re.search(r"\nbest: cnntrain eval 'sw x/\[y\]/seed-[12]'\n", outcome.out)


def test_a_sweep_of_one_job_names_nothing_that_varies(cnntrain: Command) -> None:
    assert "\njob 1 of 1\n" in cnntrain("train", "-m", *TINY).out


def test_networks_are_called_by_their_own_names(cnntrain: Command) -> None:
    Path("zoo.py").write_text(
        "from cnntrain.models import MLP\n\n\nclass Zoo(MLP):\n"
        "    def __init__(self, name, in_features, num_classes):\n"
        "        super().__init__(in_features, [8], num_classes)\n"
    )
    tiny = [word for word in TINY if word != "model=mlp"]
    outcome = cnntrain("train", *tiny, "model._target_=zoo.Zoo", "model.name=a/resnet18")
    assert outcome.code == 0, outcome.err
    assert "  model       a/resnet18, " in outcome.out
    assert re.search(r"run folder: outputs/train/[\d_-]+_a-resnet18-adam\n", outcome.out)


def test_workers_that_do_not_help_are_told_in_one_line(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "workers=1")
    reason = "the images are in memory, and worker processes cost more time there than they save"
    assert outcome.err == f"warning workers=1: {reason}: workers=0 is faster\n"
