"""Training on a folder with boxes: in memory, cached and streamed; what is told, refused and left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import box_tree
import pytest
import torch
from box_tree import NAMES, xml
from conftest import Command, is_told

from cnntrain.data.sources import Folder
from cnntrain.data.targets import BOXES

RUN = (
    "data=folder",
    "data.root=data",
    "model=yolo",
    "model.width=4",
    "epochs=1",
    "batch_size=8",
    "report=false",
)
HOW = ("doctor=false", "precision=fp32", "channels_last=false", "threads=1", "out=run")


def weights(run: str) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(Path(run, "checkpoints/last.pt"), weights_only=True)["model"]
    return found


def equal(run: str, other: str) -> bool:
    ours, theirs = weights(run), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def folder(**said: Any) -> Folder:
    known = {"train": True, "channels": 3, "image_size": [32, 48], "resize": "pad", "targets": "boxes"}
    return Folder("data", **{**known, **said})


@pytest.mark.parametrize("kind", ["coco", "yolo", "voc"])
def test_each_format_is_trained_on_and_evaluated(cnntrain: Command, kind: str) -> None:
    getattr(box_tree, kind)(Path("data"), range(30))
    done = cnntrain("train", *RUN, *HOW)
    assert done.code == 0, done.err
    assert f"format: {kind}, " in done.out and "classes: cat, dog, owl" in done.out
    assert "boxes: 36 in 30 images, 6 of them without any" in done.out
    assert cnntrain("eval", "run").code == 0
    assert json.loads(Path("run/eval_test.json").read_text())["examples"] == 5


def test_boxes_are_the_same_in_memory_from_the_cache_and_streamed(cnntrain: Command) -> None:
    box_tree.coco(Path("data"), range(30))
    changed = ("augment.flip=0.5", "augment.shift=3", "augment.crop=0.6", "data.resize_size=40")
    words = (*RUN, *HOW, *changed, "data.image_size=32")
    for cache, workers in (("ram", 0), ("disk", 1), ("off", 1)):
        done = cnntrain("train", *words, f"data.cache={cache}", f"workers={workers}", f"out={cache}{workers}")
        assert done.code == 0, done.err
    assert equal("ram0", "disk1") and equal("ram0", "off1")


def test_boxes_lie_on_what_they_hold_at_the_size_of_the_network() -> None:
    box_tree.voc(Path("data"), range(30))
    for size, resize in (([32, 48], "pad"), ([64, 64], "pad"), ([48, 48], "squash"), ([32, 32], "crop")):
        data = folder(image_size=size, resize=resize)
        for index in range(len(data)):
            image, rows = data[index]
            assert isinstance(rows, torch.Tensor)
            for left, top, right, bottom, label, ignored in rows[rows[:, 4] >= 0].tolist():
                if ignored:
                    continue
                x, y = int((left + right) / 2), int((top + bottom) / 2)
                colour = box_tree.COLORS[NAMES.index(data.classes[int(label)])]
                assert (image[:, y, x].float() - torch.tensor(colour).float()).abs().max() < 25


def test_what_data_resize_leaves_out_of_sight_is_told(cnntrain: Command) -> None:
    box_tree.voc(Path("data"), range(30))
    (Path("data") / "Annotations/00.xml").write_text(xml(0, [(0, 0, 7, 9, 0), (20, 10, 30, 20, 1)]))
    done = cnntrain("train", *RUN, *HOW, "data.resize=crop")
    assert done.code == 0, done.err
    told = "out of sight by data.resize=crop: data.resize=pad keeps all of an image"
    assert told in done.err
    assert told not in cnntrain("train", *RUN, *HOW[:-1], "data.resize=pad", "out=padded").err


def test_only_background_is_trained_on_without_a_word_of_nan(cnntrain: Command) -> None:
    """Batches without an object: matterport/Mask_RCNN#531, vision#1598."""
    box_tree.coco(Path("data"), range(20))

    def emptied(content: dict[str, Any]) -> None:
        content["annotations"] = [row for row in content["annotations"] if row["image_id"] in (0, 1)]

    box_tree.change(Path("data"), emptied)
    done = cnntrain("train", *RUN, *HOW, "batch_size=2")
    assert done.code == 0 and "nan" not in done.out.lower(), done.err


def test_a_wrong_box_stops_before_training_or_is_left_out(cnntrain: Command) -> None:
    root = box_tree.voc(Path("data"), range(30))
    (root / "Annotations/00.xml").write_text(xml(0, [(9, 9, 9, 20, 0), (4, 5, 20, 20, 1)]))
    is_told(cnntrain("train", *RUN, *HOW), "data.on_bad_box=skip leaves such boxes out")
    done = cnntrain("train", *RUN, *HOW, "data.on_bad_box=skip")
    assert done.code == 0 and "wrong boxes, 1, left out" in done.err
    assert cnntrain("eval", "run").code == 0


def test_one_class_is_enough_and_it_is_number_0(cnntrain: Command) -> None:
    """The background is no class of the data: vision#1952."""
    root = box_tree.voc(Path("data"), range(30))
    for file in (root / "Annotations").glob("*.xml"):
        file.write_text(file.read_text().replace("dog", "cat").replace("owl", "cat"))
    data = folder()
    assert isinstance(data.targets, torch.Tensor) and data.classes == ["cat"]
    assert set(data.targets[..., 4].unique().tolist()) == {-1.0, 0.0}
    done = cnntrain("train", *RUN, *HOW)
    assert done.code == 0 and "1 class" in done.out, done.err


def test_the_class_order_of_a_model_counts_when_it_is_evaluated(cnntrain: Command) -> None:
    """A folder that numbers the classes otherwise, and lacks one: by name, ultralytics#20248."""
    box_tree.coco(Path("data"), range(30))
    assert cnntrain("train", *RUN, *HOW).code == 0
    assert cnntrain("eval", "run").code == 0
    before = json.loads(Path("run/eval_test.json").read_text())
    box_tree.coco(Path("other"), range(30), ids=(5, 4, 2))
    Path("other").rename("data2")
    data = Folder("data2", True, 3, [32, 48], "pad", targets="boxes", class_names=list(NAMES))
    assert data.classes == list(NAMES)
    assert isinstance(data.targets, torch.Tensor) and BOXES.counts(data.targets, 3).sum() > 0
    done = cnntrain("eval", "run", "data.root=data2")
    assert done.code == 0, done.err
    after = json.loads(Path("run/eval_test.json").read_text())
    assert after["loss"] == pytest.approx(before["loss"])


def test_masks_are_learnt_from_a_folder_that_has_both_if_the_task_says_so(cnntrain: Command) -> None:
    root = box_tree.yolo(Path("data"), range(30))
    (root / "labels/train/00.txt").write_text("0 0.1 0.1 0.6 0.1 0.6 0.6 0.1 0.6\n")
    assert "YOLO's boxes" in cnntrain("train", *RUN, *HOW).out
    told = cnntrain("train", *RUN[:2], "model=unet", "epochs=1")
    is_told(told, "a box, no polygon")
