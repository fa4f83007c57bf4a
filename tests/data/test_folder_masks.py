"""A folder with masks as a data set: in memory, on the disk and streamed, with its own split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mask_tree
import numpy as np
import pytest
import torch
from conftest import Command
from mask_tree import NAMES, save, scene

from cnntrain.annotations.inventory import annotated_inventory
from cnntrain.config.composer import composed, infer_from_data
from cnntrain.config.sections import DataSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.open import Data, open_data
from cnntrain.errors import UserError
from cnntrain.runtime.console import Console

TREES = {"masks": mask_tree.masks, "voc": mask_tree.voc, "coco": mask_tree.coco, "yolo": mask_tree.yolo}


def opened(*overrides: str, class_names: list[str] | None = None) -> Data:
    """Open the folder ``data`` as a run does."""
    annotated_inventory.cache_clear()
    typed = ["data=folder", "data.root=data", *overrides]
    config = composed(typed, None).settings
    infer_from_data(config)
    return open_data(DataSettings.from_config(config), torch.device("cpu"), Console(1), None, class_names)


def items(data: Data) -> dict[str, tuple[Any, Any]]:
    """Return image and mask of each file."""
    found = {}
    for part, files in ((data.train, data.train_files), (data.test, data.test_files)):
        batch = part.__getitems__(list(range(len(part))))
        for file, image, mask in zip(files or (), *batch, strict=True):
            found[Path(file).stem] = (image.numpy(), mask.numpy())
    return found


@pytest.mark.parametrize("kind", TREES)
def test_images_and_masks_of_each_format_reach_the_batch(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    TREES[kind](Path("data"))
    data = opened("data.image_size=24", "data.resize=pad")
    assert data.train.class_names == NAMES and data.train.targets.name == "masks"
    assert f"format: {kind}, " in capfd.readouterr().out
    for stem, (image, mask) in items(data).items():
        wanted = np.full((24, 24), 255)  # what pad adds is ignored
        wanted[4:20] = scene(int(stem))[1]
        if kind == "voc":
            wanted[4] = 255
        assert image.shape == (3, 24, 24) and (mask == wanted).all()


@pytest.mark.parametrize("cache", ["ram", "disk", "off"])
def test_every_way_of_keeping_images_gives_the_same_masks(cache: str) -> None:
    mask_tree.masks(Path("data"), range(20))
    wanted = items(opened("data.image_size=12", "data.cache=ram"))
    data = opened("data.image_size=12", f"data.cache={cache}")
    assert isinstance(data.train, InMemoryDataset) == (cache != "off")
    found = items(data)
    assert found.keys() == wanted.keys() and len(found) == 20
    for stem, (image, mask) in found.items():
        assert (image == wanted[stem][0]).all() and (mask == wanted[stem][1]).all()
        assert set(np.unique(mask)) <= {0, 1, 2}


def test_near_copies_stay_on_one_side_and_the_split_is_recorded() -> None:
    root = mask_tree.masks(Path("data"), range(30))
    for number in range(0, 30, 3):
        save(root / f"images/{number:02}_copy.png", scene(number)[0])
        save(root / f"masks/{number:02}_copy.png", scene(number)[1])
    data = opened("data.val_fraction=0.3", "data.source.test_fraction=0.3")
    assert data.members is not None and data.train_files is not None
    part = {Path(member.file).stem: member.part for member in data.members}
    assert len(part) == 40 and set(part.values()) == {"train", "val", "test"}
    assert all(part[f"{number:02}"] == part[f"{number:02}_copy"] for number in range(0, 30, 3))


def test_a_changed_mask_is_read_anew_and_moves_no_image_to_another_part() -> None:
    root = mask_tree.masks(Path("data"), range(20))
    before = opened()
    stem = Path(before.train_files[0]).stem  # type: ignore[index]
    save(root / f"masks/{stem}.png", np.full((16, 24), 2, np.uint8))
    after = opened()
    assert after.members == before.members
    assert (items(after)[stem][1] == 2).all()


def test_faults_stop_training_or_are_left_out_and_named(
    cnntrain: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    root = mask_tree.masks(Path("data"), range(20))
    (root / "masks/04.png").write_bytes(b"nothing")
    (root / "images/05.png").unlink()
    with pytest.raises(UserError, match=r"data/masks/04.png: not an image"):
        opened()
    data = opened("data.on_bad_image=skip")
    told = capfd.readouterr().err
    assert "left out 1 image, since the image or its mask can't be used: masks/04.png: not an image" in told
    assert "1 annotation without an image, so not used: masks/05.png" in told
    assert len(data.train) + len(data.test) == 18


def test_a_models_classes_are_matched_by_name() -> None:
    root = mask_tree.masks(Path("data"))
    data = opened("data.image_size=16", class_names=["dust", "background", "cell"])
    mask = items(data)["00"][1]
    assert (mask == np.array([1, 2, 0])[scene(0)[1][:, 4:20]]).all()
    (root / "classes.txt").write_text("background\ncell\nhair")
    with pytest.raises(UserError, match="has a class hair, which the model does not know"):
        opened(class_names=list(NAMES))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.label_map={300000000:1}", "data.label_map"),
        ("data.label_map=[1,2]", "data.label_map"),
        ("data.colors={a:[1,2,300],b:[1,2,3]}", "data.colors"),
        ("data.ignore=-1", "data.ignore"),
        ("data.format=cocoa", "did you mean data.format=coco?"),
    ],
)
def test_wrong_values_are_refused_before_the_folder_is_read(
    torchless: Command, override: str, told: str
) -> None:
    done = torchless("train", "data=folder", "data.root=nowhere", override)
    assert done.code == 2 and told in done.err and "Traceback" not in done.err


def test_what_is_for_masks_is_refused_for_a_folder_of_classes(torchless: Command) -> None:
    for name in ("a", "b"):
        save(Path("data", name, "0.png"), scene(0)[0])
    done = torchless("train", "data=folder", "data.root=data", "data.label_map={0:1}")
    assert done.code == 2 and "data.label_map is for masks, and data.root=data has classes" in done.err


def test_typed_maps_of_values_and_colours_reach_the_masks() -> None:
    mask_tree.masks(Path("data"), named=False)
    data = opened("data.image_size=16", "data.label_map={1:0,2:1}")
    assert data.train.class_names == ("0", "1")
    mask = items(data)["00"][1]
    assert (mask == np.array([255, 0, 1])[scene(0)[1][:, 4:20]]).all()


@pytest.mark.parametrize("kind", TREES)
def test_training_runs_on_each_format_without_what_is_faulty(cnntrain: Command, kind: str) -> None:
    TREES[kind](Path("data"))
    image = next(Path("data").glob("*/00.*g"))
    image.write_bytes(b"nothing")
    words = ("data=folder", "data.root=data", "model=unet", "model.depth=2", "epochs=1", "report=false")
    done = cnntrain("train", *words)
    assert done.code == 2 and f"data/{image.parent.name}/{image.name}: not an image" in done.err
    done = cnntrain("train", *words, "data.on_bad_image=skip")
    assert done.code == 0, done.err
    assert "test mIoU" in done.out and "left out 1 image" in done.err
