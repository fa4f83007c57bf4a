"""Checkpoints with the right checksum and the wrong contents: refused in a line, before anything is made."""

from __future__ import annotations

import copy
import math
import os
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command, is_told

from cnntrain.errors import CheckpointError, error_text
from cnntrain.runs import checkpoint
from cnntrain.runs.schema.checkpoints import first_not_finite

LOOP: list[Any] = []
LOOP.append(LOOP)
CIRCLE: dict[str, Any] = {}
CIRCLE["own"] = CIRCLE
ESCAPES = "\x1b]0;owned\x07\x1b[2J"


def put(run: Path, place: str, value: Any) -> None:
    """Set a value in a run's last checkpoint, which is the best one too; ``place`` has dots."""
    state = copy.deepcopy(checkpoint.load(run / "checkpoints" / "last.pt"))
    state["config"]["epochs"] = 2
    *way, name = place.split(".")
    node = state
    for step in way:
        node = node[int(step) if isinstance(node, list | tuple) or step.isdigit() else step]
    node[int(name) if isinstance(node, list) or name.isdigit() else name] = value
    for name in ("last.pt", "best.pt"):
        checkpoint.write(checkpoint.serialize(state), run / "checkpoints" / name)


STATES = [
    ("config.logger", -1, "logger=-1 is not possible"),
    ("config.sweeper", LOOP, "nested so deeply"),
    ("config.seed", CIRCLE, "nested so deeply"),
    ("config.epochs", float("nan"), "config.epochs is nan"),
    ("config.threads", 10**6, "threads=1000000 is not possible"),
    ("config.data", torch.zeros(2), "config.data is Tensor"),
    ("normalization.mean", {}, "normalization.mean is dict"),
    ("normalization.mean", "???", "normalization.mean is '???'"),
    ("normalization.mean", [b"0.5"], "of type bytes"),
    ("normalization.mean", [1j], "of type complex"),
    ("normalization.mean", [math.inf], "normalization.mean[0] is inf"),
    ("normalization.std", [], "normalization.std is list"),
    ("normalization.std", [0.0], "normalization.std[0] is 0.0"),
    ("model", {0: torch.zeros(2)}, "a key of model is 0"),
    ("model", {"a": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])}, "not a dense tensor"),
    ("model", {"a": torch.zeros(2).to_sparse()}, "not a dense tensor"),
    ("model", {"a": torch.zeros(1).expand(10**12)}, "the size of its tensors"),
    ("class_names", ["\ud800"] * 10, "text that can be written"),
    ("class_names", [1] * 10, "class_names[0] is 1"),
    ("input_shape", [1, 28, 10**9], "input_shape[2] is 1000000000"),
    ("progress.step", {}, "progress.step is dict"),
    ("progress.best", 10**30, "a number of 64 bits"),
    ("progress.history", {1, 2}, "progress.history is set"),
    ("progress.history", [], "progress.history is 'of 0 epochs'"),
    ("progress.mean", 0, "progress.mean is 0"),
    ("progress.epoch_seconds", "", "progress.epoch_seconds is ''"),
    ("versions.torch", float("nan"), "versions.torch is nan"),
    ("random.numpy", ("MT19937", [0] * 624, 10**6, 0, 0.0), "random.numpy[2] is 1000000"),
    ("random.python", (3, (0,) * 10, None), "random.python[1] is tuple"),
    ("data_fingerprint", torch.zeros(2), "data_fingerprint is Tensor"),
    ("init_from", {"checkpoint": 3}, "init_from.checkpoint is 3"),
]


@pytest.mark.parametrize("command", ["eval", "resume"])
@pytest.mark.parametrize(("place", "value", "part"), STATES, ids=[state[0] for state in STATES])
def test_a_part_of_another_type_or_range(
    cnntrain: Command, run: Path, command: str, place: str, value: Any, part: str
) -> None:
    put(run, place, value)
    outcome = cnntrain(command, "run")
    is_told(outcome, part)
    assert outcome.out == ""


OPTIMIZERS = [
    ("optimizer.state.0.exp_avg", None, "optimizer.state.0.exp_avg is None"),
    ("optimizer.state.0.exp_avg", torch.zeros(3), "of shape (3,)"),
    ("optimizer.state.0", {}, "optimizer.state.0 is with"),
    ("optimizer.state.99", {}, "for parameter 99"),
    ("optimizer.param_groups", [], "optimizer.param_groups is list"),
    ("optimizer.param_groups.0.betas", 0.9, "optimizer.param_groups[0].betas is 0.9"),
    ("optimizer.param_groups.0.lr", "fast", "optimizer.param_groups[0].lr is 'fast'"),
    ("optimizer.param_groups.0.params", [0], "those of the model"),
    ("schedule.step", "a", "schedule.step is 'a'"),
    ("schedule.get_lr", 1, "with get_lr"),
    ("scaler", 3, "scaler is 3"),
]


