"""What people who come from other tools type, and French keyboards write: each leads to the right key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import TINY, Command, is_told

from cnntrain.cli.commands import COMMANDS
from cnntrain.config.conf_files import groups
from cnntrain.config.keys import KEYS
from cnntrain.config.mistakes import synonyms
from cnntrain.config.mistakes.networks import other_task
from cnntrain.explain.table import TOPICS

# What is typed behind `train`, and the override that the message gives. A tuple: other words of the message.
TYPED: dict[str, str | tuple[str, ...]] = {
    # keys of ultralytics
    "lr0=0.01": "optim.lr=0.01",
    "lrf=0.01": "schedule.final=0.01",
    "imgsz=64": "data.image_size=64",
    "batch=16": "batch_size=16",
    "patience=3": "early_stopping=3",
    "optimizer=AdamW": "optim=adamw",
    "optimizer=SGD": "optim=sgd",
    "warmup_epochs=3": "schedule.warmup=3",
    "cos_lr=True": "schedule=cosine",
    "fliplr=0.5": "augment.flip=0.5",
    "degrees=10": "augment.rotate=10",
    "erasing=0.4": "augment.erase=0.4",
    "nc=10": "data.num_classes=10",
    "half=True": "precision=fp16",
    "save_period=1": ("last.pt is written after each epoch",),
    "mosaic=1": ("no such augmentation",),
    # of Lightning and its command line
    "max_epochs=3": "epochs=3",
    "trainer.max_epochs=3": "epochs=3",
    "trainer.precision=16-mixed": "precision=fp16",
    "trainer.accumulate_grad_batches=4": "accumulate=4",
    "gradient_clip_val=1": "grad_clip=1",
    "accelerator=gpu": "device=cuda",
    "devices=2": ("torchrun --standalone --nproc-per-node=N",),
    "gpus=1": "device=cuda",
    "gpus=4": ("torchrun",),
    "ckpt_path=best.pt": "init_from=best.pt",
    "default_root_dir=runs": "out=runs",
    "fast_dev_run=true": "limit=64 epochs=1",
    "max_time=1": ("there is no time budget",),
    "auto_lr_find=true": ("there is no learning rate finder",),
    "log_every_n_steps=10": ("metrics.csv has a row for each epoch",),
    # of timm and Hugging Face
    "sched=cosine": "schedule=cosine",
    "opt=adamw": "optim=adamw",
    "weight-decay=0.05": "optim.weight_decay=0.05",
    "weight_decay=0.05": "optim.weight_decay=0.05",
    "wd=0.05": "optim.weight_decay=0.05",
    "smoothing=0.1": "criterion.label_smoothing=0.1",
    "label_smoothing=0.1": "criterion.label_smoothing=0.1",
    "model-ema=true": "ema=0.999",
    "clip-grad=1": "grad_clip=1",
    "drop=0.2": "model.dropout=0.2",
    "reprob=0.25": "augment.erase=0.25",
    "pretrained=true": "model=torchvision model.weights=DEFAULT",
    "pretrained=mine.pt": "init_from=mine.pt",
    "num_train_epochs=3": "epochs=3",
    "per_device_train_batch_size=8": "batch_size=8",
    "gradient_accumulation_steps=2": "accumulate=2",
    "report_to=wandb": "logger=wandb",
    "max_steps=1000": ("the length of a run is given in epochs",),
    # of Keras, fastai, skorch, scikit-learn and torch's examples
    "learning_rate=0.01": "optim.lr=0.01",
    "learning_rate=1e-3": "optim.lr=1e-3",
    "lr=0.01": "optim.lr=0.01",
    "lr=abc": "optim.lr",
    "optim.learning_rate=0.01": "optim.lr=0.01",
    "dataset=mnist": "data=mnist",
    "dataset=MNIST": "data=mnist",
    "dataset=FashionMNIST": "data=fashion_mnist",
    "num_epochs=3": "epochs=3",
    "epoch=3": "epochs=3",
    "bs=64": "batch_size=64",
    "batchsize=64": "batch_size=64",
    "batch-size=64": "batch_size=64",
    "validation_split=0.2": "data.val_fraction=0.2",
    "val_split=0.2": "data.val_fraction=0.2",
    "valid_pct=0.2": "data.val_fraction=0.2",
    "img_size=32": "data.image_size=32",
    "num_workers=4": "workers=4",
    "num_classes=5": "data.num_classes=5",
    "dropout=0.5": "model.dropout=0.5",
    "amp=true": "precision=bf16",
    "amp=false": "precision=fp32",
    "fp16=true": "precision=fp16",
    "random_state=3": "seed=3",
    "class_weight=balanced": "balance_classes=true",
    "hidden_layer_sizes=64": "model.hidden=64",
    "filters=[8,16]": "'model.channels=[8,16]'",
    "kernel=5": "model.kernel_size=5",
    "loss_fn=CrossEntropyLoss": "criterion._target_=torch.nn.CrossEntropyLoss",
    "arch=resnet18": "model=torchvision model.name=resnet18",
    "data_dir=photos": "data=folder data.root=photos",
    "folds=5": ("cross-validation is not built in",),
    "max_minutes=10": ("there is no time budget",),
    "shuffle=true": ("shuffled in each epoch",),
    "resume=true": ("cnntrain resume last",),
    # values that mean something else here
    "train_split=0.8": "data.val_fraction=0.2",
    "train_size=80": "data.val_fraction=0.2",
    "train_ratio=70%": "data.val_fraction=0.3",
    "hidden_layers=2": "'model.hidden=[128,128]'",
    "layers=3": "'model.hidden=[128,128,128]'",
    "num_layers=64": "model.hidden",
    "hidden_layers=[64,32]": "'model.hidden=[64,32]'",
    "zoom_range=0.2": "augment.crop=0.64",
    "zoom_range=[0.8,1.2]": "augment.crop",
    "img_size=224,224": "data.image_size=224",
    "device=0,1": ("device=0,1 is not one device; for several GPUs: torchrun",),
    "device=cuda:0,cuda:1": ("torchrun",),
    "gpu=0,1": ("torchrun",),
    "min_lr=1e-5": ("schedule.final=FACTOR", "a multiple of optim.lr"),
    "schedule.patience=2": ("schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",),
    # losses
    "loss=mse": ("with cross entropy; another loss is named by its class: criterion._target_=my_pkg.MyLoss",),
    "criterion=mse": ("unknown criterion 'mse': cnntrain trains classifiers with cross entropy",),
    "criterion._target_=mse": ("criterion._target_=mse names no module: cnntrain trains classifiers",),
    "criterion=CrossEntropyLoss": "criterion=cross_entropy",
    "criterion=DiceLoss": "criterion=dice",
    "loss=DiceCE": "criterion=ce_dice",
    "criterion._target_=CrossEntropyLoss": "criterion._target_=torch.nn.CrossEntropyLoss",
    "loss=my_pkg.MyLoss": "criterion._target_=my_pkg.MyLoss",
    # arguments of a class
    "optim.foo=1": ("to give Adam an argument that is not listed in conf/: +optim.foo=VALUE",),
    "lr_scale=head:10": "'lr_scale={head:10}'",
    "lr_scale=head:10,layer1:1": "'lr_scale={head:10,layer1:1}'",
    # slips
    "epohcs=3": "epochs=3",
    "bach_size=3": "batch_size=3",
    "early_stoping=3": "early_stopping=3",
    "optim.momentun=0.9 optim=sgd": "optim.momentum=0.9",
    "agument=digits": "augment=digits",
    "seeed=1": "seed=1",
    # values
    "model=resnet18": "model=torchvision model.name=resnet18",
    "model=ResNet-50": "model=torchvision model.name=resnet50",
    "model=vgg16": "model=torchvision model.name=vgg16",
    "model=efficientnet-b0": "model=torchvision model.name=efficientnet_b0",
    "model=resnet": "model=torchvision model.name=resnet18",
    "model=vit_tiny_patch16_224": "model=timm model.name=vit_tiny_patch16_224",
    "model=lenet": "model=cnn",
    "model=MLP": "model=mlp",
    "optim=Adam": "optim=adam",
    "optim=adamW": "optim=adamw",
    "optim=torch.optim.SGD": "optim=sgd",
    "optim=nadam": "optim._target_=torch.optim.NAdam",
    "data=MNIST": "data=mnist",
    "data=CIFAR-10": "data=cifar10",
    "data=./photos": "data=folder data.root=./photos",
    "data=ImageFolder": "data=folder data.root=DIR",
    "schedule=CosineAnnealingLR": "schedule=cosine",
    "schedule=none": "schedule=constant",
    "schedule=ReduceLROnPlateau": "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    "schedule=plateau": "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    "device=gpu": "device=cuda",
    "device=0": "device=cuda:0",
    "device=cuda0": "device=cuda:0",
    "precision=16": "precision=fp16",
    "precision=32": "precision=fp32",
    "precision=bf16-mixed": "precision=bf16",
    "precision=float16": "precision=fp16",
    "monitor=val_acc": "monitor=val_accuracy",
    "model.activation=relu model=mlp": "model.activation=ReLU",
    "epochs=10.0": "epochs=10",
    "batch_size=1e2": "batch_size=100",
    "data.image_size=64x64": "data.image_size=64",
    "data.image_size=64,64": "data.image_size=64",
    "deterministic=1": "deterministic=true",
    # other tasks
    "model=yolov8n": ("detection network", "model=yolo", "model=faster_rcnn"),
    "model=yolo11n.pt": ("detection network",),
    "model=torchvision model.name=fasterrcnn_resnet50_fpn": ("detection network",),
    "model=torchvision model.name=deeplabv3_resnet50": ("segmentation network",),
    # French, and text copied from slides
    "époques=3": "epochs=3",
    "épochs=3": "epochs=3",
    "données=mnist": "data=mnist",
    "modèle=mlp": "model=mlp",
    "optim.lr=0,01": "optim.lr=0.01",
    "model.dropout=0,5": "model.dropout=0.5",
    "model.dropout=50%": "model.dropout=0.5",
    "deterministic=vrai": "deterministic=true",
    "deterministic=faux": "deterministic=false",
    "taux=0,01": "optim.lr=0.01",
    "epochs = 3": "epochs=3",
    "epochs= 3": "epochs=3",
    "epochs =3": "epochs=3",
    "epochs 3": "epochs=3",
    "epochs|3": "epochs=",
    "model=mlp model.hidden=«64»": "model.hidden=64",
    "precision=“fp32”": "precision=fp32",
    "monitor=‘val_loss’": "monitor=val_loss",
    "optim.lr=1e−3": "optim.lr=1e-3",
    "epochs=3\u202f": "epochs=3",
    "epochs\u00a0=\u00a03": "epochs=3",
    "—epochs 3": "epochs=3",
    "–m epochs=1,2": "-m",
}
# Words like none of our keys: a suggestion would lead astray.
UNLIKE = (
    "flux",
    "find_me",
    "temperature",
    "foo",
    "gizmo",
    "hats",
    "loads",
    "xyz",
    "lives",
    "folks",
    "rate_me",
)
FLAGS = {
    "--epochs 3": "epochs=3",
    "--epochs=3": "epochs=3",
    "--lr=0.01": "optim.lr=0.01",
    "--learning-rate 0.01": "optim.lr=0.01",
    "--batch-size 32": "batch_size=32",
    "-e 3": "epochs=3",
    "--modèle mlp": "model=mlp",
    "-b 32": "batch_size=32",
    "-j 4": "workers=4",
    "--model resnet18": "model=torchvision model.name=resnet18",
    "--arch resnet18": "model=torchvision model.name=resnet18",
    "--weight-decay 1e-4": "optim.weight_decay=1e-4",
    "--no-amp": "precision=fp32",
    "--amp": "precision=bf16",
    "--no-cuda": "device=cpu",
    "--pretrained": "model=torchvision model.weights=DEFAULT",
    "--data-dir photos": "data=folder data.root=photos",
    "--seed 3": "seed=3",
    "--device cuda": "device=cuda",
    "--gpus 1": "device=cuda",
    "--num_workers 4": "workers=4",
    "--label-smoothing 0.1": "criterion.label_smoothing=0.1",
    "--dropout 0.2": "model.dropout=0.2",
    "--output out/x": "out=out/x",
    "--imgsz 64": "data.image_size=64",
    "--patience": "early_stopping=VALUE",
}


def gives(message: str, override: str) -> bool:
    """Return whether a message offers exactly this override to type, and ends it where it ends."""
    return re.search(rf"(mean|write|point:) {re.escape(override)}($|[?\s])", message) is not None


@pytest.mark.parametrize("words", TYPED)
def test_a_word_of_another_tool_leads_to_ours(torchless: Command, words: str) -> None:
    outcome, expected = torchless("train", *words.split(" ")), TYPED[words]
    if isinstance(expected, tuple):
        is_told(outcome, *expected)
        assert "did you mean" not in outcome.err
    else:
        is_told(outcome, expected)
        assert gives(outcome.err, expected) or expected.endswith("="), outcome.err


@pytest.mark.parametrize("word", UNLIKE)
def test_a_word_like_no_key_gets_no_suggestion(torchless: Command, word: str) -> None:
    outcome = torchless("train", f"{word}=3")
    is_told(outcome, f"unknown key {word}: `cnntrain train --help all` lists every key")


@pytest.mark.parametrize("words", FLAGS)
def test_a_flag_is_answered_with_the_override_to_type(torchless: Command, words: str) -> None:
    outcome = torchless("train", *words.split())
    is_told(outcome, f"train has no flag {words.split()[0].partition('=')[0]}: write {FLAGS[words]}")
    assert gives(outcome.err, FLAGS[words]), outcome.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fit", "did you mean cnntrain train?"),
        ("test last", "did you mean cnntrain eval?"),
        ("infer last x.png", "did you mean cnntrain predict?"),
        ("tune", "did you mean cnntrain train -m?"),
        ("--epochs 3", "such as cnntrain train epochs=3"),
        ("explain lunch", f"unknown topic 'lunch'; topics: {', '.join(TOPICS)}; without one: the five steps"),
        ("explain epochs 3", "write epochs=3"),
        ("explain shfit", "did you mean shift?"),
        ("eval last batch=32", "unknown key batch: did you mean eval_batch_size=32?"),
        ("resume last max_epochs=9", "did you mean epochs=9?"),
        ("predict last x.png topk=5", "did you mean top=5?"),
        ("summary hidden_units=64", "did you mean model.hidden=64?"),
    ],
)
def test_other_commands_know_the_words_too(torchless: Command, words: str, expected: str) -> None:
    Path("x.png").touch()
    is_told(torchless(*words.split()), expected)


# ---- the table


def overrides_of_the_table() -> list[str]:
    """Return every key and override that the table names."""
    targets = [*synonyms.KEYS.values(), *(o for pair in synonyms.SWITCHES.values() for o in pair)]
    targets += [target for values in synonyms.VALUES.values() for target in values.values()]
    return sorted({word.strip("'") for target in targets for word in target.split(" ")})


@pytest.mark.parametrize("override", overrides_of_the_table())
def test_the_table_names_only_what_there_is(override: str) -> None:
    key, equals, value = override.partition("=")
    assert key in KEYS or key in groups() or key == "schedule._target_"
    if equals and key in groups():
        assert value in groups()[key]
    elif equals and value not in ("{}", "DIR") and key in KEYS and KEYS[key].choices:
        ending = KEYS[key].file  # of the files that the key takes in place of a choice
        assert value in KEYS[key].choices or (ending and value.endswith(ending))


def test_no_name_of_ours_is_in_the_table_as_that_of_another() -> None:
    assert not set(synonyms.KEYS) & set(KEYS)
    assert not set(synonyms.SWITCHES) & {*KEYS, *groups()}
    assert not set(synonyms.ABSENT) & (set(KEYS) - {"split"})
    assert not set(synonyms.COMMANDS) & set(COMMANDS)
    assert {target.split()[0] for target in synonyms.COMMANDS.values()} <= set(COMMANDS)


def test_the_table_knows_every_network_of_torchvision() -> None:
    models = pytest.importorskip("torchvision.models")
    assert set(models.list_models(module=models)) == set(synonyms.TORCHVISION)
    for module in (models.detection, models.segmentation):
        assert all(other_task(name) for name in models.list_models(module=module))
    assert not any(other_task(name) for name in synonyms.TORCHVISION)


def test_networks_of_timm_are_not_taken_for_other_tasks() -> None:
    timm = pytest.importorskip("timm")
    assert [name for name in timm.list_models() if other_task(name)] == []


def test_the_table_knows_the_optimizers_of_torch() -> None:
    torch = pytest.importorskip("torch")
    assert all(hasattr(torch.optim, name) for name in synonyms.OPTIMIZERS)


# ---- one value for a list, classes of one's own, the environment


def test_one_value_stands_for_a_list_of_one(cnntrain: Command) -> None:
    for words in ("model=mlp model.hidden=512", "model.channels=16", "model.head=64", "data.mean=0.5"):
        assert cnntrain("summary", *words.split()).code == 0, words
    is_told(cnntrain("train", "model=mlp", "model.hidden=0"), "model.hidden=0 is not possible")


OWN = """\
from torch import nn


