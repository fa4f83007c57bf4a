"""README.md and docs/ show what the commands print, in both languages, and the site is whole."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Command

from cnntrain.config.schema import Config
from cnntrain.data.open import Data
from cnntrain.explain import setup as explain_setup
from cnntrain.explain.setup import ExplainedModel
from cnntrain.runtime.console import Console

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "scripts"))

import docs_outputs
from docs_outputs import Output

PAGES = docs_outputs.pages()
SHOWN = [output for page in PAGES for output in docs_outputs.outputs(page)]
QUICK = ("cnntrain summary", "cnntrain --help", "cnntrain explain")  # these words alone, or a summary
FRENCH = [page for page in PAGES if page.name.endswith(".fr.md")]
IN_FRENCH = " lang=fr"
RUN_IN_FRENCH = ("tensors", "steps")  # the quick ones; of the others words and numbers are compared
CATALOGUE = ROOT / "cnntrain/language/fr/explain.po"
ORDINALS = ("#st", "#re", "#er")  # words that French has in other places
WORD = re.compile(r"[^\W\d_]+")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def cases() -> list[object]:
    """Return each command once; those that train or measure are slow."""
    commands = [
        command
        for command in dict.fromkeys(output.command for output in SHOWN)
        if IN_FRENCH not in command or command.split()[2] in RUN_IN_FRENCH
    ]
    slow = [c for c in commands if not (c.startswith("cnntrain summary") or c in QUICK)]
    return [pytest.param(c, marks=[pytest.mark.slow] if c in slow else []) for c in commands]


@pytest.fixture(scope="module")
def models() -> dict[str, ExplainedModel]:
    """The trained models of the topics so far, by their configurations."""
    return {}


@pytest.fixture
def trained_once(models: dict[str, ExplainedModel], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let topics that explain the same model train it once: a seed gives the same weights each time."""

    train = explain_setup.trained

    def trained(config: Config, console: Console, data: Data | None = None) -> ExplainedModel:
        name = json.dumps({**config, "out": None}, sort_keys=True)
        if name not in models:
            models[name] = train(config, console, data)
        return replace(models[name], model=copy.deepcopy(models[name].model))

    monkeypatch.setattr(explain_setup, "trained", trained)


@pytest.mark.parametrize("command", cases())
@pytest.mark.usefixtures("trained_once")
def test_a_command_prints_what_the_pages_show(command: str, cnntrain: Command) -> None:
    done = cnntrain(*shlex.split(command)[1:])
    assert done.code == 0, done.err
    wrong = {
        name_of(output.page): chunk
        for output in SHOWN
        if output.command == command and (chunk := docs_outputs.difference(output, done.out))
    }
    assert not wrong, f"python scripts/docs_outputs.py {' '.join(wrong)} writes it anew:\n{done.out}"
    drawn = {path.stem for path in Path("outputs/explain").glob("*/*.png")}
    for page in {output.page for output in SHOWN if output.command == command}:
        named = docs_outputs.PICTURE.findall(page.read_text())
        topic = command.split()[2] if command.startswith("cnntrain explain ") else ""
        assert {file or of for _, of, file in named if of == topic} <= drawn


@pytest.mark.parametrize(
    ("shown", "printed", "is_wrong"),
    [
        ("loss 0.25 in 3 s", "loss  0.25\nin 3 s\n", False),
        ("loss 0.25 in 3 s", "loss 0.26 in 3 s", True),
        ("accuracy 95.00%", "accuracy 95.10%", False),
        ("accuracy 95.00%", "precision 95.00%", True),
        ("a 1\n…\nc 3", "a 1\nb 2\nc 3", False),
        ("a 1\n…\nc 3", "c 3\na 1", True),
        ("speed 12,000", "speed 34", False),
        ("out/2026-01-02_03-04-05_x", "out/2027-11-12_13-14-15_x", False),
    ],
)
def test_the_check_sees_what_differs(shown: str, printed: str, is_wrong: bool) -> None:
    near = 0.05 if "accuracy" in shown else 0.0
    assert bool(docs_outputs.difference(Output(ROOT, "", shown, 0, near, "speed"), printed)) is is_wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_quotes_the_source_as_it_is(page: Path) -> None:
    for file, lines in docs_outputs.sources(page):
        assert docs_outputs.quoted(file, lines), f"{file} has not these lines:\n{lines}"


