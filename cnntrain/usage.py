"""What ``--help`` says. Read from conf/ and the schema, so that it is always true."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from collections.abc import Iterable, Mapping

from cnntrain import __version__
from cnntrain.config import conf_folder, defaults, groups, owners, raw_yaml, typed_values
from cnntrain.schema import KEYS

COLUMN = 34  # where explanations begin
SHAPES = ("data.channels", "data.image_size", "data.num_classes")

OVERVIEW = """\
cnntrain {version}: train image classifiers from the shell

  cnntrain train [KEY=VALUE ...]        train a model into a new run folder
  cnntrain train -m KEY=A,B,C ...       train each combination, and rank them
  cnntrain resume RUN [KEY=VALUE ...]   go on with a run, or train it longer
  cnntrain eval RUN [KEY=VALUE ...]     evaluate a run's best checkpoint
  cnntrain report RUN [KEY=VALUE ...]   write a run's report.html
  cnntrain predict RUN FILE ...         what the model sees in images
  cnntrain export RUN [KEY=VALUE ...]   ONNX, torch.export and safetensors
  cnntrain compare RUN RUN ...          rank finished runs and sweeps
  cnntrain data DIR                     faults and copies in your own images
  cnntrain summary [KEY=VALUE ...]      a model's layers: shapes, sizes, cost
  cnntrain explain [KEY=VALUE ...]      the five steps on a real batch
  cnntrain bench [KEY=VALUE ...]        how fast it trains on this machine
  cnntrain completion bash|zsh|fish     a completion script for your shell

RUN is a run folder, a checkpoint file, or `last` for the newest run.

{groups}

Try it:   cnntrain train model=cnn optim=adam epochs=3
Details:  cnntrain COMMAND --help
"""

INTRODUCTIONS = {
    "train": """\
cnntrain train [KEY=VALUE ...] [-m] [-q] [--config-dir DIR] [--cfg job] [--info]

Trains a model, chooses the best epoch on the validation set, and tests it once.
The run folder holds the configuration, metrics.csv, summary.json, train.log and
checkpoints/; and report.html, to be looked at (report=false writes none).

  -m                 run every combination of values with commas between them:
                     cnntrain train -m optim=sgd,adam optim.lr=1e-3,1e-2
                     seeds=5 repeats each, launcher=joblib runs several at once
  -q                 print warnings and errors alone (verbose=0)
  --config-dir DIR   take groups of your own from there, as from conf/ here
  --cfg job          print the configuration instead of running it
  --info             print where each part of the configuration comes from

Lists are written 'model.channels=[16,32]'. hydra.* keys work too: --cfg hydra
lists them.

""",
    "compare": """\
cnntrain compare RUN... [monitor=val_loss] [--csv|--json|--html FILE]

Ranks finished runs, and the jobs of sweeps, by validation; shows in which keys
they differ. Runs that differ only in their seed share a line, with their mean,
its 95% interval, and a test whether the best is better by more than chance.
  cnntrain compare outputs/sweeps/2026-01-31_12-00-00
  cnntrain compare last outputs/train/RUN --csv runs.csv
""",
    "data": """\
cnntrain data DIR [--html FILE] [--json FILE] [-q]
cnntrain data [DIR] --augmented FILE [KEY=VALUE ...]

