"""Checkpoints that are damaged, foreign or hostile: refused in a line or two, and nothing of theirs runs."""

from __future__ import annotations

import copy
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command, is_told

from cnntrain.config.conf_files import conf_folder, read_yaml
from cnntrain.config.saved.from_checkpoint import saved_config
from cnntrain.runs import checkpoint

MY_NET = """\
from torch import nn


class MyNet(nn.Sequential):
    def __init__(self, in_features, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(in_features, num_classes))
"""
TOUCH = ["touch", "marker"]
PATH_TOUCH = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": ["marker"]}}


def rewrite(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what both checkpoints of a run hold; their checksums are right."""
    for path in (run / "checkpoints").glob("*.pt"):
        state = copy.deepcopy(checkpoint.load(path))
        change(state)
        checkpoint.write(checkpoint.serialize(state), path)


@pytest.mark.parametrize("command", ["eval", "resume", "report"])
@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda content: content[: len(content) // 2], "truncated or damaged"),
        (lambda content: content[:-1], "damaged"),
        (lambda content: flipped(content, len(content) // 2), "damaged"),
        (lambda content: b"", "is not a checkpoint"),
        (lambda content: b"hello\n", "is not a checkpoint"),
    ],
    ids=["half", "a byte short", "a byte flipped", "empty", "text"],
)
def test_a_damaged_checkpoint(
    torchless: Command, run: Path, command: str, damage: Callable[[bytes], bytes], part: str
) -> None:
    for path in (run / "checkpoints").iterdir():
        path.write_bytes(damage(path.read_bytes()))
    is_told(torchless(command, "run"), "run/checkpoints/", part)


def flipped(content: bytes, index: int) -> bytes:
    """Return bytes of which one has a bit flipped."""
    return content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]


@pytest.mark.parametrize("command", ["eval", "resume", "report"])
def test_a_checkpoint_of_another_format(cnntrain: Command, run: Path, command: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT_VERSION", 99)
        content = checkpoint.serialize({})
    for path in (run / "checkpoints").iterdir():
        checkpoint.write(content, path)
    is_told(cnntrain(command, "run"), "is of checkpoint format 99", "the version of cnntrain that wrote it")


def test_what_torch_saved_of_something_else(cnntrain: Command) -> None:
    torch.save({"weights": torch.zeros(3)}, "other.pt")
    is_told(cnntrain("eval", "other.pt"), "other.pt is not a checkpoint of cnntrain")
    checkpoint.write(checkpoint.serialize({"weights": torch.zeros(3)}), Path("less.pt"))
    is_told(
        cnntrain("eval", "less.pt"), "less.pt is not a checkpoint of cnntrain: it has no config, class_names"
    )


class Hostile:
    """Runs a shell command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch marker",)


@pytest.mark.parametrize("command", ["eval", "resume", "report"])
def test_a_pickle_that_runs_a_command_does_not(cnntrain: Command, run: Path, command: str) -> None:
    rewrite(run, lambda state: state.update(extra=Hostile()))
    is_told(cnntrain(command, "run"), "could not be read as tensors and plain types")
    assert not Path("marker").exists()


@pytest.mark.parametrize("command", ["eval", "resume", "report"])
@pytest.mark.parametrize(
    ("key", "node"),
    [
        ("model", {"_target_": "os.system", "command": "touch marker"}),
        ("model", {"_target_": "builtins.eval", "_args_": ["open('marker', 'w')"]}),
        ("model", {"_target_": "subprocess.Popen", "args": TOUCH}),
        ("model", {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "net", "source": "local"}),
        ("model", {"_target_": "torch.utils.collect_env.run", "command": TOUCH}),
        ("model", {"_target_": "torch.load", "f": "hostile.pt", "weights_only": False}),
        (
            "model",
            {
                "_target_": "torch.nn.Sequential",
                "_args_": [{"_target_": "os.system", "command": "touch marker"}],
            },
        ),
        ("model", {"_target_": "torch.nn.Sequential", "_args_": [PATH_TOUCH]}),
        ("model", {"_target_": "hydra.utils.instantiate", "config": PATH_TOUCH}),
        ("model", {"_target_": "cnntrain.config.instantiate.os.system", "command": "touch marker"}),
        ("model", {"_target_": "cnntrain.data.sources.Path"}),
        ("model", {"_target_": "my_pkg.MyNet"}),
        ("criterion", PATH_TOUCH),
        ("data.source", PATH_TOUCH),
        ("data.source", {"_target_": "torch.nn.Sequential"}),
    ],
)
def test_a_configuration_that_names_what_it_may_not(
    cnntrain: Command, run: Path, command: str, key: str, node: dict[str, Any]
) -> None:
    Path("my_pkg.py").write_text(f"open('marker', 'w')\n{MY_NET}")
    Path("hubconf.py").write_text("open('marker', 'w')\ndef net(): pass\n")
    sys.modules.pop("my_pkg", None)
    torch.save(Hostile(), "hostile.pt")

    def change(state: dict[str, Any]) -> None:
        config = state["config"]["data"] if key == "data.source" else state["config"]
        config[key.rpartition(".")[2]] = node
        state["config"]["epochs"] = 5  # so that resume has something to do

    rewrite(run, change)
    is_told(
        cnntrain(command, "run"),
        f"refusing to import {first_refused(node)}, named in a saved configuration under {key}",
    )
    assert not Path("marker").exists()


def first_refused(node: dict[str, Any]) -> str:
    """Return the first class in a node that no checkpoint may name there."""
    nested = [item for value in node.values() if isinstance(value, list) for item in value]
    return next((item["_target_"] for item in nested if isinstance(item, dict)), node["_target_"])


@pytest.mark.parametrize("command", ["eval", "resume", "report"])
def test_an_interpolation_in_a_checkpoint_is_not_resolved(cnntrain: Command, run: Path, command: str) -> None:
    touch = "${oc.create:{_target_:pathlib.Path.touch,self:{_target_:pathlib.Path,_args_:[marker]}}}"
    for text in (touch, "\\" + touch, "${oc.env:HOME}"):
        node = {"_target_": "torch.nn.Sequential", "_args_": [text]}
        rewrite(run, lambda state, node=node: state["config"].update(model=node))  # type: ignore[misc]
        is_told(cnntrain(command, "run"), "holds a configuration that train does not write", "${oc.")
        assert not Path("marker").exists()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"epochs": "ten"}, "epochs=ten is not possible"),
        ({"data": 3}, "data=3 is not possible"),
        ({"model": None}, "model is missing"),
        ({"model": {"_target_": ["os.system"]}}, "model._target_=[os.system] is not a class"),
    ],
)
def test_a_configuration_that_train_does_not_write(
    cnntrain: Command, run: Path, changes: dict[str, Any], part: str
) -> None:
    rewrite(run, lambda state: state["config"].update(changes))
    is_told(cnntrain("eval", "run"), "best.pt holds a configuration that train does not write", part)


