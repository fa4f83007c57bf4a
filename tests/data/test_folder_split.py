"""Which image of a folder is held out: a function of the file alone, recorded, and the same in ``eval``."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, Outcome, is_told
from PIL import Image

from cnntrain.data.sources.folder import Folder
from cnntrain.image_folder import members
from cnntrain.image_folder.duplicates import choose_held_out
from cnntrain.image_folder.inventory import inventory
from cnntrain.runs import checkpoint

RUN = ("data=folder", "data.root=images", "model=mlp", "epochs=1", "report=false", "out=run")


def noise(folder: str, numbers: range, kind: str = "png") -> None:
    """Write images of noise, each another."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng([number, len(folder)]).integers(0, 256, (12, 12), dtype=np.uint8)
        Image.fromarray(pixels).save(f"{folder}/{number:03}.{kind}")


def two_classes(each: int = 60) -> None:
    noise("images/a", range(each))
    noise("images/bb", range(each))


def split_of(root: str = "images", val_fraction: float = 0.2, seed: int = 0) -> dict[str, set[str]]:
    """Return the files of each part."""
    inventory.cache_clear()
    train, test = (Folder(root, is_train, 1, 12) for is_train in (True, False))
    indices, val = train.split(val_fraction, seed)
    return {
        "train": {train.files[i] for i in indices},
        "val": {train.files[i] for i in val},
        "test": set(test.files),
    }


def recorded(run: str = "run") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"train": set(), "val": set(), "test": set(), "unused": set()}
    for line in gzip.decompress(Path(run, "split.csv.gz").read_bytes()).decode().splitlines()[1:]:
        part, _, _, file = line.split(",")
        found[part].add(file)
    return found


def evaluated(run: str = "run") -> dict:
    return json.loads(Path(run, "eval_test.json").read_text())


def again(cnntrain: Command, *words: str) -> Outcome:
    inventory.cache_clear()
    return cnntrain("eval", "run", *words)


def test_held_out_takes_about_the_share_of_each_class_and_repeats_itself() -> None:
    labels = np.repeat([0, 1], [1000, 200])
    keys = np.array([f"{number:032x}" for number in range(1200)], "S32")
    chosen = choose_held_out(labels, np.arange(1200), keys, 0.15, "test")
    for label, asked in ((0, 150), (1, 30)):
        assert abs(int(chosen[labels == label].sum()) - asked) < 4 * (0.85 * asked) ** 0.5
    assert (chosen == choose_held_out(labels, np.arange(1200), keys, 0.15, "test")).all()
    assert (chosen != choose_held_out(labels, np.arange(1200), keys, 0.15, "val 0")).any()
    assert not choose_held_out(labels, np.arange(1200), keys, 0, "test").any()


@pytest.mark.parametrize("each", [2, 3, 10])
def test_no_class_is_without_images_on_either_side_if_that_can_be_avoided(each: int) -> None:
    for first in range(0, 500, 50):
        keys = np.array([f"{number:032x}" for number in range(first, first + 2 * each)], "S32")
        labels = np.repeat([0, 1], each)
        for fraction in (0.01, 0.99):
            chosen = choose_held_out(labels, np.arange(2 * each), keys, fraction, "test")
            assert all(0 < chosen[labels == label].sum() < each for label in (0, 1))


def test_files_added_and_removed_move_no_other_image_across() -> None:
    two_classes()
    before = split_of()
    assert 8 <= len(before["test"]) <= 32 and 8 <= len(before["val"]) <= 36
    noise("images/a", range(100, 140))
    noise("images/bb", range(100, 103))
    removed = [min(before[part]) for part in before]
    for file in removed:
        Path("images", file).unlink()
    after = split_of()
    for part, files in before.items():
        assert files - set(removed) == {file for file in after[part] if file in set.union(*before.values())}
    assert len(after["test"]) > len(before["test"])


def test_the_split_follows_the_contents_wherever_and_however_called_the_files_are() -> None:
    two_classes(30)
    before = split_of()
    shutil.copytree("images", "moved/there")
    for file in sorted(Path("moved/there/a").iterdir()):
        file.rename(file.with_name(f"x{file.name}"))
    after = split_of("moved/there")
    assert {part: {f.replace("/x", "/") for f in files} for part, files in after.items()} == before
    assert split_of(seed=1)["val"] != before["val"]
    assert split_of(seed=1)["test"] == before["test"]


