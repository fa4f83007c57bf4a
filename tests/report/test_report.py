"""report.html: one file that shows what a run has learnt."""

from __future__ import annotations

import csv
import html
import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import needs_browser, seen_by
from conftest import Command, is_told
from forks import Forked, ended
from image_tree import digits
from torch import nn

from cnntrain.cli import main
from cnntrain.compute.precision import FP32
from cnntrain.config.compose import compose, plain
from cnntrain.config.composer import composed
from cnntrain.config.keys import leaves
from cnntrain.config.overrides import normalized
from cnntrain.data.loader import Normalize
from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.models import CNN, MLP
from cnntrain.models.torchvision import Torchvision
from cnntrain.report.figures import title
from cnntrain.report.model_views import feature_maps, first_filters, which
from cnntrain.report.reproduce import command_of
from cnntrain.runs import checkpoint
from cnntrain.tasks.classification.predictions import ImagePredictions, PredictionCollector
from cnntrain.tasks.classification.report.figures import robustness
from cnntrain.tasks.classification.report.translation import images_in_time
from cnntrain.text import format_loss

PLAIN = ("precision=fp32", "channels_last=false", "threads=1")
SMALL = ("limit=200", "epochs=1", "model=mlp", *PLAIN)
SECTIONS = {
    *("curves", "confusion", "classes", "mistakes", "calibration", "robustness", "maps", "filters"),
    *("layers", "environment", "configuration"),
}
PLOTS = {
    *("loss", "accuracy", "learning_rate", "confusion", "calibration", "robustness", "filters"),
    "feature_maps",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small CNN that has written its report."""
    folder = tmp_path_factory.mktemp("report") / "run"
    small = ("model.channels=[4,8]", "model.head=[16]")
    words = ("limit=400", "epochs=2", "batch_size=64", *small, *PLAIN, f"out={folder}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["cnntrain", "train", *words, "-q"])  # which the page shows
        assert main.run(sys.argv[1:]) == 0
    return folder


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text()


def sections_of(page: str) -> set[str]:
    return set(re.findall(r'<section id="(\w+)">', page))


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())  # type: ignore[no-any-return]


# ---- the page


def test_it_has_every_section_and_every_figure_and_fetches_nothing(finished: Path) -> None:
    page = page_of(finished)
    assert sections_of(page) == SECTIONS
    assert {path.stem for path in (finished / "plots").glob("*.png")} == PLOTS
    assert page.count("<svg") == len(PLOTS) - 1  # the confusion matrix is a table
    named_not_fetched = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")
    for name in named_not_fetched:
        page = page.replace(name, "")
    assert not re.search("https?:|file:|//[a-z]+[.]", re.sub('base64,[^)"]*', "", page))
    assert len(page) < 5_000_000


def test_it_says_what_the_summary_says(finished: Path) -> None:
    page, summary = page_of(finished), summary_of(finished)
    assert f"{summary['test']['accuracy']:.2%} <small>test accuracy" in page
    assert "chance 10.00%" in page
    for row in summary["per_class"]:
        figures = [f"{row[name]:.2%}" for name in ("precision", "recall", "f1")]
        cells = "".join(f'<td class="number" data-value="{text[:-1]}">{text}</td>' for text in figures)
        assert f"<td>{row['class']}</td>{cells}" in page
    counts = re.findall(r'data-cell="(\d+),(\d+)" data-count="(\d+)"', page)
    matrix = summary["confusion_matrix"]
    assert {(int(t), int(p)): int(n) for t, p, n in counts} == {
        (t, p): n for t, row in enumerate(matrix) for p, n in enumerate(row) if n
    }
    assert "6,794 parameters" in page and "4×28×28" in page


def test_it_marks_what_is_not_the_default(finished: Path) -> None:
    marked = re.findall(r"<tr class=differs><td>([\w.]+)</td>", page_of(finished))
    changed = {"limit", "epochs", "batch_size", "model.channels", "model.head"}
    assert set(marked) == changed | {"precision", "channels_last", "threads"}


@pytest.mark.parametrize("last", [0.9, 0.5, 0.11, 0.1])
def test_the_label_of_chance_lies_on_no_point(last: float) -> None:
    figure = robustness([0.9, 0.8, 0.6, 0.5, last], chance=0.1)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (label,) = axes.texts
    box = label.get_window_extent()
    assert axes.get_window_extent().x1 < box.x0 < box.x1 < figure.bbox.x1


PROBE = """
<script>
addEventListener("load", async () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const press = (node, key) => node.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const sheet = document.getElementById("sheet");
  const found = {hidden: sheet.hidden, tabs: all("#matrix [tabindex='0']").length};
  const cell = document.querySelector("#matrix td:not(.right) button");
  cell.click();
  found.cell = cell.dataset.cell;
  found.title = document.getElementById("sheet-title").textContent;
  found.tiles = all("#sheet .tile").map(tile => tile.getAttribute("aria-label"));
  const style = getComputedStyle(document.querySelector("#sheet .tile"));
  const image = new Image();
  image.src = style.backgroundImage.slice(5, -2);
  await image.decode();
  const size = [image.naturalWidth, image.naturalHeight];
  const canvas = Object.assign(document.createElement("canvas"), {width: size[0], height: size[1]});
  canvas.getContext("2d").drawImage(image, 0, 0);
  found.sprite = size;
  const pixels = canvas.getContext("2d").getImageData(0, 0, 28, 28).data;
  found.brightest = Math.max(...pixels.filter((_, index) => index % 4 < 3));
  press(document.body, "Escape");
  found.closed = sheet.hidden && document.activeElement === cell;
  cell.focus();
  press(cell, "ArrowDown");
  press(document.activeElement, "ArrowUp");
  found.walked = document.activeElement.dataset.cell === cell.dataset.cell;
  const recall = all("#classes th button")[2];
  const column = () => all("#classes tbody td:nth-child(3)").map(cell => parseFloat(cell.textContent));
  recall.click();
  found.up = column();
  recall.click();
  found.down = column();
  found.mistakes = all("#mistakes .tile").length;
  found.wide = document.documentElement.scrollWidth - innerWidth;
  const tables = all("main table").filter(table => table.scrollWidth > table.closest("section").clientWidth);
  const hint = node => getComputedStyle(node).backgroundAttachment.includes("local");
  found.hinted = tables.every(table => table.closest(".scroll") && hint(table.closest(".scroll")));
  const nav = document.querySelector("nav");
  found.cut = nav.scrollWidth - nav.clientWidth;
  const sent = performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:"));
  found.requests = sent.length;
  document.body.dataset.probe = JSON.stringify(found);
});
</script>
"""


@needs_browser
def test_a_browser_shows_it_and_a_cell_opens_its_images(finished: Path) -> None:
    found = seen_by(PROBE, page_of(finished), "--window-size=500,900", milliseconds=4000)
    truth, said = map(int, found["cell"].split(","))
    number = summary_of(finished)["confusion_matrix"][truth][said]
    assert found["hidden"] and found["closed"] and found["walked"] and found["tabs"] == 1
    assert found["title"].startswith(f"{truth}, taken for {said}: {number} image")
    assert len(found["tiles"]) == min(number, 16)
    assert all(label.startswith(f"{truth}, taken for {said}, with ") for label in found["tiles"])
    assert min(found["sprite"]) >= 28 and found["brightest"] > 100
    assert found["up"] == sorted(found["up"]) and found["down"] == sorted(found["down"], reverse=True)
    assert found["mistakes"] == 24
    assert found["hinted"] and found["cut"] <= 0  # what is cut shows that it scrolls
    assert found["wide"] <= 0 and found["requests"] == 0


def test_nothing_that_comes_in_becomes_part_of_the_page(cnntrain: Command) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    Path("own.py").write_text(
        "from cnntrain.data.sources import Fake\n\n\n"
        "class Own(Fake):\n    def __init__(self, train: bool, size: int):\n"
        "        super().__init__(train, 100, 1, 8, 3)\n"
        f"        self.class_names = ({hostile!r}, 'b', 'c')\n"
    )
    words = ("data=fake", "data.source={_target_:own.Own}", "data.channels=1", "data.image_size=8")
    outcome = cnntrain("train", *SMALL, *words, "data.num_classes=3", "out=run")
    assert outcome.code == 0, outcome.err
    assert "<img" not in page_of(Path("run"))
    assert page_of(Path("run")).count("</script>") == 2


# ---- when there is a report, and of what


def test_no_report_where_none_is_wanted(cnntrain: Command) -> None:
    outcome = cnntrain("train", *SMALL, "report=false", "out=run")
    assert outcome.code == 0 and "report:" not in outcome.out
    assert not Path("run/report.html").exists() and not Path("run/plots").exists()


def test_a_report_imports_neither_compiler_nor_torchvision() -> None:
    without = ("torch._dynamo", "torchvision", "matplotlib.pyplot")
    ((code, out, err),) = ended([Forked("train", *SMALL, "out=run", "-q", without=without)])
    assert (code, out, err) == (0, "", "")
    assert Path("run/report.html").exists()


def test_a_report_is_made_later_and_says_the_same(cnntrain: Command, finished: Path) -> None:
    shutil.copytree(finished, "run")
    shutil.rmtree("run/plots")
    before = page_of(finished)
    findings = [{"finding": "overfitting", "evidence": "train 99%, val 80%", "fix": "model.dropout=0.2"}]
    Path("run/summary.json").write_text(json.dumps({**summary_of(finished), "findings": findings}))
    Path("run/report.html").unlink()

    outcome = cnntrain("report", "run")

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "report: run/report.html\n"
    page = page_of(Path("run"))
    data = re.compile(r'<script type="application/json" id="data">.*?</script>', re.DOTALL)
    assert data.findall(page) == data.findall(before)
    # How many images are shifted depends on how fast this machine is.
    told = re.compile("<p>(?!Accuracy on).*?</p>")
    assert told.findall(page) == told.findall(before)
    assert page.index("<b>overfitting</b>: train 99%, val 80%") < page.index("<nav>")
    assert "<br>suggested fix: model.dropout=0.2" in page


@pytest.mark.usefixtures("undrawn")
def test_an_unfinished_run_shows_validation_and_leaves_the_test_set_alone(
    cnntrain: Command, finished: Path
) -> None:
    shutil.copytree(finished, "run")
    Path("run/summary.json").unlink()
    for name in ("report.html", "plots/robustness.png"):
        Path("run", name).unlink()

    assert cnntrain("report", "run").code == 0

    page = page_of(Path("run"))
    assert "This run is not finished: 2 of 2 epochs are done." in page
    assert "cnntrain resume run" in page
    assert "validation accuracy" in page and "of 500 images" in page
    assert "test accuracy" not in page
    assert "1,000" not in page.replace("500 validation and 1,000 test images", "")  # how many there are
    assert sections_of(page) == SECTIONS


@pytest.mark.usefixtures("undrawn")
def test_mistakes_name_their_images(cnntrain: Command, finished: Path) -> None:
    """By the file in a folder of images, else by the index: on the cards, in the page's data, in a table."""
    for file in sorted(digits(Path("photos"), 16, (0, 1)).glob("*/*")):
        file.rename(file.with_name(f"<b>{file.stem} & 'x\n\x1b[31m{file.suffix}"))
    Path("photos/d1").rename("photos/=1+1")  # which a spreadsheet would compute
    words = ("data=folder", "data.root=photos", "data.image_size=8", "data.channels=3")
    outcome = cnntrain("train", *SMALL, *words, "data.source.test_fraction=0.5", "optim.lr=1e-9", "out=run")
    assert outcome.code == 0, outcome.err
    for folder, pattern in (
        (Path("run"), r"(d0|'=1\+1)/<b>\d+ & 'x\n\x1b\[31m\.(png|jpg)"),
        (finished, r"\d+"),
    ):
        with (folder / "mistakes.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        matrix = summary_of(folder)["confusion_matrix"]
        wrong = sum(n for t, row in enumerate(matrix) for p, n in enumerate(row) if t != p)
        assert len(rows) == wrong > 0
        assert all(re.fullmatch(pattern, row["image"]) for row in rows), rows[0]
        if folder == Path("run"):
            assert {row[name] for row in rows for name in ("true_class", "predicted_class")} == {
                "d0",
                "'=1+1",
            }
        page = page_of(folder)
        data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
        assert data is not None
        names = json.loads(data[1])["files"]
        captions = [
            text.replace("<wbr>", "") for text in re.findall(r'<span class="file">(.*?)</span>', page)
        ]
        assert captions and set(map(html.unescape, captions)) <= set(names)
        prefix = "" if folder == Path("run") else "image "
        worst = prefix + rows[0]["image"].removeprefix("'").replace("\n", "\\n").replace("\x1b", "\\x1b")
        assert html.unescape(captions[0]) == worst
        assert "<b>" not in page.replace("<b>the", "") and "\x1b" not in page
    labels = MNISTMini(train=False).labels
    for row in rows:  # the index is that of the image in the test set
        assert str(int(labels[int(row["image"])])) == row["true_class"]


def test_the_head_names_network_data_and_sizes(finished: Path) -> None:
    page = page_of(finished)
    head = page[: page.index("<nav>")]
    assert "<p>CNN, 6,794 parameters" in head
    assert "MNISTMini: 400 train, 500 validation and 1,000 test images, 28×28 grey, 10 classes" in head


def test_a_diverged_run_keeps_its_figures_apart() -> None:
    assert format_loss(4836977.1386) == "4.84e+06" and format_loss(2.30258) == "2.3026"


@pytest.mark.usefixtures("undrawn")
def test_what_takes_too_long_leaves_no_empty_card(
    cnntrain: Command, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, "run")
    monkeypatch.setattr("cnntrain.tasks.classification.report.translation.SHIFT_SECONDS", 0.0)
    assert cnntrain("report", "run").code == 0
    page = page_of(Path("run"))
    assert sections_of(page) == SECTIONS - {"robustness"}
    assert "Not on this page: accuracy on translated images, which takes longer than 0 s here." in page
    text = page_of(finished)
    told = re.search(r"Accuracy on (all 1,000|[\d,]+ of 1,000) test images( \(as many as 2 s allow,)?", text)
    assert told is not None and (told[1] == "all 1,000") == (told[2] is None)
    assert "moved up, down, left and right" in text


@pytest.mark.usefixtures("undrawn")
def test_without_validation_an_unfinished_run_shows_its_model_and_curves(cnntrain: Command) -> None:
    words = ("data.val_fraction=0", "data.cache=off", "data.num_classes=10")
    assert cnntrain("train", *SMALL, *words, "out=run").code == 0
    assert sections_of(page_of(Path("run"))) == SECTIONS
    Path("run/summary.json").unlink()

    assert cnntrain("report", "run").code == 0

    page = page_of(Path("run"))
    assert "Nothing is measured yet" in page
    assert sections_of(page) == {"curves", "filters", "layers", "environment", "configuration"}


def test_many_classes_in_colour_stay_small(cnntrain: Command) -> None:
    words = ("data=fake", "data.num_classes=60", "data.source.size=1200", "data.image_size=24")
    assert cnntrain("train", *SMALL, *words, "out=run").code == 0
    page = page_of(Path("run"))
    assert "Of 60 classes these are the 40 with the most mistakes" in page
    assert page.count('<th scope="row">class ') == 40
    assert page.count("<td>class ") == 60
    assert len(page) < 3_000_000


@pytest.mark.usefixtures("undrawn")
def test_a_class_of_ones_own_is_shown_as_far_as_it_can_be(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("nets.py").write_text(
        "import torch\nfrom torch import nn\n\n\n"
        "class Odd(nn.Module):\n"
        "    def __init__(self, in_features: int, num_classes: int):\n"
        "        super().__init__()\n"
        "        self.weight = nn.Parameter(torch.zeros(in_features, num_classes))\n\n"
        "    def forward(self, x):\n"
        "        if len(x) == 3 and not self.training:\n            raise KeyError('three')\n"
        "        return x.flatten(1) @ self.weight\n"
    )
    words = ("limit=200", "epochs=1", *PLAIN, "model._target_=nets.Odd", "out=run")
    outcome = cnntrain("train", *words)
    assert (outcome.code, outcome.err) == (0, "")
    page = page_of(Path("run"))
    assert "No layer takes the image itself" in page
    assert "This can&#x27;t be shown for Odd: KeyError: &#x27;three&#x27; (nets.py, line 12)" in page
    assert cnntrain("report", "run").code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("another").absolute()))  # of who has not made the run
    is_told(cnntrain("report", "run"), "nets.Odd", "trust=[nets]")
    assert cnntrain("report", "run", "trust=[nets]").code == 0