def test_weights_of_another_model(cnntrain: Command, run: Path) -> None:
    rewrite(run, lambda state: state["model"].popitem())
    is_told(cnntrain("eval", "run"), "best.pt: the weights do not fit the model")
    is_told(cnntrain("resume", "run", "epochs=3"), "last.pt: the weights do not fit the model")


def test_a_class_of_someone_elses_is_named_and_trusted_by_package(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("my_pkg.py").write_text(MY_NET)
    sys.modules.pop("my_pkg", None)
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("someone").absolute()))
    assert cnntrain("train", *TINY[:2], TINY[3], "model._target_=my_pkg.MyNet", "out=run").code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("me").absolute()))
    for command in (["eval", "run"], ["resume", "run", "epochs=2"]):
        is_told(cnntrain(*command), "refusing to import my_pkg.MyNet, named in", "allow with trust=[my_pkg]")
        is_told(cnntrain(*command, "trust=[my]"), "refusing to import my_pkg.MyNet, named in")
        assert cnntrain(*command, "trust=[my_pkg]").code == 0


def test_a_damaged_summary_is_written_anew(cnntrain: Command, run: Path) -> None:
    for content in ("", "{}", "[]"):
        (run / "summary.json").write_text(content)
        assert cnntrain("resume", "run").code == 0
        assert json.loads((run / "summary.json").read_text())["epochs"] == 1