class MyNet(nn.Sequential):
    def __init__(self, in_features, num_classes, hidden=8):
        super().__init__(nn.Flatten(), nn.Linear(in_features, hidden), nn.Linear(hidden, num_classes))
"""


@pytest.mark.parametrize("choice", [["model=custom"], []])
def test_a_class_of_ones_own_takes_its_arguments(cnntrain: Command, choice: list[str]) -> None:
    Path("my_own.py").write_text(OWN)
    outcome = cnntrain("summary", *choice, "model._target_=my_own.MyNet", "model.hidden=64")
    assert outcome.code == 0, outcome.err
    assert f"MyNet: {784 * 64 + 64 + 64 * 10 + 10:,} parameters" in outcome.out


def test_custom_is_a_choice_that_takes_a_class_and_its_arguments(torchless: Command) -> None:
    outcome = torchless(
        "train", "--cfg", "job", "optim=custom", "optim._target_=torch.optim.NAdam", "optim.lr=2e-3"
    )
    assert "optim:\n  _target_: torch.optim.NAdam\n  lr: 0.002\n" in outcome.out
    is_told(torchless("train", "optim=custom", "optim.lr=1e-3"), "optim._target_ is missing")


def test_a_number_out_of_the_environment_is_decoded(
    torchless: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LR", "0.02")
    outcome = torchless("train", "optim.lr=${oc.env:LR}")
    is_told(outcome, "optim.lr='0.02' is text", "'optim.lr=${oc.decode:${oc.env:NAME}}'")
    outcome = torchless("train", "--cfg", "job", "--resolve", "optim.lr=${oc.decode:${oc.env:LR}}")
    assert "  lr: 0.02\n" in outcome.out


@pytest.mark.parametrize("command", [("train", *TINY), ("eval", "last"), ("resume", "last")])
def test_more_threads_than_cores_are_remarked_on(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    assert "warning: threads" not in cnntrain(*command, "threads=1").err
    monkeypatch.setattr("cnntrain.config.validation.machine.cores", lambda: 0)
    assert (
        "warning: threads=1 is slow: there are more threads than cores" in cnntrain(*command, "threads=1").err
    )


@pytest.mark.parametrize("command", ["train", "summary", "bench", "explain", "eval last", "predict last x"])
@pytest.mark.parametrize("deep", ["[" * 100, "{a:" * 100, "[" * 100 + "]" * 100])
def test_values_nested_deep_are_one_line(torchless: Command, command: str, deep: str) -> None:
    is_told(torchless(*command.split(), f"data.mean={deep}"), "brackets are nested 100 deep; at most 20")


def test_a_key_too_many_in_ones_own_file_is_not_suggested_for_itself(torchless: Command) -> None:
    Path("conf/data").mkdir(parents=True)
    Path("conf/data/mine.yaml").write_text(
        "source: {_target_: my_pkg.Data}\nchannels: 1\nimage_size: 8\nnum_classes: 2\n"
        "mean: [0]\nstd: [1]\nbar: 2\n"
    )
    outcome = torchless("train", "data=mine")
    is_told(outcome, "conf/data/mine.yaml: unknown key data.bar: `cnntrain train --help all`")
