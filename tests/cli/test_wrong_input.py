"""Wrong input: each mistake is told in a line or two, with what to do, and leaves nothing behind."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY, Command, is_told

MNIST_FILES = {
    "train-images-idx3-ubyte": struct.pack(">IIII", 0x803, 20, 28, 28) + bytes(20 * 784),
    "train-labels-idx1-ubyte": struct.pack(">II", 0x801, 20) + bytes(range(10)) * 2,
    "t10k-images-idx3-ubyte": struct.pack(">IIII", 0x803, 10, 28, 28) + bytes(10 * 784),
    "t10k-labels-idx1-ubyte": struct.pack(">II", 0x801, 10) + bytes(range(10)),
}
NETS = """\
from torch import nn


class MyNet(nn.Module):
    def __init__(self, in_features, num_classes, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_features, width))
        self.layers.append(nn.Linear(width, num_classes))

    def forward(self, x):
        return self.layers(x)


class ThreeLogits(MyNet):
    def __init__(self, in_features):
        super().__init__(in_features, 3)


class Crash(nn.Module):
    def forward(self, x):
        return {}["key"]


number = 3
"""


def leaves_nothing() -> bool:
    """Return whether the current folder holds no run, sweep or folder for one."""
    return not Path("outputs").exists()


# ---- what is typed

WRONG_WORDS = {
    # a choice that is not there
    "optim=adma": [
        "unknown optim 'adma': did you mean optim=adam?",
        "choose from adam, adamw, custom, rmsprop, sgd",
    ],
    "optim=": ["unknown optim ''", "adam, adamw"],
    "optim=null": ["unknown optim 'null'"],
    "optim=[adam,sgd]": ["unknown optim '[adam,sgd]'"],
    "optim={lr:1}": ["unknown optim '{lr:1}'"],
    "model=CNN": ["unknown model 'CNN': did you mean model=cnn?"],
    "model=resnet18": [
        "model=torchvision model.name=resnet18?",
        "choose from cnn, custom, faster_rcnn, gru, lstm, mlp, rnn",
        "model._target_=my_pkg.MyClass",
    ],
    "model=my_nets.Wide": ["a class of your own: model._target_=my_nets.Wide"],
    "data=mnsit": ["unknown data 'mnsit': did you mean data=mnist?"],
    "schedule=null": ["did you mean schedule=constant?", "choose from constant, cosine"],
    "experiment=quik": ["did you mean experiment=quick?"],
    "experiment=[quick,mnits99]": ["unknown experiment 'mnits99': did you mean experiment=mnist99?"],
    "hydra/launcher=basik": ["unknown hydra/launcher 'basik': did you mean hydra/launcher=basic?"],
    # a key that is not there
    "optim.lrr=1": ["unknown key optim.lrr: did you mean optim.lr=1? (a number above 0; default 0.001)"],
    "optim=sgd optim.lrr=1": ["default 0.02"],
    "lr=1": ["unknown key lr: did you mean optim.lr=1? (a number above 0; default 0.001)"],
    "epoch=3": ["unknown key epoch: did you mean epochs=3? (a whole number from 1 to 100000; default 10)"],
    "Epochs=3": ["did you mean epochs=3?"],
    "optimizer=adam": ["did you mean optim=adam?"],
    "hidden=[64]": ["did you mean 'model.hidden=[64]'?"],
    "model.hidden=[64]": ["model=cnn has no hidden: model.hidden belongs to model=mlp"],
    "data.root=here": ["data=mnist_mini has no root: data.root belongs to data=cifar10|"],
    "data=text data.root=a.csv": ["for text of your own: data=text_folder data.root="],
    "data=series data.root=here": ["for series of your own: data=series_folder data.root="],
    "data.source.size=5": ["unknown key data.source.size", "+data.source.size=VALUE"],
    "+foo=1": ["unknown key foo: `cnntrain train --help all` lists every key"],
    "++foo=1": ["unknown key foo"],
    "+epoch=1": ["unknown key epoch: did you mean epochs?"],
    "~foo": ["unknown key foo"],
    "foo.bar.baz=1": ["unknown key foo.bar.baz"],
    "epochs.foo=1": ["unknown key epochs.foo"],
    "model.channels.foo=1": ["unknown key model.channels.foo"],
    "criterion.label_smoothin=0.1": ["did you mean criterion.label_smoothing=0.1?"],
    "optim._target_=torch.optim.NAdam epochss=3": ["did you mean epochs=3?"],
    "split=val": ["split is not for this command: cnntrain eval RUN split=..."],
    "trust=[x]": ["trust is not for this command"],
    "tile=512": ["tile is not for this command: cnntrain predict RUN tile=..."],
    "nms=0.5": ["nms is not for this command: cnntrain predict RUN nms=..."],
    "iou=0.5": ["unknown key iou: predict takes score=0.25 and nms=0.6"],
    "repeats=3": ["repeats is not for this command: cnntrain bench repeats=..."],
    "data=text": ["data.source._target_ is missing: give it as data.source._target_=my_pkg.MyClass"],
    "hydra.run.di=x": ["unknown key hydra.run.di: `cnntrain train --cfg hydra`"],
    # a key that is taken away
    "~epochs": ["epochs is missing: give it as epochs=VALUE (a whole number from 1 to 100000)"],
    "~optim": ["~optim: nothing works without optim", "optim=adam|adamw"],
    # a value of the wrong type
    "epochs=ten": ["epochs=ten is not possible", "epochs takes a whole number from 1 to 100000"],
    "epochs=": ["epochs= is not possible"],
    "epochs=null": ["epochs=null is not possible"],
    "epochs=2.5": ["epochs=2.5 is not possible"],
    "epochs=true": ["epochs=true is not possible"],
    "optim.lr=abc": ["optim.lr=abc is not possible", "optim.lr takes a number above 0: learning rate"],
    "optim.lr=[1]": ["optim.lr=[1] is not possible"],
    "model=mlp model.hidden=[a]": [
        "model.hidden=[a] is not possible",
        "a list, [A,B,...], each a whole number",
    ],
    "model=mlp model.hidden=sixty": ["model.hidden=sixty is not possible", "model.hidden takes a list"],
    "deterministic=1": ["deterministic takes true or false"],
    "data.source=foo": ["data.source=foo is not possible", "data.source._target_=my_pkg.MyDataset"],
    "criterion=mse": ["unknown criterion 'mse': cnntrain trains classifiers with cross entropy"],
    "model=custom": ["model._target_ is missing"],
    "optim._target_=null": ["optim._target_ is missing"],
    "model._target_=MyNet": ["model._target_=MyNet names no module: write my_pkg.MyNet"],
    "model._target_=my/net.py": ["is not a class"],
    # a value out of range, or of the wrong kind
    "batch_size=0": ["batch_size=0 is not possible", "of at least 1"],
    "optim.lr=-1": ["optim.lr takes a number above 0"],
    "optim.lr=0": ["optim.lr takes a number above 0"],
    "optim.lr=nan": ["optim.lr=nan is not possible"],
    "optim.lr=inf": ["optim.lr=inf is not possible"],
    f"optim.lr={'9' * 400}": ["optim.lr=999", "... is not possible"],
    f"data={'x' * 300}": ["unknown data 'xxx", "...'; choose from"],
    "save_dir=a\x1b[2J": ["save_dir=a\\x1b[2J: the value is malformed"],
    "data.val_fraction=1.5": ["data.val_fraction takes a number from 0 to 0.9"],
    "seed=-1": ["seed takes a whole number from 0 to 9223372036854775807"],
    "seed=9223372036854775808": ["seed=9223372036854775808 is not possible"],
    "workers=-1": ["workers takes a whole number from 0 to 1024"],
    "model.dropout=1": ["model.dropout takes a number from 0 to below 1"],
    "optim.betas=[0.9]": ["optim.betas takes a list of 2"],
    "optim.betas=[1.0,0.999]": ["each a number from 0 to below 1"],
    "precision=fp8": ["precision takes fp32, bf16, fp16 or auto"],
    "monitor=accuracy": ["did you mean monitor=val_accuracy?"],
    "model=mlp model.activation=relu": ["did you mean model.activation=ReLU?"],
    "data.std=[0]": ["data.std=[0] is not possible", "each a number above 0"],
    "out=": ["out= is empty"],
    "data=mnist data.root=": ["data.root= is empty"],
    "name=a/b": ["name=a/b is not possible"],
    # values that do not fit each other
    "data.mean=[0.1,0.2]": ["data.mean=[0.1,0.2] has 2 values for data.channels=1"],
    "model.channels=[8,8,8,8,8]": ["5 blocks pool an image of 28 pixels away", "use at most 4 blocks"],
    "model.kernel_size=4": ["model.kernel_size=4 is even", "3 or 5"],
    "model.kernel_size=[5,4]": ["model.kernel_size=[5,4] is even", "3 or 5"],
    "model.kernel_size=[5]": ["kernel_size has 1 values for 2 blocks"],
    "model.pool_size=[2,0]": ["a whole number, or a list [A,B,...] with one for each block, of at least 1"],
    "accumulate=64": ["accumulate=64 cuts a batch into more parts than batch_size=32"],
    "early_stopping=2 data.val_fraction=0": ["needs a validation set"],
    "schedule.warmup=20": ["schedule.warmup=20 is longer than the run: epochs=10"],
    "augment.shift=28": ["augment.shift=28 moves images of 28 pixels out of sight"],
    # a device that is not there
    "device=gpu": [
        "device=gpu is not possible: did you mean device=cuda?",
        "device takes auto, cpu, cuda, cuda:N or mps",
    ],
    "device=cuda:x": ["device=cuda:x is not possible"],
    # no override at all
    "=3": ["=3 has no key before the ="],
    "epochs": ["epochs is not KEY=VALUE: write epochs=VALUE\n"],
    "train": ["train is not KEY=VALUE: only the first word is a command"],
    "help": ["for help, type cnntrain COMMAND --help"],
    "last": ["last is not KEY=VALUE: it names a run, for cnntrain resume"],
    "-- epochs=3": ["train has no flag --: leave it out"],
    # text and lists with spaces, without quotes
    "data=folder data.root=/a/my photos été epochs=3": [
        "photos is not KEY=VALUE: text with spaces goes in quotes: 'data.root=/a/my photos été'"
    ],
    "out=it's here": ["here is not KEY=VALUE: text with spaces goes in quotes: 'out=it'\"'\"'s here'"],
    "model=mlp model.hidden=[256, 128]": ["a list with spaces goes in quotes: 'model.hidden=[256,128]'"],
    "lr_scale={head: 10, layer1: 1}": ["goes in quotes: 'lr_scale={head:10,layer1:1}'"],
    "epochs = 3": ["epochs is not KEY=VALUE: write epochs=3 without spaces"],
    "epochs:3": ["epochs:3 is not KEY=VALUE: write epochs=3\n"],
    "optim/adam": ["optim/adam is not KEY=VALUE: write optim=adam\n"],
    "epochs==": ["epochs== has an = too many"],
    "epochs==3": ["epochs==3 has an = too many: epochs=3"],
    "epochs=3,": ["epochs=3,: the value is malformed"],
    "a=[": ["a=[: the value is malformed"],
    "optim.lr=${epochs": ["the value is malformed"],
    "optim.lr=${foo}": ["optim.lr: Interpolation key 'foo' not found"],
    "epochs=${oc.env:NOT_SET}": ["epochs: ", "'NOT_SET' not found"],
    # several values for one run
    "optim=sgd,adam": ["optim=sgd,adam names several values: add -m to run them all"],
    "epochs=range(1,3)": ["epochs=range(1,3) names several values: add -m"],
    "model.channels=8,16": ["or write a list: 'model.channels=[8,16]'"],
    # a sweep in which one job is wrong
    "-m optim.lr=1e-3,abc": ["optim.lr=abc is not possible"],
    "-m optim=adam,adma": ["unknown optim 'adma': did you mean optim=adam?"],
    "-m epochs=choice(1,0)": ["epochs=0 is not possible"],
    "-m model.channels=[8],[8,8,8,8,8]": ["pool an image of 28 pixels away"],
    "-m device=cpu,gpu": ["device=gpu is not possible"],
    "-m optim=sgd,adam optim.nesterov=false": [
        "optim=adam has no nesterov: optim.nesterov belongs to optim=sgd"
    ],
    "-m optim.lrr=1,2": ["did you mean optim.lr=1?"],
    "-m +foo=1,2": ["unknown key foo"],
    # a configuration that is only shown
    "--cfg job epochs=trois": ["epochs=trois is not possible"],
    "--cfg job epochs=": ["epochs= is not possible"],
    "--cfg job device=gpu": ["device=gpu is not possible: did you mean device=cuda?"],
    "-c all seed=-1": ["seed=-1 is not possible"],
    "optim.lr=0 --cfg=job": ["optim.lr=0 is not possible"],
    "-m --cfg job optim.lr=0,1": ["optim.lr=0 is not possible"],
    # arguments of a data set
    "data=folder data.root=. data.source.test_fraction=abc": [
        "data.source.test_fraction=abc is not possible"
    ],
    "data=folder data.root=~nobody/x": ["data.root=~nobody/x is not there"],
    "data=mnist_canvas data.root=~nobody/x": ["data.root=~nobody/x has no MNIST"],
    "data=series_folder data.root=~nobody/x model=lstm": ["data.root=~nobody/x: there is no such folder"],
    "data=folder data.root=. data.source.test_fraction=null": ["takes a number above 0 to below 1"],
    "data=text_folder data.root=. data.source.test_fraction=0": [
        "data.source.test_fraction=0 is not possible"
    ],
    "-m data=folder data.root=. data.source.test_fraction=0.2,1": ["data.source.test_fraction=1 is not"],
    # flags
    "--epochs 5": ["train has no flag --epochs: write epochs=5"],
    "--epochs=5": ["write epochs=5"],
    "--multrun": ["train has no flag --multrun: did you mean --multirun?"],
    "--cfg": ["--cfg needs a value after it; choose from job, hydra, all"],
    "--cfg jbo": ["--cfg jbo is not possible; choose from job, hydra, all"],
    "--config-dir": ["--config-dir needs a value after it"],
    "--config-dir nowhere": ["--config-dir nowhere: there is no such folder"],
    "--config-name nope": ["Cannot find primary config 'nope'"],
}


@pytest.mark.parametrize("words", WRONG_WORDS)
def test_a_mistake_is_told_before_torch_is_imported(torchless: Command, words: str) -> None:
    is_told(torchless("train", *words.split()), *WRONG_WORDS[words])
    assert leaves_nothing()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trian"], ["unknown command 'trian': did you mean train?"]),
        (["evaluate", "last"], ["unknown command 'evaluate': did you mean cnntrain eval?"]),
        (["xyz"], ["unknown command 'xyz': see cnntrain --help"]),
        (["epochs=3"], ["unknown command 'epochs=3': did you mean cnntrain train epochs=3?"]),
        (["--epochs", "3"], ["no flag --epochs: a command comes first, such as cnntrain train epochs=3"]),
        (["--hlep"], ["no flag --hlep: did you mean --help?"]),
        *(
            (words, [f"{words[0]}: an empty word names nothing"])
            for words in (["data", ""], ["eval", ""], ["predict", "last", ""], ["compare", "", "last"])
        ),
        (["train", ""], ["an empty word is not KEY=VALUE"]),
        (["train", "a b=3"], ["a b is not a key"]),
        (["completion"], ["completion takes the name of a shell: bash, zsh, fish"]),
        (["completion", "tcsh"], ["bash, zsh, fish"]),
        (["summary", "last"], ["last is not KEY=VALUE: it names a run, for cnntrain resume, eval, report"]),
        (["data", "/a/photos", "été"], ["a name with spaces goes in quotes: cnntrain data '/a/photos été'"]),
        (["data", "/a/b", "é", "--augmented", "x.png"], ["cnntrain data --augmented x.png '/a/b é'"]),
        (["predict", "nothere.png"], ["needs a run before the images: cnntrain predict last nothere.png"]),
        (["summary", "epochs=ten"], ["epochs=ten is not possible"]),
        (["summary", "modle=mlp"], ["unknown key modle: did you mean model=mlp?"]),
        (["summary", "-m", "model=cnn,mlp"], ["summary has no flag -m"]),
        (["eval"], ["eval needs a run: cnntrain eval last"]),
        (["resume"], ["resume needs a run: cnntrain resume last"]),
        (["eval", "last"], ["there is no last run here"]),
        (["eval", "split=val"], ["eval needs a run before its overrides: cnntrain eval last split=val"]),
        (["eval", "last", "last"], ["last is not KEY=VALUE"]),
        (["eval", "last", "split=vla"], ["split=vla is not possible: did you mean split=val?"]),
        (
            ["eval", "last", "splt=val"],
            ["unknown key splt: did you mean split=val?", "eval takes split, tta"],
        ),
        (["eval", "last", "epochs=3"], ["epochs can't be changed by eval", "eval takes split, tta"]),
        (["eval", "last", "data.image_size=3"], ["data.image_size can't be changed by eval"]),
        (["eval", "last", "data=mnsit"], ["unknown data 'mnsit': did you mean data=mnist?"]),
        (["eval", "last", "split=val,test"], ["split=val,test names several values, and eval takes one"]),
        (["eval", "last", "device=gpu"], ["device=gpu is not possible: did you mean device=cuda?"]),
        (["eval", "last", "trust=5"], ["trust=5 is not possible", "a list"]),
        (["eval", "last", "~split"], ["eval can change keys, but not remove them"]),
        (["eval", "last", "--split"], ["eval has no flag --split: write split=VALUE"]),
        (
            ["resume", "last", "optim.lr=3"],
            [
                "optim.lr can't be changed by resume: a new run can begin with its weights: "
                "cnntrain train init_from=last optim.lr=...",
                "resume takes epochs",
            ],
        ),
        (["resume", "last", "epochs=0"], ["epochs=0 is not possible"]),
        (["resume", "last", "model=mlp"], ["model can't be changed by resume"]),
    ],
)
def test_every_command_tells_its_mistakes(torchless: Command, words: list[str], parts: list[str]) -> None:
    is_told(torchless(*words), *parts)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_on_a_machine_without_it(cnntrain: Command) -> None:
    is_told(cnntrain("train", "device=cuda"), "device=cuda: ", "device=auto uses what there is")
    assert leaves_nothing()


@pytest.mark.parametrize(
    "words", ["optim=adma", "lr=1", "optim.lr=abc", "batch_size=0", "-m epochs=1,0", "out=file/x"]
)
def test_torch_is_not_imported_in_a_process_of_its_own_either(process: Command, words: str) -> None:
    Path("file").touch()
    Path("poison/torch").mkdir(parents=True)
    Path("poison/torch/__init__.py").write_text("raise RuntimeError('torch was imported')")
    is_told(process("train", *words.split(), env={"PYTHONPATH": str(Path("poison").absolute())}))


# ---- folders


def a_run(name: str) -> Path:
    """Return a folder that looks like a run's."""
    folder = Path(name)
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    return folder


