"""`cnntrain explain --as-script FILE`: one plain file that ends with the weights of the run."""

from __future__ import annotations

import ast
import gzip
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import Command, full_mnist, is_told, run_folders

from cnntrain.config.conf_files import conf_folder, read_yaml
from cnntrain.config.keys import ACTIVATIONS
from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.explain.script.supported import is_refused

PLAIN = ("precision=fp32", "channels_last=false", "threads=1")
SMALL = ("limit=200", "epochs=2", "data.val_fraction=0.02", *PLAIN)
CNN = ("model=cnn", "model.channels=[4,8]", "model.head=[16]")
DEEP = ("model=mlp", "model.hidden=[9,8]", "model.dropout=0.3", "model.activation=SiLU")


def assert_same_weights(cnntrain: Command, *overrides: str) -> str:
    """Train, and run the script of the same command; return its text."""
    assert cnntrain("train", *overrides, "report=false", "doctor=false").code == 0
    outcome = cnntrain("explain", *overrides, "--as-script", "lesson.py")
    assert outcome.code == 0, outcome.err
    runpy.run_path("lesson.py", run_name="__main__")
    (folder,) = run_folders()
    run = torch.load(folder / "checkpoints" / "best.pt", weights_only=True)["model"]
    script = torch.load("lesson.pt", weights_only=True)
    assert [tuple(w.shape) for w in run.values()] == [tuple(w.shape) for w in script.values()]
    assert all(torch.equal(one, other) for one, other in zip(run.values(), script.values(), strict=True))
    return Path("lesson.py").read_text()


NETWORKS = {
    "mlp-sgd": ["model=mlp", "model.hidden=[32]", "model.activation=ReLU", "optim=sgd"],
    "mlp-rmsprop": ["model=mlp", "model.hidden=[32]", "model.activation=LeakyReLU", "optim=rmsprop"],
    "cnn-adam": [*CNN, "optim=adam"],
}


@pytest.mark.parametrize("words", NETWORKS.values(), ids=NETWORKS)
def test_the_script_ends_with_the_weights_of_the_run(cnntrain: Command, words: list[str]) -> None:
    assert_same_weights(cnntrain, *SMALL, *words)


