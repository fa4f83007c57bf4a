"""Texts in files or tables, and the numbers that their tokens become."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.errors import UserError
from cnntrain.sequences import TextFolder
from cnntrain.sequences.reading import facts, read
from cnntrain.sequences.tokens import Tokens, vocabulary_of


def texts_in(path: str, train: bool) -> TextFolder:
    return TextFolder(path, train, test_fraction=0.15)


def write(path: str, text: str | bytes) -> None:
    """Write a file, and the folders that it lies in."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_file_is_a_text_and_its_folder_the_class() -> None:
    for number in range(3):
        write(f"d/ham/{number}.txt", f"dear friend {number}")
        write(f"d/spam/{number}.txt", f"buy now {number}")
    train = texts_in("d", train=True)
    assert train.classes == ["ham", "spam"]
    assert train[0][0].startswith("dear friend")


def test_a_table_has_a_text_and_a_label_a_row() -> None:
    write("t.csv", 'label,text\nham,"dear, friend"\nspam,"buy\nnow"\nham,hello\nspam,cheap\n')
    train, test = texts_in("t.csv", train=True), texts_in("t.csv", train=False)
    assert sorted(text for part in (train, test) for text, _ in (part[i] for i in range(len(part)))) == [
        "buy\nnow",
        "cheap",
        "dear, friend",
        "hello",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"caf\xe9", "not UTF-8: byte 3 is 0xe9"), (" \n", "holds no text"), (b"", "is empty")],
)
def test_bad_files_are_named(content: str | bytes, told: str) -> None:
    for name in ("train/a/0", "train/b/0", "test/a/0"):
        write(f"d/{name}.txt", "text")
    write("d/train/a/1.txt", content)
    with pytest.raises(UserError, match=r"a/1\.txt") as error:
        read(texts_in("d", train=True), "text")
    assert told in str(error.value)


def test_bytes_characters_and_words_are_numbered() -> None:
    assert Tokens("bytes")("é!").tolist() == [0xC3, 0xA9, 0x21]
    assert Tokens("bytes").count == 256
    assert Tokens("characters", "ba")("abc").tolist() == [2, 1, 0]
    words = Tokens("words", "world hello ,")
    assert words("Hello, new WORLD").tolist() == [2, 3, 0, 1]
    assert words.count == 4


def test_a_vocabulary_holds_the_commonest_and_no_rare_ones() -> None:
    texts = ["a a a b b c", "a b d d"]
    assert vocabulary_of(texts, "words", 10, 2) == "d b a"
    assert vocabulary_of(texts, "words", 2, 1) == "b a"
    assert vocabulary_of(["abca"], "characters", 10, 1) == "cba"
    assert vocabulary_of(texts, "bytes", 10, 1) == ""


def test_a_vocabulary_is_never_read_as_a_reference_to_a_key() -> None:
    assert "${" not in vocabulary_of(["$${{ {$ ${ }"], "characters", 99, 1)
    assert "${" not in vocabulary_of(["$${{ {$ ${ }"], "words", 99, 1)


def test_the_vocabulary_is_that_of_the_training_texts() -> None:
    write("d/train/a/0.txt", "one two two")
    write("d/train/b/0.txt", "two")
    write("d/test/a/0.txt", "three three three three")
    data = {"inputs": "text", "tokens": "words", "vocabulary": "auto", "vocabulary_size": 9, "min_count": 2}
    found = facts(*(read(texts_in("d", train=part), "text") for part in (True, False)), data)
    assert found == {"num_classes": 2, "vocabulary": "two", "steps": 4}