ROWS = [
    ("progress.history.0.train_accuracy", "high", "train_accuracy is 'high', not a number"),
    ("progress.history.0.train_accuracy", None, "progress.history[0] has no train_accuracy"),
    ("progress.best.val_loss", None, "progress.best has no val_loss"),
    ("progress.best", {"epoch": 1}, "progress.best.step is 'missing'"),
    ("progress.best.epoch", 0, "progress.best.epoch is 0"),
]


@pytest.mark.parametrize(("place", "value", "part"), ROWS, ids=[row[0] for row in ROWS])
def test_a_row_that_lacks_a_score(cnntrain: Command, run: Path, place: str, value: Any, part: str) -> None:
    put(run, place, value)
    is_told(cnntrain("resume", "run"), part)


@pytest.mark.parametrize(("place", "value", "part"), OPTIMIZERS, ids=[state[0] for state in OPTIMIZERS])
def test_a_state_that_the_optimizer_or_the_schedule_cannot_have(
    cnntrain: Command, run: Path, place: str, value: Any, part: str
) -> None:
    put(run, place, value)
    is_told(cnntrain("resume", "run"), part)


def test_flags_of_the_optimizer_are_those_of_the_configuration(cnntrain: Command, run: Path) -> None:
    put(run, "optimizer.param_groups.0.amsgrad", True)
    assert cnntrain("resume", "run").code == 0
    group = checkpoint.load(run / "checkpoints" / "last.pt")["optimizer"]["param_groups"][0]
    assert group["amsgrad"] is False