def test_a_folder_that_cannot_be_made(torchless: Command) -> None:
    Path("file").touch()
    for out in ("file", "file/x"):
        is_told(
            torchless("train", f"out={out}"), f"the folder {out} can't be made", "choose another with out="
        )
    is_told(torchless("train", "-m", "seed=1,2", "out=file/x"), "the folder file/x can't be made")
    is_told(torchless("train", "hydra.run.dir=file/x"), "file/x")


def test_a_name_that_no_file_can_have(torchless: Command) -> None:
    for words in (["train", f"out={'x' * 300}"], ["eval", "x" * 300]):
        is_told(torchless(*words), "xxx... is not a file or folder: File name too long")


def test_a_file_where_the_runs_should_be(torchless: Command) -> None:
    Path("outputs").touch()
    is_told(torchless("train"), "the folder outputs/train can't be made", "choose another with out=")
    is_told(torchless("train", "-m", "seed=1,2"), "the folder outputs/sweeps can't be made")
    is_told(torchless("eval", "last"), "there is no last run here")


def test_a_folder_that_holds_a_run(torchless: Command) -> None:
    run = a_run("run")
    is_told(torchless("train", "out=run"), "out=run holds a run already", "cnntrain resume run")
    is_told(torchless("train", "hydra.run.dir=run"), "run holds a run already")
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_a_refused_sweep_leaves_the_users_files_alone(torchless: Command) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").touch()
    is_told(torchless("train", "-m", "out=mine", "optim=adam,adma"), "did you mean optim=adam?")
    is_told(torchless("train", "-m", "out=mine", "optim.lr=1,abc"), "optim.lr=abc")
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]


