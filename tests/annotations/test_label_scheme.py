"""What the values of masks mean: palettes, colours, odd ids, two values, and remapping."""

from __future__ import annotations

from pathlib import Path

import mask_tree
import numpy as np
import pytest
from mask_tree import NAMES, save, scene
from test_formats import inventory, mask, names_of


def rewritten(root: Path, table: dict[int, int], dtype: type = np.uint8) -> Path:
    """Write other values in place of the ids of all masks."""
    for path in (root / "masks").iterdir():
        ids = scene(int(path.stem))[1]
        values = np.zeros(ids.shape, dtype)
        for old, new in table.items():
            values[ids == old] = new
        save(path, values)
    return root


def test_a_palette_is_read_as_indices_and_not_as_luminance() -> None:
    root = mask_tree.masks(Path("data"), named=False)
    for path in (root / "masks").iterdir():
        mask_tree.palette(scene(int(path.stem))[1]).save(path)
    found = inventory(root)
    assert found.scheme.names == ["0", "1", "2"] and not found.scheme.refusal
    assert all((mask(found, i) == scene(n)[1]).all() for i, n in enumerate(names_of(found)))


def test_a_palette_that_was_numbered_anew_is_read_by_its_colours() -> None:
    root = mask_tree.cvat(Path("data"), range(4))
    for path in (root / "SegmentationClass").iterdir():
        ids = scene(int(path.stem))[1]
        image = mask_tree.palette(2 - ids)
        image.putpalette([part for color in mask_tree.COLORS[::-1] for part in color])
        image.save(path)
    found = inventory(root)
    assert all((mask(found, i) == scene(n)[1]).all() for i, n in enumerate(names_of(found)))


def test_two_values_0_and_255_are_read_as_0_and_1_and_that_is_said() -> None:
    root = rewritten(mask_tree.masks(Path("data"), named=False), {1: 255, 2: 255})
    found = inventory(root)
    assert found.scheme.names == ["background", "foreground"]
    assert found.scheme.notes == ["masks hold 0 and 255, read as 0 and 1"]
    assert set(np.unique(mask(found, 0))) == {0, 1}
    (root / "classes.txt").write_text("cell\n")
    assert inventory(root).scheme.names == ["background", "cell"]


def test_255_is_ignored_beside_other_values_and_so_is_what_the_user_says() -> None:
    root = rewritten(mask_tree.masks(Path("data"), named=False), {1: 1, 2: 255})
    found = inventory(root)
    assert found.scheme.names == ["0", "1"] and not found.faults
    assert set(np.unique(mask(found, 0))) == {0, 1, 255}
    rewritten(root, {1: 1, 2: 9})
    found = inventory(root, ignore=9)
    assert found.scheme.names == ["0", "1"] and set(np.unique(mask(found, 0))) == {0, 1, 255}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_odd_ids_are_refused_until_they_are_mapped(dtype: type) -> None:
    high = 1000 if dtype is np.uint16 else 200
    root = rewritten(mask_tree.masks(Path("data"), named=False), {1: 38, 2: high}, dtype)
    refusal = inventory(root).scheme.refusal
    assert f"data.label_map={{0:0,38:1,{high}:2}}" in refusal and "masks hold 3 values, 0 (" in refusal
    found = inventory(root, label_map=((0, 0), (38, 1), (high, 2)))
    assert found.scheme.names == ["0", "1", "2"]
    assert all((mask(found, i) == scene(n)[1]).all() for i, n in enumerate(names_of(found)))
    found = inventory(root, label_map=((38, 0), (high, 1)))  # the rest is ignored
    assert (mask(found, 0) == np.array([255, 0, 1])[scene(0)[1]]).all() and not found.faults


def test_a_label_map_beyond_the_names_is_refused() -> None:
    root = mask_tree.masks(Path("data"))
    refusal = inventory(root, label_map=((0, 0), (1, 3))).scheme.refusal
    assert refusal == "data.label_map goes up to 3, and classes.txt names 3 classes"


def test_numbers_in_data_yaml_name_ids_with_gaps() -> None:
    root = rewritten(mask_tree.masks(Path("data"), named=False), {1: 7, 2: 9})
    (root / "data.yaml").write_text("names: {0: background, 7: cell, 9: dust}")
    found = inventory(root)
    assert found.scheme.names == list(NAMES) and (mask(found, 0) == scene(0)[1]).all()


def test_soft_edges_are_no_classes() -> None:
    root = mask_tree.masks(Path("data"), named=False)
    for path in (root / "masks").iterdir():
        edge = np.linspace(-300, 500, 24 * 16).clip(0, 255).astype(np.uint8)
        save(path, edge.reshape(16, 24))
    refusal = inventory(root).scheme.refusal
    assert "data.label_map={0:0,255:1} makes them classes, and the others are ignored" in refusal


def test_coloured_masks_need_the_names_of_their_colours() -> None:
    root = mask_tree.cvat(Path("data"))
    (root / "labelmap.txt").unlink()
    refusal = inventory(root).scheme.refusal
    assert (
        "nothing names their colours, [0, 0, 0] (8" in refusal and "data.colors={NAME:[R,G,B],...}" in refusal
    )
    found = inventory(root, colors=tuple(zip(NAMES, mask_tree.COLORS, strict=True)))
    assert found.scheme.names == list(NAMES)
    assert all((mask(found, i) == scene(n)[1]).all() for i, n in enumerate(names_of(found)))


def test_ids_that_are_saved_as_grey_colours_are_ids() -> None:
    root = mask_tree.masks(Path("data"))
    for path in (root / "masks").iterdir():
        save(path, np.stack([scene(int(path.stem))[1]] * 3, axis=2))
    found = inventory(root)
    assert not found.faults and (mask(found, 0) == scene(0)[1]).all()


def test_carvanas_names_of_masks_are_known() -> None:
    root = mask_tree.masks(Path("data"))
    for path in sorted((root / "masks").iterdir()):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    assert len(inventory(root).table.entries) == 12
