"""Planted faults: each is named by its file, and training stops at it or goes on without it."""

from __future__ import annotations

import json
from pathlib import Path

import mask_tree
import numpy as np
import pytest
from mask_tree import save, scene
from PIL import Image
from test_formats import inventory, mask

from cnntrain.annotations.inventory import usable_inventory
from cnntrain.annotations.label_scheme import AnnotationOptions
from cnntrain.errors import UserError


def test_orphans_on_either_side_are_named() -> None:
    root = mask_tree.masks(Path("data"))
    (root / "masks/03.png").unlink()
    (root / "images/05.png").unlink()
    found = inventory(root)
    assert found.table.orphan_images == ["images/03.png"]
    assert found.table.orphan_masks == ["masks/05.png"]


def test_masks_of_another_size_are_named() -> None:
    root = mask_tree.masks(Path("data"))
    save(root / "masks/02.png", scene(2)[1][:, :-1])
    found = inventory(root)
    assert found.bad == ["masks/02.png: 23x16, and images/02.png is 24x16"]
    assert not found.readable[2] and found.readable.sum() == 11


def test_damaged_files_are_named() -> None:
    root = mask_tree.masks(Path("data"))
    (root / "masks/01.png").write_bytes(b"not an image")
    (root / "images/04.png").write_bytes((root / "images/04.png").read_bytes()[:200])
    bad = inventory(root).bad
    assert bad[0] == "masks/01.png: not an image" and bad[1].startswith("images/04.png: ")


def test_values_and_colours_without_a_class_are_named_with_their_pixels() -> None:
    root = mask_tree.masks(Path("data"))
    ids = scene(3)[1]
    ids[:2] = 7
    ids[2, :5] = 9
    save(root / "masks/03.png", ids)
    found = inventory(root)
    assert found.faults == ["masks/03.png: values outside the 3 classes: 7 (48 pixels), 9 (5 pixels)"]
    assert found.readable.all() and set(np.unique(mask(found, 3)[:2])) == {255}
    root = mask_tree.cvat(Path("cvat"))
    colors = np.array(mask_tree.COLORS, np.uint8)[scene(1)[1]]
    colors[0, :4] = (1, 2, 3)
    save(root / "SegmentationClass/01.png", colors)
    found = inventory(root)
    assert found.faults == ["SegmentationClass/01.png: colours without a class: [1, 2, 3] (4 pixels)"]


