"""Help and completion: true, readable, and at once, which means without torch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command, is_told

from cnntrain import __version__
from cnntrain.cli.commands import COMMANDS
from cnntrain.cli.help import FIRST_PAGE
from cnntrain.config.conf_files import conf_folder, groups
from cnntrain.config.keys import KEYS, OVERRIDABLE
from cnntrain.explain.table import TOPICS

HELP_OF = ("all", *groups())  # which `train --help` takes

# ---- help


def defaults_shown(text: str) -> dict[str, str]:
    """Return the keys that help lists, with their values."""
    words = [line.split()[0] for line in text.splitlines() if re.match("  [a-z]", line)]
    return {key: value for key, equals, value in (word.partition("=") for word in words) if equals and value}


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], []])
def test_help_is_one_page_that_names_every_command(torchless: Command, words: list[str]) -> None:
    outcome = torchless(*words)
    assert (outcome.code, outcome.err) == (0, "")
    for command in COMMANDS:
        assert f"cnntrain {command} " in outcome.out
    assert "cnntrain explain " in outcome.out.partition("To start:\n")[2]  # which lists the topics
    assert len(outcome.out.splitlines()) <= 25
    first = outcome.out.partition("To start:\n")[2].partition("\n\n")[0].splitlines()
    assert len(first) == 5
    assert all(line.split()[1] in COMMANDS for line in first)


def test_help_of_train_begins_with_a_page_of_the_keys_that_are_used_most(torchless: Command) -> None:
    page = torchless("train", "--help").out.partition("\nHow values are typed")[0]
    listed = [line.split()[0].partition("=")[0] for line in page.splitlines() if re.match("  [a-z]", line)]
    assert listed == FIRST_PAGE
    assert len(listed) == 15
    assert {"epochs", "batch_size", "optim.lr", "data.root", "device"} <= set(listed)
    for more in ("--help all", "--help optim", "--help model.channels"):
        assert f"cnntrain train {more}" in page


def test_help_shows_types_shortly(torchless: Command) -> None:
    text = " ".join(torchless("train", "--help", "all").out.split()).replace("| ", "|")  # of a line
    for kind in ("(INT>=1)", "(INT>=1|null)", "(FLOAT>0)", "(FLOAT 0..1)", "(BOOL)", "(LIST of INT>=1;"):
        assert kind in text
    assert "(val_accuracy|val_loss|val_miou|val_dice|val_ap|val_ap50|auto)" in text
    assert "whole number" not in text
    assert "${" not in text


def test_help_of_a_group_shows_its_choices_and_keys(torchless: Command) -> None:
    text = torchless("train", "--help", "optim").out
    for choice in groups()["optim"]:
        assert f"\n  optim={choice} " in text
    assert {key for key in KEYS if key.startswith("optim.")} <= set(defaults_shown(text))
    assert "epochs=" not in text
    assert "0.02 with optim=sgd" in text


@pytest.mark.parametrize(
    "words", [["train", "--help", "model.channels"], ["help", "train", "model.channels"]]
)
def test_help_of_a_key(torchless: Command, words: list[str]) -> None:
    text = torchless(*words).out
    assert " ".join(text.split()) == "model.channels=[16,32] filters per block (LIST of INT>=1; model=cnn)"
    assert torchless("train", "--help", "model.channels=[8]").out == text


def test_help_of_an_unknown_key_names_the_nearest(torchless: Command) -> None:
    is_told(torchless("train", "--help", "learning_rate"), "did you mean optim.lr?")
    is_told(torchless("train", "--help", "nosuch"), "unknown key nosuch")
    is_told(torchless("train", "--help", "optm"), "did you mean optim=adam|")


def test_help_of_a_class_of_ones_own(torchless: Command) -> None:
    for key in ("task._target_", "model._target_", "optim._target_"):
        shown = torchless("train", "--help", key)
        assert shown.code == 0 and f"{key}=my_pkg.MyClass" in " ".join(shown.out.split())


def test_help_of_a_command_is_found_in_both_orders(torchless: Command) -> None:
    assert torchless("help", "predict").out == torchless("predict", "--help").out
    assert torchless("train", "--help=optim").out == torchless("train", "--help", "optim").out
    assert torchless("explain", "shift", "--help").out == torchless("explain", "--help", "shift").out


def test_help_names_every_choice(torchless: Command) -> None:
    outcome = torchless("train", "--help", "all")
    for path in conf_folder().glob("*/*.yaml"):
        line = next(line for line in outcome.out.splitlines() if line.startswith(f"  {path.parent.name}="))
        following = outcome.out[outcome.out.index(line) :]
        assert path.stem in following.replace("|", " ").split()


def test_help_of_train_lists_every_key_with_its_true_default(torchless: Command) -> None:
    listed = defaults_shown(torchless("train", "--help", "all").out)
    elsewhere = {
        "split",
        "trust",
        "run",
        "data.source",
        "repeats",
        "seconds",
        "json",
        "top",
        "invert",
        "lang",
    }
    elsewhere |= {"formats", "tta", "tile", "score", "nms", "most", "lang"}
    assert set(KEYS) - elsewhere <= set(listed)

    composed: dict[str, Any] = yaml.safe_load(torchless("train", "--cfg", "job").out)
    for key, value in listed.items():
        node: Any = composed
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, str) and node.startswith("${"):
            assert value == node.strip("${}"), key
        elif node is not None:  # else a key of a choice that is not the default
            assert yaml.safe_load(value) == node or float(value) == float(node), key


@pytest.mark.parametrize("columns", [80, 100, 250])
@pytest.mark.parametrize("command", ["", *COMMANDS, *("train --help " + more for more in HELP_OF)])
def test_help_fits_the_terminal(
    torchless: Command, monkeypatch: pytest.MonkeyPatch, command: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    outcome = torchless(*command.split(), *([] if "--help" in command else ["--help"]))
    assert (outcome.code, outcome.err) == (0, "")
    widest = max(len(line) for line in outcome.out.splitlines())
    assert widest <= min(columns, 120), outcome.out


@pytest.mark.parametrize("command", ["predict", "export"])
def test_help_says_what_a_command_takes_and_gives_for_each_task(torchless: Command, command: str) -> None:
    text = torchless(command, "--help").out.partition("  cnntrain ")[0]
    for word in ("image", "series", "segmentation", "detection", "boxes", "class"):
        assert word in text


@pytest.mark.parametrize(
    ("command", "keys"), [("eval", OVERRIDABLE["eval"]), ("resume", OVERRIDABLE["resume"])]
)
def test_help_lists_the_keys_that_a_command_takes(
    torchless: Command, command: str, keys: tuple[str, ...]
) -> None:
    text = torchless(command, "--help").out
    firsts = {line.split()[0].partition("=")[0] for line in text.splitlines() if line.startswith("  ")}
    assert set(keys) <= firsts


def test_help_knows_the_users_own_choices(torchless: Command) -> None:
    Path("conf/optim").mkdir(parents=True)
    Path("conf/optim/nadam.yaml").write_text("_target_: torch.optim.NAdam\n")
    for more in ([], ["optim"], ["all"]):
        assert "nadam" in torchless("train", "--help", *more).out


def test_help_runs_nothing_wherever_it_stands(torchless: Command) -> None:
    outcome = torchless("train", "epochs=3", "--help")
    assert outcome.code == 0
    assert outcome.out == torchless("train", "--help").out
    assert not Path("outputs").exists()


def test_version(torchless: Command) -> None:
    for words in (["--version"], ["train", "--version"], ["eval", "last", "--version"]):
        assert torchless(*words).out == f"cnntrain {__version__}\n"


# ---- completion


@pytest.fixture
def here() -> None:
    """Let the current folder hold a run, and a choice, a model and a folder of the user's own."""
    for name in ("outputs/train/2026-01-01_mlp-adam", "outputs/sweeps/2026-01-02/0"):
        Path(name).mkdir(parents=True)
        Path(name, "config.yaml").touch()
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/mine.yaml").write_text("_target_: my_pkg.MyNet\nwidth: 8\n")
    Path("images").mkdir()


