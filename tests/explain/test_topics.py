"""The table of topics: what each row makes of `cnntrain explain`, and what a new topic costs."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from terminal import on_terminal
from torch import nn

from cnntrain.compute.precision import Precision
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import Normalize
from cnntrain.data.open import Data
from cnntrain.explain import table, topics
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.table import TOPICS, Topic
from cnntrain.explain.terminal import in_parts
from cnntrain.explain.topics.images.filters import filters
from cnntrain.explain.topics.images.shift import shift
from cnntrain.runtime.console import Console
from cnntrain.tasks import Classification

LESSON = '''"""A topic that a test adds."""

def lesson(console, folder):
    """Show a number and draw."""
    console.line("the answer is 42")
    (folder / "answer.png").write_bytes(b"a figure")
'''


@pytest.fixture
def lesson(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Topic:
    """A topic that costs what every topic costs: a module and a row."""
    (tmp_path / "lesson.py").write_text(LESSON)
    monkeypatch.setattr(topics, "__path__", [*topics.__path__, str(tmp_path)])
    row = Topic(
        "lesson",
        table.IMAGES,
        "the answer to everything",
        "the answer, as a number",
        "lesson.lesson",
        keys=("out", "verbose"),
    )
    monkeypatch.setitem(TOPICS, "lesson", row)
    return row


def test_a_topic_costs_one_module_and_one_row(cnntrain: Command, lesson: Topic) -> None:
    outcome = cnntrain("explain", "lesson")
    assert (outcome.code, outcome.err, outcome.out) == (0, "", "the answer is 42\n")
    (figure,) = Path("outputs/explain").glob("*_lesson/answer.png")
    assert figure.read_bytes() == b"a figure"
    assert cnntrain("explain", "lesson", "-q", "out=mine").out == ""
    assert Path("mine/answer.png").exists()


def test_a_new_topic_is_listed_wherever_topics_are(torchless: Command, lesson: Topic) -> None:
    assert lesson.title in torchless("explain").out
    assert lesson.help in torchless("explain", "--help").out
    assert "lesson" in torchless("_complete", "explain", "le").out.split()
    is_told(torchless("explain", "lessn"), "did you mean lesson?")
    is_told(torchless("explain", "nothing"), ", lesson")
    is_told(
        torchless("explain", "lesson", "run=last"), "run=last: only explain parameters, shift, convolution, "
    )


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("optim=adam", "explain lesson does not take optim: it takes out, verbose"),
        ("outt=x", "explain lesson does not take outt: did you mean out?"),
    ],
)
def test_a_topic_refuses_keys_that_it_does_not_take(
    torchless: Command, lesson: Topic, typed: str, told: str
) -> None:
    is_told(torchless("explain", "lesson", typed), told)
    assert not Path("outputs").exists()


def test_explain_alone_is_a_table_of_contents(torchless: Command) -> None:
    outcome = torchless("explain")
    assert (outcome.code, outcome.err) == (0, "")
    listed = [line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ")]
    assert listed == list(TOPICS)  # in the order of the course
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert not Path("outputs").exists()


def test_the_table_of_contents_fits_a_terminal(cnntrain: Command) -> None:
    code, shown = on_terminal(80, "explain")
    assert code == 0 and shown.replace("\r", "") == cnntrain("explain").out


@pytest.mark.parametrize("name", TOPICS)
def test_a_row_fits_its_function(name: str) -> None:
    topic = TOPICS[name]
    given = [*([topic.needs] if topic.needs else []), "console", *(["folder"] if topic.draws else [])]
    taken = list(inspect.signature(topic.load()).parameters)
    assert topic.name == name
    assert taken == ["build" if word == "parts" else word for word in given]


def test_steps_is_what_keys_without_a_topic_ask_for(cnntrain: Command) -> None:
    words = ("model=mlp", "limit=64", "precision=fp32", "threads=1", "channels_last=false")
    assert cnntrain("explain", "steps", *words).out == cnntrain("explain", *words).out
    assert cnntrain("explain", "steps", *words, "--as-script", "lesson.py").code == 0
    assert Path("lesson.py").exists()


def test_topics_work_without_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody's model and images, without Hydra."""
    device = torch.device("cpu")
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 6 * 6, 2)).eval()
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8)
    dataset = InMemoryDataset(images, torch.arange(20) % 2, ["even", "odd"])
    data = Data(dataset, dataset, torch.arange(20), torch.arange(0), "", [])
    normalize, task = Normalize([0.5], [0.5], device), Classification((1, 8, 8), 2)
    mine = ExplainedModel("mine", (1, 8, 8), 0, model, Precision("fp32", device), data, normalize, task)
    shift([mine], Console(), tmp_path)
    filters(mine, Console(), tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"shift.png", "0.png", "3.png"}
    assert "test images moved by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("widths", "parts"),
    [
        ([20, 30, 30], [[0, 1, 2]]),
        ([20, 30, 32], [[0, 1], [0, 2]]),
        ([20, 20, 20, 10, 40], [[0, 1, 2], [0, 3, 4]]),
        ([20, 60, 60], [[0, 1], [0, 2]]),
        ([20, 61, 10], []),
        ([90], []),
        ([10, 60, 60, 60], []),
    ],
)
def test_a_table_that_is_too_wide_is_parted(widths: list[int], parts: list[list[int]]) -> None:
    assert in_parts(widths, 1, 80) == parts