def test_a_refused_run_removes_the_folder_that_it_made(torchless: Command) -> None:
    is_told(torchless("train", "hydra.run.dir=mine", "epochs=0"), "epochs=0 is not possible")
    assert not Path("mine").exists()


def test_folders_are_taken_as_they_are_typed(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd()))
    for out in ("~/tilde", "~no-such-user/x", "ü é=(1)", "12", "it's", r"back\slash", "[x]", "true"):
        outcome = cnntrain("train", *TINY, "-q", "limit=10", f"out={out}")
        assert outcome.code == 0, outcome.err
        assert (Path(out.replace("~/", "")) / "summary.json").exists()


def test_a_run_that_is_not_there_brings_up_the_nearest(torchless: Command) -> None:
    for name in ("2026-01-01_00-00-01_mlp-adam", "2026-01-01_00-00-02_cnn-sgd"):
        a_run(f"outputs/train/{name}")
    outcome = torchless("eval", "2026-01-01_00-00-01_mlp-adm")
    is_told(outcome, "there is no run 2026-01-01_00-00-01_mlp-adm; the nearest: ", "01-01_00-00-01_mlp-adam")
    is_told(torchless("resume", "xyz"), "the nearest: outputs/train/2026-01-01_00-00-0")
    Path("empty").mkdir()
    is_told(torchless("eval", "empty"), "empty holds no checkpoint")
    Path("outputs/.last").write_text("/gone/2026-01-01_00-00-02_cnn-sdg\n")
    is_told(torchless("eval", "last"), "is gone; the nearest: outputs/train/2026-01-01_00-00-02_cnn-sgd")


