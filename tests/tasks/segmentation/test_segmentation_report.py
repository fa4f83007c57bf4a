"""The report of a segmentation, and what the training doctor says of masks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from conftest import Command
from torch import Tensor

from cnntrain.config.compose import compose, plain
from cnntrain.config.sections import DoctorSettings
from cnntrain.tasks import Segmentation
from cnntrain.tasks.doctor import Finding, Finished
from cnntrain.tasks.segmentation.predictions import MaskScores
from cnntrain.tasks.segmentation.report.borders import BANDS, bands_of
from cnntrain.tasks.segmentation.report.gallery import Gallery

CANVASES = (
    "data=mnist_canvas",
    "data.canvases=60",
    "data.test_canvases=20",
    "data.image_size=[40,56]",
    "data.digits=[1,1]",
)
RUN = (
    *CANVASES,
    "model=unet",
    "model.width=4",
    "model.depth=2",
    "epochs=1",
    "batch_size=16",
    "precision=fp32",
)
NAMES = ("background", "thing", "other")


def scenes(count: int = 40, side: int = 40) -> tuple[Tensor, Tensor]:
    """Return noisy images of bright rectangles, float (N, 1, H, W), and their masks, int64 (N, H, W)."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(count, side, side, dtype=torch.int64)
    for mask in masks:
        top, left, tall, wide = torch.randint(4, 18, (4,), generator=generator).tolist()
        mask[top : top + tall, left : left + wide] = 1 + int(torch.randint(2, (1,), generator=generator))
    noise = 0.1 * torch.randn(count, 1, side, side, generator=generator)
    return masks[:, None] + noise, masks


def logits(classes: Tensor) -> Tensor:
    return 9.0 * torch.nn.functional.one_hot(classes, len(NAMES)).permute(0, 3, 1, 2)


def told(
    images: Tensor,
    masks: Tensor,
    predicted: Tensor | None = None,
    miou: float = 0.9,
    words: Sequence[str] = (),
) -> list[Finding]:
    """Return what is found in a run with such images and masks, whose model predicts such classes."""
    task = Segmentation((1, *masks.shape[1:]), len(NAMES))
    collector = task.collector()
    is_class = masks != 255
    predicted = masks.where(is_class, 0) if predicted is None else predicted
    collector.observe(images, masks)
    collector.add(logits(predicted), masks)
    kept, row = collector.local_results(), {"step": 500, "train_miou": miou, "val_miou": miou}
    counts = masks[is_class].bincount(minlength=len(NAMES)).tolist()
    settings = DoctorSettings.from_config(plain(compose([*CANVASES, "model=unet", *words])))
    return task.findings(Finished(settings, [row], counts, NAMES, 40, 40, kept, kept, False))


def moved(masks: Tensor) -> Tensor:
    return masks.roll((3, -4), (1, 2))


def flipped(masks: Tensor) -> Tensor:
    return masks.flip(2)


def test_a_healthy_run_is_told_nothing() -> None:
    assert told(*scenes()) == []


@pytest.mark.parametrize(
    ("change", "how"),
    [(moved, "moved 3 pixels up and 4 pixels to the right"), (flipped, "flipped left to right")],
)
def test_masks_that_all_lie_beside_their_images(change: Callable[[Tensor], Tensor], how: str) -> None:
    images, masks = scenes()
    (finding,) = told(images, change(masks))
    assert finding.finding == "the masks do not line up with their images"
    assert how in finding.evidence


def test_masks_of_other_images_are_told_of_a_run_that_has_not_learnt() -> None:
    images, masks = scenes()
    assert told(images, masks.roll(1, 0)) == []
    (finding,) = told(images, masks.roll(1, 0), miou=0.3)
    assert "each in another direction" in finding.evidence


