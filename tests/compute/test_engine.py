"""What `auto` settles: number format, layout and threads, once for a machine, a model and a batch size."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import TINY, Command, is_told
from torch import nn

from cnntrain.compute import autotune
from cnntrain.compute.engine import Engine
from cnntrain.compute.timing import StepTimer
from cnntrain.config.sections import EngineSettings, ModelSettings
from cnntrain.data.loader import Normalize
from cnntrain.models import CNN
from cnntrain.runtime import hardware, memory
from cnntrain.runtime.hardware import ProcessorTime
from cnntrain.tasks import Classification

CPU = torch.device("cpu")
AUTO = EngineSettings("auto", "auto", "auto", ModelSettings({}, (1, 8, 8), 2, {}), 32, 1, verbose=0)
USED_BY_ALL = hardware.used_by_all
KEYS = ("precision", "channels_last", "threads")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where notes go; there is something to choose on any machine, however new or busy it is."""
    monkeypatch.setenv("CNNTRAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cnntrain.compute.autotune.ALL_THREADS", 2)
    monkeypatch.setattr(hardware, "is_loaded", lambda: False)
    monkeypatch.setattr(hardware, "used_by_all", lambda: None)
    return tmp_path / "cache" / "engines"


def saved(run: str) -> dict[str, Any]:
    config = yaml.safe_load((Path(run) / "config.yaml").read_text())
    return {key: config[key] for key in KEYS}


def weights(run: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(run) / "checkpoints" / "last.pt", weights_only=True)["model"]  # type: ignore[no-any-return]


def test_what_was_settled_is_shown_saved_and_kept(cnntrain: Command, empty_cache: Path) -> None:
    outcome = cnntrain("train", *TINY, "out=first")
    settled = saved("first")
    assert "auto" not in settled.values()
    assert f"{settled['precision']}, " in outcome.out and "(measured" in outcome.out
    assert len(list(empty_cache.glob("*.json"))) == 1
    cnntrain("train", *TINY, "out=second")
    assert saved("second") == settled
    assert len(list(empty_cache.glob("*.json"))) == 1


def test_measuring_leaves_no_trace_in_the_weights(cnntrain: Command) -> None:
    """Dropout draws from the generator that the trial would have advanced."""
    run = ("train", *TINY, "model.dropout=0.3")
    cnntrain(*run, "out=measured")
    typed = [f"{key}={str(value).lower()}" for key, value in saved("measured").items()]
    assert "(measured" not in cnntrain(*run, *typed, "out=typed").out
    one, other = weights("measured"), weights("typed")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_typed_is_not_measured(cnntrain: Command, empty_cache: Path) -> None:
    outcome = cnntrain("train", *TINY, "precision=fp32", "channels_last=false", "threads=1")
    assert "fp32, 1 thread\n" in outcome.out
    assert not empty_cache.exists()


def test_a_damaged_note_is_made_anew(cnntrain: Command, empty_cache: Path) -> None:
    cnntrain("train", *TINY)
    (note,) = empty_cache.glob("*.json")
    for contents in ("", "{", "[]", '{"precision": "fp8", "threads": 1}'):
        note.write_text(contents)
        outcome = cnntrain("train", *TINY)
        assert outcome.code == 0 and "(measured" in outcome.out, contents
        assert note.read_text() != contents