def test_eval_tests_the_very_images_that_the_run_held_out(cnntrain: Command) -> None:
    two_classes(40)
    assert cnntrain("train", *RUN).code == 0
    record = recorded()
    assert {part: record[part] for part in ("train", "val", "test")} == split_of(val_fraction=0.1)
    figures = json.loads(Path("run/summary.json").read_text())["test"]
    noise("images/a", range(100, 160))
    Path("images/bb/bad.png").write_text("not an image")  # of which the run knows nothing
    trained, validated = min(record["train"]), min(record["val"])
    Path("images", trained).unlink()
    noise("images/a", range(200, 201))
    shutil.move("images/a/200.png", Path("images", validated))  # other contents
    done = again(cnntrain)
    assert done.code == 0, done.err
    assert "60 added" in done.err and f"1 removed ({trained})" in done.err
    assert f"1 changed ({validated})" in done.err
    assert evaluated()["accuracy"] == figures["accuracy"] and evaluated()["loss"] == pytest.approx(
        figures["loss"]
    )
    assert again(cnntrain, "split=val").code == 2  # one of its images is another now
    explained = cnntrain("explain", "shift", "run=run")
    assert explained.code == 0 and "60 added" in explained.err, explained.err


def test_eval_refuses_when_a_test_image_is_gone_or_changed(cnntrain: Command) -> None:
    two_classes(20)
    assert cnntrain("train", *RUN).code == 0
    gone = min(recorded()["test"])
    Path("images", gone).rename("elsewhere.png")
    is_told(
        again(cnntrain),
        "1 of the run's",
        "test images are gone or changed",
        gone,
        "data=folder data.root=DIR",
    )
    assert not Path("run/eval_test.json").exists()
    refused = cnntrain("resume", "run", "epochs=2")
    is_told(refused, gone, "put them back")
    assert "eval RUN" not in refused.err
    is_told(cnntrain("report", "run"), gone)
    Path("elsewhere.png").rename(Path("images", gone).with_name("renamed.png"))  # is the same image
    assert again(cnntrain).code == 0
    assert cnntrain("resume", "run", "epochs=2").code == 0
    assert cnntrain("report", "run").code == 0
    assert "no record" not in again(cnntrain).err


def test_training_images_that_lie_in_the_test_part_by_now_are_not_tested_on(cnntrain: Command) -> None:
    for part in ("train", "test"):
        noise(f"images/{part}/a", range(10) if part == "train" else range(10, 16))
        noise(f"images/{part}/bb", range(10) if part == "train" else range(10, 16))
    assert cnntrain("train", *RUN).code == 0
    trained = sorted(file for file in recorded()["train"] if "/a/" in file)[:2]
    for file in trained:
        shutil.copy(Path("images", file), Path("images/test/a", "x" + Path(file).name))
    done = again(cnntrain)
    assert done.code == 0, done.err
    assert "2 training images of the run now in the test part, and not tested on" in done.err
    assert evaluated()["examples"] == 12
    done = again(cnntrain, "data=folder", "data.root=images")  # as other data
    assert "2 images of the test part left out: the model was trained on them" in done.err
    assert evaluated()["examples"] == 12


def test_a_run_finds_its_data_from_another_folder_and_none_of_the_same_name(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_classes(15)
    assert cnntrain("train", *RUN).code == 0
    assert f"root: {Path('images').absolute()}" in Path("run/config.yaml").read_text()
    figures = json.loads(Path("run/summary.json").read_text())["test"]
    Path("other").mkdir()
    monkeypatch.chdir("other")
    noise("images/a", range(500, 520))
    noise("images/bb", range(500, 520))
    inventory.cache_clear()
    assert cnntrain("eval", "../run").code == 0
    assert evaluated("../run")["accuracy"] == figures["accuracy"]
    is_told(cnntrain("eval", "../run", "data.root=images"), "test images are gone or changed")


def test_a_run_without_a_record_is_evaluated_on_its_own_images_and_that_is_said(cnntrain: Command) -> None:
    """As runs were that were written before there was one."""
    two_classes(20)
    assert cnntrain("train", *RUN).code == 0
    path = Path("run/checkpoints/best.pt")
    state = checkpoint.load(path)
    del state["split"]
    checkpoint.write(checkpoint.serialize(state), path)
    Path("run/split.csv.gz").unlink()
    done = again(cnntrain)
    assert done.code == 0, done.err
    assert "no record of which images the run held out" in done.err
    # This run did not choose by index, so its training images are others: as if files had been added.
    assert "may be ones that it was trained on" in done.err
    assert evaluated()["examples"] == 6  # 15 % of each class, by index


def test_a_record_that_is_not_the_runs_is_not_believed(cnntrain: Command) -> None:
    two_classes(20)
    assert cnntrain("train", *RUN).code == 0
    lines = gzip.decompress(Path("run/split.csv.gz").read_bytes()).replace(b"test,", b"train,")
    Path("run/split.csv.gz").write_bytes(gzip.compress(lines))
    assert "no record of which images the run held out" in again(cnntrain).err


def test_the_record_holds_any_name_and_is_the_same_for_the_same_run(tmp_path: Path) -> None:
    names = ["a b.png", 'quo"te,.png', "new\nline.png", "car\rriage.png", "caf\udce9.png", "é.png"]
    rows = [members.Member("train", "x", f"{number:016x}", name) for number, name in enumerate(names)]
    members.write(tmp_path, members.pack(rows))
    digest = members.digest_of(members.pack(rows))
    assert members.read(tmp_path, digest) == rows
    assert members.pack(rows) == members.pack(list(rows))
    assert members.read(tmp_path, "another") is None


def test_a_record_that_is_a_pipe_or_a_bomb_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "LARGEST", 2**16)
    bomb = gzip.compress(b"0" * (members.LARGEST + 10))
    (tmp_path / members.FILE).write_bytes(bomb)
    assert members.read(tmp_path, members.digest_of(bomb)) is None
    (tmp_path / members.FILE).unlink()
    os.mkfifo(tmp_path / members.FILE)
    assert members.read(tmp_path, "any") is None


