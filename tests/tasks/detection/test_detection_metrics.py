"""Average precision, matches and errors, on boxes whose result is known."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from work import calls_of

from cnntrain.runtime.console import Console
from cnntrain.tasks import Detection
from cnntrain.tasks.detection.average_precision import NAMES, average_precision
from cnntrain.tasks.detection.boxes import detections
from cnntrain.tasks.detection.matching import KINDS, matched
from cnntrain.tasks.detection.metrics import DetectionResult
from cnntrain.tasks.detection.report.sections import curves_by_score
from cnntrain.tasks.detection.screen import show_result

NO_BOX = [0.0, 0.0, 0.0, 0.0, 0.0, -1.0]
OBJECTS = torch.tensor(
    [[[0.0, 0, 20, 20, 0, 0], [30, 30, 50, 50, 1, 0]], [[5, 5, 15, 15, 1, 0], [0, 0, 0, 0, -1, 0]]]
)


def result(found: Tensor, truth: Tensor = OBJECTS, classes: int = 2) -> DetectionResult:
    return DetectionResult(0.0, len(truth), truth, found, classes, 0.5)


def exact(truth: Tensor = OBJECTS) -> Tensor:
    found = torch.cat([truth[..., :4], torch.full((*truth.shape[:2], 1), 0.9), truth[..., 4:5]], dim=2)
    return found.where(truth[..., 4:5] >= 0, torch.tensor(NO_BOX))


def test_boxes_as_they_are_have_ap_1() -> None:
    perfect = result(exact())
    assert (perfect.ap, perfect.ap50, perfect.number("ar100")) == (1, 1, 1)
    assert [row["objects"] for row in perfect.per_class(("a", "b"))] == [1, 2]


def test_no_box_at_all_has_ap_0_and_no_object_at_all_none() -> None:
    nothing = torch.tensor([[NO_BOX]] * 2)
    assert result(nothing).ap == 0
    assert result(nothing, torch.tensor([[[0.0, 0, 0, 0, -1, 0]]] * 2)).as_dict()["ap75"] is None


def test_a_crowd_counts_neither_as_missed_nor_as_wrong() -> None:
    crowd = OBJECTS.clone()
    crowd[0, 1, 5] = 1
    found = exact()
    assert result(found, crowd).ap == 1
    found[0, 1] = torch.tensor(NO_BOX)
    assert result(found, crowd).ap == 1 and result(found).ap < 1


def test_ap_equals_that_of_another_implementation() -> None:
    """hotcoco is a second implementation of COCO's evaluation, written in Rust.

    Crowds, images without objects, and images without boxes are among them.
    """
    hotcoco = pytest.importorskip("hotcoco")
    truth, found = random_boxes(1000)
    assert (truth[..., 5] == 1).any() and (truth[..., 4] < 0).all(dim=1).any()
    assert (found[..., 5] < 0).all(dim=1).any() and len(NAMES) == 12
    ours = average_precision(truth, found, 4).numbers
    from cnntrain.tasks.detection.average_precision import objects_in, results

    known = hotcoco.COCO(
        {
            "images": [{"id": n + 1, "width": 200, "height": 200} for n in range(len(truth))],
            "categories": [{"id": n + 1, "name": str(n)} for n in range(4)],
            "annotations": objects_in(truth),
        }
    )
    other = hotcoco.COCOeval(known, known.load_res(results(found)), "bbox")
    other.evaluate()
    other.accumulate()
    other.summarize()
    for name, value in zip(NAMES, other.stats, strict=False):
        assert ours[name] == pytest.approx(value, abs=1e-6), name


def random_boxes(images: int) -> tuple[Tensor, Tensor]:
    """Random objects with a crowd among them, and boxes near most of them, of 4 classes."""
    draw = random.Random(0)
    truth, found = [], []
    for _ in range(images):
        objects, boxes = [], []
        for _ in range(draw.randrange(6)):
            x, y, w, h = (
                draw.uniform(0, 100),
                draw.uniform(0, 100),
                draw.uniform(4, 110),
                draw.uniform(4, 110),
            )
            label = draw.randrange(4)
            objects.append([x, y, x + w, y + h, label, float(draw.random() < 0.05)])
            for _ in range(draw.randrange(3)):
                dx, dy = draw.gauss(0, 0.1) * w, draw.gauss(0, 0.1) * h
                label = label if draw.random() < 0.8 else draw.randrange(4)
                boxes.append([x + dx, y + dy, x + w, y + h + dy, round(draw.random(), 2), label])
        boxes.sort(key=lambda box: -box[4])
        truth.append(objects + [[0.0, 0, 0, 0, -1, 0]] * (6 - len(objects)))
        found.append(boxes + [NO_BOX] * (12 - len(boxes)))
    return torch.tensor(truth, dtype=torch.float32), torch.tensor(found, dtype=torch.float32)


def test_the_work_of_an_evaluation_grows_with_the_images_and_not_with_their_boxes() -> None:
    """Where 12 s became 9.5 minutes: torchmetrics#1024. 100 boxes an image are more than a network finds."""

    def calls(images: int) -> int:
        """Return the calls of an evaluation of images with 96 boxes each."""
        truth, found = random_boxes(images)
        many = found.repeat(1, 8, 1)[:, :96]
        many[..., 4] = many[..., 4] * torch.linspace(1, 0.5, 96)
        assert 0 < result(many, truth, 4).ap < 1
        return calls_of(lambda: result(many, truth, 4).as_dict())

    few, many = calls(50), calls(200)
    assert many < 5 * few and many < 200 * 600  # 287 an image, which is 3 a box