def test_nothing_makes_a_shell_command_trustworthy(cnntrain: Command, run: Path) -> None:
    rewrite(run, lambda state: state["config"].update(model={"_target_": "os.system", "command": "true"}))
    outcome = cnntrain("eval", "run")
    is_told(outcome, "do not use this file")
    assert "trust=" not in outcome.err


def test_a_checkpoint_cannot_have_anything_sent_to_a_server(cnntrain: Command) -> None:
    assert cnntrain("train", *TINY, "out=run").code == 0
    path = Path("run/checkpoints/last.pt")
    state = checkpoint.load(path)
    state["config"]["logger"] = {
        "mlflow": {"_target_": "cnntrain.loggers.MLflow", "uri": "http://127.0.0.1:9", "experiment": "x"},
        "wandb": {"_target_": "cnntrain.loggers.WandB", "project": "x", "mode": "online"},
    }
    saved = saved_config(state, path, read_yaml(conf_folder() / "resume.yaml"))["logger"]
    assert saved["mlflow"]["uri"] is None and saved["wandb"]["mode"] == "offline"


# ---- what a configuration may hold


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (
            "model",
            {"_target_": "torchvision.models.resnet18", "_args_": [True]},
            "model._args_ is not possible",
        ),
        (
            "model",
            {
                "_target_": "torch.nn.Sequential",
                "_args_": [{"_target_": "torchvision.models.resnet18", "weights": "DEFAULT"}],
            },
            "model._args_ is not possible",
        ),
        (
            "model",
            {
                "_target_": "torch.nn.Module",
                "part": {"_target_": "torchvision.models.resnet18", "weights": "DEFAULT"},
            },
            "model.part.weights=DEFAULT would fetch weights",
        ),
        ("model", {"_target_": "torch.nn.Linear", "_partial_": True}, "model._partial_ is not possible"),
        (
            "logger",
            {"tensorboard": {"_target_": "cnntrain.loggers.TensorBoard", "folder": "/elsewhere"}},
            "logger.tensorboard.folder=/elsewhere leads outside the run folder",
        ),
        (
            "logger",
            {"tensorboard": {"_target_": "cnntrain.loggers.TensorBoard", "folder": "a/../../b"}},
            "logger.tensorboard.folder=a/../../b leads outside the run folder",
        ),
        (
            "logger",
            {"wandb": {"_target_": "cnntrain.loggers.WandB", "project": "~/x", "mode": "offline"}},
            "logger.wandb.project=~/x leads outside the run folder",
        ),
    ],
)
@pytest.mark.parametrize("command", ["eval", "resume"])
def test_a_configuration_that_would_fetch_or_write_elsewhere(
    cnntrain: Command, run: Path, command: str, key: str, value: Any, told: str
) -> None:
    rewrite(run, lambda state: state["config"].update({key: value, "epochs": 3}))
    is_told(cnntrain(command, "run"), "holds a configuration that train does not write", told)


def test_a_logger_s_folder_lies_in_the_run_folder_whoever_names_it(torchless: Command) -> None:
    is_told(
        torchless("train", "logger=tensorboard", "logger.tensorboard.folder=../events"),
        "logger.tensorboard.folder=../events leads outside the run folder: give a name such as tensorboard",
    )


@pytest.mark.parametrize("command", ["eval", "resume"])
def test_data_that_only_a_checkpoint_names_are_not_downloaded(
    cnntrain: Command, run: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"_target_": "cnntrain.data.sources.Torchvision", "dataset": "KMNIST"}
    rewrite(
        run,
        lambda state: (
            state["config"]["data"].update(source=source, root="nowhere"),
            state["config"].update(epochs=3),
        ),
    )
    fetched: list[Any] = []
    monkeypatch.setattr("torchvision.datasets.utils.download_url", lambda *a, **k: fetched.append(a))
    is_told(
        cnntrain(command, "run"),
        "KMNIST is not in ",
        "nowhere, and a data set that a checkpoint names is not downloaded",
        "data.root=DIR",
    )
    assert not fetched and not Path("nowhere").exists()