def test_limit_is_recorded_as_unused_and_resumes(cnntrain: Command) -> None:
    two_classes(20)
    assert cnntrain("train", *RUN, "limit=10").code == 0
    record = recorded()
    assert len(record["train"]) == 10 and record["unused"]
    noise("images/a", range(100, 110))
    inventory.cache_clear()
    done = cnntrain("resume", "run", "epochs=2")
    assert done.code == 0, done.err
    assert "10 added" in done.err
    assert recorded() == record


def test_data_sets_that_are_no_folders_have_no_record(cnntrain: Command) -> None:
    assert cnntrain("train", "limit=50", "epochs=1", "model=mlp", "report=false", "out=run").code == 0
    assert not Path("run/split.csv.gz").exists()
    assert torch.load("run/checkpoints/last.pt", weights_only=True)["split"] is None


def test_swapped_class_folders_are_read_again_though_sizes_and_times_are_the_same(cnntrain: Command) -> None:
    """Uncompressed files of one length, with one time of modification, as from a zip file."""
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        Path("images", name).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (6, 6), (*colour[:1], number, *colour[2:])).save(f"images/{name}/{number}.bmp")
            os.utime(f"images/{name}/{number}.bmp", (1e9, 1e9))
    first = {tuple(record["mean"].round(1)) for record in inventory("images", 64).records[:8]}
    Path("images/red").rename("images/x")
    Path("images/blue").rename("images/red")
    Path("images/x").rename("images/blue")
    inventory.cache_clear()
    second = {tuple(record["mean"].round(1)) for record in inventory("images", 64).records[:8]}
    assert first == {(0.0, 0.0, 1.0)} and second == {(1.0, 0.0, 0.0)}
    assert cnntrain("train", *RUN, "epochs=10", "optim.lr=0.01").code == 0
    done = cnntrain("predict", "run", "images/blue/0.bmp", "images/red/0.bmp")
    assert re.search(r"blue/0.bmp +blue", done.out) and re.search(r"red/0.bmp +red", done.out)


def test_a_sweep_is_resumed_from_another_folder_with_its_own_data(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_classes(15)
    assert cnntrain("train", *RUN[:-1], "out=tries", "-m", "seed=0,1").code == 0
    shutil.rmtree("tries/seed-1")
    Path("other").mkdir()
    monkeypatch.chdir("other")
    noise("images/a", range(500, 520))
    noise("images/bb", range(500, 520))
    done = cnntrain("resume", "../tries")
    assert done.code == 0, done.err
    contents = []
    for run in (Path("../tries/seed-0"), Path("../tries/seed-1")):
        rows = members.read(run, checkpoint.load(run / "checkpoints/best.pt")["split"])
        contents.append({row.content for row in rows or ()})
    assert contents[0] == contents[1] and len(contents[0]) == 30


def test_a_sweep_over_folders_is_resumed_from_another_folder_with_its_own_data(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("ds1", "it's 2"):
        noise(f"{folder}/a", range(10))
        noise(f"{folder}/bb", range(10))
    done = cnntrain("train", *RUN[2:-1], "data=folder", "data.root=ds1,'it\\'s 2'", "out=tries", "-m")
    assert done.code == 0, done.err
    second = "data.root-it-s-2"
    assert (Path("tries") / "data.root-ds1").is_dir() and (Path("tries") / second).is_dir()
    assert f"root: {Path('ds1').absolute()}" in Path("tries/data.root-ds1/config.yaml").read_text()
    shutil.rmtree(Path("tries", second))
    contents = Path("it's 2").absolute()
    Path("other").mkdir()
    monkeypatch.chdir("other")
    noise("it's 2/a", range(500, 520))
    noise("it's 2/bb", range(500, 520))
    done = cnntrain("resume", "../tries")
    assert done.code == 0, done.err
    state = checkpoint.load(Path("../tries", second, "checkpoints/best.pt"))
    assert state["config"]["data"]["root"] == str(contents)