def test_what_is_wrong_with_each_box_is_told() -> None:
    found = torch.tensor(
        [
            [
                [0.0, 0, 20, 20, 0.9, 0],
                [1, 0, 20, 20, 0.8, 0],
                [30, 30, 50, 50, 0.7, 0],
                [100, 100, 120, 120, 0.6, 1],
            ],
            [[5, 5, 15, 9, 0.5, 1], NO_BOX, NO_BOX, NO_BOX],
        ]
    )
    matches = matched(OBJECTS, found)
    kinds = [KINDS[kind] for kind in matches.kind.tolist()]
    assert kinds == ["right", "duplicate", "confused", "background", "mislocated"]
    assert matches.errors(0.55) == {
        "duplicate": 1,
        "mislocated": 0,
        "confused": 1,
        "background": 1,
        "missed": 2,
    }
    precision, recall = matches.curves([0.0, 0.85, 0.95])
    assert precision.tolist() == pytest.approx([1 / 5, 1, 1]) and recall.tolist() == pytest.approx(
        [1 / 3, 1 / 3, 0]
    )


def test_the_threshold_is_the_middle_of_the_scores_with_the_highest_f1() -> None:
    found = exact()
    found[1, 1] = torch.tensor([90.0, 90, 95, 95, 0.4, 0])  # wrong, and less sure than the right ones
    task = Detection((1, 64, 64), 2)
    assert task.chosen(result(found)) == {"threshold": 0.65}  # of 0.41 to 0.89
    assert task.chosen(result(torch.tensor([[NO_BOX]] * 2))) == {}
    task.use({"threshold": 0.65})
    assert task.evaluation(torch.device("cpu")).threshold == 0.65
    task.use({})
    assert task.threshold == 0.25


def test_precision_and_recall_count_boxes_from_the_threshold_on() -> None:
    found = exact()
    found[0, 1, 4] = 0.4  # right, but below the threshold of 0.5
    found[1, 1] = torch.tensor([90.0, 90, 95, 95, 0.7, 0])
    numbers = result(found).as_dict()
    assert (numbers["precision"], numbers["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert numbers["threshold"] == 0.5


def test_precision_by_score_ends_where_the_boxes_end() -> None:
    thresholds, curves = curves_by_score(matched(OBJECTS, exact()))
    assert (thresholds[0], thresholds[-1]) == (0.01, 0.89)  # 0.9 in 32 bits is less
    assert all(len(values) == len(thresholds) for values in curves.values())
    crowd = OBJECTS.clone()
    crowd[0, 0, 5] = 1
    found = exact()
    found[0, 0, 4] = 0.99  # the box of the crowd, which does not count
    thresholds, curves = curves_by_score(matched(crowd, found))
    assert thresholds[-1] == 0.89 and curves["precision"][-1] == 1
    assert curves_by_score(matched(OBJECTS, torch.tensor([[NO_BOX]] * 2)))[0] == []


@pytest.mark.parametrize(
    ("found", "cells"),
    [
        ([[5.0, 5, 15, 15, 0.9, 1]], {(1, 1): 1}),
        ([[5.0, 5, 15, 15, 0.9, 0]], {(1, 0): 1}),
        ([], {(1, 2): 1}),
        ([[80.0, 80, 90, 90, 0.9, 0]], {(1, 2): 1, (2, 0): 1}),
    ],
)
def test_the_confusion_matrix_has_objects_in_rows_and_background_last(
    found: list[list[float]], cells: dict[tuple[int, int], int]
) -> None:
    boxes = torch.tensor([found + [NO_BOX] * (1 - len(found))])
    matrix = matched(OBJECTS[1:], boxes).confusion(0.5, 2)
    assert {tuple(place): int(matrix[tuple(place)]) for place in matrix.nonzero().tolist()} == cells


def test_a_single_image_is_no_images(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(Console(1), "test", result(exact()[:1], OBJECTS[:1]))
    assert "(1 image)" in capsys.readouterr().out


def test_the_same_numbers_whatever_the_size_of_the_batches() -> None:
    truth, _ = random_boxes(12)
    task = Detection((1, 64, 64), 4)
    output, _ = task.noise(12, 3.0)
    results = []
    for size in (1, 5, 12):
        evaluation = task.evaluation(torch.device("cpu"))
        for x, y in zip(output.split(size), truth.split(size), strict=True):
            evaluation.update(torch.tensor(1.0), x, y)
        results.append(evaluation.result().as_dict())
    assert results[0] == results[1] == results[2]


def test_of_boxes_that_overlap_the_surest_is_kept_for_each_class() -> None:
    cells = torch.tensor(
        [[[4.0, 4, 0, 0, 8, 8, 3.0, -9], [12, 4, 1, 0, 9, 8, 2.0, 2.5], [4, 12, 0, 20, 8, 28, -9, 1.0]]]
    )
    found = detections(cells, score=0.5, nms=0.6, most=5)[0]
    assert found[:, 5].tolist() == [0, 1, 1, -1, -1]
    assert found[:3, 4].tolist() == pytest.approx([0.9526, 0.9241, 0.7311], abs=1e-4)
