"""Translations: every message has one, with the same places, and the compiled catalogue is of the text."""

from __future__ import annotations

import ast
import gettext
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from conftest import Command, is_told

import cnntrain as package
from cnntrain.language.translation import FOLDER, LANGUAGES, speaking, tr, tr_count

JOIN = "\u00a0"  # stands before ; : ? ! and inside « » in French
ARGUMENTS = {"tr": 1, "later": 1, "tr_count": 3}  # functions that translate, and their messages' last place
Entry = tuple[tuple[str, ...], tuple[str, ...]]  # a message, with its plural if it has one; its translations


def entries(path: Path) -> list[Entry]:
    """Return the messages of a .po file and their translations, its header left out."""
    found = []
    for block in path.read_text("utf-8").split("\n\n")[1:]:
        texts: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            begin = line.index('"')
            key = line[:begin].strip() or key
            texts[key] = texts.get(key, "") + ast.literal_eval(line[begin:])
        message = tuple(text for key, text in texts.items() if key.startswith("msgid"))
        found.append((message, tuple(text for key, text in texts.items() if key.startswith("msgstr"))))
    return found


CATALOGUES = [path for language in LANGUAGES[1:] for path in sorted((FOLDER / language).glob("*.po"))]
ENTRIES = [(path, entry) for path in CATALOGUES for entry in entries(path)]


def messages(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield the messages that code marks: literals that a function takes which translates."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        first = 1 if node.func.id == "tr_count" else 0
        given = node.args[first : ARGUMENTS.get(node.func.id, 0)]
        texts = tuple(part.value for part in given if isinstance(part, ast.Constant))
        if texts and len(texts) == len(given):
            yield texts


def in_code() -> set[tuple[str, ...]]:
    """Return all messages of the package."""
    root = Path(package.__file__).parent
    return {found for path in root.rglob("*.py") for found in messages(ast.parse(path.read_text("utf-8")))}


PROSE = re.compile(r"[a-z]{2,} [a-z]{2,}")  # two words and a blank between them


def prose(tree: ast.AST) -> Iterator[str]:
    """Yield the literals of code that are prose, but for docstrings, marked messages, errors and styles."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_marked = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ARGUMENTS
        )
        is_style = isinstance(node, ast.keyword) and node.arg == "loc"
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_marked or is_style or is_docstring or isinstance(node, ast.Raise):
            skipped.update(ast.walk(node))
        elif isinstance(node, ast.Constant) and node not in skipped and PROSE.search(str(node.value).lower()):
            yield str(node.value)


def places(text: str) -> Counter[str]:
    """Return the names of the places of a message; it is a format if one of them has a name."""
    names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    return Counter(names)


def tags(text: str) -> Counter[str]:
    """Return the tags of rich's markup: ``[bold]``, ``[/]``."""
    return Counter(re.findall(r"\[/?[a-z ]*\]", text))


def test_every_message_has_a_translation_and_no_other() -> None:
    for language in LANGUAGES[1:]:
        known = {entry[0] for path, entry in ENTRIES if path.parent.name == language}
        assert in_code() == known, "call scripts/translations"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_compiled_catalogue_is_that_of_the_text(path: Path) -> None:
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message, translated in entries(path):
        assert all(translated), f"{message[0]!r} lacks its translation"
        if len(message) == 1:
            assert (compiled.gettext(message[0]),) == translated
        else:
            plurals = {compiled.ngettext(*message, number) for number in (1, 2)}  # type: ignore[arg-type]
            assert plurals == set(translated)


def test_translations_have_the_places_and_tags_of_their_messages() -> None:
    for path, (message, translated) in ENTRIES:
        for text in translated:
            assert places(text) == places(message[-1]), f"{path.name}: {text!r}"
            assert tags(text) == tags(message[-1]), f"{path.name}: {text!r}"


def test_french_has_blanks_that_do_not_break_before_its_signs() -> None:
    code = re.compile(r"`[^`]*`|\[/?[a-z ]*\]|\{[^}]*\}|https?:\S+")
    for path, (_, translated) in ENTRIES:
        if path.parent.name != "fr":
            continue
        for text in translated:
            plain = code.sub("x", text)
            wrong = re.findall(rf".?[^{JOIN}][;:?!»](?:\s|$)|«[^{JOIN}]", plain)
            assert not wrong, f"{text!r}: {wrong}"


def test_what_topics_say_is_marked_for_translation() -> None:
    folder = Path(package.__file__).parent / "explain"
    modules = [*(folder / "topics").rglob("*.py"), *(folder / f"{n}.py" for n in ("sentences", "figures"))]
    unmarked = {path.name: list(prose(ast.parse(path.read_text("utf-8")))) for path in modules}
    assert {name: found for name, found in unmarked.items() if found} == {}
    assert list(prose(ast.parse("words(f'a sentence of {number} words')"))) == ["a sentence of "]


def test_plurals_follow_the_language() -> None:
    assert [tr_count(n, "{number:,} pixel", "{number:,} pixels") for n in (0, 1, 2)] == [
        "0 pixels",
        "1 pixel",
        "2 pixels",
    ]
    with speaking("fr"):  # where 0 is singular
        assert [tr_count(n, "{number:,} pixel", "{number:,} pixels") for n in (0, 1, 2)] == [
            "0 pixel",
            "1 pixel",
            "2 pixels",
        ]


def test_what_lacks_a_translation_stays_english_and_french_ends_with_its_block() -> None:
    unknown = "nothing that a catalogue holds: {value}"
    with speaking("fr"):
        assert tr(unknown, value=1) == "nothing that a catalogue holds: 1"
        assert tr("Images") == "Images" and tr("Training") == "Entraînement"
    assert tr("Training") == "Training"


def test_languages_are_those_with_a_folder() -> None:
    assert sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0] != "_") == sorted(
        LANGUAGES[1:]
    )


def test_the_contents_are_told_in_the_language_that_is_typed(
    torchless: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    assert "\nTraining\n" in torchless("explain").out  # whatever the locale
    french = torchless("explain", "lang=fr")
    assert french.code == 0 and "\nEntraînement\n" in french.out and "\nTraining\n" not in french.out
    assert max(map(len, french.out.splitlines())) <= 80
    assert torchless("explain", "lang=fr", "lang=en").out == torchless("explain").out


def test_a_topic_is_told_in_french_and_the_next_one_in_english(cnntrain: Command) -> None:
    words = ("explain", "tensors", "limit=64", "precision=fp32", "threads=1")
    french = cnntrain(*words, "lang=fr", "out=f")
    assert (french.code, french.err) == (0, "")
    assert "vecteur : un biais" in french.out and "\nfigure : f/tensors.png" in french.out
    assert "vector" not in french.out and Path("f/tensors.png").exists()
    assert "vector: a bias" in cnntrain(*words, "out=e").out


def test_the_language_is_completed(torchless: Command) -> None:
    assert torchless("_complete", "explain", "lan").out == "lang=\n"
    assert torchless("_complete", "explain", "shift", "lang=").out == "lang=en\nlang=fr\n"


def test_a_language_that_is_not_there_is_told(torchless: Command) -> None:
    is_told(torchless("explain", "lang=de"), "lang=de is not possible", "en or fr")
    is_told(torchless("explain", "shift", "lang=fre"), "did you mean lang=fr?")
    is_told(torchless("explain", "lan=fr"), "unknown key lan: did you mean lang?")
    is_told(torchless("explain", "lang=fr", "--as-script", "x.py"), "leave lang=fr out")