def test_training_stops_at_a_fault_or_goes_on_without_it() -> None:
    root = mask_tree.masks(Path("data"))
    ids = scene(3)[1]
    ids[:2] = 7
    save(root / "masks/03.png", ids)
    save(root / "masks/02.png", scene(2)[1][:, :-1])
    with pytest.raises(UserError) as error:
        usable_inventory("data", AnnotationOptions(), "stop", 100.0, 0)
    assert "data/masks/02.png: 23x16" in str(error.value) and "data/masks/03.png: values" in str(error.value)
    assert "data.on_bad_image=skip" in str(error.value)
    assert usable_inventory("data", AnnotationOptions(), "skip", 100.0, 0).readable.sum() == 11


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("how", ["upright", "alike"])
def test_masks_follow_their_images_whichever_way_exif_turns_them(orientation: int, how: str) -> None:
    root = mask_tree.masks(Path("data"), range(3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for number in range(3):
        image, ids = scene(number)
        (root / f"images/{number:02}.png").unlink()
        save(root / f"images/{number:02}.jpg", image, exif=exif, quality=95)
        if how == "upright" and orientation >= 5:  # drawn on what the image viewer shows
            save(root / f"masks/{number:02}.png", upright(ids, orientation))
    found = inventory(root)
    assert not found.wrong
    for index in range(3):
        seen = np.asarray(Image.open(root / f"images/{index:02}.jpg"))
        bright = upright(seen[..., 0] > 110, orientation)
        wanted = upright(scene(index)[1], orientation)
        got = mask(found, index)
        assert got.shape == bright.shape
        if orientation >= 5:  # sizes tell it; of the others a mask counts as upright
            assert (got == wanted).all() and found.lies[index] == how
        elif orientation > 1:
            assert (got == scene(index)[1]).all() and found.lies[index] == "upright"


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array as EXIF says."""
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }
    return turns[orientation](array)


def test_wrong_annotations_of_coco_are_named_by_file_and_number() -> None:
    root = mask_tree.coco(Path("data"), range(5))
    file = root / "annotations/instances_default.json"
    content = json.loads(file.read_text())
    rows = content["annotations"]
    rows[0]["segmentation"] = [[1, 1, 2, 2]]
    rows[1]["category_id"] = 8
    rows[2]["segmentation"] = {"size": [16, 24], "counts": [3, 4]}
    rows[3]["segmentation"] = [[0, 0, 40, 0, 40, 9]]
    rows[4]["image_id"] = 999
    rows[5].update(segmentation=[], bbox=[1, 1, 2, 2])
    content["images"][4]["width"] = 30
    content["images"].append({"id": 1, "file_name": "gone.png", "width": 24, "height": 16})
    mask_tree.write_json(file, content)
    found = inventory(root)
    place = "annotations/instances_default.json: annotation "
    assert found.faults == [
        f"{place}0 of images/00.png: 4 coordinates are not a polygon, which has at least three points",
        f"{place}1 of images/00.png: there is no category 8",
        f"{place}2 of images/01.png: its runs do not fill 24x16 pixels",
        f"{place}3 of images/01.png: its polygon lies outside the image of 24x16: x 0 to 40, y 0 to 9",
        f"{place}4: there is no image 999",
        f"{place}5 of images/02.png: a box without an outline",
    ]
    assert found.bad == ["annotation of images/04.png: 30x16, and images/04.png is 24x16"]
    assert found.table.orphan_masks == ["annotations/instances_default.json: gone.png"]


def test_wrong_rows_of_yolo_are_named_and_a_missing_file_is_background() -> None:
    root = mask_tree.yolo(Path("data"), range(4))
    rows = [
        "5 .1 .1 .2 .2 .3 .1",
        "0 .1 .1 .2 .2",
        "0 0 0 7 0 7 7",
        "cell",
        mask_tree.shares(1, mask_tree.DUST),
    ]
    (root / "labels/01.txt").write_text("\n".join(rows))
    (root / "labels/02.txt").unlink()
    found = inventory(root)
    assert found.faults == [
        "labels/01.txt, row 1: class 5 is outside the 2 classes, 0 to 1",
        "labels/01.txt, row 2: a box, no polygon",
        "labels/01.txt, row 3: coordinates from 0 to 7 are not fractions of the sides, from 0 to 1",
        "labels/01.txt, row 4: cell is not a class and numbers",
    ]
    assert (mask(found, 1) == 2).sum() == 6
    place = [entry.image for entry in found.table.entries].index("images/02.png")
    assert not mask(found, place).any()


def test_what_is_read_again_is_what_has_changed() -> None:
    root = mask_tree.masks(Path("data"))
    assert not inventory(root).faults
    ids = scene(3)[1]
    ids[0] = 7
    save(root / "masks/03.png", ids)
    assert len(inventory(root).faults) == 1 and not inventory(root).masks[2].error  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("labelmap.txt", "cell 1,2,3", "labelmap.txt, line 1: cell 1,2,3 is not NAME:R,G,B::"),
        ("labelmap.txt", "a:1,2,3::\nb:1,2,3::", "labelmap.txt, line 2: b has the colour of a"),
        ("data.yaml", "names: [", "data.yaml is not YAML"),
        ("data.yaml", "nc: 3", "data.yaml has no names of classes"),
        ("classes.txt", "\n", "classes.txt names no class"),
        ("classes.txt", "a\na", "classes.txt names the class a twice"),
    ],
)
def test_files_of_names_that_make_no_sense_are_refused(file: str, content: str, told: str) -> None:
    root = mask_tree.masks(Path("data"), range(2), named=False)
    (root / file).write_text(content)
    with pytest.raises(UserError, match=told):
        inventory(root)


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("JPEGImages", "SegmentationClass")])
def test_images_without_masks_are_refused(images: str, masks: str) -> None:
    from cnntrain.annotations.formats import format_of

    for number in range(4):
        save(Path(f"data/{images}/{number}.png"), scene(number)[0])
    told = f"holds images in {images}/ and nothing .* put their masks into {masks}/"
    with pytest.raises(UserError, match=told):
        format_of("data")


def test_a_json_file_beside_the_images_is_named_with_its_place() -> None:
    from cnntrain.annotations.formats import format_of

    save(Path("data/images/a.png"), scene(0)[0])
    Path("data/labels.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds labels\.json beside images/: .* put it into .*annotations/"):
        format_of("data")


def test_masks_without_images_are_refused() -> None:
    from cnntrain.annotations.formats import format_of

    root = mask_tree.masks(Path("data"))
    for path in (root / "images").iterdir():
        path.unlink()
    (root / "images").rmdir()
    with pytest.raises(UserError, match="data holds masks in masks/ and no images: put them into images/"):
        format_of(root)


def test_masks_beside_images_or_of_other_names_are_explained() -> None:
    from cnntrain.annotations import formats

    for number in range(3):
        save(Path("beside", f"{number}.png"), scene(number)[0])
        save(Path("beside", f"{number}_mask.png"), scene(number)[0])
        save(Path("other/images", f"{number}.png"), scene(number)[0])
        save(Path("other/masks", f"m{number}.png"), scene(number)[0])
    with pytest.raises(UserError, match=r"beside holds 0_mask\.png beside its image: .* masks/"):
        formats.format_of("beside")
    with pytest.raises(UserError, match=r"images/0\.png has no annotation, and masks/m0\.png has no image"):
        formats.read("other", formats.format_of("other"))
