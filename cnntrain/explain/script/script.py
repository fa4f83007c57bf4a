"""``cnntrain explain --as-script FILE``: the configured run as one plain PyTorch file.

The text is in ``script.py.jinja``. What the tool computes itself (the split, augmentation) is put in as it
stands in its own modules, so that the script can't come to differ from the run.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jinja2

from cnntrain.config.keys import KEYS
from cnntrain.config.sections import ScriptSettings
from cnntrain.data import splits
from cnntrain.errors import UserError
from cnntrain.explain.script.closure import imported, names_in, source
from cnntrain.explain.script.codegen import command, in_docstring, python_string
from cnntrain.explain.script.facts import augment_facts, model_facts, training_facts
from cnntrain.explain.script.supported import check_writable, files_of
from cnntrain.explain.setup import tuned_engine
from cnntrain.optim import ema, schedules
from cnntrain.runs.named_output import write_named
from cnntrain.runs.run_folder import make_folder
from cnntrain.runtime import rng
from cnntrain.runtime.console import Console, count
from cnntrain.text import argument, encoded, printable
from cnntrain.training.components.device import find_device

SIDE = 28  # of the images in the IDX files of MNIST and its relatives
# The imports that a script may need: those whose names it uses are written.
IMPORTS = (
    "import copy",
    "import gzip",
    "import hashlib",
    "import math",
    "import struct",
    "from collections.abc import Callable",
    "from collections.abc import Iterator",
    "from pathlib import Path",
    "from typing import NamedTuple",
    "",
    "import numpy as np",
    "import torch",
    "import torch.nn.functional as F",
    "from torch import Generator, Tensor, nn",
    "from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn",
    "from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset",
)


def write_script(settings: ScriptSettings, overrides: Sequence[str], target: Path, console: Console) -> None:
    """Write the script and say how it computes.

    Args:
        settings: the settings of a run.
        overrides: the overrides as typed.
        target: a file that is not there yet.
        console: where to say so.

    Raises:
        UserError: the file is there, or something of the run can't be written.
    """
    if target.exists():
        raise UserError(f"--as-script {printable(target)}: the file exists already; give another name")
    check_writable(settings)
    files = files_of(settings.data)
    engine = tuned_engine(settings.engine, settings.criterion, find_device(settings.device))
    settled = replace(settings, engine=replace(settings.engine, **asdict(engine)))
    check_writable(settled)  # what auto has become
    text = script(settled, overrides, target, files)
    if target.parent != Path():
        make_folder(target.parent)
    write_named(target, encoded(text))
    console.command("script", f"python {argument(target)}")
    console.line("It computes as the run does here: {}.", engine)
    if engine.precision != "fp32" or engine.channels_last:
        console.line("[dim]plainer to read, and slower: precision=fp32 channels_last=false[/]")


def script(
    settings: ScriptSettings, overrides: Sequence[str], target: Path, files: Mapping[str, list[Path]]
) -> str:
    """Return the text of the script.

    Args:
        settings: the settings of a run that can be written, nothing of its engine left to ``auto``.
        overrides: the overrides as typed.
        target: the file that it will be.
        files: the files of images and labels, of ``train`` and of ``test``.
    """
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"code": python_string, "words": in_docstring}
    template = environment.from_string(Path(__file__).with_name("script.py.jinja").read_text("utf-8"))
    facts = {
        **plain_facts(settings, overrides, target, files),
        **model_facts(settings, environment),
        **augment_facts(settings.augment),
        **training_facts(settings),
        "sources": {
            "seed_for": source(rng.seed_for),
            "stratified_split": source(splits.stratified_split),
            "limited": source(splits.limited),
            "cosine": source(schedules.cosine),
            "move_average": source(ema.move_average),
        },
    }
    body = template.render(**facts, imports="")
    own = [line for line in facts["own_imports"] if line]
    used = names_in(ast.parse(body))
    lines = [line for line in IMPORTS if not line or imported(line) & used]
    return template.render(**facts, imports="\n".join([*lines, *own]))


def plain_facts(
    settings: ScriptSettings, overrides: Sequence[str], target: Path, files: Mapping[str, list[Path]]
) -> dict[str, Any]:
    """Return what the template needs that stands in the configuration as it is."""
    data, engine, file = settings.data, settings.engine, target.name
    folder = Path(os.path.commonpath([path.parent for part in files.values() for path in part]))
    compressed = [path.suffix == ".gz" for part in files.values() for path in part]
    return {
        **settings.written,
        "file": file,
        "kept": "model" if settings.ema is None else "average.module",
        "weights": f"{file.removesuffix('.py')}.pt",
        "command": command(overrides),
        "sameness": sameness(settings),
        "left_out": ", ".join(left_out(settings)),
        "folder": folder_from(folder, target),
        "files": {part: [path.relative_to(folder) for path in paths] for part, paths in files.items()},
        "gz": "all" if all(compressed) else "some" if any(compressed) else "",
        "transposed": data.source.get("dataset") == "EMNIST",
        "classes": data.num_classes,
        "mean": list(data.mean),
        "std": list(data.std),
        "shape": data.shape,
        "size": SIDE,
        "val_fraction": data.val_fraction,
        "validates": data.val_fraction > 0,
        "split_seed": data.split_seed,
        "device": str(find_device(settings.device)),
        "bf16": engine.precision == "bf16",
        "channels_last": engine.channels_last,
        "threads": engine.threads,
    }


def folder_from(folder: Path, target: Path) -> str:
    """Return the code for where the images are: from the script, if both lie below the current folder."""
    beside, here = target.absolute().parent, Path.cwd()
    if not (folder.is_relative_to(here) and beside.is_relative_to(here)):
        return f"Path({python_string(folder)})"
    return f"Path(__file__).parent / {python_string(Path(os.path.relpath(folder, beside)).as_posix())}"


def left_out(settings: ScriptSettings) -> list[str]:
    """Return the keys that are not at their default and that the script may leave out."""
    without_effect = [key for key, rule in KEYS.items() if rule.affects != "weights" and not rule.in_script]
    return [key for key in without_effect if key in settings.changed]


def sameness(settings: ScriptSettings) -> str:
    """Describe how much the same the weights are."""
    engine = settings.engine
    if find_device(settings.device).type != "cpu" and not settings.deterministic:
        return "as nearly as a GPU repeats itself (deterministic=true: to the bit)"
    return f"to the bit in {engine.precision} with {count(int(engine.threads), 'thread')}"
