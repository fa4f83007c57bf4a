"""Take networks of torchvision and timm through everything: train, evaluate, export, read back and compare.

    python scripts/check_families.py                    # one of each family of torchvision, on 28 pixels
    python scripts/check_families.py timm:convnext_atto --image-size 32

Each trains for one step on a few made-up grey images, is saved, evaluated from its checkpoint, and exported
as ONNX and as a program of torch.export; `cnntrain export` compares both with torch. Prints a row for each,
and ends with 1 if one of them failed. Needs `pip install '.[export]'`, and some ten minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from cnntrain.cli.main import run
from cnntrain.errors import CnntrainError

FAMILIES = (
    *("resnet18", "vgg11", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x0_5"),
    *("squeezenet1_1", "mnasnet0_5", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t", "googlenet"),
)
TRAIN = ("data=fake", "data.source.size=40", "data.channels=1", "limit=8", "batch_size=8", "epochs=1")
QUIET = ("precision=fp32", "threads=1", "channels_last=false", "report=false", "doctor=false", "verbose=0")


def main() -> None:
    """Check each, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=FAMILIES, metavar="NAME", help="timm:NAME is timm's")
    parser.add_argument("--image-size", type=int, default=28, metavar="N", help="pixels (default 28)")
    arguments = parser.parse_args()
    print(f"{'network':28}{'parameters':>13}{'examples':>10}{'onnx':>10}{'pt2':>10}{'seconds':>9}")
    failed = 0
    for name in arguments.names:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            begin = time.monotonic()
            try:
                found = checked(name, arguments.image_size)
                cells = "".join(
                    f"{value:>{width}}" for value, width in zip(found, (13, 10, 10, 10), strict=True)
                )
                print(f"{name:28}{cells}{time.monotonic() - begin:9.1f}", flush=True)
            except CnntrainError as error:
                failed += 1
                print(f"{name:28} {error}", flush=True)
    sys.exit(1 if failed else 0)


def checked(name: str, image_size: int) -> tuple[str, str, str, str]:
    """Return parameters, examples evaluated, and the largest difference of each exported model."""
    library, _, own = name.rpartition(":")
    model = (f"model={library or 'torchvision'}", f"model.name={own}", f"data.image_size={image_size}")
    run(["train", *TRAIN, *QUIET, *model, "out=run"])
    run(["eval", "run", "verbose=0"])
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        run(["export", "run", "formats=[onnx,pt2]"])
    differences = re.findall(r"largest difference (\S+)", " ".join(text.getvalue().split()))
    summary = json.loads(Path("run/summary.json").read_text())
    evaluated = json.loads(Path("run/eval_test.json").read_text())["examples"]
    return f"{summary['parameters']:,}", str(evaluated), differences[0], differences[1]


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "200")
    main()