@pytest.mark.usefixtures("undrawn")
def test_of_a_sweep_the_best_job_has_one_and_any_other_can_have_it(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *SMALL, "optim.lr=1e-9,1e-3", "out=sweep")
    assert (outcome.code, outcome.err) == (0, "")
    assert [str(path.parent) for path in Path("sweep").glob("*/report.html")] == ["sweep/optim.lr-0.001"]
    assert "report: sweep/optim.lr-0.001/report.html" in outcome.out
    assert "report:" not in cnntrain("resume", "sweep").out  # it is there

    assert cnntrain("report", "sweep/optim.lr-1e-09").code == 0

    assert sections_of(page_of(Path("sweep/optim.lr-1e-09"))) == SECTIONS
    is_told(cnntrain("report", "sweep"), "sweep is a sweep: name one of its jobs")


def test_a_sweep_can_do_without(cnntrain: Command) -> None:
    assert cnntrain("train", "-m", *SMALL, "seed=1,2", "report=false", "out=sweep").code == 0
    assert not list(Path("sweep").glob("*/report.html"))


# ---- what goes wrong


@pytest.mark.usefixtures("undrawn")
def test_a_report_that_cannot_be_written_costs_no_run(cnntrain: Command, finished: Path) -> None:
    shutil.copytree(finished, "run")
    shutil.rmtree("run/plots")
    Path("run/plots").touch()

    outcome = cnntrain("resume", "run", "epochs=3", "report=true")

    assert outcome.code == 0
    assert "warning the report could not be written" in outcome.err
    assert summary_of(Path("run"))["epochs"] == 3
    outcome = cnntrain("report", "run")
    assert outcome.code == 1
    assert outcome.err.startswith("cnntrain: the report of run can't be written: ")


