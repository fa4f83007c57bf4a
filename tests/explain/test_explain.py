"""`cnntrain explain`: the five steps with true numbers, and what its topics show and leave behind."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command, is_told, run_folders
from terminal import on_terminal
from torch import nn

from cnntrain.explain import arithmetic, terminal
from cnntrain.explain.arithmetic import describe_parameters, describe_size, trace
from cnntrain.explain.table import TOPICS
from cnntrain.runtime.console import Console, Screen
from cnntrain.text import JOIN

ONE_BATCH = ("limit=32", "batch_size=32", "model=mlp", "precision=fp32", "schedule=constant")
PLAIN = ("precision=fp32", "channels_last=false", "threads=1")
PNG = b"\x89PNG\r\n"


# ---- the five steps


def test_the_arithmetic_of_a_cnn_has_its_numbers_put_in(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "model=cnn", *PLAIN)
    assert outcome.code == 0, outcome.err
    for words in (
        "(28 + 2·1 − 3)/1 + 1 = 28",
        "3·3·1·16 + 16 = 160",
        "(28 − 2)/2 + 1 = 14",
        "32·7·7 = 1,568",
        "4 + (3 − 1)·2 = 8",
        "1568·128 + 128 + 128·10 + 10 = 206,922",
        "(32, 16, 28, 28)",
        "ln(10) = 2.3026",
    ):
        assert words in outcome.out
    assert not Path("outputs").exists()


def test_the_mlp_for_mnist_is_summed_up(cnntrain: Command) -> None:
    assert "784·128 + 128 + 128·10 + 10 = 101,770" in cnntrain("explain", "model=mlp", *PLAIN).out


def test_the_losses_are_those_of_a_run(cnntrain: Command) -> None:
    """On a set of one batch, the loss before the step is epoch 1's, and the loss after it is epoch 2's."""
    assert cnntrain("train", *ONE_BATCH, "epochs=2", "optim=sgd", "report=false").code == 0
    with (run_folders()[0] / "metrics.csv").open() as file:
        before, after = (float(row["train_loss"]) for row in csv.DictReader(file))
    out = cnntrain("explain", *ONE_BATCH, "epochs=2", "optim=sgd").out
    shown = re.search(r"same batch: ([\d.]+) before the step, ([\d.]+) after", out)
    assert shown is not None
    assert [float(value) for value in shown.groups()] == pytest.approx([before, after], abs=2e-4)


def column(out: str, heading: str, name: str) -> dict[str, float]:
    """Return a column of the table whose heading line holds two words, by the first word of its lines."""
    lines = out.splitlines()
    begin = next(index for index, line in enumerate(lines) if heading in line and name in line)
    place = re.split(r"\s{2,}", lines[begin].strip()).index(name)
    rows = (re.split(r"\s{2,}", line.strip()) for line in lines[begin + 1 : begin + 5])
    return {row[0]: float(row[place]) for row in rows if row[place] != "None"}


def test_a_step_of_sgd_is_lr_times_the_gradient(cnntrain: Command) -> None:
    out = cnntrain("explain", *ONE_BATCH, "optim=sgd", "optim.lr=0.5", "schedule.warmup=1").out
    gradients, updates = column(out, "dtype", "‖.grad‖"), column(out, "update / weight", "‖update‖")
    assert len(gradients) == 4
    for name, gradient in gradients.items():
        assert updates[name] == pytest.approx(0.5 * gradient, rel=2e-3)


def test_zero_grad_clears_what_the_batch_before_has_left(cnntrain: Command) -> None:
    out = cnntrain("explain", "model=mlp", "precision=fp32").out
    assert column(out, "‖.grad‖ of parameter", "before") == column(out, "dtype", "‖.grad‖")
    assert column(out, "‖.grad‖ of parameter", "after") == {}  # None, all of them
    assert len(column(out, "‖.grad‖ of parameter", "next batch's")) == 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["model=cnn", "model.dropout=0.5", "model.batch_norm=true"], "BatchNorm2d"),
        (["augment.mixup=0.2", "augment=digits"], "augmentation (rotate 10, shift 2, mixup 0.2)"),
        (["criterion.label_smoothing=0.1", "grad_clip=0.01"], "grad_clip=0.01: all are multiplied by"),
        (["balance_classes=true"], "with class weights"),
        (["precision=bf16"], "layers compute in 16 bits"),
        (["optim._target_=torch.optim.NAdam", "optim.lr=0.003"], "NAdam with lr 0.003"),
        (["criterion._target_=torch.nn.MultiMarginLoss"], "MultiMarginLoss"),
        (["data=fake", "data.source.size=60"], "(32, 3, 32, 32)"),
    ],
)
def test_whatever_is_configured_is_explained(cnntrain: Command, options: list[str], told: str) -> None:
    first = [] if options[0].startswith("model=") else ["model=mlp"]
    plain = [word for word in PLAIN if not options[0].startswith(word.partition("=")[0])]
    outcome = cnntrain("explain", *first, *plain, *options)
    assert outcome.code == 0, outcome.err
    assert told in " ".join(outcome.out.split())


# ---- arithmetic


@pytest.mark.parametrize(
    ("layer", "size", "parameters"),
    [
        (nn.Conv2d(2, 4, 3), "(9 − 3)/1 + 1 = 7", "3·3·2·4 + 4 = 76"),
        (nn.Conv2d(2, 4, 4, stride=2, padding=1, bias=False), "⌊(9 + 2·1 − 4)/2⌋ + 1 = 4", "4·4·2·4 = 128"),
        (nn.Conv2d(2, 4, 3, dilation=2, groups=2), "(9 − (2·(3 − 1) + 1))/1 + 1 = 5", "3·3·1·4 + 4 = 40"),
        (nn.AvgPool2d(3), "(9 − 3)/3 + 1 = 3", ""),
        (nn.MaxPool2d(2, ceil_mode=True), "", ""),
        (nn.Conv2d(2, 4, 3, padding="same"), "", "3·3·2·4 + 4 = 76"),
        (nn.BatchNorm2d(2), "", "2 + 2 = 4"),
        (nn.Flatten(), "2·9·9 = 162", ""),
        (nn.ReLU(), "", ""),
    ],
)
def test_formulas(layer: nn.Module, size: str, parameters: str) -> None:
    (traced,) = trace(nn.Sequential(layer).to("meta"), (2, 9, 9))
    assert (describe_size(traced), describe_parameters(traced)) == (size, parameters)
    if size.count("="):
        result = int(size.rpartition("= ")[2])
        formula = size.rpartition(" = ")[0].replace("·", "*").replace("−", "-").replace("⌊", "math.floor(")
        assert eval(formula.replace("⌋", ")")) == result, math  # the formula, worked out


def test_the_place_of_a_layer_is_the_reach_of_a_real_gradient() -> None:
    layers = [nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(2, 2, 5), nn.AvgPool2d(2)]
    place = trace(nn.Sequential(*layers).to("meta"), (1, 28, 28))[-1].place
    assert place is not None
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            layer.to_empty(device="cpu")
            nn.init.constant_(layer.weight, 1.0)
            nn.init.constant_(layer.bias, 1.0)  # type: ignore[arg-type]
    x = torch.zeros(1, 1, 28, 28, requires_grad=True)
    smooth = [nn.AvgPool2d(2) if isinstance(layer, nn.MaxPool2d) else layer for layer in layers]
    nn.Sequential(*smooth)(x)[0, 0, 2, 3].backward()
    assert x.grad is not None
    rows, columns = (x.grad[0, 0].any(dim=dim).nonzero().flatten() for dim in (1, 0))
    for along, reach in ((2, rows), (3, columns)):
        first = place.start + along * place.jump
        assert (int(reach.min()), int(reach.max())) == (first, first + place.field - 1)


def test_where_branches_meet_no_place_is_made_up() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 1)

        def forward(self, x: Any) -> Any:
            return self.wide(x) + self.narrow(x)

    wide, narrow = trace(Branches().to("meta"), (1, 8, 8))
    assert wide.place == arithmetic.Place(5, 1, -2)
    assert narrow.place is None


# ---- terminals


def test_a_terminal_of_80_columns_shows_every_word_that_a_pipe_gets(cnntrain: Command) -> None:
    typed = ("explain", "model=mlp", "limit=300", *PLAIN)
    piped = cnntrain(*typed).out
    code, written = on_terminal(80, *typed)
    assert code == 0, written
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    is_drawn = set("░▒▓█").issuperset  # images, which a terminal gets in colours
    told = {word for word in piped.replace(";", " ").split() if not is_drawn(word)}
    assert told <= set(shown.replace(";", " ; ").split())
    assert re.search(r"−ln 0\.\d{4} = ", shown), "the logarithm was parted from its number"
    assert "\\x" not in shown + piped and "\u00a0" not in shown + piped


@pytest.mark.parametrize("width", [76, 78, 80, 85, 100])
def test_what_belongs_together_stays_on_a_line_and_names_cost_no_text(width: int) -> None:
    console = Console()
    text = io.StringIO()
    console.screen = Screen(file=text, width=width)
    terminal.words(console, f"{'a ' * 34}−ln{JOIN}0.1058 \x1b\x07 {'b ' * 40}end.")
    lines = text.getvalue().splitlines()
    assert any("−ln 0.1058" in line for line in lines)
    assert "\\x1b\\x07" in text.getvalue() and lines[-1].endswith("end.")
    assert max(map(len, lines)) <= width
    assert text.getvalue().count("b ") + text.getvalue().count("b\n") == 40


@pytest.mark.parametrize("width", [30, 50, 80, 120])
def test_everything_fits_the_terminal(width: int) -> None:
    console = Console()
    text = io.StringIO()
    console.screen = Screen(file=text, width=width)
    terminal.words(console, "[bold]many[/] words " * 20)
    cells = ("classifier.hidden.0.weight", "Linear", "1568·128 + 128 = 200,832", "28")
    terminal.rows(console, ("layer", "kind", "parameters", "sees"), [cells] * 2, left=2)
    terminal.images(console, torch.rand(9, 3, 28, 28), [str(n) for n in range(9)])
    terminal.curves(console, {"a": [3.0, 2.0, math.nan], "b": [3.0, 9.0, 2.5]}, "loss", "step")
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert sum("1568·128 + 128 = 200,832" in line for line in lines) == 2 or width == 30


# ---- topics


def drawn(topic: str) -> dict[str, bytes]:
    """Return the PNG files that a topic has left, by name."""
    return {path.name: path.read_bytes() for path in Path("outputs/explain").glob(f"*_{topic}/*")}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ([], "MLP, SGD, lr 0.02"),  # under which it diverges
        (["optim.lr=0.01"], "MLP, SGD, lr 0.01"),
        (["optim=adam"], "MLP, Adam, lr 0.001"),
    ],
)
def test_without_zero_grad_the_loss_rises(cnntrain: Command, typed: list[str], told: str) -> None:
    words = ("model=mlp", "limit=2000", "batch_size=16", "epochs=1", *PLAIN)  # in bf16 less diverges
    outcome = cnntrain("explain", "zero_grad", *words, *typed)
    assert outcome.code == 0, outcome.err
    assert told in outcome.out
    images = drawn("zero_grad")
    assert list(images) == ["zero_grad.png"] and images["zero_grad.png"].startswith(PNG)
    assert str(next(Path("outputs/explain").glob("*/zero_grad.png"))) in outcome.out
    cleared, kept = (line.split() for line in outcome.out.splitlines() if line.startswith("with"))
    assert cleared[-5] == kept[-5] and cleared[-3] == kept[-3]  # the same first loss and gradient norm
    assert float(cleared[-4]) < float(kept[-4]) and float(cleared[-2]) < float(kept[-2])
    assert ("diverges without it" in outcome.out) == (typed != ["optim=adam"])


def test_a_chart_shows_its_largest_value_at_the_top() -> None:
    console = Console()
    text = io.StringIO()
    console.screen = Screen(file=text, width=80)
    terminal.curves(console, {"a": [2.0, 20.0, 238.0], "b": [2.0, 1.0, math.inf]}, "loss", "step")
    lines = text.getvalue().splitlines()
    assert lines[0].split()[0] == "238" and lines[0].count("•") + lines[0].count("×") > 10
    assert lines[11].split()[0] == "1"


@pytest.mark.parametrize("width", range(40, 60))
def test_a_legend_keeps_each_mark_beside_its_name(width: int) -> None:
    console = Console()
    text = io.StringIO()
    console.screen = Screen(file=text, width=width)
    named = {"SGD, momentum": [2.0, 1.0], "RMSprop": [2.0, 1.5], "Adam": [2.0, 0.5]}
    terminal.curves(console, named, "loss of each batch", "step")
    lines = text.getvalue().splitlines()
    legend = lines[next(n for n, line in enumerate(lines) if "loss of each batch" in line) :]
    assert not any(line.rstrip().endswith(("•", "×", "+")) for line in legend)


def test_shift_measures_an_mlp_and_a_cnn(cnntrain: Command) -> None:
    tiny = ("data=fake", "data.source.size=300", "data.channels=1", "data.image_size=12", *PLAIN)
    outcome = cnntrain("explain", "shift", *tiny)
    assert outcome.code == 0, outcome.err
    heading = next(line for line in outcome.out.splitlines() if line.startswith("test images"))
    assert heading.split()[-2:] == ["MLP", "CNN"]
    rows = [line.split()[-2:] for line in outcome.out.splitlines() if re.match(r"\d pixels? ", line)]
    assert len(rows) == 5
    assert float(rows[0][0].rstrip("%")) > float(rows[4][0].rstrip("%"))
    assert drawn("shift")["shift.png"].startswith(PNG)


def test_a_run_is_looked_at(cnntrain: Command) -> None:
    small = (*PLAIN, "model=cnn", "model.channels=[3,4]", "model.head=[6]")
    assert cnntrain("train", "limit=200", "epochs=1", *small, "report=false").code == 0
    accuracy = json.loads((run_folders()[0] / "summary.json").read_text())["test"]["accuracy"]
    outcome = cnntrain("explain", "shift", "run=last", "out=shifted")
    assert outcome.code == 0, outcome.err
    assert f"{accuracy:.2%}" in outcome.out
    assert [path.name for path in Path("shifted").iterdir()] == ["shift.png"]

    outcome = cnntrain("explain", "filters", "run=last")
    assert outcome.code == 0, outcome.err
    layers = ["features.0", "features.3", "classifier.hidden.0", "classifier.output"]
    assert set(drawn("filters")) == {f"{layer}.png" for layer in layers}
    assert all(image.startswith(PNG) for image in drawn("filters").values())
    assert "8×8 pixels" in outcome.out


def test_the_best_patch_of_a_filter_is_where_it_answers_most(cnntrain: Command) -> None:
    from cnntrain.cli.explain import subjects_of
    from cnntrain.cli.main import run
    from cnntrain.explain.setup import explained_models
    from cnntrain.explain.topics.images.filters import cut, responses

    assert run(["train", *TINY, *PLAIN, "model=cnn", "model.channels=[3]", "model.padding=valid", "-q"]) == 0
    (model,) = explained_models(subjects_of(TOPICS["filters"], ["run=last"]), Console(0))
    values, places = responses(model, ["features.0"])["features.0"]
    layer = model.model.get_submodule("features.0")
    row = trace(nn.Sequential(nn.Conv2d(1, 3, 3)).to("meta"), (1, 28, 28))[0]
    for index_of_image in range(5):
        image, _ = model.data.test[index_of_image]
        for index in range(3):
            patch = model.normalize(cut(image, row, int(places[index_of_image, index]))[None])
            assert layer(patch)[0, index].item() == pytest.approx(
                float(values[index_of_image, index]), abs=1e-5
            )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["filter"], ["unknown topic 'filter': did you mean filters?"]),
        (
            ["nonsense"],
            [f"unknown topic 'nonsense'; topics: {', '.join(TOPICS)}; without one: the five steps"],
        ),
        (["shift", "filters"], ["one topic at a time"]),
        (
            ["zero_grad", "run=last"],
            ["run=last: only explain parameters, shift, convolution", " take a run"],
        ),
        (["filters", "run=a", "run=b"], ["explain filters takes one run, not 2"]),
        (["shift", "run=nowhere"], ["there is no run nowhere"]),
        (["seeds=3"], ["seeds=3 makes a sweep", "seed=N"]),
        (["filters", "runs=last"], ["unknown key runs: did you mean run?"]),
        (["filters", "run=last", "epochs=3"], ["epochs can't be changed by explain"]),
        (["model=cn"], ["unknown model 'cn': did you mean model=cnn?"]),
        (["--as-scrip", "a.py"], ["did you mean --as-script?"]),
        (["--as-script"], ["--as-script needs a value"]),
    ],
)
def test_wrong_input_is_told_before_torch_is_imported(
    torchless: Command, words: list[str], told: list[str]
) -> None:
    is_told(torchless("explain", *words), *told)
    assert not Path("outputs").exists()


def test_a_mistake_leaves_no_folder_behind(cnntrain: Command) -> None:
    is_told(cnntrain("explain", "filters", "model._target_=torch.nn.Identity"), "model: Identity gives")
    assert not Path("outputs").exists()


def test_why_pooling_stands_before_relu_is_told(cnntrain: Command) -> None:
    """The course has Conv, ReLU, Pool."""

    def told(*words: str) -> str:
        return " ".join(cnntrain(*words).out.split())

    for command in (["summary"], ["explain", "steps", "limit=64", *PLAIN]):
        assert "Conv, ReLU, Pool gives the same numbers" in told(*command, "model=cnn")
        assert "Pooling comes before" not in told(*command, "model=cnn", "model.pool=avg")
        assert "not give quite the same" in told(*command, "model=cnn", "model.batch_norm=true")
