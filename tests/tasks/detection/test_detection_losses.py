"""What cells learn: which objects, how much, and that nothing is left out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cnntrain.compute.outputs import predictions_of
from cnntrain.models import FasterRCNN, Yolo
from cnntrain.tasks import Detection
from cnntrain.tasks.detection.assignment import assigned
from cnntrain.tasks.detection.boxes import BOX, BOX_OF, CENTRE, exist, pairwise_iou
from cnntrain.tasks.detection.losses import DetectionLoss
from cnntrain.tasks.losses import check_mean

NO_BOX = [0.0, 0.0, 0.0, 0.0, -1.0, 0.0]


def said(*images: Tensor, classes: int = 3) -> Tensor:
    torch.manual_seed(0)
    return Yolo(1, classes, width=4)(torch.stack(images))


def noise(side: int = 64) -> Tensor:
    return torch.rand(1, side, side, generator=torch.Generator().manual_seed(0))


def owners(objects: Tensor) -> list[list[int]]:
    """The cells that learn each object of one image."""
    output, y = said(noise()), objects[None]
    scores = torch.full((1, y.shape[1], output.shape[1]), 0.01)
    found = assigned(output[..., CENTRE], output[..., BOX], scores, y[..., BOX_OF], exist(y))
    return [
        ((found.owner[0] == place) & (found.wanted[0] > 0)).nonzero().flatten().tolist()
        for place in range(len(objects))
    ]


def test_the_loss_is_a_mean_over_objects_and_images_however_a_batch_is_cut() -> None:
    check_mean(DetectionLoss(), Detection((1, 64, 64), 3), mixes=False)


@pytest.mark.parametrize("side", [1, 7, 63, 64, 130])
def test_an_image_of_any_size_gives_boxes_around_cells_that_fill_it(side: int) -> None:
    output = said(noise(side), noise(side))
    Detection((1, side, side), 3).check_output("Yolo", output)
    assert output[..., CENTRE].min() == 4 and output[..., CENTRE].amax() >= side - 8


def test_an_image_without_objects_is_background_with_a_finite_loss() -> None:
    output = said(noise(), noise())
    output.retain_grad()
    loss = DetectionLoss()(output, torch.tensor([[NO_BOX, NO_BOX], [NO_BOX, NO_BOX]]))
    loss.backward()
    assert loss > 0 and output.grad is not None and output.grad.isfinite().all()
    assert (output.grad[..., 6:] > 0).all(), "each class is unlearnt in each cell"


def test_each_object_has_a_cell_however_small_and_close_they_are() -> None:
    tiny = torch.tensor([[20.5 + i, 20.5, 21.5 + i, 21.5, i % 3, 0.0] for i in range(8)])
    cells = owners(torch.cat([tiny, torch.tensor([[0.0, 0, 64, 64, 1, 0], NO_BOX])]))
    assert all(cells[:9]) and not cells[9]
    assert len({cell for own in cells for cell in own}) == sum(map(len, cells)), "no cell learns two objects"


def test_an_object_is_learnt_by_its_own_cell_and_the_ten_within_its_box_that_fit_best() -> None:
    (cells,) = owners(torch.tensor([[8.0, 8, 56, 56, 0, 0]]))
    centres = said(noise())[0, cells, CENTRE]
    assert 10 <= len(cells) <= 11 and ((centres > 8) & (centres < 56)).all()


def test_a_crowd_is_neither_learnt_nor_unlearnt() -> None:
    output = said(noise())
    output.retain_grad()
    DetectionLoss()(output, torch.tensor([[[0.0, 0, 32, 64, 1, 1]]])).backward()
    assert output.grad is not None
    within = output[0, :, 0] < 32
    assert (output.grad[0, within] == 0).all() and (output.grad[0, ~within, 6:] > 0).all()


def test_the_loss_of_right_boxes_is_near_zero_and_rises_as_they_move() -> None:
    output = said(noise()).detach()
    y = torch.tensor([[[16.0, 16, 40, 40, 2, 0]]])
    output[..., 6:], output[..., 8] = -20.0, -20.0
    is_inside = ((output[..., CENTRE] > 16) & (output[..., CENTRE] < 40)).all(dim=-1)
    output[is_inside] = torch.cat(
        [output[is_inside][:, CENTRE], y[0, :, BOX_OF].expand(int(is_inside.sum()), -1),
         torch.tensor([[-20.0, -20, 20]]).expand(int(is_inside.sum()), -1)], dim=1
    )  # fmt: skip
    right = float(DetectionLoss()(output[:, is_inside[0]][:, :9], y))
    moved = output[:, is_inside[0]][:, :9].clone()
    moved[..., BOX] += 6
    assert right == pytest.approx(0, abs=1e-3) and DetectionLoss()(moved, y) > 1


def test_a_two_stage_network_gives_losses_and_cells_of_images_with_and_without_objects() -> None:
    torch.manual_seed(0)
    network, task = FasterRCNN(1, 3, width=4), Detection((1, 64, 64), 3)
    images = torch.stack([noise(), noise()])
    y = torch.tensor([[[8.0, 8, 40, 40, 0, 0], NO_BOX], [[0, 0, 64, 64, 2, 1], NO_BOX]])
    loss = DetectionLoss()(network(images), y)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    state = torch.get_rng_state()
    output = network(images)
    task.check_output("FasterRCNN", output)
    assert DetectionLoss()(output, y) == DetectionLoss()(output, y), "the same proposals each time"
    assert torch.equal(torch.get_rng_state(), state) and not network.heads.rpn.training
    assert task.activate(predictions_of(output)).shape == (2, 100, 6)


def test_background_is_no_class_of_a_two_stage_network_for_one_class() -> None:
    """Class 0 is an object, and not the background of the heads: vision#1952, vision#1360."""
    torch.manual_seed(0)
    network, task = FasterRCNN(1, 1, width=4), Detection((1, 64, 64), 1)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    y = torch.tensor([[[12.0, 16, 44, 48, 0, 0]]]).repeat(4, 1, 1)
    images = torch.zeros(4, 1, 64, 64)
    images[:, :, 16:48, 12:44] = 1
    for _ in range(40):
        optimizer.zero_grad()
        DetectionLoss()(network(images), y).backward()
        optimizer.step()
    found = task.boxes(predictions_of(network.eval()(images)), 0.01, 0.6, 5)
    assert set(found[..., 5].unique().tolist()) <= {0.0, -1.0}
    assert found[0, 0, 5] == 0 and pairwise_iou(found[:, :1, :4], y[..., :4]).min() > 0.5


