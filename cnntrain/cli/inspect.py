"""The commands that train nothing for keeps: compare, summary, data, bench."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.cli.command import (
    ANYTHING,
    CONFIG_DIR_FLAGS,
    Command,
    config_dir_of,
    quiet_as_override,
    split_flags,
)
from cnntrain.cli.help import key_lines, keys_of_model, own_values
from cnntrain.config.keys import KEYS, OVERRIDABLE
from cnntrain.errors import UserError, did_you_mean
from cnntrain.text import is_there, printable


def compare(arguments: Sequence[str]) -> int:
    """``cnntrain compare RUN... [monitor=val_loss] [trust=PACKAGE] [--csv|--json|--html FILE]``."""
    from cnntrain.cli.compare import compare as compare_runs
    from cnntrain.config.saved.from_checkpoint import check_overridable

    flags, words = split_flags(arguments, COMPARE)
    mine = [word for word in words if word.startswith(("monitor=", "trust="))]
    names = [word for word in words if word not in mine]
    monitor = next((word.partition("=")[2] for word in mine if word.startswith("monitor=")), "auto")
    parsed = check_overridable([word for word in mine if word.startswith("trust=")], ("trust",), "compare")
    typed: list[Any] = [override.value() for override in parsed]
    trust = [str(package) for packages in typed for package in packages]
    if not names:
        raise UserError("compare needs runs: cnntrain compare RUN RUN, or cnntrain compare SWEEP")
    compare_runs(names, monitor, trust, *(flags.get(f"--{kind}") for kind in ("csv", "json", "html")))
    return 0


def summary(arguments: Sequence[str]) -> int:
    """``cnntrain summary [overrides]``."""
    from cnntrain.config.composer import composed
    from cnntrain.config.overrides import check_overrides, normalized

    flags, words = split_flags(quiet_as_override(arguments), SUMMARY)
    overrides = normalized(words)
    config_dir = config_dir_of(flags)
    check_overrides(overrides, config_dir, is_sweep=False)
    config = composed(overrides, config_dir, of_layers=True).completed()
    from cnntrain.config.sections import SummarySettings
    from cnntrain.explain.summary import show
    from cnntrain.runtime.console import Console

    show(SummarySettings.from_config(config), Console(max(1, config["verbose"])))
    return 0


def audit(arguments: Sequence[str]) -> int:
    """``cnntrain data DIR [--json FILE] [--html FILE]``, or ``[DIR] --augmented FILE [overrides]``."""
    flags, words = split_flags(quiet_as_override(arguments), DATA)
    if "--augmented" in flags:
        return augmented(flags, words)
    said = [word for word in words if word.startswith(tuple(f"{key}=" for key in OVERRIDABLE["data"]))]
    folders = [word for word in words if word != "verbose=0" and word not in said]
    if len(folders) > 1:
        raise UserError(several_folders(folders, "cnntrain data"))
    if not folders:
        raise UserError("data takes one folder of images: cnntrain data DIR")
    if text := of_sequences(folders[0]):
        raise UserError(text)
    from cnntrain.annotations.auto import annotation_options
    from cnntrain.annotations.boxes import formats
    from cnntrain.config.saved.from_checkpoint import check_overridable

    typed = check_overridable(said, OVERRIDABLE["data"], "data") if said else []
    asked = annotation_options({o.key_or_group.removeprefix("data."): o.value() for o in typed})
    files = flags.get("--json"), flags.get("--html")
    verbose = int("verbose=0" not in words)
    targets = formats.targets_of(folders[0], asked)
    if targets == formats.BOXES:
        from cnntrain.data.audit.boxes.audit import audit as audit_boxes

        audit_boxes(folders[0], asked, *files, verbose=verbose)
    elif targets != formats.MASKS:
        from cnntrain.data.audit.audit import audit as audit_classes

        audit_classes(folders[0], *files, verbose=verbose)
    else:
        from cnntrain.data.audit.masks import audit as audit_masks

        audit_masks(folders[0], asked, *files, verbose=verbose)
    return 0


def of_sequences(folder: str) -> str:
    """Return what to do with series or texts, which ``data`` does not audit; "" of images."""
    from cnntrain.sequences.layout import inputs_in

    if Path(folder).suffix.lower() == ".csv" and Path(folder).is_file():
        typed = f"data=text_folder data.root={shlex.quote(folder)} model=lstm, or data=series_folder"
        reason = "is a table, and data audits images; training names bad rows: cnntrain train"
        return f"{printable(folder)} {reason} {typed}"
    inputs = inputs_in(folder)
    if not inputs:
        return ""
    training = f"cnntrain train data={inputs}_folder data.root={shlex.quote(folder)} model=lstm"
    return f"{printable(folder)} holds {inputs}, and data audits images; training names bad files: {training}"


def several_folders(folders: Sequence[str], command: str) -> str:
    """Return the message for several folders, which may be one with a space in its name."""
    text, name = f"data takes one folder of images, not {len(folders)}", " ".join(map(printable, folders))
    if all(map(is_there, folders)):
        return f"{text}: {name}"
    return f"{text}; a name with spaces goes in quotes: {command} {shlex.quote(name)}"


def augmented(flags: Mapping[str, str | None], words: Sequence[str]) -> int:
    """``cnntrain data [DIR] --augmented FILE [overrides]``: DIR stands for ``data=folder data.root=DIR``."""
    from pathlib import Path

    from cnntrain.config.composer import composed
    from cnntrain.config.overrides import check_overrides, normalized

    others = [flag for flag in ("--json", "--html") if flag in flags]
    if others:
        raise UserError(f"{others[0]} is an option of the audit: leave it out, or --augmented")
    folders = [word for word in words if "=" not in word]
    if len(folders) > 1:
        raise UserError(several_folders(folders, f"cnntrain data --augmented {flags['--augmented']}"))
    of_folder = ["data=folder", f"data.root={folders[0]}"] if folders else []
    if folders and not any(word.startswith("data.on_bad_image=") for word in words):
        of_folder.append("data.on_bad_image=skip")  # a drawing of eight images needs no others
    overrides = normalized([*of_folder, *(word for word in words if word not in folders)])
    config_dir = config_dir_of(flags)
    check_overrides(overrides, config_dir, is_sweep=False)
    config = composed(overrides, config_dir).completed()
    from cnntrain.config.sections import DataSettings
    from cnntrain.report.augmented import draw

    target = Path(flags["--augmented"] or "")
    draw(DataSettings.from_config(config), config["augment"], config["seed"], config["verbose"], target)
    return 0


def bench(arguments: Sequence[str]) -> int:
    """``cnntrain bench [overrides]``."""
    from cnntrain.config.composer import composed
    from cnntrain.config.conf_files import conf_folder, read_yaml
    from cnntrain.config.overrides import check_overrides, normalized
    from cnntrain.config.saved.from_checkpoint import check_overridable

    flags, words = split_flags(quiet_as_override(arguments), BENCH)
    own = read_yaml(conf_folder() / "bench.yaml")
    mine = [word for word in words if word.partition("=")[0] in own]
    own.update((o.key_or_group, o.value()) for o in check_overridable(mine, tuple(own), "bench"))
    overrides = normalized(word for word in words if word not in mine)
    for key in (override.partition("=")[0] for override in overrides):
        if "." not in key and key not in KEYS and (near := did_you_mean(key, own)):
            raise UserError(f"unknown key {key}{near}")
    config_dir = config_dir_of(flags)
    check_overrides(overrides, config_dir, is_sweep=False)
    config = composed(overrides, config_dir).completed()
    from cnntrain.bench.bench import bench as run_bench

    run_bench(config, overrides, verbose=config["verbose"], **own)
    return 0


def keys_of_bench(subject: str) -> str:
    """Return what help says about the keys that ``bench`` adds, with an example."""
    own = own_values("bench")
    example = "For example:\n  cnntrain bench model=mlp batch_size=32 data=mnist data.root=DIR"
    return f"{key_lines(own, own)}\n\n{example}"


COMPARE = Command(
    "compare",
    compare,
    {"RUN RUN ...": "rank finished runs and sweeps"},
    """\
