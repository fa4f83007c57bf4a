"""What ``--help`` says. Read from conf/ and the schema, so that it is always true."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from collections.abc import Iterable, Mapping

from cnntrain import __version__
from cnntrain.arguments import TOPICS
from cnntrain.config import (
    choice_values,
    conf_folder,
    default_choices,
    default_in_words,
    defaults,
    file_of,
    groups,
    having,
    owners,
    raw_yaml,
    typed_values,
)
from cnntrain.errors import UserError
from cnntrain.schema import KEYS

COLUMN = 30  # where explanations begin
SHAPES = ("data.channels", "data.image_size", "data.num_classes")
FIRST_PAGE = (
    *("data", "data.root", "model", "optim", "optim.lr", "schedule", "augment", "epochs", "batch_size"),
    *("limit", "seed", "early_stopping", "init_from", "device", "out"),
)

OVERVIEW = """\
cnntrain {version}: train image classifiers from the shell

  cnntrain train [KEY=VALUE ...]       train a model into a new run folder
  cnntrain train -m KEY=A,B,C ...      train each combination, and rank them
  cnntrain resume RUN [KEY=VALUE ...]  continue a run, or train it longer
  cnntrain eval RUN [KEY=VALUE ...]    evaluate a run's best checkpoint
  cnntrain report RUN [KEY=VALUE ...]  write a run's report.html
  cnntrain predict RUN FILE ...        classify image files
  cnntrain export RUN [KEY=VALUE ...]  ONNX, torch.export and safetensors
  cnntrain compare RUN RUN ...         rank finished runs and sweeps
  cnntrain data DIR                    audit images: corrupt files, duplicates
  cnntrain summary [KEY=VALUE ...]     a model's layers: shapes, sizes, MACs
  cnntrain explain [TOPIC]             five steps on a batch, or a topic:
                                       {topics}
  cnntrain bench [KEY=VALUE ...]       measure the training speed here
  cnntrain completion bash|zsh|fish    print a completion script for a shell

RUN is a run folder, a checkpoint file, or `last` for the newest run. To start:
  cnntrain train                       a CNN on 5,000 digits, in seconds
  cnntrain train model=mlp epochs=3    another model, fewer epochs
  cnntrain explain                     what one training step does
  cnntrain predict last FILE           classify an image with the last run
  cnntrain train -m model=mlp,cnn      compare two models

Keys and choices: cnntrain train --help. Details: cnntrain COMMAND --help
"""

VALUES = """\
How values are typed:
  'model.channels=[16,32]'          a list; the quotes keep it from the shell
  grad_clip=null                    null: none, switched off
  -m optim.lr=1e-3,1e-2             with -m: one run for each value
  -m 'optim.lr=interval(1e-4,0.1)'  a range to search, with sweeper=random
  +optim.KEY=VALUE                  + adds an argument that conf/ does not list
  ~optim.nesterov                   ~ removes one
  data.root="$HOME/my images"       the shell fills in variables
"""

INTRODUCTIONS = {
    "train": """\
cnntrain train [KEY=VALUE ...] [-m] [-q] [--config-dir DIR] [--cfg job] [--info]

Trains a model, chooses the best epoch on the validation set, and tests it once.

""",
    "compare": """\
cnntrain compare RUN... [monitor=val_loss] [--csv|--json|--html FILE]

Ranks finished runs, and the jobs of sweeps, by validation, and lists the keys
in which they differ. Runs that differ only in their seed share a line: mean,
95% interval, and the p-value of a test against the best.
  cnntrain compare outputs/sweeps/2026-01-31_12-00-00
  cnntrain compare last outputs/train/RUN --csv runs.csv
""",
    "data": """\
cnntrain data DIR [--html FILE] [--json FILE] [-q]
cnntrain data [DIR] --augmented FILE [KEY=VALUE ...]

