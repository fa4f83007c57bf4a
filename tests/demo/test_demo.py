"""``cnntrain demo``: one file, or one clear line."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told

from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.demo import page as demo_page
from cnntrain.demo.gallery import lies_as_in_mnist
from cnntrain.demo.texts import TEXTS

SERVED = """\
import signal
from cnntrain.demo.serving import serve
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets jobs in the background ignore it
serve("<p>the page</p>", {"model": b"its bytes"}, lambda address: print(address, flush=True))
"""
SMALL = ("data=fake", "data.source.size=60", "data.channels=1", "data.image_size=12")
CANVASES = ("data=mnist_canvas", "data.canvases=32", "data.test_canvases=8")
FOLDER = Path(demo_page.__file__).parent


def data_of(file: Path) -> Any:
    """Return what a page knows of its network."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', file.read_text())
    assert found is not None
    return json.loads(found[1])


def test_it_writes_one_page_into_the_folder_of_the_run(cnntrain: Command, run: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    outcome = cnntrain("demo", "run")
    assert (outcome.code, outcome.err) == (0, "")
    assert re.fullmatch(r"run/demo.html  \S+ MB, .* on 100 test images\n", outcome.out)
    text = (run / "demo.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', text) and "http-equiv" in text
    known = data_of(run / "demo.html")
    assert [(tap["kind"], tap["does"], tap["reads"]) for tap in known["taps"]] == [
        ("input", "", None),
        ("Linear", "linear", 0),
        ("ReLU", "pointwise", 1),
        ("Linear", "linear", 2),
    ]
    assert known["box"] == 20 and len(known["labels"]) == 30 and set(known["labels"]) == set("0123456789")

    assert '<html lang="en">' in text and "Draw here" in text

    outcome = cnntrain("demo", "run", "out=new/page.html", "lang=fr", "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    text = Path("new/page.html").read_text()
    assert '<html lang="fr">' in text and "Dessinez ici" in text and "Draw here" not in text
    french = data_of(Path("new/page.html"))
    assert french.pop("texts") != known.pop("texts")
    assert french == known


def test_wrong_uses_are_told_in_one_line(cnntrain: Command, run: Path) -> None:
    pytest.importorskip("onnxscript")
    is_told(cnntrain("demo"), "demo needs a run: cnntrain demo last")
    is_told(cnntrain("demo", "nosuch"), "nosuch")
    is_told(cnntrain("demo", "run", "ot=page.html"), "did you mean out=page.html?")
    is_told(cnntrain("demo", "run", "top=3"), "top")
    is_told(cnntrain("demo", "run", "lang=de"), "lang=de is not possible", "en or fr")
    is_told(cnntrain("demo", "run", "--sreve"), "--serve")
    is_told(cnntrain("demo", "run", "--serve", "out=page.html"), "--serve writes no file")
    Path("folder").mkdir()
    is_told(cnntrain("demo", "run", "out=folder"), "it is a folder, name a file")
    Path("file").touch()
    is_told(cnntrain("demo", "run", "out=file/page.html"), "file")
    for checkpoint in (run / "checkpoints").iterdir():
        checkpoint.unlink()
    is_told(cnntrain("demo", "run"), "run")
    assert not (run / "demo.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "shown", "task"),
    [
        (("model=lstm", *SMALL), {"Reader", "LSTM", "Linear"}, "classes"),
        (
            ("model=torchvision", "model.name=resnet18", *SMALL),
            {"Conv2d", "AdaptiveAvgPool2d", ""},
            "classes",
        ),
        (("model=unet", "model.width=4", *CANVASES), {"ConvTranspose2d", "MaxPool2d", ""}, "masks"),
    ],
    ids=["lstm", "resnet18", "unet"],
)
def test_networks_of_all_kinds_are_shown(
    cnntrain: Command, words: tuple[str, ...], shown: set[str], task: str
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    outcome = cnntrain("train", *words, "epochs=1", "report=false", "precision=fp32", "out=run")
    assert outcome.code == 0, outcome.err
    outcome = cnntrain("demo", "run")
    assert outcome.code == 0, outcome.err
    known = data_of(Path("run/demo.html"))
    assert known["task"] == task
    assert shown <= {tap["kind"] for tap in known["taps"]}
    for tap in known["taps"]:
        assert (tap["does"] != "") == (tap["reads"] is not None)


def test_a_run_that_reads_sequences_is_refused_before_its_data_are_read(
    cnntrain: Command,
) -> None:
    pytest.importorskip("onnxscript")
    for number in range(20):
        file = Path(f"texts/{'ab'[number % 2]}/{number}.txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number} times")
    words = ("data=text_folder", "data.root=texts", "model=gru", "model.width=8", "epochs=1", "report=false")
    outcome = cnntrain("train", *words, "out=run")
    assert outcome.code == 0, outcome.err
    shutil.rmtree("texts")
    is_told(cnntrain("demo", "run"), "demo is for networks that take images, and this run's takes text")


def test_a_network_that_is_too_large_is_to_be_served(
    cnntrain: Command, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("cnntrain.demo.entry.LARGEST", 1000)
    is_told(cnntrain("demo", "run"), "too much for one page")
    assert not (run / "demo.html").exists()


def test_a_server_gives_the_page_and_its_parts_until_ctrl_c() -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVED], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        for path, content in (("", b"<p>the page</p>"), ("model", b"its bytes")):
            with urllib.request.urlopen(address + path, timeout=10) as answer:
                assert answer.read() == content
        elsewhere = urllib.request.Request(address, headers={"Host": "evil.example:8000"})
        with pytest.raises(urllib.error.HTTPError, match="403"):  # a name that was made to point here
            urllib.request.urlopen(elsewhere, timeout=10)
        forwarded = urllib.request.Request(address, headers={"Host": "localhost:9000"})
        with urllib.request.urlopen(forwarded, timeout=10) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{address}../etc/passwd", timeout=10)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
    finally:
        process.kill()
        process.wait()


def test_a_drawing_is_centred_where_the_images_are() -> None:
    digits = MNISTMini(train=False).images[::10]
    assert lies_as_in_mnist(digits)
    assert not lies_as_in_mnist(255 - digits)
    assert not lies_as_in_mnist(digits.roll(4, 3))
    assert not lies_as_in_mnist(digits.repeat(1, 3, 1, 1))
    assert not lies_as_in_mnist(torch.nn.functional.interpolate(digits, size=(38, 38))[:, :, 5:33, 5:33])
    assert not lies_as_in_mnist(torch.zeros(10, 1, 28, 28, dtype=torch.uint8))


def test_every_text_is_on_the_page_and_the_page_has_no_other() -> None:
    sources = [path.read_text() for kind in ("*.html", "*.js", "page.py") for path in FOLDER.glob(kind)]
    used = {name for text in sources for name in re.findall(r'(?:texts\.|TEXTS\[?")(\w+)|say\("(\w+)"', text)}
    named = {name for pair in used for name in pair if name}
    assert named <= set(TEXTS)
    # Those that are chosen among others by a variable.
    listed = {name for name in TEXTS if any(re.search(rf'"{name}"|\b{name}:', text) for text in sources)}
    assert set(TEXTS) <= named | listed


def test_the_runtime_is_the_version_that_the_page_names() -> None:
    script = (demo_page.RUNTIME / "ort.wasm.bundle.min.mjs").read_text()
    assert f"ONNX Runtime Web v{demo_page.RUNTIME_VERSION}" in script
    assert (
        (demo_page.RUNTIME / "README.md")
        .read_text()
        .startswith(f"# ONNX Runtime Web {demo_page.RUNTIME_VERSION}\n")
    )
    packed = demo_page.RUNTIME / "ort-wasm-simd-threaded.wasm.gz"
    assert gzip.decompress(packed.read_bytes())[:4] == b"\0asm"