# ---- one's own classes


def test_a_run_of_ones_own_needs_no_trust(cnntrain: Command) -> None:
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/mine.yaml").write_text("_target_: my_pkg.MyNet\n")
    Path("my_pkg.py").write_text(MY_NET)
    assert cnntrain("train", *TINY[:2], TINY[3], "model=mine", "out=run").code == 0
    assert cnntrain("eval", "run").code == 0
    assert cnntrain("resume", "run", "epochs=2").code == 0
    Path("run").rename("moved")  # the folder may go anywhere on this machine
    Path("my_pkg.py").write_text(f"{MY_NET}\n# a later version of it\n")
    assert cnntrain("eval", "moved").code == 0


def test_what_is_signed_is_the_configuration_and_the_place_of_the_code(
    cnntrain: Command, in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("my_pkg.py").write_text(MY_NET)
    assert cnntrain("train", *TINY[:2], TINY[3], "model._target_=my_pkg.MyNet", "out=run").code == 0
    shutil.copytree("run", "changed")
    rewrite(Path("changed"), lambda state: state["config"].update(seed=5))
    is_told(cnntrain("eval", "changed"), "refusing to import my_pkg.MyNet", "trust=[my_pkg]")
    unpacked = in_empty_folder / "unpacked"
    shutil.copytree("run", unpacked / "run")
    (unpacked / "my_pkg.py").write_text(f"open('marker', 'w')\n{MY_NET}")
    monkeypatch.chdir(unpacked)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if Path(p) != in_empty_folder])
    sys.modules.pop("my_pkg", None)
    is_told(cnntrain("eval", "run"), "refusing to import my_pkg.MyNet", "trust=[my_pkg]")
    assert not Path("marker").exists()


def test_without_a_place_for_the_key_trust_is_asked_for(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("file/below").absolute()))
    Path("my_pkg.py").write_text(MY_NET)
    assert cnntrain("train", *TINY[:2], TINY[3], "model._target_=my_pkg.MyNet", "out=run").code == 0
    is_told(cnntrain("eval", "run"), "refusing to import my_pkg.MyNet", "trust=[my_pkg]")
    assert cnntrain("eval", "run", "trust=[my_pkg]").code == 0