OPTIONS = {
    "all that draws": [*CNN, "augment=digits", "augment.erase=0.3", "augment.flip=0.2", "model.dropout=0.3"],
    "an average": [*CNN, "model.batch_norm=true", "ema=0.9", "schedule=cosine"],
    "policies": [
        "model=mlp",
        "model.activation=ELU",
        "augment=trivial",
        "augment.randaugment=9",
        "augment.jitter=0.3",
    ],
    "mixing": [
        "model=mlp",
        "model.activation=SELU",
        "augment.mixup=0.3",
        "augment.cutmix=1",
        "batch_size=50",
        "optim=adamw",
    ],
    "other layers": [
        *CNN,
        "model.padding=valid",
        "model.kernel_size=[5,3]",
        "model.batch_norm=true",
        "model.pool=avg",
        "model.pool_size=[2,1]",
        "data.image_size=20",
        "data.channels=3",
    ],
    "parts and steps": [
        "model=mlp",
        "model.activation=GELU",
        "grad_clip=0.5",
        "accumulate=3",
        "optim=sgd",
        "optim.nesterov=true",
        "schedule=step",
        "schedule.every=0.5",
        "schedule.warmup=0.3",
    ],
    "another loss": [
        "model=mlp",
        "model.activation=Mish",
        "criterion.label_smoothing=0.1",
        "monitor=val_loss",
        "balance_classes=true",
        "accumulate=3",
        "seed=7",
        "schedule.warmup=1",
        "schedule.final=0.1",
        "eval_batch_size=100",
    ],
    "milestones": [
        "model=mlp",
        "model.activation=Hardswish",
        "schedule=multistep",
        "schedule.milestones=[0.5,1]",
        "schedule.warmup=0.2",
    ],
    "one cycle": ["model=mlp", "model.activation=Tanh", "schedule=onecycle", "data.val_fraction=0"],
    "stopped early": [
        "model=mlp",
        "model.activation=Sigmoid",
        "schedule=constant",
        "early_stopping=1",
        "optim._target_=torch.optim.NAdam",
        "optim.lr=0.1",
        "epochs=4",
    ],
    "torch's own schedule": [
        "model=mlp",
        "model.activation=Softplus",
        "schedule._target_=torch.optim.lr_scheduler.StepLR",
        "~schedule.final",
        "~schedule.warmup",
        "+schedule.step_size=5",
    ],
    "bf16 and channels last": [*CNN, "precision=bf16", "channels_last=true", "limit=64", "epochs=1"],
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_is_written(cnntrain: Command, options: list[str]) -> None:
    assert_same_weights(cnntrain, *SMALL, *options)


def test_every_activation_has_its_turn() -> None:
    words = {word for words in (*NETWORKS.values(), *OPTIONS.values(), DEEP) for word in words}
    assert words.issuperset(f"model.activation={name}" for name in ACTIVATIONS)


SEQUENCES = {
    "rnn": ["read=columns", "depth=2", "data.channels=3"],
    "lstm": ["bidirectional=true", "depth=2", "dropout=0.3"],
    "gru": ["read=patches", "patch=4", "pooling=mean", "dropout=0.3", "data.channels=3"],
    "gru of pixels": ["read=pixels", "data.image_size=6"],
    "transformer": ["heads=2", "depth=1", "dropout=0.3", "precision=bf16"],
    "transformer of patches": ["heads=2", "depth=1", "read=patches", "pooling=last", "positions=learned"],
    "vit": ["heads=2", "depth=1", "data.channels=3"],
    "vit of means": ["heads=2", "depth=2", "pooling=mean", "positions=sinusoidal", "ema=0.9"],
}
IN_MODEL = ("read", "depth", "bidirectional", "dropout", "patch", "pooling", "heads", "positions")


@pytest.mark.parametrize(("name", "options"), SEQUENCES.items(), ids=SEQUENCES)
def test_networks_that_read_sequences_are_written_without_what_is_not_used(
    cnntrain: Command, name: str, options: list[str]
) -> None:
    words = [f"model.{word}" if word.partition("=")[0] in IN_MODEL else word for word in options]
    kind = name.partition(" ")[0]
    text = assert_same_weights(cnntrain, *SMALL, "limit=60", f"model={kind}", "model.width=8", *words)
    assert "cnntrain." not in text
    assert ("dropout" in text) == (kind == "vit" or "dropout=0.3" in options)
    assert_formatted()


def assert_formatted() -> None:
    """The script passes the checks of our own code."""
    config = str(Path(__file__).parents[2] / "pyproject.toml")
    for check in (["check", "--ignore=RUF003"], ["format", "--check", "--diff"]):
        command = [sys.executable, "-m", "ruff", *check, "--config", config, "lesson.py"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_model_of_ones_own_is_imported_by_its_name(cnntrain: Command) -> None:
    Path("nets_written.py").write_text(
        "from torch import nn\n"
        "class MyNet(nn.Module):\n"
        "    def __init__(self, in_features, num_classes, width=4):\n"
        "        super().__init__()\n"
        "        self.layers = nn.Sequential(\n"
        "            nn.Flatten(), nn.Linear(in_features, width), nn.Linear(width, num_classes))\n"
        "    def forward(self, x):\n"
        "        return self.layers(x)\n"
    )
    text = assert_same_weights(cnntrain, *SMALL, "model._target_=nets_written.MyNet", "model.width=6")
    assert "from nets_written import MyNet" in text


@pytest.mark.parametrize(
    "words", [CNN, ("model=mlp", "augment.mixup=0.2"), ("model=mlp", "early_stopping=2")]
)
def test_the_script_is_one_to_hand_out(cnntrain: Command, words: tuple[str, ...]) -> None:
    """Plain torch, formatted as our own code is, with the five steps numbered."""
    cnntrain("explain", *SMALL, *words, "--as-script", "lesson.py")
    text = Path("lesson.py").read_text()
    assert "hydra" not in text.replace("cnntrain train", "") and "import cnntrain" not in text
    functions = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert {"train_epoch", "evaluate", "main"} <= set(functions)
    places = [text.index(f"# {step}. ") for step in range(1, 6)]
    assert places == sorted(places)
    assert_formatted()


def test_the_arithmetic_is_in_the_script(cnntrain: Command) -> None:
    cnntrain("explain", "model=mlp", *PLAIN, "--as-script", "lesson.py")
    assert "784·128 + 128 + 128·10 + 10 = 101,770 parameters" in Path("lesson.py").read_text()


def test_networks_are_written_as_the_course_writes_them(cnntrain: Command) -> None:
    """An MLP with fc1, fc2 and F.relu; Conv, ReLU, Pool; a Dataset and a DataLoader."""
    cnntrain("explain", "model=mlp", *SMALL, "--as-script", "mlp.py")
    text = Path("mlp.py").read_text()
    for line in ("self.fc1 = nn.Linear(n_in, n_h)", "x = F.relu(self.fc1(x))", "return self.fc2(x)"):
        assert line in text
    assert "model = MLP(784, 128, 10)" in text
    for name in ("class Images(Dataset[", "DataLoader(", "batch_size=BATCH_SIZE", "num_workers="):
        assert name in text
    cnntrain("explain", "model=cnn", *SMALL, "--as-script", "cnn.py")
    layers = re.findall(r"^ {12}nn\.(\w+)\(", Path("cnn.py").read_text(), re.M)
    assert layers[:6] == ["Conv2d", "ReLU", "MaxPool2d"] * 2


def test_an_mlp_of_any_depth_is_written(cnntrain: Command) -> None:
    text = assert_same_weights(cnntrain, *SMALL, *DEEP)
    assert "n_h1: int, n_h2: int" in text and "x = self.dropout(F.silu(self.fc2(x)))" in text
    assert_formatted()


def test_files_are_read_as_they_are(cnntrain: Command) -> None:
    """EMNIST's images are transposed; some of its files are compressed here, and some are not."""
    folder = Path("data/EMNIST/raw")
    folder.mkdir(parents=True)
    for is_train in (True, False):
        part = "train" if is_train else "test"
        for file, kind in zip(MNISTMini.files(is_train), ("images-idx3", "labels-idx1"), strict=True):
            target = folder / f"emnist-digits-{part}-{kind}-ubyte"
            if is_train:
                target.with_name(f"{target.name}.gz").write_bytes(file.read_bytes())
            else:
                target.write_bytes(gzip.decompress(file.read_bytes()))
    words = ("data=emnist", "data.source.split=digits", "data.num_classes=10", "model=mlp")
    assert "transposed" in assert_same_weights(cnntrain, *SMALL, *words)


def test_the_files_of_mnist_are_named(cnntrain: Command) -> None:
    root = full_mnist()
    cnntrain("explain", "model=mlp", "data=mnist", f"data.root={root}", "--as-script", "lesson.py")
    text = Path("lesson.py").read_text()
    assert str(root / "MNIST" / "raw") in text and '"train-images-idx3-ubyte' in text


def test_a_script_beside_its_images_can_be_moved_with_them(cnntrain: Command) -> None:
    """It names them by the way from its own folder, where both lie below the current one."""
    folder = Path("course/digits/MNIST/raw")
    folder.mkdir(parents=True)
    for is_train, part in ((True, "train"), (False, "t10k")):
        for file, kind in zip(MNISTMini.files(is_train), ("images-idx3", "labels-idx1"), strict=True):
            (folder / f"{part}-{kind}-ubyte").write_bytes(gzip.decompress(file.read_bytes()))
    words = ("data=mnist", "data.root=course/digits", "model=mlp", *SMALL)
    assert cnntrain("explain", *words, "--as-script", "course/lessons/lesson.py").code == 0
    assert str(Path.cwd()) not in Path("course/lessons/lesson.py").read_text()
    Path("course").rename("elsewhere")
    runpy.run_path("elsewhere/lessons/lesson.py", run_name="__main__")
    assert Path("elsewhere/lessons/lesson.pt").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["precision=fp16", "threads=1", "model=mlp"], ["precision=fp16 can't be written as a script"]),
        (["data=fake"], ["Fake can't be written as a script", "mnist_mini"]),
        (["data=cifar10"], ["CIFAR10 can't be written as a script"]),
        (["data=mnist", "data.root=nowhere"], ["MNIST is not in nowhere", "data.root"]),
        (["shift"], ["--as-script writes a run", "shift"]),
        (["optim.lr=-1"], ["optim.lr=-1 is not possible"]),
        (["run=last"], ["run=last: only explain parameters, shift"]),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_timed(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], told: list[str]
) -> None:
    monkeypatch.setattr("cnntrain.explain.script.script.tuned_engine", None)
    is_told(cnntrain("explain", *words, "--as-script", "lesson.py"), *told)
    assert not Path("lesson.py").exists()