RUNS = ["outputs/sweeps/2026-01-02/0", "outputs/train/2026-01-01_mlp-adam"]
COMPLETIONS = {
    "": list(COMMANDS),
    "tr": ["train"],
    "--v": ["--version"],
    "train optim=ad": ["optim=adam", "optim=adamw"],
    "train model=m": ["model=mine", "model=mlp"],
    "train -m optim=sgd,ad": ["optim=sgd,adam", "optim=sgd,adamw"],
    "train model.h": ["model.head="],
    "train model=mlp model.h": ["model.hidden="],
    "train -m model=mlp,cnn model.h": ["model.head=", "model.hidden="],
    "train model=mine model.": ["model.width="],
    "train optim=sgd optim.mo": ["optim.momentum="],
    "train sch": ["schedule.final=", "schedule.warmup=", "schedule="],
    "train epo": ["epochs="],
    "train deterministic=": ["deterministic=true", "deterministic=false"],
    "train monitor=": [
        f"monitor={value}"
        for value in ("auto", "val_accuracy", "val_loss", "val_miou", "val_dice", "val_ap", "val_ap50")
    ],
    "train device=c": ["device=cpu", "device=cuda"],
    "train --cf": ["--cfg"],
    "train --cfg ": ["job", "hydra", "all"],
    "train --config-dir ": [],  # which leaves it to the shell: files
    "train data=mnist data.root=": [],
    "train epochs=": [],
    "summary model=m": ["model=mine", "model=mlp"],
    "eval ": ["last", *RUNS],
    "eval outputs/t": RUNS[1:],
    "eval last spl": ["split="],
    "eval last split=": ["split=train", "split=val", "split=test"],
    "eval last data=fas": ["data=fashion_mnist"],
    "eval last epo": [],
    "resume l": ["last"],
    "resume last ": [f"{key}=" for key in OVERRIDABLE["resume"]],
    "explain ": list(TOPICS),
    "explain z": ["zero_grad"],
    "train --help optim.l": ["optim.lr"],
    "train --help a": ["all", "augment", *(key for key in KEYS if key.startswith("a"))],
    "explain filters run=": ["run=last", *(f"run={run}" for run in RUNS)],
    "explain --as": ["--as-script"],
    "completion ": ["bash", "zsh", "fish"],
    "nosuch ": [],
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("line", COMPLETIONS)
def test_what_is_offered(torchless: Command, line: str) -> None:
    outcome = torchless("_complete", *line.split(" "))
    assert sorted(outcome.out.splitlines()) == sorted(COMPLETIONS[line])


def in_shell(shell: str, program: str) -> list[str]:
    """Run a program in a shell that knows the command, and return the lines that it prints."""
    executable = shutil.which(shell)
    if executable is None:
        pytest.skip(f"needs {shell}")
    # No torch may be imported between a key and its answer.
    Path("poison/torch").mkdir(parents=True, exist_ok=True)
    Path("poison/torch/__init__.py").write_text("raise RuntimeError('torch was imported')")
    search = os.pathsep.join([str(Path("poison").absolute()), os.environ.get("PYTHONPATH", "")])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    home = str(Path("home").absolute())  # where fish keeps a cache
    environment = {**os.environ, "PATH": path, "PYTHONPATH": search, "HOME": home, "XDG_CONFIG_HOME": home}
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": []}[shell]
    done = subprocess.run(
        [executable, *options, "-c", program], capture_output=True, text=True, env=environment, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


LINES = [line for line, offered in COMPLETIONS.items() if offered][:18]


@pytest.mark.usefixtures("here")
def test_bash() -> None:
    """Bash breaks words at =, so only what stands behind it is replaced."""
    program = "source <(cnntrain completion bash)\ncompopt() { :; }\n" + "".join(
        f'COMP_LINE="cnntrain {line}" COMP_POINT={9 + len(line)}; _cnntrain; echo "${{COMPREPLY[@]}}"\n'
        for line in LINES
    )
    behind = [[offer.removeprefix(up_to_equals(line)) for offer in COMPLETIONS[line]] for line in LINES]
    assert [sorted(line.split()) for line in in_shell("bash", program)] == [
        sorted(offers) for offers in behind
    ]


def up_to_equals(line: str) -> str:
    """Return the part of the last word up to its =."""
    word = line.split(" ")[-1]
    return word[: word.rindex("=") + 1] if "=" in word else ""


@pytest.mark.usefixtures("here")
def test_bash_with_the_cursor_inside_the_line_and_with_words_that_hold_equals_signs() -> None:
    program = (
        "source <(cnntrain completion bash)\ncompopt() { :; }\n"
        'COMP_LINE="cnntrain train optim=ad epochs=3" COMP_POINT=23; _cnntrain; echo "${COMPREPLY[@]}"\n'
        "COMP_WORDBREAKS=${COMP_WORDBREAKS//=}\n"
        'COMP_LINE="cnntrain train optim=ad" COMP_POINT=23; _cnntrain; echo "${COMPREPLY[@]}"\n'
        "complete -p cnntrain\n"
    )
    assert in_shell("bash", program) == [
        "adam adamw",
        "optim=adam optim=adamw",
        "complete -o default -F _cnntrain cnntrain",
    ]


@pytest.mark.usefixtures("here")
def test_zsh() -> None:
    """Called as zsh's completion system calls it, which itself runs only at a prompt."""
    program = (
        "compdef() { : }\ncompset() { : }\n_files() { print files }\n"
        'compadd() { shift $(( ${@[(i)--]} )); (( $# )) && print -r -- "$@" }\n'
        "source <(cnntrain completion zsh)\n"
    )
    for line in [*LINES, "train --config-dir "]:
        words = " ".join(f'"{word}"' for word in ("cnntrain", *line.split(" ")))
        program += f"words=({words}) CURRENT=${{#words}}; print -r -- $(_cnntrain)\n"
    expected = [sorted(COMPLETIONS[line]) for line in LINES] + [["files"]]
    assert [sorted(line.split()) for line in in_shell("zsh", program)] == expected


@pytest.mark.usefixtures("here")
def test_fish() -> None:
    program = "cnntrain completion fish | source\n"
    for line in [*LINES, "train --config-dir pi", "train data.root=pi"]:
        program += f'string join -- " " (complete -C "cnntrain {line}"); echo .\n'
    got = [sorted(part.split()) for part in "\n".join(in_shell("fish", program)).split("\n.")]
    expected = [sorted(COMPLETIONS[line]) for line in LINES] + [["images/"], ["data.root=images/"]]
    assert got[: len(expected)] == expected