def test_wrong_words_are_told_before_anything_is_read(torchless: Command) -> None:
    is_told(torchless("report"), "report needs a run: cnntrain report last")
    is_told(torchless("report", "nowhere"), "there is no run nowhere")
    is_told(
        torchless("report", "run", "epochs=3"), "epochs can't be changed by report", "report takes data.root"
    )
    is_told(torchless("report", "run", "--html"), "report has no flag --html")
    Path("model.pt").touch()
    is_told(torchless("report", "model.pt"), "model.pt is not in a run folder")
    is_told(torchless("train", "report=maybe"), "report=maybe is not possible", "true or false")


def test_other_data_are_not_taken_for_those_of_the_run(cnntrain: Command, finished: Path) -> None:
    shutil.copytree(finished, "run")
    last = Path("run/checkpoints/last.pt")
    state = checkpoint.load(last)
    state["data_fingerprint"] += 1
    checkpoint.write(checkpoint.serialize(state), last)
    is_told(cnntrain("report", "run"), "the data are not those of run", "data.root=DIR")


# ---- what is measured


def test_the_calibration_error_is_that_of_guo_et_al() -> None:
    labels, predicted = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 0, 0, 1, 1])
    confidence = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.6])
    found = ImagePredictions(labels, predicted, confidence).calibration()
    assert sum(found.counts) == 5
    # Four at 0.9, of which 0.75 are right; one at 0.6, which is.
    assert found.error == pytest.approx(4 / 5 * 0.15 + 1 / 5 * 0.4)


