"""The command for a person who knows Hydra: its flags, its keys and files of one's own all work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TINY, Command, run_folders

NET = """\
from torch import nn


class MyNet(nn.Sequential):
    def __init__(self, in_features, num_classes, width):
        super().__init__(nn.Flatten(), nn.Linear(in_features, width), nn.Linear(width, num_classes))
"""


def written(path: str, content: str) -> None:
    """Write a file, with the folders that it is in."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)


def composed(torchless: Command, *words: str) -> dict[str, Any]:
    """Return the configuration that ``--cfg job`` prints."""
    outcome = torchless("train", *words, "--cfg", "job")
    assert outcome.code == 0, outcome.err
    assert not Path("outputs").exists()
    return yaml.safe_load(outcome.out)  # type: ignore[no-any-return]


def config_of(folder: str | Path) -> dict[str, Any]:
    """Return the configuration that a run was made with."""
    return yaml.safe_load((Path(folder) / "config.yaml").read_text())  # type: ignore[no-any-return]


# ---- Hydra's flags


def test_cfg_shows_the_configuration_and_runs_nothing(torchless: Command) -> None:
    config = composed(torchless, "optim=sgd", "optim.lr=0.5", "epochs=7")
    assert (config["epochs"], config["optim"]["_target_"], config["optim"]["lr"]) == (
        7,
        "torch.optim.SGD",
        0.5,
    )
    assert "hydra" not in config
    assert composed(torchless, "seed=5")["data"]["split_seed"] == "${seed}"
    assert composed(torchless, "seed=5", "--resolve")["data"]["split_seed"] == 5
    assert composed(torchless, "--package", "optim").keys() >= {"lr", "betas"}


def test_cfg_hydra_shows_hydras_own_keys(torchless: Command) -> None:
    outcome = torchless("train", "--cfg", "hydra", "hydra.verbose=true")
    assert yaml.safe_load(outcome.out)["hydra"]["verbose"] is True