def test_lines_that_are_not_in_a_file_are_seen() -> None:
    assert docs_outputs.quoted(
        "cnntrain/loop.py", "optimizer.zero_grad()  # 1. reset the gradients of the batch before\n"
    )
    assert not docs_outputs.quoted("cnntrain/loop.py", "optimizer.zero_grad()\n")


def in_english(page: Path) -> Path:
    return page.with_name(page.name.replace(".fr.md", ".md"))


def plain(code: str) -> str:
    """Return code without what the language changes: its key, and comments behind commands."""
    return re.sub(r"( lang=fr)?( +# .*)?$", "", code, flags=re.MULTILINE)


def compared(output: Output) -> list[float]:
    """Return the numbers of an output that are not those of one machine, sorted: words change places."""
    found = (token for token in docs_outputs.tokens(output.text, output.any) if not token.is_free)
    return sorted(number for token in found if token.letters not in ORDINALS for number in token.numbers)


@pytest.mark.parametrize("page", FRENCH, ids=name_of)
def test_the_french_page_shows_the_same_commands_code_and_pictures(page: Path) -> None:
    mine, its = (
        [(kind, plain(text)) for kind, text, *_ in docs_outputs.blocks(one) if kind != "text"]
        for one in (page, in_english(page))
    )
    assert mine == its
    pictures = [
        [name.replace(".fr.png", ".png") for name, *_ in docs_outputs.PICTURE.findall(one.read_text())]
        for one in (page, in_english(page))
    ]
    assert pictures[0] == pictures[1]
    assert page.read_text().count("\n#") == in_english(page).read_text().count("\n#")


@pytest.mark.parametrize("page", FRENCH, ids=name_of)
def test_the_french_page_shows_the_same_numbers_in_words_of_the_catalogue(page: Path) -> None:
    mine, its = docs_outputs.outputs(page), docs_outputs.outputs(in_english(page))
    known = set(WORD.findall(CATALOGUE.read_text()))
    assert len(mine) == len(its)
    for french, english in zip(mine, its, strict=True):
        assert compared(french) == compared(english), french.text
        words = set(WORD.findall(french.text)) - set(WORD.findall(english.text))
        assert words <= known, f"python scripts/docs_outputs.py {name_of(page)}: {words - known}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_on_github_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(docs_outputs.FENCE.sub("", page.read_text())):
        assert not target.startswith(("http", "/")), "the pages are whole without a network"
        assert (page.parent / target.partition("#")[0]).exists(), target


def test_pictures_are_small_and_used() -> None:
    pictures = set((ROOT / "docs").rglob("*.png"))
    text = "".join(page.read_text() for page in PAGES)
    assert all(path.stat().st_size < docs_outputs.PICTURE_BYTES for path in pictures)
    assert [path.name for path in pictures if path.name not in text] == []


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    "command",
    sorted({c for page in PAGES for c in docs_outputs.commands(page) if c.startswith("cnntrain train")}),
)
def test_the_keys_of_a_command_exist(command: str, cnntrain: Command) -> None:
    """Of commands that are not run. What is in capitals, such as DIR, the reader fills in."""
    words = [word for word in shlex.split(command)[1:] if word != "device=cuda"]
    done = cnntrain(*words, "--cfg", "job")
    assert done.code == 0, done.err


def test_pictures_of_the_french_course_are_drawn_in_french() -> None:
    same = []
    for image in sorted((ROOT / "docs/course/images").glob("*.fr.png")):
        english = image.with_name(image.name.replace(".fr.", "."))
        same += [image.name] if image.read_bytes() == english.read_bytes() else []
    assert same == ["boxes-nms.fr.png", "logits.fr.png"]  # which have no words


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(in_empty_folder: Path) -> None:
    site = in_empty_folder / "site"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--quiet",
            "-f",
            ROOT / "mkdocs.yml",
            "-d",
            site,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    page = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"'](?:https?:)?//")
    for file in site.rglob("*.html"):
        assert not page.search(file.read_text()), file
    for file in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", file.read_text()), file
    keys = (site / "reference/keys.html").read_text()
    assert "model.channels" in keys and "cnntrain train --help" in keys
    assert (site / "fr/index.html").exists()
