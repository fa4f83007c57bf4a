"""Texts by a tokenizer of the user's: trained here by the library, kept in the checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told

from cnntrain.sequences.tokenizer import kept, packed
from cnntrain.sequences.tokens import Tokens

tokenizers = pytest.importorskip("tokenizers")

SENTENCES = {"question": "who is there ? ${where}", "answer": "it is me ."}
TEXTS = (
    "data=text_folder",
    "data.root=t",
    "data.tokens=tokenizer.json",
    "batch_size=8",
    "threads=1",
    "report=false",
)


@pytest.fixture(autouse=True)
def tokenizer(in_empty_folder: Path) -> Any:
    """Return a tokenizer that is trained on some texts; write it, and them, into the folder."""
    found = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
    found.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=40, special_tokens=["[UNK]"], show_progress=False)
    found.train_from_iterator(SENTENCES.values(), trainer)
    found.enable_truncation(3)
    found.enable_padding(length=9)
    found.save("tokenizer.json")
    for label, text in SENTENCES.items():
        for number in range(12):
            file = Path(f"t/{label}/{number}.txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(" ".join([text] * (1 + number % 4)))
    found.no_truncation()
    found.no_padding()
    return found


def test_a_tokenizer_numbers_texts_as_the_library_does(tokenizer: Any) -> None:
    own = Tokens("tokenizer.json", packed("tokenizer.json"))
    for text in ("who is me", "¿unseen letters?", "it is " * 20, " "):
        assert own(text).tolist() == tokenizer.encode(text).ids
    assert own.count == tokenizer.get_vocab_size() + 1
    assert own.unknown not in tokenizer.get_vocab().values()


def test_a_run_keeps_its_tokenizer_and_needs_no_file_after_that(cnntrain: Command, tokenizer: Any) -> None:
    done = cnntrain(
        "train", *TEXTS, "model=lstm", "epochs=2", "augment.erase=0.1", "optim.lr=0.01", "out=run"
    )
    assert done.code == 0, done.err
    steps = len(tokenizer.encode(Path("t/question/3.txt").read_text()).ids)
    assert f"up to {steps} tokens, of a vocabulary of {tokenizer.get_vocab_size()}" in done.out
    state = torch.load("run/checkpoints/last.pt", weights_only=True)
    assert kept(state["config"]["data"]["vocabulary"]).get_vocab() == tokenizer.get_vocab()
    assert state["model"]["reader.weight"].shape[0] == tokenizer.get_vocab_size() + 1
    Path("tokenizer.json").unlink()
    Path("a.txt").write_text("who is there ?")
    for words in (("resume", "run", "epochs=12"), ("eval", "run"), ("report", "run")):
        done = cnntrain(*words)
        assert done.code == 0, done.err
    done = cnntrain("predict", "run", "a.txt")
    assert done.out.split()[:2] == ["a.txt", "question"]
    page = Path("run/report.html").read_text()
    assert "tokenizer.json" in page and "data.vocabulary=" not in page
    assert state["config"]["data"]["vocabulary"] not in page


def test_a_run_goes_on_to_the_same_bits_and_starts_another(cnntrain: Command) -> None:
    fixed = (*TEXTS, "model=gru", "model.width=8", "schedule=constant")
    assert cnntrain("train", *fixed, "epochs=3", "out=whole").code == 0
    assert cnntrain("train", *fixed, "epochs=2", "out=parts").code == 0
    assert cnntrain("resume", "parts", "epochs=3").code == 0
    one, other = (torch.load(f"{run}/checkpoints/last.pt")["model"] for run in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    Path("tokenizer.json").rename("same.json")
    moved = (*fixed, "data.tokens=same.json", "epochs=1", "init_from=whole")
    assert cnntrain("train", *moved, "out=next").code == 0
    is_told(cnntrain("train", *moved, "data.tokens=bytes"), "that run has another data.tokens")


def test_an_exported_model_carries_its_tokenizer(cnntrain: Command, tokenizer: Any) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert cnntrain("train", *TEXTS, "model=lstm", "model.width=8", "epochs=1", "out=run").code == 0
    done = cnntrain("export", "run", "formats=[onnx]")
    assert done.code == 0, done.err
    session = onnxruntime.InferenceSession("run/export/model.onnx")
    how = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])
    own = tokenizers.Tokenizer.from_str(json.dumps(how["tokenizer"]))
    assert own.encode("who is it").ids == tokenizer.encode("who is it").ids
    assert "tokenizers.Tokenizer.from_str" in Path("run/export/README.md").read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file; it takes a tokenizer.json"),
        ("{", "is not JSON: "),
        ("[" * 100_000, "is not JSON: "),
        ("{}", "is not a tokenizer: Model missing"),
        ('{"model":{"type":"BPE","vocab":{},"merges":[]}}', "has no tokens: train it first"),
        ('{"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"b"}}', "can't take the text"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused_in_one_line(
    cnntrain: Command, content: str | None, told: str
) -> None:
    Path("tokenizer.json").unlink()
    if content is not None:
        Path("tokenizer.json").write_text(content)
    is_told(cnntrain("train", *TEXTS, "model=lstm"), told)


def test_words_of_other_tools_are_answered(cnntrain: Command) -> None:
    is_told(
        cnntrain("train", "data=text_folder", "data.root=t", "tokenizer=transformers"), "data.tokens=token"
    )
    is_told(cnntrain("train", *TEXTS, "data.tokens=word"), "did you mean data.tokens=words?")
    is_told(cnntrain("train", *TEXTS, "data.vocabulary=abc"), "data.vocabulary holds no tokenizer")


def test_the_missing_library_is_named(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnntrain.runtime import imports

    before = imports.find_spec
    monkeypatch.setattr(imports, "find_spec", lambda name: None if name == "tokenizers" else before(name))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    is_told(cnntrain("train", *TEXTS, "model=lstm"), "needs tokenizers, which is not installed: pip install")
