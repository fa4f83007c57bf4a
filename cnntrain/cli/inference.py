"""``eval``, ``report``, ``predict``, ``export`` and ``demo``: the commands that take a trained model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from cnntrain.cli.command import (
    ANYTHING,
    Command,
    quiet_as_override,
    run_and_overrides,
    run_files_and_overrides,
    split_flags,
)
from cnntrain.cli.torchrun import join_processes
from cnntrain.config.keys import EXPORTERS, KEYS, OVERRIDABLE

# What asks for another split than the run's.
SPLITTING = ("data", *(key for key, rule in KEYS.items() if rule.splits))


def evaluate(arguments: Sequence[str]) -> int:
    """``cnntrain eval RUN [overrides]``."""
    evaluated(*run_and_overrides(arguments, EVAL), shlex.join(["cnntrain", "eval", *arguments]))
    return 0


def evaluated(run_name: str, overrides: Sequence[str], command: str) -> Any:
    """Evaluate a run's best checkpoint, and return the result.

    Args:
        run_name: the run, as typed.
        overrides: the overrides, as typed.
        command: the command that gives the same result.
    """
    from cnntrain.config.saved.from_checkpoint import check_overridable, data_trust
    from cnntrain.inference.saved_run import open_best

    parsed = check_overridable(overrides, OVERRIDABLE["eval"], "eval")
    run = open_best(run_name, "eval", parsed)
    config = run.config
    keys = [override.key_or_group for override in parsed]
    names_data = any(key in SPLITTING or key.startswith("data.source") for key in keys)

    with join_processes(config["device"]):
        from cnntrain.config.sections import EvalSettings
        from cnntrain.inference.evaluate import evaluate as evaluate_run

        trust = data_trust(config, parsed)
        return evaluate_run(EvalSettings.from_config(config), run.path, run.state, command, names_data, trust)


def report(arguments: Sequence[str]) -> int:
    """``cnntrain report RUN [overrides]``."""
    from cnntrain.config.saved.from_checkpoint import check_overridable
    from cnntrain.inference.saved_run import open_last

    run_name, overrides = run_and_overrides(arguments, REPORT)
    run = open_last(run_name, "report", check_overridable(overrides, OVERRIDABLE["report"], "report"))
    from cnntrain.config.sections import ReportSettings, TrainedSettings
    from cnntrain.report.entry import from_folder

    from_folder(
        ReportSettings.from_config(run.config), TrainedSettings.from_config(run.config), run.folder, run.state
    )
    return 0


def predict(arguments: Sequence[str]) -> int:
    """``cnntrain predict RUN FILE|FOLDER... [overrides] [--csv FILE] [--json FILE]``."""
    from cnntrain.config.inputs import inputs_of
    from cnntrain.config.saved.from_checkpoint import check_overridable
    from cnntrain.errors import CnntrainError
    from cnntrain.inference.image_files import files_of
    from cnntrain.inference.saved_run import open_best
    from cnntrain.sequences.layout import SUFFIXES

    run_name, words, overrides, flags = run_files_and_overrides(arguments, PREDICT)
    parsed = check_overridable(overrides, OVERRIDABLE["predict"], "predict")
    try:
        run = open_best(run_name, "predict", parsed)
    except CnntrainError:
        files_of(words)  # whose mistakes are reported first
        raise
    files = files_of(words, SUFFIXES.get(inputs_of(run.config["data"]), ()))
    from cnntrain.config.sections import PredictSettings, TrainedSettings
    from cnntrain.inference.model import Trained
    from cnntrain.inference.predict import predict as predict_files

    trained = Trained(TrainedSettings.from_config(run.config), run.path, run.state)
    settings = PredictSettings.from_config(run.config, (override.key_or_group for override in parsed))
    return int(bool(predict_files(trained, files, settings, flags.get("--csv"), flags.get("--json"))))


def export(arguments: Sequence[str]) -> int:
    """``cnntrain export RUN [overrides]``."""
    from cnntrain.config.saved.from_checkpoint import check_overridable, data_trust, names_data
    from cnntrain.inference.saved_run import open_to_export

    run_name, overrides = run_and_overrides(arguments, EXPORT)
    parsed = check_overridable(overrides, OVERRIDABLE["export"], "export")
    typed: Any = next((o.value() for o in parsed if o.key_or_group == "formats"), list(EXPORTERS))
    kinds = typed if isinstance(typed, list) else [typed]
    needs = {f"format {kind}": EXPORTERS[kind] for kind in kinds}
    run = open_to_export(run_name, "export", parsed, needs)
    from cnntrain.config.sections import ExportSettings
    from cnntrain.inference.export import export as export_run

    settings = ExportSettings.from_config(run.config, names_data(parsed))
    export_run(settings, run.path, run.state, data_trust(run.config, parsed))
    return 0


def demo(arguments: Sequence[str]) -> int:
    """``cnntrain demo RUN [overrides] [--serve]``."""
    from cnntrain.config.inputs import IMAGES, inputs_of
    from cnntrain.config.saved.from_checkpoint import check_overridable, data_trust, names_data
    from cnntrain.errors import UserError
    from cnntrain.inference.saved_run import open_to_export

    flags, _ = split_flags(quiet_as_override(arguments), DEMO)
    run_name, overrides = run_and_overrides(arguments, DEMO)
    serves = "--serve" in flags
    if serves and any(word.startswith("out=") for word in overrides):
        raise UserError("--serve writes no file: leave it out, or out=")
    parsed = check_overridable(overrides, OVERRIDABLE["demo"], "demo")
    run = open_to_export(run_name, "demo", parsed, {"demo": EXPORTERS["onnx"]})
    inputs = inputs_of(run.config["data"])
    if inputs != IMAGES:
        raise UserError(f"demo is for networks that take images, and this run's takes {inputs}")
    from cnntrain.config.sections import DemoSettings
    from cnntrain.demo.entry import demo as demo_run

    settings = DemoSettings.from_config(run.config, names_data(parsed))
    demo_run(settings, run.path, run.state, data_trust(run.config, parsed), serves)
    return 0


EVAL = Command(
    "eval",
    evaluate,
    {"RUN [KEY=VALUE ...]": "evaluate a run's best checkpoint"},
    """\