def test_predictions_are_those_of_the_logits_in_order() -> None:
    predictions = PredictionCollector()
    logits = torch.randn(10, 3)
    for part in (slice(0, 4), slice(4, 10)):
        predictions.add(logits[part], torch.arange(10)[part] % 3)
    result = predictions.all_results()
    assert torch.equal(result.predicted, logits.argmax(dim=1))
    assert torch.allclose(result.confidence, logits.softmax(dim=1).max(dim=1).values)
    surest = result.mistakes(2)
    wrong = [index for index in range(10) if not result.correct[index]]
    assert surest == sorted(wrong, key=lambda index: -float(result.confidence[index]))[:2]


def test_cells_share_the_room_and_mistakes_come_first() -> None:
    labels = torch.tensor([0] * 50 + [1] * 50)
    predicted = torch.tensor([0] * 49 + [1] + [1] * 47 + [0] * 3)
    result = ImagePredictions(labels, predicted, torch.linspace(0.5, 1, 100))
    cells = result.in_cells(most=6, in_cell=16)
    assert {cell: len(some) for cell, some in cells.items()} == {
        (0, 1): 1,
        (1, 0): 2,
        (0, 0): 2,
        (1, 1): 1,
    } or {cell: len(some) for cell, some in cells.items()} == {(0, 1): 1, (1, 0): 2, (0, 0): 1, (1, 1): 2}
    assert cells[1, 0] == [99, 98]
    assert {len(some) for some in result.in_cells(1000, 16).values()} == {1, 3, 16}