def test_what_a_busy_machine_measured_is_measured_again_when_it_is_quiet(
    cnntrain: Command, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnntrain.compute.timing.ROUNDS", 1)
    monkeypatch.setattr(hardware, "is_loaded", lambda: True)
    assert "machine busy, will be measured again)" in cnntrain("train", *TINY, "out=first").out
    (note,) = empty_cache.glob("*.json")
    first = note.read_text()
    monkeypatch.setattr(autotune, "AGAIN_SECONDS", 0)
    assert "machine busy" in cnntrain("train", *TINY, "out=second").out
    assert saved("second") == saved("first") and note.read_text() == first  # it is busy still

    monkeypatch.setattr(hardware, "is_loaded", lambda: False)
    assert "machine busy" not in cnntrain("train", *TINY).out
    kept = note.read_text()
    assert '"busy": null' in kept
    monkeypatch.setattr(hardware, "is_loaded", lambda: True)
    assert "machine busy" not in cnntrain("train", *TINY).out and note.read_text() == kept


@pytest.mark.parametrize(("used", "own", "threads", "too_few"), [(4.0, 2.0, 2, True), (2.1, 2.0, 2, False)])
def test_others_are_in_the_way_if_they_use_the_cores_that_were_wanted(
    used: float, own: float, threads: int, too_few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    begin, end = ProcessorTime(10.0, 100.0, 5.0), ProcessorTime(11.0, 100.0 + used, 5.0 + own)
    assert hardware.leave_too_few(begin, end, threads) == too_few
    assert not hardware.leave_too_few(ProcessorTime(10.0, None, 5.0), end, threads)


def test_the_counters_of_the_processor_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "used_by_all", USED_BY_ALL)
    begin = ProcessorTime.now()
    while ProcessorTime.now().own < begin.own + 0.05:
        pass
    end = ProcessorTime.now()
    assert begin.used is None or end.used is None or end.used > begin.used


def test_resume_computes_as_the_run_began(cnntrain: Command, empty_cache: Path) -> None:
    cnntrain("train", *TINY, "precision=bf16", "out=run")
    outcome = cnntrain("resume", "run", "epochs=2")
    assert "bf16, " in outcome.out and "(measured" not in outcome.out


class Scripted(StepTimer):
    """A trial whose times are given."""

    given: dict[Engine, float]

    def warmed_up(self, engine: Engine) -> Any:
        return engine

    def seconds(self, step: Any) -> float:
        return self.given[step]


def test_another_format_must_be_worth_it() -> None:
    plain, bf16 = Engine("fp32", False, 1), Engine("bf16", False, 1)
    last = Engine("fp32", True, 1)
    trial = Scripted(nn.Linear(1, 1), nn.MSELoss(), (torch.zeros(2, 1), torch.zeros(2)), CPU)
    for times, best in (((1.0, 0.9, 1.0), plain), ((1.0, 0.7, 1.0), bf16), ((1.0, 0.9, 0.95), last)):
        trial.given = dict(zip((plain, bf16, last), times, strict=True))
        assert trial.compare([plain, bf16, last]) == best


def test_a_format_that_the_model_cannot_use_is_left_out() -> None:
    class OnlyFloat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = self.layer(x.flatten(1))
            if out.dtype != torch.float32:
                raise RuntimeError("float32 wanted")
            return out

    trial = StepTimer(OnlyFloat(), nn.CrossEntropyLoss(), Classification((1, 2, 2), 2).dummy(4), CPU)
    plain = Engine("fp32", False, 1)
    assert trial.compare([plain, Engine("bf16", False, 1)]) == plain


def test_where_the_plain_format_is_impossible_another_is_taken() -> None:
    class OnlyLast(StepTimer):
        def warmed_up(self, engine: Engine) -> Any:
            return super().warmed_up(engine) if engine.channels_last else None

    trial = OnlyLast(
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
        nn.CrossEntropyLoss(),
        Classification((1, 2, 2), 2).dummy(4),
        CPU,
    )
    last = Engine("fp32", True, 1)
    assert trial.compare([Engine("fp32", False, 1), last]) == last


class Counting(nn.Module):
    """A network that notes the sizes of the batches it gets, and takes a while for each image."""

    def __init__(self, seconds: float, most: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.seconds, self.most = seconds, most
        self.sizes: list[int] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Counting:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise RuntimeError("out of memory")
        time.sleep(self.seconds * len(x))
        return self.layer(x.flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("seconds", "least", "most"), [(0.1, 2, 2), (0.01, 12, 28), (0, 512, 512)], ids=["large", "small", "tiny"]
)
def test_slow_networks_are_tried_on_few_images(
    seconds: float, least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnntrain.compute.timing.ROUNDS", 1)
    network = Counting(seconds, 512)
    StepTimer(network, nn.CrossEntropyLoss(), Classification((1, 2, 2), 2).dummy(512), CPU).compare(
        [Engine("fp32", False, 1)]
    )
    assert least <= max(network.sizes) == network.sizes[-1] <= most


def test_no_more_is_tried_than_fits_into_a_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Counting(0, 10**6)
    settings = replace(AUTO, model=ModelSettings({}, (1, 2, 2), 2, {}), batch_size=10**9)
    options = {"precision": ["fp32"], "channels_last": [False], "threads": [1]}
    monkeypatch.setattr(memory, "free", lambda: 40_000)  # of which a quarter; an image takes 36 bytes
    dummy = Classification((1, 2, 2), 2).dummy
    plain = Engine("fp32", False, 1)
    autotune.measured(settings, network, nn.CrossEntropyLoss(), dummy, CPU, options, plain)
    assert 100 < max(network.sizes) <= 10_000 // 36


def test_a_batch_that_fails_leaves_the_next_format_to_be_tried_on_few() -> None:
    network = Counting(0, 100)
    trial = StepTimer(network, nn.CrossEntropyLoss(), Classification((1, 2, 2), 2).dummy(512), CPU)
    trial.compare([Engine("fp32", False, 1), Engine("fp32", True, 1)])
    assert [size for size in network.sizes if size <= 8] == 2 * [2, 2, 8, 8]


def test_a_layout_changes_where_values_lie_and_not_what_they_are() -> None:
    model = CNN((3, 8, 8), 10, [4, 8])
    x = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    plain, last = Engine("fp32", False, 1), Engine("fp32", True, 1)
    before = model(Normalize([0.5], [0.2], CPU, plain.memory_format)(x))
    last.prepare(model)
    images = Normalize([0.5], [0.2], CPU, last.memory_format)(x)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(model(images), before, atol=1e-5)


def test_wrong_values_are_told(torchless: Command) -> None:
    is_told(torchless("train", "threads=0"), "threads=0 is not possible", "from 1 to 1024, or auto")
    is_told(torchless("train", "channels_last=yess"), "true or false, or auto")
    is_told(torchless("train", "data.cache=never"), "auto, ram, disk or off")


def test_threads_are_those_that_were_chosen(cnntrain: Command) -> None:
    before = torch.get_num_threads()
    try:
        cnntrain("train", *TINY, "threads=2", "out=run")
        assert torch.get_num_threads() == 2
        assert saved("run")["threads"] == 2
    finally:
        torch.set_num_threads(before)


def test_a_machine_without_the_instructions_does_not_try_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnntrain.compute.engine.has_bf16_instructions", lambda: False)
    assert autotune.candidates(AUTO, CNN((1, 8, 8), 2, [4]), CPU)["precision"] == ["fp32"]