cnntrain eval RUN [KEY=VALUE ...] [-q]

Evaluates a run's best checkpoint (or the checkpoint file you name) and shows
every class. RUN is a run folder, a checkpoint file, or `last`.
  cnntrain eval last split=val
  cnntrain eval last data=mnist data.root=DIR

Keys (without a value here: as in the checkpoint):
""",
    keys=OVERRIDABLE["eval"],
    needs_run=True,
    works_under_torchrun=True,
    is_complete_without_screen=True,
)

REPORT = Command(
    "report",
    report,
    {"RUN [KEY=VALUE ...]": "write a run's report.html"},
    """\
cnntrain report RUN [KEY=VALUE ...] [-q]

Writes RUN/report.html, one file that opens offline in any browser, and its
figures as PNG in RUN/plots/. Every run writes it at its end; in a sweep, only
the best job does. For an unfinished run it shows the validation set. RUN is a
run folder, or `last`.
  cnntrain report last
  cnntrain report outputs/sweeps/SWEEP/JOB

Keys (without a value here: as in the run):
""",
    keys=OVERRIDABLE["report"],
    needs_run=True,
    is_complete_without_screen=True,
)

PREDICT = Command(
    "predict",
    predict,
    {"RUN FILE ...": "classes, masks or boxes of files"},
    """\
cnntrain predict RUN FILE|FOLDER... [KEY=VALUE ...] [--csv|--json FILE] [-q]

Applies a run's best model to files, after the same preprocessing as in
training. What it takes and gives follows from the run:
  classification  images, series (.csv) or texts (.txt): the likeliest classes
  segmentation    images: masks and overlays, in a folder
  detection       images: boxes in pixels of the file, as YOLO's labels with
                  overlays, rows of CSV, or JSON in COCO's format of results
FOLDER means all files in it with such an extension, except hidden ones. If a
file can't be read, predict reports it, goes on with the others, and exits with
code 1.
  cnntrain predict last digit.png
  cnntrain predict last scans/ invert=true --csv predictions.csv
  cnntrain predict last slide.png tile=512 out=masks
  cnntrain predict last street.jpg score=0.5 --json boxes.json
FILE may be - for standard output.

""",
    {"--csv": ANYTHING, "--json": ANYTHING},
    keys=OVERRIDABLE["predict"],
    needs_run=True,
    takes_files=True,
)

EXPORT = Command(
    "export",
    export,
    {"RUN [KEY=VALUE ...]": "ONNX, torch.export and safetensors"},
    """\
cnntrain export RUN [KEY=VALUE ...] [-q]

Writes a run's best model to RUN/export/, for use without cnntrain, with a
README that shows how. The models normalise their inputs themselves:
  images  uint8 (N, C, H, W), pixels from 0 to 255
  series  float32 (N, T, F), and lengths, int64 (N,)
  texts   numbers of tokens, int64 (N, T), and lengths, int64 (N,)
They return class probabilities, for segmentation those of each pixel, and for
detection boxes, scores and classes. Each file is read back and compared with
torch on test data.
  cnntrain export last
  cnntrain export last 'formats=[onnx]'

""",
    keys=OVERRIDABLE["export"],
    needs_run=True,
    is_complete_without_screen=True,
)

DEMO = Command(
    "demo",
    demo,
    {"RUN [KEY=VALUE ...]": "a page to draw on: the network at work"},
    """\
cnntrain demo RUN [KEY=VALUE ...] [--serve] [-q]

Writes RUN/demo.html: one file in which the run's best model works in any
browser, on phones too, offline. Draw on it, drop an image, or choose a test
image: probabilities and feature maps follow; click on a value to see the
window and the kernel that it came from. The page takes 5 MB and the weights.
  cnntrain demo last
  cnntrain demo last out=digits.html

Flags:
  --serve  write nothing, and serve the page at a local address until Ctrl-C:
           for models of more than 100 MB, which are too large for one page

Keys (without a value here: as in the checkpoint):
""",
    {"--serve": ()},
    keys=OVERRIDABLE["demo"],
    needs_run=True,
    is_complete_without_screen=True,
)
