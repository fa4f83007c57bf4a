"""Time series in CSV files: a file each in class folders, or one table of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Command, is_told

from cnntrain.errors import UserError
from cnntrain.sequences import SeriesFolder
from cnntrain.sequences.reading import facts, read
from cnntrain.sequences.series import parsed

DATA = {"inputs": "series"}


def series_in(path: str, train: bool) -> SeriesFolder:
    return SeriesFolder(path, train, test_fraction=0.15)


def write(path: str, text: str | bytes) -> None:
    """Write a file, and the folders that it lies in."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def folder(count: int = 4) -> None:
    """Write a folder of two classes, with series of unequal length and two features."""
    for label in ("up", "down"):
        for number in range(count):
            sign = 1 if label == "up" else -1
            steps = [f"{sign * step},{number}" for step in range(3 + number)]
            write(f"d/{label}/{number}.csv", "x,y\n" + "\n".join(steps) + "\n")


def test_a_file_is_a_series_and_its_folder_the_class() -> None:
    folder()
    train, test = (SeriesFolder("d", train=part, test_fraction=0.25) for part in (True, False))
    assert train.classes == ["down", "up"]
    assert len(train) == 6
    assert len(test) == 2
    assert not set(train.files) & set(test.files)
    value, label = train[0]
    assert value.dtype == np.float32
    assert value.shape[1] == 2
    assert train.files[0].startswith(train.classes[label])


def test_files_of_another_kind_name_the_data_that_read_them(torchless: Command) -> None:
    folder()
    for label in ("a", "b"):
        write(f"t/{label}/0.txt", "words")
        write(f"i/{label}/0.png", "pixels")
    is_told(
        torchless("train", "data=folder", "data.root=d"), "d holds series, and no images: data=series_folder"
    )
    is_told(torchless("train", "data=folder", "data.root=t"), "t holds text, and no images: data=text_folder")
    for root, kind, own in (("t", "text", "series"), ("d", "series", "text")):
        words = ("train", f"data={own}_folder", f"data.root={root}", "model=lstm")
        is_told(torchless(*words), f"its files are {kind}: data={kind}_folder")
        words = ("train", f"data={own}_folder", "data.root=i", "model=lstm")
        is_told(torchless(*words), "its files are images: data=folder")


def test_parts_of_its_own_are_kept() -> None:
    for part, count in (("train", 3), ("valid", 1), ("test", 2)):
        for label in ("a", "b"):
            for number in range(count):
                write(f"d/{part}/{label}/{number}.csv", f"{number}\n1\n")
    train, test = series_in("d", train=True), series_in("d", train=False)
    assert len(train) == 8
    assert len(test) == 4
    assert train.validates is not None
    assert train.validates.sum() == 2


def test_copies_of_a_series_are_on_one_side() -> None:
    for number in range(40):
        write(f"d/a/{number}.csv", f"{number % 4}\n2\n")
        write(f"d/b/{number}.csv", f"-{number % 4}\n2\n")
    train, test = (series_in("d", train=part) for part in (True, False))
    contents = [{sample.content for sample in part.samples} for part in (train, test)]
    assert not contents[0] & contents[1]


def test_a_table_holds_series_by_their_ids_in_the_order_of_time() -> None:
    rows = ["id,time,label,part,x,y", "1,2,a,train,5,6", "2,0,b,test,7,8", "1,1,a,train,3,4"]
    write("t.csv", "\n".join(rows))
    train, test = series_in("t.csv", train=True), series_in("t.csv", train=False)
    assert train[0][0].tolist() == [[3, 4], [5, 6]]
    assert test[0] == (pytest.approx(np.array([[7, 8]])), 1)
    assert train.classes == ["a", "b"]


def test_facts_are_of_the_training_part_alone_but_for_the_length() -> None:
    write("d/train/a/0.csv", "1,5\n3,5\n")
    write("d/train/b/0.csv", "5,5\n")
    write("d/test/a/0.csv", "100,5\n" * 7)
    found = facts(*(read(series_in("d", train=part), "series") for part in (True, False)), DATA)
    assert found == {
        "num_classes": 2,
        "features": 2,
        "mean": [3.0, 5.0],
        "std": [pytest.approx(1.63299), 1.0],  # a feature that never changes is not divided by 0
        "steps": 7,
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "a/1.csv is empty"),
        ("x,y\n", "a/1.csv holds no numbers"),
        ("1,2\n3\n", "a/1.csv: row 2 has 1 columns, and the first 2"),
        ("1,2\n3,nan\n", "a/1.csv: row 2 has 'nan', which is not a number"),
        ("1,2\n3,\n", "a/1.csv: row 2 has '', which is not a number"),
        ("1,2\n3,1e99\n", "a/1.csv: row 2 has '1e99'"),
        ("1,2,3\n", "a/1.csv has 3 features, and train/a/0.csv has 2"),
        (b"1,2\n\xff,3\n", "a/1.csv is not UTF-8: byte 4 is 0xff"),
    ],
)
def test_bad_files_are_named(content: str | bytes, told: str) -> None:
    for name in ("a/0", "a/2", "b/0", "b/1"):
        write(f"d/train/{name}.csv", "1,2\n")
    write("d/test/a/0.csv", "1,2\n")
    write("d/train/a/1.csv", content)
    with pytest.raises(UserError) as error:
        read(series_in("d", train=True), "series")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("id,x\n1,2\n", "t.csv has no column 'label': it has id, x; a table has id, label and features"),
        ("id,label\n1,a\n", "t.csv has no column of features"),
        ("id,label,x\n1,a,2\n1,b,2\n", "t.csv: id 1 has several labels"),
        ("id,label,time,x\n1,a,noon,2\n", "row 2 has time 'noon', which is not a number"),
        ("id,label,part,x\n1,a,mine,2\n", "row 2 has part 'mine': it takes train, val or test"),
        ("id,label,x\n1,a\n", "row 2 has 2 columns, and the first row 3"),
    ],
)
def test_bad_tables_are_refused(rows: str, told: str) -> None:
    write("t.csv", rows)
    with pytest.raises(UserError) as error:
        series_in("t.csv", train=True)
    assert told in str(error.value)


def test_a_first_row_of_names_is_no_step() -> None:
    assert parsed(b"a,b\n1,2\n\n3,4\n", "f").tolist() == [[1, 2], [3, 4]]
    assert parsed(b"\xef\xbb\xbf1,2\n3,4\n", "f").tolist() == [[1, 2], [3, 4]]


def test_a_folder_without_classes_is_refused() -> None:
    write("d/1.csv", "1\n")
    with pytest.raises(UserError, match="holds no files of this kind: it takes DIR/CLASS/"):
        series_in("d", train=True)
    with pytest.raises(UserError, match="there is no such folder"):
        series_in("nowhere", train=True)