def test_a_sweep_is_no_run(torchless: Command) -> None:
    Path("sweep").mkdir()
    Path("sweep/sweep.yaml").touch()
    is_told(torchless("eval", "sweep"), "sweep is a sweep: name one of its jobs")


# ---- data


def mnist_files(root: Path) -> Path:
    """Write files of the form of MNIST's."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in MNIST_FILES.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_truncated_data_file_is_named(cnntrain: Command) -> None:
    file = mnist_files(Path("root")) / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    is_told(cnntrain("train", "data=mnist", "data.root=root"), f"{file} is truncated", "15,696")
    assert leaves_nothing()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection, as a machine without a network does."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.usefixtures("offline")
def test_a_missing_data_file_is_named(cnntrain: Command) -> None:
    file = mnist_files(Path("root")) / "train-labels-idx1-ubyte"
    file.unlink()
    outcome = cnntrain("train", "data=mnist", "data.root=root")
    is_told(outcome, f"{file} is missing and could not be downloaded", "set data.root")
    assert leaves_nothing()


@pytest.mark.usefixtures("offline")
def test_a_download_is_announced_before_it_fails(cnntrain: Command) -> None:
    outcome = cnntrain("train", "data=mnist", "data.root=nowhere")
    is_told(outcome, "MNIST is not in nowhere and could not be downloaded", "set data.root")
    assert outcome.err.startswith("warning MNIST is not in nowhere: downloading it to nowhere\n")
    assert leaves_nothing()
    assert not Path("nowhere").exists()


def test_a_number_of_classes_that_the_data_do_not_have(cnntrain: Command) -> None:
    outcome = cnntrain("train", "data.num_classes=5")
    is_told(outcome, "data.num_classes=5, but the data have 10 classes")
    assert leaves_nothing()


# ---- classes


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("model._target_=my_pkg.Nope", ["model._target_=my_pkg.Nope: my_pkg has no Nope"]),
        ("model._target_=my_pkg.MyNt", ["did you mean MyNet?"]),
        ("model._target_=my_pgk.MyNet", ["my_pgk can't be imported", "in the current folder"]),
        ("model._target_=broken.Net", ["broken can't be imported: SyntaxError", "(broken.py, line 2)"]),
        ("model._target_=my_pkg.number", ["is neither a class nor a function, but int"]),
        ("model._target_=torch.optim.Adam", ["is not a torch Module"]),
        (
            "model._target_=my_pkg.MyNet model.widht=3",
            ["model.widht: MyNet has no such argument: did you mean width?"],
        ),
        (
            "model._target_=my_pkg.MyNet model.width=-1",
            ["MyNet can't be built: ", "-1", "(my_pkg.py, line 7)"],
        ),
        ("model._target_=my_pkg.ThreeLogits", ["ThreeLogits gives (2, 3) for a batch of 2, not (2, 10)"]),
        (
            "model._target_=my_pkg.Crash",
            ["Crash can't take images of 1x28x28: KeyError", "(my_pkg.py, line 21)"],
        ),
        ("optim._target_=torch.optim.Nadam", ["torch.optim has no Nadam: did you mean NAdam?"]),
        (
            "optim._target_=torch.optim.NAdam optim.lrr=3",
            ["optim.lrr: NAdam has no such argument: did you mean lr?"],
        ),
        ("optim._target_=torch.optim.LBFGS", ["LBFGS computes the loss several times a step"]),
        (
            "optim=sgd optim.nesterov=true optim.momentum=0",
            ["optim: SGD can't be built: Nesterov momentum requires"],
        ),
        ("optim.fused=true optim.foreach=true", ["optim: Adam can't be built", "`fused` and `foreach`"]),
        ("+optim.foo=1", ["optim.foo: Adam has no such argument"]),
        (
            "criterion._target_=torch.nn.MSELoss",
            ["criterion: MSELoss can't compare logits with class numbers"],
        ),
        ("+criterion.reduction=none", ["CrossEntropyLoss gives (2,) for a batch, not one number"]),
        ("data=fake data.source.size=a", ["data.source: Fake can't be built"]),
    ],
)
def test_a_class_that_does_not_fit(cnntrain: Command, words: str, parts: list[str]) -> None:
    Path("my_pkg.py").write_text(NETS)
    Path("broken.py").write_text("import os\nx = = 3\n")
    sys.modules.pop("my_pkg", None)
    is_told(cnntrain("train", *words.split()), *parts)
    assert leaves_nothing()


# ---- the user's own YAML files


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("epochs: [1,\n", ["conf/experiment/mine.yaml, line 3, is not valid YAML"]),
        ("\tepochs: 1\n", ["conf/experiment/mine.yaml, line 2, is not valid YAML"]),
        (
            "epochs: 1\nepochs: 2\n",
            ["conf/experiment/mine.yaml, line 3, is not valid YAML: found duplicate key"],
        ),
        ("epoch: 1\n", ["conf/experiment/mine.yaml: unknown key epoch: did you mean epochs?"]),
        ("epochs: ten\n", ["conf/experiment/mine.yaml: epochs=ten is not possible"]),
        ("my_rate: 0.1\noptim: {lr: '${my_rate}'}\n", ["conf/experiment/mine.yaml: unknown key my_rate"]),
        ("optim: {lr: -1}\n", ["conf/experiment/mine.yaml: optim.lr=-1 is not possible"]),
        ("defaults: [{override /optim: adma}]\n", ["unknown optim 'adma': did you mean optim=adam?"]),
    ],
)
def test_a_wrong_yaml_file_of_ones_own_is_named(torchless: Command, content: str, parts: list[str]) -> None:
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_text(f"# @package _global_\n{content}")
    is_told(torchless("train", "experiment=mine"), *parts)
    assert torchless("train", "--help").code == 0
    assert leaves_nothing()


def test_an_experiment_without_its_first_line(torchless: Command) -> None:
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_text("epochs: 3\n")
    is_told(torchless("train", "experiment=mine"), "must begin with the line: # @package _global_")


@pytest.mark.parametrize(
    "words", [["train"], ["summary"], ["bench"], ["explain"], ["data", "--augmented", "x.png"]]
)
def test_every_command_names_the_file_of_the_users_that_a_wrong_value_stands_in(
    torchless: Command, words: list[str]
) -> None:
    Path("conf/optim").mkdir(parents=True)
    Path("conf/optim/mine.yaml").write_text("_target_: torch.optim.Adam\nlr: -1\n")
    is_told(torchless(*words, "optim=mine"), "conf/optim/mine.yaml: optim.lr=-1 is not possible")


def test_a_file_that_is_no_text(torchless: Command) -> None:
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_bytes(b"name: \xff\xfe\n")
    is_told(torchless("train", "experiment=mine"), "conf/experiment/mine.yaml can't be read")


def test_a_file_with_the_name_of_one_of_cnntrains_is_not_silently_ignored(cnntrain: Command) -> None:
    Path("conf/optim").mkdir(parents=True)
    Path("conf/optim/adam.yaml").write_text("_target_: torch.optim.NAdam\n")
    outcome = cnntrain("train", *TINY)
    assert "warning: conf/optim/adam.yaml is not used: cnntrain has its own optim=adam" in outcome.err


def test_ctrl_c_before_the_run_begins_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys, cnntrain.cli.main as cli\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.argv = ['cnntrain', 'train', 'epochs=1']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "\ncnntrain: interrupted\n")
    assert leaves_nothing()


def test_a_temporary_folder_whose_path_leaves_no_room_for_the_sockets_of_workers(
    torchless: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path.cwd() / ("t" * 80)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    is_told(torchless("train", "workers=2"), "workers=2 is not possible", "TMPDIR=/tmp", "ttttt")
    assert "TMPDIR" not in torchless("train", "workers=0", "epochs=0").err