cnntrain compare RUN... [monitor=val_loss] [--csv|--json|--html FILE]

Ranks finished runs, and the jobs of sweeps, by validation, and lists the keys
in which they differ. Runs that differ only in their seed share a line: mean,
95% interval, and the p-value of a test against the best.
  cnntrain compare outputs/sweeps/2026-01-31_12-00-00
  cnntrain compare last outputs/train/RUN --csv runs.csv
""",
    {"--csv": ANYTHING, "--json": ANYTHING, "--html": ANYTHING},
    keys=("monitor", "trust"),
    takes_runs=True,
)

DATA = Command(
    "data",
    audit,
    {"DIR": "audit images: corrupt files, duplicates"},
    """\
cnntrain data DIR [--html FILE] [--json FILE] [KEY=VALUE ...] [-q]
cnntrain data [DIR] --augmented FILE [KEY=VALUE ...]

Audits the images of DIR/CLASS/*.jpg or DIR/{train,val,test}/CLASS/*.jpg:
counts, sizes, colour modes, unreadable files, duplicates within and between
classes and splits (leakage), mean and standard deviation. Prints the command to
train with.

It also audits a folder with masks: images/ and masks/, Pascal VOC, COCO or YOLO
polygons. It reports images and masks without a partner, sizes that differ,
values and colours without a class, and empty masks. data.format, data.ignore,
data.label_map and data.colors define what the folder leaves open.

It also audits a folder with boxes: COCO JSON, YOLO txt with data.yaml, Pascal
VOC XML. It reports boxes without area, inverted, outside their image or stored
twice, classes without a name, and objects too small for the training size.
data.targets=boxes|masks chooses where a folder has both.

The exit code is 0 whatever it finds, and 2 if it can't audit the folder. A
script reads the findings from --json.

  --html FILE        write a page with images of each class and all duplicates
  --json FILE        write everything as JSON; - prints it instead of the tables
  --augmented FILE   draw augmented images, as the network gets them (PNG), from
                     DIR or another data set:
                     cnntrain data DIR --augmented seen.png augment=photos
                     cnntrain data --augmented seen.png augment=digits
""",
    {"--json": ANYTHING, "--html": ANYTHING, "--augmented": ANYTHING, **CONFIG_DIR_FLAGS},
    takes_files=True,
)

SUMMARY = Command(
    "summary",
    summary,
    {"[KEY=VALUE ...]": "a model's layers: shapes, sizes, MACs"},
    """\
cnntrain summary [KEY=VALUE ...] [--config-dir DIR]

Shows each layer of the model with its output shape, parameters, MACs and
receptive field, without allocating the model. Accepts the keys of `cnntrain
train`; these have an effect:
  cnntrain summary model=mlp data.image_size=1024 'model.hidden=[512]'

""",
    CONFIG_DIR_FLAGS,
    keys_help=keys_of_model,
    composes=True,
)

BENCH = Command(
    "bench",
    bench,
    {"[KEY=VALUE ...]": "measure the training speed here"},
    """\
cnntrain bench [KEY=VALUE ...] [--config-dir DIR]

Measures the training speed of three loops, in turns in one process: the floor
(an eager fp32 loop over tensors that are already normalised), cnntrain, and the
textbook loop: torchvision's transforms of one image at a time, or sequences
padded by pad_sequence. Accepts the keys of `cnntrain train` and these:
""",
    CONFIG_DIR_FLAGS,
    keys_help=keys_of_bench,
    composes=True,
)
