"""Each format of annotated folders is told from the others, and gives the same masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import mask_tree
import numpy as np
import pytest
from mask_tree import NAMES, save, scene
from PIL import Image

from cnntrain.annotations import formats
from cnntrain.annotations.facts import AnnotatedInventory
from cnntrain.annotations.inventory import annotated_inventory
from cnntrain.annotations.label_scheme import AnnotationOptions
from cnntrain.annotations.mask_reader import MaskReader
from cnntrain.errors import UserError
from cnntrain.image_folder.opening import Decoding

TREES = {"masks": mask_tree.masks, "voc": mask_tree.voc, "coco": mask_tree.coco, "yolo": mask_tree.yolo}


def inventory(root: Path | str, **asked: object) -> AnnotatedInventory:
    annotated_inventory.cache_clear()
    return annotated_inventory(str(root), AnnotationOptions(**asked), 100.0, 0)  # type: ignore[arg-type]


def mask(found: AnnotatedInventory, index: int) -> np.ndarray:
    """Return the mask of an image as training gets it."""
    record = found.records[index]
    size = (int(record["width"]), int(record["height"]))
    reader = MaskReader.from_inventory(found, Decoding(100.0))
    return reader.read(found.table.entries[index], size, found.lies.get(index, ""))


def names_of(found: AnnotatedInventory) -> list[int]:
    return [int(Path(entry.image).stem) for entry in found.table.entries]


@pytest.mark.parametrize("tree", [*TREES.values(), mask_tree.cvat])
def test_each_format_gives_the_same_masks(tree: Callable[[Path], Path]) -> None:
    found = inventory(tree(Path("data")))
    assert found.scheme.names == list(NAMES)
    assert not found.wrong and not found.faults and len(found.table.entries) == 12
    for index, number in enumerate(names_of(found)):
        wanted = scene(number)[1]
        if tree is mask_tree.voc:
            wanted[0] = 255
        assert (mask(found, index) == wanted).all()


@pytest.mark.parametrize("kind", TREES)
def test_a_format_is_detected_and_can_be_forced(kind: str) -> None:
    root = TREES[kind](Path("data"))
    assert formats.format_of(root) == kind
    assert formats.format_of(root, kind) == kind
    wrong = "coco" if kind != "coco" else "voc"
    with pytest.raises(
        UserError, match=f"data.format={wrong}: .* has no .*; it looks like data.format={kind}"
    ):
        formats.format_of(root, wrong)


def test_a_folder_of_several_formats_says_which_is_read() -> None:
    root = mask_tree.coco(mask_tree.masks(Path("data")))
    assert formats.format_of(root) == "masks"
    assert "data.format=coco" in inventory(root).table.notes[0]
    assert inventory(root, format="coco").table.format == "coco"


@pytest.mark.parametrize("order", ["images/{part}", "{part}/images"])
def test_parts_lie_in_either_order(order: str) -> None:
    for part, numbers in (("train", range(6)), ("valid", range(6, 8)), ("test", range(8, 10))):
        for number in numbers:
            image, ids = scene(number)
            folder = order.format(part=part)
            save(Path("data", folder, f"{number:02}.png"), image)
            save(Path("data", folder.replace("images", "masks"), f"{number:02}.png"), ids)
    assert inventory("data").parts(0.15).tolist() == ["train"] * 6 + ["val"] * 2 + ["test"] * 2


def test_the_lists_of_voc_are_its_parts() -> None:
    assert (
        inventory(mask_tree.voc(Path("data"))).parts(0.5).tolist()
        == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    )


def test_roboflow_files_lie_beside_their_images() -> None:
    for part, numbers in (("train", range(8)), ("valid", range(8, 10))):
        mask_tree.coco(Path("other"), numbers)
        for image in Path("other/images").iterdir():
            save(Path("data", part, image.name), np.asarray(Image.open(image)))
            image.unlink()
        Path("other/annotations/instances_default.json").rename(Path("data", part, "_annotations.coco.json"))
    found = inventory("data")
    assert found.table.format == "coco"
    assert [entry.part for entry in found.table.entries] == ["train"] * 8 + ["val"] * 2
    assert (mask(found, 9) == scene(9)[1]).all()


def test_coco_ids_are_mapped_by_name_in_every_file() -> None:
    mask_tree.coco(Path("a"), range(6), (7, 90))
    mask_tree.coco(Path("b"), range(6, 9), (1, 0))  # in another order
    Path("data/annotations").mkdir(parents=True)
    for folder, part in (("a", "train"), ("b", "val")):
        source = Path(folder, "annotations/instances_default.json")
        source.rename(f"data/annotations/instances_{part}2017.json")
        Path(folder, "images").rename(f"data/{part}2017")
    found = inventory("data")
    assert found.scheme.names == list(NAMES)
    assert all((mask(found, i) == scene(n)[1]).all() for i, n in enumerate(names_of(found)))
    assert "7 is cell, 90 is dust" in found.table.notes[0]


def test_a_category_that_training_lacks_is_refused() -> None:
    root = mask_tree.coco(Path("data"))
    file = root / "annotations/instances_default.json"
    content = json.loads(file.read_text())
    file.rename(root / "annotations/instances_train.json")
    content["categories"].append({"id": 4, "name": "hair"})
    mask_tree.write_json(root / "annotations/instances_val.json", content)
    with pytest.raises(UserError, match=r"val.json has the category hair, which .*train.json lacks"):
        inventory(root)


def test_both_run_length_encodings_crowds_and_holes_are_drawn() -> None:
    root = mask_tree.coco(Path("data"), range(4))
    file = root / "annotations/instances_default.json"
    content = json.loads(file.read_text())
    ring = np.zeros((16, 24), np.uint8)
    ring[3:12, 4:15] = 1
    ring[6:9, 8:11] = 0
    flat = ring.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    of = {"image_id": 100, "category_id": 7, "iscrowd": 0}
    # By pycocotools 2.0.11: maskUtils.encode(np.asfortranarray(ring))["counts"].
    packed = "S297000000JL040L040L046000000]4"
    cut = [4, 3, 15, 3, 15, 12, 4, 12, 4, 3, 8, 6, 8, 9, 11, 9, 11, 6, 8, 6]
    content["annotations"] = [
        {**of, "id": 0, "segmentation": {"size": [16, 24], "counts": runs}},
        {**of, "id": 1, "image_id": 101, "segmentation": {"size": [16, 24], "counts": packed}},
        {**of, "id": 2, "image_id": 102, "segmentation": [cut]},
        {**of, "id": 3, "image_id": 103, "iscrowd": 1, "segmentation": {"size": [16, 24], "counts": runs}},
        {**of, "id": 4, "image_id": 103, "category_id": 90, "segmentation": [[4, 3, 6, 3, 6, 5, 4, 5]]},
    ]
    mask_tree.write_json(file, content)
    found = inventory(root)
    assert not found.faults
    for index in range(3):
        assert (mask(found, index) == ring).all()
    crowd = np.where(ring, 255, 0)
    crowd[3:5, 4:6] = 2
    assert (mask(found, 3) == crowd).all()