Looks at all images of DIR/CLASS/*.jpg or DIR/{train,val,test}/CLASS/*.jpg:
counts, sizes, modes, files that can't be read, copies within and between
classes and parts, mean and deviation. Says which command trains on them.

  --html FILE        one page with images of each class, and of all copies
  --json FILE        all of it, for programs; - prints it in place of the tables
  --augmented FILE   draw what the network will see of a few images (PNG), of
                     DIR or of another data set:
                     cnntrain data DIR --augmented seen.png augment=photos
                     cnntrain data --augmented seen.png augment=digits
""",
    "summary": """\
cnntrain summary [KEY=VALUE ...] [--config-dir DIR]

Shows each layer of the model with its output shape, parameters, multiply-adds
and receptive field, without allocating it. Takes all that `cnntrain train`
takes; these count:
  cnntrain summary model=mlp data.image_size=1024 'model.hidden=[512]'

""",
    "explain": """\
cnntrain explain [KEY=VALUE ...] [--as-script FILE]
cnntrain explain zero_grad|shift|filters [KEY=VALUE ...]

Takes one batch through the five steps of training and shows what each does:
shapes, losses, gradients, updates, and the arithmetic behind the layers.
Takes all that `cnntrain train` takes.

  --as-script FILE   write the run as one plain PyTorch file, without cnntrain,
                     that ends with the same weights:
                     cnntrain explain model=cnn optim=adam --as-script cnn.py
  zero_grad          train with and without clearing the gradients, by SGD
                     unless another is typed: optim=adam
  shift              accuracy on translated images: MLP and CNN, or run=RUN
  filters            the patches that activate each filter of a model, or of
                     run=RUN, most

The topics draw in the terminal and into a new folder under outputs/explain/.
Keys that only they take, or whose default is another one:
""",
    "bench": """\
cnntrain bench [KEY=VALUE ...] [--config-dir DIR]

Measures training on this machine, side by side in one process: the floor (an
eager fp32 loop over tensors that are normalised already), cnntrain, and the
textbook loop over torchvision's transforms. Takes all that `cnntrain train`
takes, and:
""",
    "resume": """\
cnntrain resume RUN [KEY=VALUE ...] [-q]

Goes on with a run from its last checkpoint, to the same weights as if it had
never stopped. RUN is a run folder, a checkpoint file, or `last`; or a sweep, of
which what is missing or failed is run (launcher, on_error, trust and verbose
may be changed).
  cnntrain resume last
  cnntrain resume outputs/train/RUN epochs=20

Keys that may be changed; the others stay as they were:
""",
    "eval": """\
cnntrain eval RUN [KEY=VALUE ...] [-q]

Evaluates a run's best checkpoint (or the checkpoint file you name) and shows
every class. RUN is a run folder, a checkpoint file, or `last`.
  cnntrain eval last split=val
  cnntrain eval last data=mnist data.root=DIR

Keys; where no value is shown, the checkpoint's own holds:
""",
    "report": """\
cnntrain report RUN [KEY=VALUE ...] [-q]

Writes RUN/report.html: one file that shows what was learnt, to be opened in any
browser, offline; and its figures as PNG in RUN/plots/. Every run writes it when
it ends; of a sweep, the best job alone. Of a run that is not finished it shows
the validation set. RUN is a run folder, or `last`.
  cnntrain report last
  cnntrain report outputs/sweeps/SWEEP/JOB

Keys; where no value is shown, the run's own holds:
""",
    "predict": """\
cnntrain predict RUN FILE|FOLDER... [KEY=VALUE ...] [--csv|--json FILE] [-q]

Names the class of image files, in any format that Pillow reads, after the
same preprocessing as in training. Of a folder, all files but hidden ones. A
file that is no image is named, the rest goes on, and the exit code is 1.
  cnntrain predict last digit.png
  cnntrain predict last scans/ invert=true --csv predictions.csv
FILE may be - for standard output.

""",
    "export": """\
cnntrain export RUN [KEY=VALUE ...] [-q]

Writes a run's best model to RUN/export/, to be used without cnntrain. The
models take uint8 images (N, C, H, W) and give the probability of each class;
each is read back and compared with torch on test images.
  cnntrain export last
  cnntrain export last 'formats=[onnx]'

""",
    "completion": """\
cnntrain completion bash|zsh|fish

Prints a completion script. To use it in every new shell:
  bash   echo 'source <(cnntrain completion bash)' >> ~/.bashrc
  zsh    echo 'source <(cnntrain completion zsh)' >> ~/.zshrc
  fish   cnntrain completion fish > ~/.config/fish/completions/cnntrain.fish
""",
}


def overview() -> str:
    """Return what ``cnntrain --help`` prints."""
    return OVERVIEW.format(version=__version__, groups=group_lines(groups())).rstrip()


def of(command: str) -> str:
    """Return what ``cnntrain COMMAND --help`` prints."""
    from cnntrain.amendable import AMENDABLE

    if command not in INTRODUCTIONS:
        return overview()
    text = INTRODUCTIONS[command]
    if command == "train":
        text += f"{group_lines(groups())}\n\n{sections(KEYS)}"
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
    """Return keys with their values, types, ranges and explanations, a blank line between groups."""
    offered, lines = groups(), []
    for key in keys:
        if key == "data":
            lines.append(entry("  data", f"another data set ({', '.join(offered['data'])})"))
            continue
        head = f"  {key}={values[key]}" if key in values else f"  {key}"
        lines.append(entry(head, f"{KEYS[key].doc} ({KEYS[key].describe()}{having(key, offered)})"))
    return "\n".join(lines)


def sections(keys: Iterable[str]) -> str:
    """Return the keys of ``train`` with their defaults, a paragraph for each group."""
    values = defaults()
    known = [key for key in keys if key in values]
    by_group = itertools.groupby(
        known, lambda key: key.partition(".")[0] if key.split(".")[0] in groups() else ""
    )
    return "Keys, with their defaults:\n" + "\n\n".join(key_lines(part, values) for _, part in by_group)


def having(key: str, offered: Mapping[str, Iterable[str]]) -> str:
    """Return which choices have a key, if not nearly all have it."""
    group, found = key.partition(".")[0], owners(key)
    all_choices = [choice for choice in offered.get(group, ()) if choice != "custom"]
    return f"; {group}={'|'.join(found)}" if found and len(found) <= len(all_choices) / 2 else ""


def entry(head: str, text: str) -> str:
    """Return a key and its explanation beside it, or below it where the key is long."""
    indent = " " * COLUMN
    lines = textwrap.wrap(text, width() - COLUMN, break_on_hyphens=False)
    if len(head) < COLUMN - 1:
        return f"{head:<{COLUMN}}" + f"\n{indent}".join(lines)
    return "\n".join([head, *(indent + line for line in lines)])
