"""``cnntrain explain anchors``: anchors, which of them are positive, and proposals, of one image."""

from __future__ import annotations

import re
from pathlib import Path

from conftest import Command, is_told

DATA = ("data=mnist_canvas", "data.canvases=24", "data.test_canvases=8", "data.image_size=32")
PLAIN = ("precision=fp32", "threads=1", "channels_last=false")
TINY = (*DATA, "data.digits=[2,2]", "data.digit_size=[12,20]", "batch_size=8", *PLAIN)
MODEL = ("model=faster_rcnn", "model.width=4", "model.strides=[4,8]", "epochs=1")
PNG = b"\x89PNG\r\n"


def test_anchors_of_a_model_that_is_trained_now_and_of_a_run(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "anchors", *TINY, *MODEL, "out=now")
    assert outcome.code == 0, outcome.err
    counts = [int(number.replace(",", "")) for number in re.findall(r"×.*? +([\d,]+)$", outcome.out, re.M)]
    assert counts == [64 * 6, 16 * 6]  # places of each map, and anchors of a place
    told = re.search(r"Of 480 anchors (\d+) are positive, (\d+) background, (\d+)", outcome.out)
    assert told and sum(map(int, told.groups())) == 480 and int(told[1]) >= 2
    assert re.search(r"\d of 2 objects have an anchor, \d a box before", " ".join(outcome.out.split()))
    assert max(map(len, outcome.out.splitlines())) <= 100
    for name in ("anchors.png", "positive.png", "proposals.png"):
        assert Path("now", name).read_bytes().startswith(PNG)

    assert cnntrain("train", *TINY, *MODEL, "report=false", "doctor=false", "out=run", "-q").code == 0
    outcome = cnntrain("explain", "anchors", "run=run", "lang=fr", "out=of_run")
    assert outcome.code == 0 and "run regarde une image de test de 1×32×32" in outcome.out


def test_anchors_are_explained_of_faster_rcnn_alone(cnntrain: Command) -> None:
    is_told(cnntrain("explain", "anchors", "model=yolo"), "explain anchors is about model=faster_rcnn")