@pytest.mark.parametrize("command", ["eval", "resume", "report", "predict", "export", "train"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_named(
    cnntrain: Command, run: Path, command: str, value: float
) -> None:
    weights = checkpoint.load(run / "checkpoints" / "last.pt")["model"]
    name = list(weights)[1]
    weights[name].view(-1)[0] = value
    put(run, "model", weights)
    Path("image.png").touch()
    words = {
        "predict": ("predict", "run", "image.png"),
        "export": ("export", "run", "formats=[pt2]"),
        "train": ("train", *TINY, "init_from=run"),
    }
    outcome = cnntrain(*words.get(command, (command, "run")))
    is_told(outcome, f"its weights {name} hold NaN or infinite values")
    assert not (run / "export").exists()


def test_formats_of_eight_bits_are_looked_at_too() -> None:
    for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        assert first_not_finite({"a": torch.ones(2).to(dtype)}) is None
        assert first_not_finite({"a": torch.full((2,), math.nan).to(dtype)}) == "a"


def test_a_mask_of_minus_infinity_is_no_weight(tmp_path: Path, trained: Path) -> None:
    state = checkpoint.load(trained / "checkpoints" / "best.pt")
    state["model"]["mask"] = torch.full((3, 3), -math.inf).triu(1)
    path = tmp_path / "masked.pt"
    checkpoint.write(checkpoint.serialize(state), path)
    assert torch.equal(checkpoint.load(path)["model"]["mask"], state["model"]["mask"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("config.model", {"_target_": f"a.{ESCAPES}"}),
        ("config.model", {"_target_": "torch.nn.Linear", ESCAPES: 3}),
        ("config.epochs", "\n".join(["flood"] * 1000)),
        ("config.optim", {"_target_": "x" * 100_000}),
        ("progress.step", ESCAPES),
        ("versions", {ESCAPES: 1}),
        ("class_names", [f"{ESCAPES}{index}" for index in range(10)]),
        (ESCAPES, b"1"),
    ],
)
def test_text_of_a_checkpoint_reaches_the_screen_as_one_printable_line(
    cnntrain: Command, run: Path, place: str, value: Any
) -> None:
    put(run, place, value)
    outcome = cnntrain("eval", "run")
    shown = outcome.out + outcome.err
    assert "\x1b" not in shown and "\x07" not in shown
    assert outcome.code == 2
    assert len(outcome.err) < 3000 and len(outcome.err.splitlines()) <= 2, outcome.err


def test_the_version_of_a_format_is_quoted_and_cut(cnntrain: Command, run: Path) -> None:
    for version in (ESCAPES, "\n".join(["line"] * 1000)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "FORMAT_VERSION", version)
            data = checkpoint.serialize({})
        for path in (run / "checkpoints").iterdir():
            checkpoint.write(data, path)
        outcome = cnntrain("eval", "run")
        is_told(outcome, "is of checkpoint format")
        assert "\x1b" not in outcome.err and len(outcome.err) < 500


def test_an_error_is_told_without_control_characters_and_without_end() -> None:
    assert error_text(ValueError("a\x1b[2Jb\nc")) == "a\\x1b[2Jb\nc"
    text = error_text(ValueError("\n".join(["x" * 10_000] * 1000)))
    assert len(text) < 30_000 and text.count("\n") < 20


# ---- files that are no checkpoints, in a run folder or typed


@pytest.mark.parametrize("command", ["eval", "resume", "report"])
def test_a_pipe_or_a_device_is_no_checkpoint(cnntrain: Command, run: Path, command: str) -> None:
    for name in ("last.pt", "best.pt"):
        (run / "checkpoints" / name).unlink()
        os.mkfifo(run / "checkpoints" / name)
    is_told(cnntrain(command, "run"), "/checkpoints/", "not a regular file, but a FIFO")
    for name in ("last.pt", "best.pt"):
        (run / "checkpoints" / name).unlink()
        (run / "checkpoints" / name).symlink_to("/dev/zero")
    is_told(cnntrain(command, "run"), "run/checkpoints/")
    os.mkfifo("pipe")
    is_told(cnntrain(command, "pipe"), "pipe is neither a run folder nor a regular file")


def test_an_archive_that_grows_is_not_opened(run: Path) -> None:
    path = run / "checkpoints" / "best.pt"
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile("bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match="its records are compressed"):
        checkpoint.load(Path("bomb.pt"))


def test_every_other_byte_at_the_end_of_the_file_is_refused(tmp_path: Path) -> None:
    """The checksum covers every byte but its own eight, of which each other one is refused too."""
    path, good = tmp_path / "best.pt", bytes(checkpoint.serialize({"weights": torch.arange(4.0)}))
    path.write_bytes(good)
    checkpoint.verify(path)
    for index in range(len(good) - 120, len(good)):
        is_checksum = index >= len(good) - 8
        others = (
            b"0123456789abcdefABCDEF\0 xX"
            if is_checksum
            else (good[index] ^ 1, good[index] ^ 128, 255 - good[index])
        )
        for byte in others:
            path.write_bytes(good[:index] + bytes([byte]) + good[index + 1 :])
            if byte != good[index]:
                with pytest.raises(CheckpointError):
                    checkpoint.verify(path)
    for longer in (good + b"\0", good + good, good[:-1]):
        path.write_bytes(longer)
        with pytest.raises(CheckpointError):
            checkpoint.verify(path)


HUGE = {
    "hidden": {"config.model.hidden": [2**40]},
    "channels": {"config.model": {"_target_": "cnntrain.models.CNN", "channels": [2**34], "head": []}},
    "images": {
        "config.model": {"_target_": "torchvision.models.squeezenet1_0"},
        "config.data.image_size": 2**14,
        "config.data.channels": 3,
        "input_shape": [3, 2**14, 2**14],
        "normalization": {"mean": [0.5], "std": [0.5]},
    },
}


@pytest.mark.parametrize("command", ["eval", "resume"])
@pytest.mark.parametrize("changes", HUGE.values(), ids=HUGE)
def test_a_model_that_would_take_all_memory_is_not_built(
    cnntrain: Command, run: Path, monkeypatch: pytest.MonkeyPatch, command: str, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr("cnntrain.runtime.memory.free", lambda: 2**32)
    for place, value in changes.items():
        put(run, place, value)
    if "input_shape" in changes:
        put(run, "model", squeezenet())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    is_told(
        cnntrain(command, "run"), *(["of memory are free"] if "input_shape" in changes else ["do not fit"])
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kB


def squeezenet() -> dict[str, torch.Tensor]:
    """Return weights of a network that fits any size of images."""
    from torchvision.models import squeezenet1_0

    return squeezenet1_0(num_classes=10).state_dict()


@pytest.mark.parametrize("correct", [None, [1, 2], [[1], [2, 3]], 10**30])
def test_sums_of_other_scores_are_told(cnntrain: Command, correct: Any) -> None:
    assert cnntrain("train", *TINY, "out=run").code == 0
    mean = {"loss_sum": 1.0, "seen": 1, "batches": 1}
    put(Path("run"), "progress.mean", mean if correct is None else {**mean, "correct": correct})
    is_told(cnntrain("resume", "run", "epochs=3"), "progress.mean.correct")