class Slow(nn.Module):
    """Takes a fiftieth of a second for each image, by a clock of its own."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.now += 0.02 * len(x)
        return x.flatten(1)


def test_a_slow_model_is_shifted_less_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.zeros(200, 1, 256, 256, dtype=torch.uint8)
    asked = (images, Normalize([0.0], [1.0], torch.device("cpu")), FP32)
    assert images_in_time(nn.Flatten(), *asked, seconds=60) == 200
    slow = Slow()
    monkeypatch.setattr("cnntrain.tasks.classification.report.translation.time", slow)
    assert images_in_time(slow, *asked, seconds=0.4) == 0
    assert images_in_time(slow, *asked, seconds=17 * 0.02 * 150.5) == 150


def test_the_first_filters_are_the_weights_as_images() -> None:
    mlp = MLP(3 * 8 * 8, [70], 5)
    found = first_filters(mlp, (3, 8, 8))
    assert found is not None and (found.layer, found.total) == ("hidden.0", 70)
    assert torch.equal(found.weights, mlp.hidden[0].weight[:64].view(64, 3, 8, 8))  # type: ignore[index]
    cnn = CNN((3, 8, 8), 5, [4, 6])
    found = first_filters(cnn, (3, 8, 8))
    assert found is not None and torch.equal(found.weights, cnn.features[0].weight)


def test_feature_maps_are_what_the_layers_give() -> None:
    model = CNN((1, 8, 8), 5, [4, 6]).eval()
    x = torch.randn(2, 1, 8, 8)
    maps = {found.layer: found for found in feature_maps(model, x, FP32)}
    assert torch.equal(maps["features.0"].values, model.features[0](x))
    assert torch.equal(maps["classifier.output"].values[:, 0, 0], model(x))
    assert maps["features.3"].total == 6


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "mobilenet_v3_small"])
def test_of_deep_networks_the_ends_of_the_stages_are_shown_in_order(name: str) -> None:
    model = Torchvision(name, None, False, 3, 64, 5)
    maps = feature_maps(model, torch.randn(2, 3, 64, 64), FP32)
    sides = [found.values.shape[2] for found in maps[:-1]]
    assert sides == sorted(set(sides), reverse=True) and len(sides) >= 5  # each resolution once, downwards
    assert all(found.ends_stage for found in maps[:-1]) and not maps[-1].ends_stage
    assert maps[-1].total == 5 and which(maps) == (
        "the ends of the stages, where the resolution changes, and the output"
    )
    if name.startswith("resnet"):
        stages = ("relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")
        assert [found.layer for found in maps] == [f"network.{stage}" for stage in stages]
        assert title(maps[2]).endswith("maps of 8×8, end of its stage")


# ---- the command that makes a run again


@pytest.mark.parametrize(
    "words",
    [
        "",
        "model=mlp optim=sgd optim.lr=1e-2 augment=digits augment.shift=3 seed=4 limit=100",
        "experiment=mnist99 data.root='a b'",
        "model._target_=my_pkg.MyNet model.width=7 model.name=\"'a, b'\" optim._target_=torch.optim.NAdam",
        "criterion._target_=torch.nn.MultiMarginLoss schedule=onecycle schedule.warmup=0.5",
        "data=cifar10 augment=photos augment.mixup=0.2 'model.channels=[8,16]' data.split_seed=5",
    ],
)
def test_the_command_makes_the_same_configuration(words: str) -> None:
    config = plain(compose(normalized(shlex.split(words))))
    command = command_of(dict(leaves(config)), "val_accuracy")
    assert command is not None and command.startswith("cnntrain train")
    assert plain(compose(normalized(shlex.split(command)[2:]))) == config


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("model=mlp", "cnntrain train model=mlp"),
        ("data=mnist_canvas model=unet", "cnntrain train data=mnist_canvas "),
        ("data=m2nist model=unet epochs=10", "cnntrain train epochs=10 data=m2nist "),
        ("data=mnist_canvas model=unet batch_size=32 criterion=cross_entropy", "batch_size=32"),
        ("data=mnist_canvas model=unet criterion.label_smoothing=0.1", "criterion.label_smoothing=0.1"),
    ],
)
def test_the_command_names_what_neither_the_data_nor_the_task_imply(words: str, told: str) -> None:
    config = composed(shlex.split(words), None).completed()
    command = command_of(dict(leaves(config)), config["monitor"])
    assert command is not None and told in command and ("criterion" in command) == ("criterion" in words)
    assert composed(shlex.split(command)[2:], None).completed() == config


def test_the_command_on_the_page_makes_the_same_weights(cnntrain: Command, finished: Path) -> None:
    command = re.search("<pre>(.*?)</pre>", page_of(finished))
    assert command is not None
    words = shlex.split(html.unescape(command[1]))[1:]
    assert cnntrain(*words, "out=again", "report=false").code == 0
    ours, theirs = (
        torch.load(folder / "checkpoints/last.pt", weights_only=True)["model"]
        for folder in (Path("again"), finished)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