@pytest.mark.parametrize("kind", [Yolo, FasterRCNN])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_boxes_and_losses_are_those_of_float32_under_autocast(
    kind: type[Yolo | FasterRCNN], dtype: torch.dtype
) -> None:
    """Half a pixel in 600 is lost in 16 bits, and areas overflow: mmdetection#3292, yolor#95."""
    torch.manual_seed(0)
    network = kind(1, 2, width=4)
    y = torch.tensor([[[0.0, 0, 639.5, 300, 0, 0], [400, 10, 640, 320, 1, 0]]])  # areas above 65,504
    with torch.autocast("cpu", dtype):
        loss = DetectionLoss()(network(torch.rand(1, 1, 320, 640)), y)
    assert loss.dtype == torch.float32 and loss.isfinite()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    with torch.autocast("cpu", dtype):
        cells = predictions_of(network.eval()(torch.rand(1, 1, 320, 640)))
    assert cells.dtype == torch.float32 and cells.isfinite().all()


def test_the_loss_of_a_two_stage_network_in_evaluation_is_the_same_for_any_batch_size() -> None:
    torch.manual_seed(0)
    network, loss = FasterRCNN(1, 3, width=4).eval(), DetectionLoss()
    images = torch.rand(6, 1, 48, 48)
    y = torch.tensor([[[4.0, 4, 30, 28, 1, 0]], [[0, 0, 0, 0, -1, 0]], [[9, 20, 40, 44, 2, 0]]]).repeat(
        2, 1, 1
    )
    found = []
    for size in (1, 4, 6):
        parts = zip(images.split(size), y.split(size), strict=True)
        with torch.no_grad():
            found.append(sum(loss(network(x), own) * loss.weigh(own) for x, own in parts) / loss.weigh(y))
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-5)
    assert found[0].item() == pytest.approx(found[2].item(), rel=1e-5)


def test_columns_of_padding_change_nothing() -> None:
    output, y = said(noise()), torch.tensor([[[8.0, 8, 40, 40, 0, 0]]])
    wide = torch.cat([y, torch.tensor([NO_BOX]).expand(1, 60, -1)], dim=1)
    assert DetectionLoss()(output, wide) == DetectionLoss()(output, y)


def test_iou_of_known_boxes() -> None:
    some = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 0, 0]]])
    others = torch.tensor([[[5.0, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]]])
    assert pairwise_iou(some, others)[0, 0].tolist() == pytest.approx([1 / 3, 1, 0])
    assert not pairwise_iou(some, others)[0, 1].any()
