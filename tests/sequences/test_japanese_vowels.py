"""JapaneseVowels is read from the file of a package that carries it, which is not imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import Command, is_told

from cnntrain.config.compose import compose
from cnntrain.errors import UserError
from cnntrain.sequences import JapaneseVowels

TS = """#A comment: with a colon
@dimensions 12
@data
"""


def package(name: str) -> None:
    """Write a package that can't be imported, with two utterances of two speakers in each part."""
    folder = Path(name) / "datasets" / "data" / "JapaneseVowels"
    folder.mkdir(parents=True)
    (Path(name) / "__init__.py").write_text("raise ImportError('it is heavy')")
    for part, length in (("TRAIN", 3), ("TEST", 4)):
        series = [":".join(",".join(str(f + t) for t in range(length)) for f in range(12)) for _ in "ab"]
        lines = [f"{one}:{speaker}" for one, speaker in zip(series, "12", strict=True)]
        (folder / f"JapaneseVowels_{part}.ts").write_text(TS + "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["aeon", "sktime"])
def test_the_file_is_found_in_either_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package(name)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    train, test = JapaneseVowels(train=True), JapaneseVowels(train=False)
    value, label = train[1]
    assert value.shape == (3, 12)
    assert value[2, 11] == 13
    assert label == 1
    assert test[0][0].shape == (4, 12)
    assert train.classes == ["1", "2"]
    assert name not in sys.modules


def test_without_such_a_package_one_line_says_what_to_install(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnntrain.sequences.japanese_vowels.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps aeon"):
        JapaneseVowels(train=True)
    is_told(cnntrain("train", "data=japanese_vowels", "model=lstm"), "pip install --no-deps aeon")


def test_its_training_is_longer_than_others_unless_epochs_are_typed() -> None:
    assert compose(["data=japanese_vowels", "model=lstm"]).epochs == 50
    assert compose(["data=japanese_vowels", "model=lstm", "epochs=3"]).epochs == 3