@pytest.mark.parametrize("words", [["--info"], ["--info", "epochs=3"], ["epochs=3", "--info", "defaults"]])
def test_info_shows_where_the_configuration_comes_from(process: Command, words: list[str]) -> None:
    outcome = process("train", *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Defaults List" in outcome.out
    assert "optim/adam" in outcome.out
    assert not Path("outputs").exists()


def test_experiments_are_laid_over_each_other(torchless: Command) -> None:
    config = composed(torchless, "experiment=[mnist99,quick]")
    assert config["limit"] == 2000
    assert config["batch_size"] == 64
    assert config["criterion"]["label_smoothing"] == 0.15


def test_arguments_are_added_and_taken_away(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "~optim.amsgrad", "+criterion.reduction=mean", "out=run")
    assert outcome.code == 0, outcome.err
    assert "amsgrad" not in config_of("run")["optim"]
    assert config_of("run")["criterion"]["reduction"] == "mean"


# ---- Hydra's keys


def test_hydra_run_dir_is_the_run_folder(cnntrain: Command) -> None:
    assert cnntrain("train", *TINY, "-q", "hydra.run.dir=mine/${name}", "name=first").code == 0
    assert (Path("mine/first") / "summary.json").exists()
    assert config_of("mine/first")["out"] == "mine/first"
    assert not run_folders()


def test_a_job_has_the_environment_and_the_callbacks_that_hydras_keys_give_it(cnntrain: Command) -> None:
    written(
        "watching.py",
        "import os\n"
        "from hydra.experimental.callback import Callback\n"
        "class Watch(Callback):\n"
        "    def on_job_start(self, config, **kwargs):\n"
        "        print('begins with', os.environ['MARK'], config.epochs)\n"
        "    def on_job_end(self, config, job_return, **kwargs):\n"
        "        print('ends as', job_return.status.name)\n",
    )
    callback = "+hydra.callbacks.watch._target_=watching.Watch"
    words = (
        "-q",
        callback,
        "+hydra.job.env_set.MARK=here",
        "hydra.output_subdir=.hydra",
        "hydra.run.dir=run",
    )
    outcome = cnntrain("train", *TINY, *words)
    assert (outcome.code, outcome.out) == (0, "begins with here 1\nends as COMPLETED\n")
    assert yaml.safe_load(Path("run/.hydra/overrides.yaml").read_text())[: len(TINY)] == list(TINY)
    failed = cnntrain("train", "init_from=nowhere", *words[:-1], "hydra.run.dir=other")
    assert (failed.code, failed.out.splitlines()[-1]) == (2, "ends as FAILED")


def test_hydra_sweep_dir_is_the_folder_of_the_sweep(cnntrain: Command) -> None:
    words = ["-m", *TINY, "-q", "limit=20", "seed=1,2", "hydra.sweep.dir=mine/sweep"]
    assert cnntrain("train", *words).code == 0
    assert [config_of(f"mine/sweep/seed-{seed}")["seed"] for seed in (1, 2)] == [1, 2]
    others = cnntrain("train", *words, "epochs=2")
    assert others.code == 2
    assert "mine/sweep holds a sweep of other jobs" in others.err


def test_hydra_mode_multirun_is_dash_m(cnntrain: Command) -> None:
    assert cnntrain("train", *TINY, "-q", "limit=20", "hydra.mode=MULTIRUN", "seed=1,2").code == 0
    (sweep,) = Path("outputs/sweeps").iterdir()
    assert (sweep / "sweep.csv").exists()


# ---- files of one's own


def test_choices_in_a_conf_folder_here(cnntrain: Command) -> None:
    written("conf/optim/nadam.yaml", "_target_: torch.optim.NAdam\nlr: 3e-3\n")
    written("conf/model/mine.yaml", "_target_: nets_here.MyNet\nwidth: 8\n")
    written("nets_here.py", NET)
    outcome = cnntrain("train", *TINY[:2], "model=mine", "optim=nadam", "model.width=5")
    assert outcome.code == 0, outcome.err
    (folder,) = run_folders()
    assert folder.name.endswith("_mine-nadam")
    assert config_of(folder)["optim"] == {"_target_": "torch.optim.NAdam", "lr": 0.003}
    assert config_of(folder)["model"] == {"_target_": "nets_here.MyNet", "width": 5}
    assert json.loads((folder / "summary.json").read_text())["parameters"] == 785 * 5 + 6 * 10


@pytest.mark.parametrize("flag", ["--config-dir", "-cd"])
def test_choices_in_a_folder_that_is_named(torchless: Command, flag: str) -> None:
    written("elsewhere/optim/radam.yaml", "_target_: torch.optim.RAdam\n")
    assert composed(torchless, flag, "elsewhere", "optim=radam")["optim"] == {"_target_": "torch.optim.RAdam"}
    assert torchless("train", "optim=radam").code == 2


def test_choices_in_hydras_search_path(torchless: Command) -> None:
    written("elsewhere/optim/radam.yaml", "_target_: torch.optim.RAdam\n")
    where = f"hydra.searchpath=[file://{Path('elsewhere').absolute()}]"
    assert composed(torchless, where, "optim=radam")["optim"] == {"_target_": "torch.optim.RAdam"}


def test_a_run_finds_choices_in_all_these_folders_at_once(cnntrain: Command) -> None:
    written("conf/optim/here.yaml", "_target_: torch.optim.NAdam\n")
    written("named/schedule/there.yaml", "_target_: torch.optim.lr_scheduler.ConstantLR\n")
    written("searched/model/far.yaml", "_target_: cnntrain.models.MLP\nhidden: [4]\ndropout: 0\n")
    where = ("--config-dir", "named", f"hydra.searchpath=[file://{Path('searched').absolute()}]")
    chosen = ("limit=20", "epochs=1", "report=false", "optim=here", "schedule=there", "model=far")
    outcome = cnntrain("train", *where, *chosen, "out=run")
    assert outcome.code == 0, outcome.err
    assert config_of("run")["model"]["hidden"] == [4]


def test_experiments_in_folders(torchless: Command) -> None:
    written("conf/experiment/paper/table1.yaml", "# @package _global_\nepochs: 33\n")
    assert composed(torchless, "experiment=paper/table1")["epochs"] == 33


def test_a_choice_of_ones_own_is_swept_over(cnntrain: Command) -> None:
    written("conf/optim/nadam.yaml", "_target_: torch.optim.NAdam\nlr: 3e-3\n")
    assert cnntrain("train", "-m", *TINY, "-q", "limit=20", "optim=adam,nadam", "out=sweep").code == 0
    assert config_of("sweep/optim-nadam")["optim"]["_target_"] == "torch.optim.NAdam"


def test_a_class_that_is_named_brings_no_arguments_of_the_default(cnntrain: Command) -> None:
    written("nets_named.py", NET)
    outcome = cnntrain(
        "train",
        *TINY[:2],
        "report=false",
        "model._target_=nets_named.MyNet",
        "model.width=5",
        "optim._target_=torch.optim.Adagrad",
        "criterion._target_=torch.nn.MultiMarginLoss",
        "criterion.margin=0.5",
    )
    assert outcome.code == 0, outcome.err
    (folder,) = run_folders()
    assert folder.name.endswith("_MyNet-Adagrad")
    config = config_of(folder)
    assert config["optim"] == {"_target_": "torch.optim.Adagrad"}
    assert config["criterion"] == {"_target_": "torch.nn.MultiMarginLoss", "margin": 0.5}


def test_summary_takes_what_train_takes(cnntrain: Command) -> None:
    written("elsewhere/model/mine.yaml", "_target_: nets_shown.MyNet\nwidth: 8\n")
    written("nets_shown.py", NET)
    outcome = cnntrain("summary", "--config-dir", "elsewhere", "model=mine", "model.width=3", "epochs=5")
    assert outcome.code == 0, outcome.err
    assert f"{785 * 3 + 4 * 10:,} parameters" in outcome.out


# ---- two names of one command


def test_python_dash_m_is_the_same(process: Command) -> None:
    script = Path(sys.executable).with_name("cnntrain")
    for words in (["--version"], ["train", "--cfg", "job", "epochs=3"], ["train", "lr=1"]):
        typed = subprocess.run([script, *words], capture_output=True, text=True)
        module = process(*words)
        assert (typed.returncode, typed.stdout, typed.stderr) == (module.code, module.out, module.err)
