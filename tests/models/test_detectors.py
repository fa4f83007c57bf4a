"""Detectors: backbones of libraries, torchvision's ready-made networks, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from cnntrain.errors import UserError
from cnntrain.inference.portable.from_bytes import FromBytes
from cnntrain.inference.portable.writers import Source, write_onnx
from cnntrain.models import FasterRCNN, TorchvisionDetector, Yolo
from cnntrain.models.detection import ready_made
from cnntrain.models.detection.pooling import POINTS, Pooling
from cnntrain.tasks import Detection
from cnntrain.tasks.detection.losses import DetectionLoss


@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "timm/mobilenetv3_small_050"])
def test_the_maps_of_a_network_of_a_library_are_looked_at(backbone: str) -> None:
    if backbone.startswith("timm/"):
        pytest.importorskip("timm")
    network = Yolo(1, 3, width=4, strides=(8, 16, 32), backbone=backbone)
    output = network(torch.rand(2, 1, 70, 64))
    Detection((1, 70, 64), 3).check_output("Yolo", output)
    assert output.shape[1] == 12 * 8 + 6 * 4 + 3 * 2
    output.sum().backward()
    assert all(p.grad is not None for p in network.pyramid.parameters())


@pytest.mark.parametrize(
    ("backbone", "told"),
    [
        ("resnet19", "did you mean resnet18"),
        ("vit_b_16", "no maps of stride 8"),
        ("swin_t", "it has 2, 4, 32"),
    ],
)
def test_a_backbone_without_such_maps_is_one_line(backbone: str, told: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=told):
        Yolo(1, 3, width=4, backbone=backbone)


def test_a_ready_made_detector_learns_and_finds() -> None:
    torch.manual_seed(0)
    network, task = (
        TorchvisionDetector("ssdlite320_mobilenet_v3_large", None, 1, 3),
        Detection((1, 96, 96), 3),
    )
    images, y = torch.rand(2, 1, 96, 96), torch.tensor([[[10.0, 10, 60, 70, 2, 0]], [[0, 0, 0, 0, -1, 0]]])
    statistics = network.state_dict()
    DetectionLoss()(network(images), y).backward()
    assert all(p.grad is not None for p in network.parameters())
    network.eval()
    output = network(images)
    task.check_output("TorchvisionDetector", output)
    before = {name: value.clone() for name, value in statistics.items()}
    assert DetectionLoss()(output, y) == DetectionLoss()(output, y)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items()), (
        "a loss changes no statistics"
    )


def test_a_two_stage_network_finds_the_same_boxes_as_onnx(tmp_path: Path) -> None:
    """Torchvision's detectors could be exported by the earlier exporter alone: vision#9306, #9462."""
    torch.manual_seed(0)
    network, task = FasterRCNN(1, 3, width=4).eval(), Detection((1, 48, 48), 3)
    task.use({"threshold": 0.5})
    with torch.no_grad():  # scores that differ: without training all are alike
        network.heads.roi_heads.box_predictor.cls_score.weight.mul_(60)
        network.heads.rpn.head.cls_logits.weight.mul_(30)
    model = FromBytes(network, task, torch.tensor([0.5]), torch.tensor([0.2])).eval()
    images = [torch.randint(0, 256, (1, 1, 48, 48)).to(torch.uint8) // shade for shade in range(1, 9)]
    run = write_onnx(Source(model, images[0], False, {}), tmp_path / "model.onnx")
    with torch.no_grad():
        expected = [model(image) for image in images]
        outputs = [model.network(image) for image in images]
    found = [run(image) for image in images]
    assert all(task.means_the_same(*three) for three in zip(found, expected, outputs, strict=True))
    counts = [int((boxes[..., 5] >= 0).sum()) for boxes in expected]
    assert len(set(counts)) > 1, counts


def test_pretrained_weights_are_taken_but_for_those_of_the_classes() -> None:
    torch.manual_seed(0)
    name = "ssdlite320_mobilenet_v3_large"
    mine, other = (TorchvisionDetector(name, None, 3, classes).heads for classes in (2, 5))
    new = {key: value.clone() for key, value in mine.state_dict().items()}
    ready_made.take_weights(mine, other)
    for key, value in mine.state_dict().items():
        theirs = other.state_dict()[key]
        assert torch.equal(value, theirs if theirs.shape == value.shape else new[key])
    assert any(other.state_dict()[key].shape != value.shape for key, value in new.items())


def test_an_unknown_detector_is_one_line() -> None:
    with pytest.raises(UserError, match="did you mean fasterrcnn_resnet50_fpn"):
        TorchvisionDetector("fasterrcnn_resnet50_fnp", None, 3, 2)


@pytest.mark.parametrize("strides", [(8,), (8, 16)])
def test_the_gradient_of_pooled_features_is_that_of_torchvision(strides: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    names = [str(stride) for stride in strides]
    size = (200, 264)  # large enough that boxes are cut out of both maps
    maps = {
        str(stride): torch.rand(3, 5, size[0] // stride, size[1] // stride, generator=generator)
        for stride in strides
    }
    corners = 300 * torch.rand(3, 12, 2, generator=generator) - 40  # some lie outside in part or entirely
    sides = 200 * torch.rand(3, 12, 2, generator=generator) ** 2  # some are smaller than a cell
    boxes = [*torch.cat([corners, corners + sides], dim=2), torch.empty(0, 4)][1:]
    boxes[1][0] = torch.tensor([0.0, 0.0, size[1], size[0]])
    wanted = torch.rand(24, 5, 7, 7, generator=generator)
    found = []
    for module in (MultiScaleRoIAlign(names, 7, POINTS), Pooling(names, 7, POINTS)):
        leaves = {name: each.clone().requires_grad_() for name, each in maps.items()}
        pooled = module(leaves, boxes, [size] * 3)
        (pooled * wanted).sum().backward()
        found.append((pooled, [leaf.grad for leaf in leaves.values()]))
    (theirs, their_grads), (ours, our_grads) = found
    assert torch.equal(ours, theirs)
    for our, their in zip(our_grads, their_grads, strict=True):
        assert their.abs().sum() > 0 and torch.allclose(our, their, atol=1e-4)