def test_a_run_of_ones_own_begins_again_without_trust(cnntrain: Command) -> None:
    Path("my_pkg.py").write_text(MY_NET)
    assert cnntrain("train", *TINY[:2], TINY[3], "model._target_=my_pkg.MyNet", "out=run").code == 0
    shutil.rmtree("run/checkpoints")
    shutil.copytree("run", "changed")
    text = Path("changed/config.yaml").read_text()
    Path("changed/config.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    assert text != Path("changed/config.yaml").read_text()
    is_told(
        cnntrain("resume", "changed"), "refusing to import my_pkg.MyNet, named in a saved configuration under"
    )
    outcome = cnntrain("resume", "run")
    assert outcome.code == 0, outcome.err
    assert cnntrain("eval", "run").code == 0


def test_a_sweep_of_ones_own_goes_on_without_trust(cnntrain: Command) -> None:
    Path("my_pkg.py").write_text(MY_NET)
    words = (*TINY[:2], TINY[3], "model._target_=my_pkg.MyNet", "seed=1,2", "-q", "out=sweep")
    outcome = cnntrain("train", "-m", *words)
    assert outcome.code == 0, outcome.err
    for job in Path("sweep").glob("seed*"):
        shutil.rmtree(job)
    shutil.copytree("sweep", "changed")
    plan = Path("changed/sweep.yaml").read_text()
    Path("changed/sweep.yaml").write_text(plan.replace("limit=200", "limit=201"))
    outcome = cnntrain("resume", "changed")
    assert outcome.code == 1 and "refusing to import my_pkg.MyNet" in outcome.err
    outcome = cnntrain("resume", "sweep")
    assert outcome.code == 0, outcome.err
    job = next(Path("sweep").glob("seed*"))
    assert cnntrain("eval", str(job)).code == 0


# ---- checkpoints of other versions


@pytest.mark.usefixtures("undrawn")
def test_keys_of_another_version_are_passed_over_with_a_line_unless_they_are_the_model_s(
    cnntrain: Command, run: Path
) -> None:
    rewrite(
        run,
        lambda state: (
            state["config"].update(foo=1, bar={"deep": 2}),
            state["config"]["data"].update(colour="sepia"),
            state["config"]["optim"].update(lookahead=5),
            state["progress"].update(minutes=3),
        ),
    )
    for command in (["eval", "run"], ["report", "run"], ["resume", "run", "epochs=2"]):
        outcome = cnntrain(*command)
        assert outcome.code == 0, outcome.err
        (line,) = [line for line in outcome.err.splitlines() if "another version" in line]
        assert "data.colour, optim.lookahead, foo, bar" in line
    outcome = cnntrain("report", "run")  # the resumed run is one of this version
    assert outcome.err == ""
    rewrite(run, lambda state: state["config"]["model"].update(attention=8))
    is_told(cnntrain("eval", "run"), "model.attention")


@pytest.mark.usefixtures("undrawn")
def test_keys_that_a_checkpoint_lacks_are_what_runs_did_before_they_were_there(
    cnntrain: Command, run: Path
) -> None:
    before = cnntrain("eval", "run").out

    def older(state: dict[str, Any]) -> None:
        for name in ("ema", "channels_last", "threads", "report", "logger", "launcher", "sweeper", "freeze"):
            del state["config"][name]
        for name in ("resize", "cache", "cache_gb", "resize_size"):
            del state["config"]["data"][name]
        for name in ("crop", "hue", "mixup"):
            del state["config"]["augment"][name]
        for name in ("init_from", "scaler", "random_of_others"):
            del state[name]
        state["config"]["data"]["in_memory"] = "auto"

    rewrite(run, older)
    outcome = cnntrain("eval", "run")
    assert (outcome.out, outcome.err) == (before, "")
    state = checkpoint.load(run / "checkpoints" / "last.pt")
    saved = saved_config(state, run, read_yaml(conf_folder() / "resume.yaml"))
    assert (saved["ema"], saved["channels_last"], saved["report"], saved["logger"]) == (
        None,
        False,
        False,
        {},
    )
    assert (saved["data"]["resize"], saved["data"]["cache"], saved["augment"]["crop"]) == (
        "squash",
        "auto",
        0.0,
    )
    assert "in_memory" not in saved["data"]
    for command in (["resume", "run", "epochs=2"], ["report", "run"], ["eval", "run"]):
        assert cnntrain(*command).code == 0, command


def test_a_checkpoint_starts_no_compiler(
    cnntrain: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    for module in ("cnntrain.inference.model", "cnntrain.run.setup"):
        monkeypatch.setattr(f"{module}.compile_model", lambda *args: started.append(args))
    rewrite(run, lambda state: state["config"].update(compile=True))
    for words in (("eval", "run"), ("resume", "run", "epochs=2")):
        outcome = cnntrain(*words)
        assert outcome.code == 0, outcome.err
        assert "compile=true in this checkpoint is ignored; type compile=true to compile" in outcome.err
    assert not started
    assert cnntrain("eval", "run", "compile=true").code == 0
    assert len(started) == 1
    assert cnntrain("train", *TINY, "compile=true", "out=own").code == 0
    assert cnntrain("eval", "own").err == ""  # signed by whoever typed it
    assert len(started) == 3


def test_a_single_package_may_be_trusted_without_brackets(
    cnntrain: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("my_pkg.py").write_text(MY_NET)
    sys.modules.pop("my_pkg", None)
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("someone").absolute()))
    assert cnntrain("train", *TINY[:2], TINY[3], "model._target_=my_pkg.MyNet", "out=theirs").code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("me").absolute()))
    assert cnntrain("eval", "theirs", "trust=my_pkg").code == 0
    is_told(cnntrain("eval", "theirs", "trust=m"), "refusing to import my_pkg.MyNet")