Audits the images of DIR/CLASS/*.jpg or DIR/{train,val,test}/CLASS/*.jpg:
counts, sizes, colour modes, unreadable files, duplicates within and between
classes and splits (leakage), mean and standard deviation. Prints the command to
train with.

  --html FILE        write a page with images of each class and all duplicates
  --json FILE        write everything as JSON; - prints it instead of the tables
  --augmented FILE   draw augmented images, as the network gets them (PNG), from
                     DIR or another data set:
                     cnntrain data DIR --augmented seen.png augment=photos
                     cnntrain data --augmented seen.png augment=digits
""",
    "summary": """\
cnntrain summary [KEY=VALUE ...] [--config-dir DIR]

Shows each layer of the model with its output shape, parameters, MACs and
receptive field, without allocating the model. Accepts the keys of `cnntrain
train`; these have an effect:
  cnntrain summary model=mlp data.image_size=1024 'model.hidden=[512]'

""",
    "explain": """\
cnntrain explain [KEY=VALUE ...] [--as-script FILE]
cnntrain explain zero_grad|shift|filters [KEY=VALUE ...]

Takes one batch through the five steps of training and shows what each does:
shapes, losses, gradients, updates, and the arithmetic of the layers. Accepts
the keys of `cnntrain train`.

  --as-script FILE   write the run as one plain PyTorch file that does not need
                     cnntrain and ends with the same weights:
                     cnntrain explain model=cnn optim=adam --as-script cnn.py
  zero_grad          train with and without clearing the gradients, by SGD
                     unless another is typed: optim=adam
  shift              accuracy on translated images: MLP and CNN, or run=RUN
  filters            maximally activating patches of each filter of a model, or
                     of run=RUN

The topics draw in the terminal and into a new folder under outputs/explain/.
Keys of the topics, and their own defaults:
""",
    "bench": """\
cnntrain bench [KEY=VALUE ...] [--config-dir DIR]

Measures the training speed of three loops, in turns in one process: the floor
(an eager fp32 loop over tensors that are already normalised), cnntrain, and the
textbook loop with torchvision's transforms. Accepts the keys of `cnntrain
train` and these:
""",
    "resume": """\
cnntrain resume RUN [KEY=VALUE ...] [-q]

Continues a run from its last checkpoint, to the same weights as if it had never
stopped. RUN is a run folder, a checkpoint file, or `last`. In a sweep, the jobs
that are missing or failed are run; launcher, on_error, trust and verbose may be
changed.
  cnntrain resume last
  cnntrain resume outputs/train/RUN epochs=20

Keys that may be changed:
""",
    "eval": """\
cnntrain eval RUN [KEY=VALUE ...] [-q]

Evaluates a run's best checkpoint (or the checkpoint file you name) and shows
every class. RUN is a run folder, a checkpoint file, or `last`.
  cnntrain eval last split=val
  cnntrain eval last data=mnist data.root=DIR

Keys (without a value here: as in the checkpoint):
""",
    "report": """\
cnntrain report RUN [KEY=VALUE ...] [-q]

Writes RUN/report.html, one file that opens offline in any browser, and its
figures as PNG in RUN/plots/. Every run writes it at its end; in a sweep, only
the best job does. For an unfinished run it shows the validation set. RUN is a
run folder, or `last`.
  cnntrain report last
  cnntrain report outputs/sweeps/SWEEP/JOB

Keys (without a value here: as in the run):
""",
    "predict": """\
cnntrain predict RUN FILE|FOLDER... [KEY=VALUE ...] [--csv|--json FILE] [-q]

Classifies image files after the same preprocessing as in training. FOLDER
stands for all files in it except hidden ones. A file that can't be read is
named, the others are classified, and the exit code is 1.
  cnntrain predict last digit.png
  cnntrain predict last scans/ invert=true --csv predictions.csv
FILE may be - for standard output.

""",
    "export": """\
cnntrain export RUN [KEY=VALUE ...] [-q]

Writes a run's best model to RUN/export/, for use without cnntrain. The models
take uint8 images (N, C, H, W) and return class probabilities. Each is read back
and compared with torch on test images.
  cnntrain export last
  cnntrain export last 'formats=[onnx]'

""",
    "completion": """\
cnntrain completion bash|zsh|fish

Prints a completion script. To load it in every new shell:
  bash   echo 'source <(cnntrain completion bash)' >> ~/.bashrc
  zsh    echo 'source <(cnntrain completion zsh)' >> ~/.zshrc
  fish   cnntrain completion fish > ~/.config/fish/completions/cnntrain.fish
""",
}


FLAGS = """\
Flags:
  -m                 run every combination of values with commas between them:
                     cnntrain train -m optim=sgd,adam optim.lr=1e-3,1e-2
                     seeds=5 repeats each, launcher=joblib runs several at once
  -q                 print only warnings and errors (verbose=0)
  --config-dir DIR   read groups of your own from DIR, as from conf/ here
  --cfg job          print the configuration instead of running it
  --info             print where each part of the configuration comes from

The run folder holds the configuration, metrics.csv, summary.json, train.log,
checkpoints/ and report.html. hydra.* keys work too: --cfg hydra lists them.
"""


def overview() -> str:
    """Return what ``cnntrain --help`` prints."""
    return OVERVIEW.format(version=__version__, topics=", ".join(TOPICS)).rstrip()


def of(command: str, subject: str = "") -> str:
    """Return what ``cnntrain COMMAND --help [SUBJECT]`` prints.

    Args:
        command: the command.
        subject: ``all``, a group or a key, alone or with a value; anything else counts as nothing.

    Raises:
        UserError: the subject looks like a key, and there is none such.
    """
    from cnntrain.amendable import AMENDABLE

    if command not in INTRODUCTIONS:
        return overview()
    key = subject.partition("=")[0].lstrip("+~")
    if key and key != "all" and key not in TOPICS:
        return about(key)
    text = INTRODUCTIONS[command]
    if command == "train":
        text += every_key() if key == "all" else first_page()
    elif command == "summary":
        offered = {group: choices for group, choices in groups().items() if group in ("data", "model")}
        keys = [key for key in KEYS if key.startswith("model.") or key in SHAPES]
        text += f"{group_lines(offered)}\n\n{sections(keys)}"
    elif command == "explain":
        own = own_values("explain")
        text += key_lines(own, own)
    elif command == "bench":
        own = own_values("bench")
        text += key_lines(own, own)
        text += "\n\nFor example:\n  cnntrain bench model=mlp batch_size=32 data=mnist data.root=DIR"
    elif command in AMENDABLE:
        text += key_lines(AMENDABLE[command], own_values(command))
    return text.rstrip()


def first_page() -> str:
    """Return the keys that are used most, where the others are found, and how values are typed."""
    values = {**defaults(), **default_choices()}
    others = [group for group in groups() if group not in FIRST_PAGE]
    more = (
        "More: cnntrain train --help all             every key\n"
        "      cnntrain train --help optim           a group: its choices and keys\n"
        "      cnntrain train --help model.channels  a key\n"
        f"Other groups: {', '.join(others)}"
    )
    return f"The most used keys:\n{key_lines(FIRST_PAGE, values)}\n\n{more}\n\n{VALUES}\n{FLAGS}"


def every_key() -> str:
    """Return the choices of all groups and all keys of ``train``."""
    return f"{group_lines(groups())}\n\n{sections(KEYS)}\n\n{VALUES}\n{FLAGS}"


def about(key: str) -> str:
    """Return the choices and the keys of a group, or all that is known of a key.

    Raises:
        UserError: there is no such group or key.
    """
    offered, values = groups(), defaults()
    keys = [other for other in KEYS if other == key or other.startswith(f"{key}.")]
    if key not in offered and not keys:
        from cnntrain.suggestions import unknown_key

        raise UserError(unknown_key(key, values))
    lines = [entry(f"  {key}={choice}", comment(key, choice)) for choice in offered.get(key, ())]
    title = [f"{key}: the choices, and where its keys hold" if lines else f"{key}:"]
    if lines and key in default_choices():
        title = [f"Choices of {key} (default {default_choices()[key]}):"]
    elif lines:
        title = [f"Choices of {key}:"]
    described = key_lines(keys, values) + other_defaults(keys, values)
    if not lines:
        return described
    heading = ["", "Keys, with their defaults:", described] if keys else []
    return "\n".join([*title, *lines, *heading])


def other_defaults(keys: Iterable[str], values: Mapping[str, str]) -> str:
    """Return the defaults that differ from choice to choice, as lines below the keys: optim.lr with SGD."""
    lines = []
    for key in keys:
        group = key.partition(".")[0]
        own = {choice: choice_values(group, choice)[key] for choice in owners(key)}
        differing = [f"{value} with {group}={c}" for c, value in own.items() if value != values.get(key)]
        if differing and group not in ("data", "augment"):
            lines.append(entry(f"  {key}", "; ".join(differing)))
    return "\n".join(["", "", "Other defaults:", *lines]) if lines else ""


def comment(group: str, choice: str) -> str:
    """Return what the comment at the top of a choice's file says."""
    lines = file_of(group, choice).read_text(errors="replace").splitlines()
    top = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ") for line in top if "@package" not in line)


def own_values(command: str) -> dict[str, str]:
    """Return the values that ``resume``, ``eval``, ``explain`` or ``bench`` begins with."""
    return dict(typed_values(raw_yaml(conf_folder() / f"{command}.yaml")))


def width() -> int:
    """Return how many columns help may fill: the terminal's, but no more than are good to read."""
    return min(120, max(80, shutil.get_terminal_size((100, 24)).columns))


def group_lines(offered: Mapping[str, Iterable[str]]) -> str:
    """Return the groups and their choices, as a paragraph."""
    lines = [
        textwrap.fill(
            f"  {group + '=':<13} {' | '.join(choices)}",
            width(),
            subsequent_indent=" " * 16,
            break_on_hyphens=False,
        )
        for group, choices in offered.items()
    ]
    return "\n".join(["Choices:", *lines])


def key_lines(keys: Iterable[str], values: Mapping[str, str]) -> str:
    """Return keys with their values, explanations, types and ranges."""
    offered, lines = groups(), []
    for key in keys:
        if key in offered:
            head = f"  {key}={values[key]}" if key in values else f"  {key}"
            lines.append(entry(head, "|".join(c for c in offered[key] if c != values.get(key))))
            continue
        value, note = default_in_words(values[key]) if key in values else ("", "")
        head = f"  {key}={value}" if key in values else f"  {key}"
        kind = "; ".join(part for part in (KEYS[key].short(), note, having(key)) if part)
        lines.append(entry(head, f"{KEYS[key].doc} ({kind})"))
    return "\n".join(lines)


def sections(keys: Iterable[str]) -> str:
    """Return the keys of ``train`` with their defaults, a paragraph for each group."""
    values = defaults()
    known = [key for key in keys if key in values]
    by_group = itertools.groupby(
        known, lambda key: key.partition(".")[0] if key.split(".")[0] in groups() else ""
    )
    return "Keys, with their defaults:\n" + "\n\n".join(key_lines(part, values) for _, part in by_group)


def wrapped(text: str, columns: int) -> list[str]:
    """Return text as lines; choices with | between them that are longer than a line are broken there."""
    words = (word.replace("|", "|\0 ") if len(word) > columns else word for word in text.split())
    lines = textwrap.wrap(" ".join(words), columns, break_on_hyphens=False)
    return [line.replace("|\0 ", "|").replace("|\0", "|") for line in lines]


def entry(head: str, text: str) -> str:
    """Return a key and its explanation beside it, or below it where the key is long."""
    indent = " " * COLUMN
    lines = wrapped(text, width() - COLUMN)
    if len(head) < COLUMN - 1:
        return f"{head:<{COLUMN}}" + f"\n{indent}".join(lines)
    return "\n".join([head, *(indent + line for line in lines)])