def test_one_class_that_swallows_the_others_and_the_remedies_that_are_not_in_use() -> None:
    images, masks = scenes()
    (finding,) = told(images, masks, torch.zeros_like(masks))
    assert finding.finding == "one class swallows the others" and "background" in finding.evidence
    assert finding.fix == "criterion=ce_dice or balance_classes=true"
    (finding,) = told(images, masks, torch.zeros_like(masks), words=["criterion=ce_dice"])
    assert finding.fix == "balance_classes=true"


def test_a_rare_class_that_is_hardly_found() -> None:
    images, masks = scenes()
    masks[masks == 2] = 0
    masks[:4, :3, :3] = 2
    (finding,) = told(images, masks, masks.where(masks != 2, 0))
    assert finding.finding == "rare classes are hardly found" and "of other" in finding.evidence


def test_rarity_is_not_blamed_where_a_rarer_class_is_found() -> None:
    images, masks = scenes()
    masks[:, :4, :2], masks[:, 36:, :1] = 1, 2
    masks[:, 4:36] = 0
    lost = masks.where(masks != 1, 0)
    assert told(images, masks, lost) == []
    found = told(images, masks, masks.where(masks != 2, 0))
    assert [finding.finding for finding in found] == ["rare classes are hardly found"]


def test_missing_classes_and_masks_that_are_mostly_ignored() -> None:
    images, masks = scenes()
    masks[masks == 2] = 1
    masks[:, :, 15:] = 255
    findings = {finding.finding: finding.evidence for finding in told(images, masks)}
    assert "other" in findings["classes are missing in training"]
    assert "62.5% of the pixels" in findings["most pixels are ignored"]


def test_bands_are_distances_from_the_true_border() -> None:
    y = torch.zeros(1, 1, 60, dtype=torch.int64)
    y[..., 30:] = 1
    y[..., -1] = 255
    bands = bands_of(y)[0, 0].tolist()
    assert [bands[29 - off] for off in (0, 2, 3, 4, 5, 8, 9, 16, 17)] == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert max(bands) == len(BANDS) - 1


def test_the_page_shows_classes_images_and_borders(cnntrain: Command) -> None:
    done = cnntrain("train", *RUN, "out=r")
    assert done.code == 0, done.err
    page, summary = Path("r/report.html").read_text(), json.loads(Path("r/summary.json").read_text())
    for name in ("curves", "confusion", "classes", "images", "borders", "maps", "filters"):
        assert f'<section id="{name}">' in page
    assert f"{summary['test']['miou']:.2%} <small>test mIoU" in page
    assert page.count('class="four"') == 12 and "http://" not in page.replace("http://www.w3.org", "")
    assert {"classes.png", "confusion.png", "borders.png", "miou.png"} <= {
        f.name for f in Path("r/plots").iterdir()
    }
    with Path("r/images.csv").open() as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    scores = [float(row["miou"]) for row in rows]
    assert len(rows) == 20 and scores == sorted(scores)
    assert all(int(row["pixels"]) + int(row["ignored_pixels"]) == 40 * 56 for row in rows)
    Path("r/report.html").unlink()
    assert cnntrain("report", "r").code == 0 and Path("r/report.html").exists()


@pytest.mark.parametrize(("wrong", "ending"), [(0, "pixel accuracy 100.0%"), (8, "worst in thing: 50.0%")])
def test_a_caption_names_the_worst_class_of_an_image_with_errors(wrong: int, ending: str) -> None:
    y = torch.zeros(1, 8, 8, dtype=torch.int64)
    y[:, :, :2] = 1
    predicted = y.clone()
    predicted.view(-1)[torch.arange(0, 8 * wrong, 8)] = 0
    iou = torch.tensor([1.0 if wrong == 0 else 0.7], dtype=torch.float64)
    mask_scores = MaskScores(
        iou, torch.tensor([64 - wrong]), torch.tensor([64]), torch.tensor([0]), torch.zeros(3, 3)
    )
    gallery = Gallery(cast(Any, SimpleNamespace(kept=mask_scores, class_names=NAMES)))
    assert gallery.caption(0, y, predicted).endswith(ending)