def test_every_key_of_a_run_is_written_has_no_effect_on_the_weights_or_is_refused() -> None:
    """A key that is new is refused, until its row says that the script writes what it does."""
    refused = {key for key in read_yaml(conf_folder() / "train.yaml") if is_refused(key)}
    assert refused == {"init_from", "freeze", "unfreeze_epoch", "lr_scale"}
    assert is_refused("a_new_option")


def test_a_file_that_is_there_is_left_alone(cnntrain: Command) -> None:
    Path("lesson.py").write_text("mine")
    is_told(cnntrain("explain", "--as-script", "lesson.py"), "lesson.py", "another name")
    assert Path("lesson.py").read_text() == "mine"
    is_told(cnntrain("explain", "--as-script", "lesson.py/under.py"), "lesson.py")


HOSTILE = [
    r"name=a\x",
    r"name=a\N{x} \u12 \\",
    'name=a"""b',
    'name=ends with "quotes"',
    "name='''",
    "name=two  spaces   and more " + "long " * 30,
    "name={{ 7 * 7 }} {% raw %}",
    "name=#\N{RIGHT-TO-LEFT OVERRIDE}é",
    "name=a\x1b[31mb",
    "name=a\nimport os",
]


@pytest.mark.parametrize("word", HOSTILE)
def test_whatever_was_typed_the_script_compiles_and_holds_the_command(cnntrain: Command, word: str) -> None:
    words = ("model=mlp", *SMALL, word)
    outcome = cnntrain("explain", *words, "--as-script", "lesson.py")
    assert (outcome.code, outcome.err) == (0, "") or is_told(outcome, "name=") is None
    if outcome.code:
        return
    text = Path("lesson.py").read_text()
    compile(text, "lesson.py", "exec", flags=0, dont_inherit=True)
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring is not None and "\x1b" not in text
    shown = docstring[docstring.index("    cnntrain train") : docstring.index("\n\nRun it with")]
    if word.isprintable():
        assert shlex.split(shown.replace(" \\\n", " ")) == ["cnntrain", "train", *words]


@pytest.mark.parametrize("file", ['a"b.py', r"a\x.py", '""".py', "a\nb.py", "a'b.py", "\udcff.py"])
def test_whatever_its_name_the_script_compiles(cnntrain: Command, file: str) -> None:
    outcome = cnntrain("explain", "model=mlp", *SMALL, "--as-script", file)
    assert (outcome.code, outcome.err) == (0, ""), outcome
    script = ast.parse(Path(file).read_text())
    saved = [
        node for node in ast.walk(script) if isinstance(node, ast.Call) and "with_name" in ast.dump(node)
    ]
    names = [argument.value for call in saved for argument in call.args if isinstance(argument, ast.Constant)]
    assert file.removesuffix(".py") + ".pt" in names


def test_an_override_in_the_place_of_the_file_is_told(cnntrain: Command) -> None:
    is_told(
        cnntrain("explain", "--as-script", "model=mlp"), "--as-script needs a file after it, and model=mlp"
    )
    assert not Path("model=mlp").exists()
