"""What ``--help`` says. Read from conf/ and the schema, so that it is always true."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

from cnntrain import __version__
from cnntrain.config import conf_folder, conf_folders, groups, shown
from cnntrain.schema import KEYS

OVERVIEW = """\
cnntrain {version}: train image classifiers from the shell

  cnntrain train [KEY=VALUE ...]          train a model; everything goes into a new run folder
  cnntrain train -m KEY=A,B,C ...         train one model for every combination, and rank them
  cnntrain resume RUN [KEY=VALUE ...]     go on where a run was stopped, or train it longer
  cnntrain eval RUN [KEY=VALUE ...]       evaluate a run's best checkpoint
  cnntrain summary [KEY=VALUE ...]        the layers of a model: shapes, parameters, receptive fields
  cnntrain completion bash|zsh|fish       a completion script for your shell

RUN is a run folder, a checkpoint file, or `last` for the newest run.
{groups}
Try it:   cnntrain train model=cnn optim=adam epochs=3
Details:  cnntrain COMMAND --help
"""

INTRODUCTIONS = {
    "train": """\
cnntrain train [KEY=VALUE ...] [-m] [-q] [--config-dir DIR] [--cfg job] [--info]

Trains a model, chooses the best epoch on the validation set, and tests it once. The run folder
holds the configuration, metrics.csv, summary.json, train.log and checkpoints/.
  -m        run every combination of comma-separated values: optim=sgd,adam optim.lr=1e-3,1e-2
  -q        print errors alone (verbose=0)
Hydra's flags work: --cfg job prints the configuration, --config-dir DIR adds your own groups, as
does a folder conf/ in the current one.
""",
    "summary": """\
cnntrain summary [KEY=VALUE ...] [--config-dir DIR]

Shows each layer of the model with its output shape, parameters, multiply-adds and receptive field,
without allocating it. Takes what `cnntrain train` takes.
  cnntrain summary model=mlp data.image_size=1024 'model.hidden=[512]'
""",
    "resume": """\
cnntrain resume RUN [KEY=VALUE ...] [-q]

Goes on with a run from its last checkpoint, to the same weights as if it had never stopped.
RUN is a run folder, a checkpoint file, or `last`. epochs=N trains longer.

Takes: {keys}
""",
    "eval": """\
cnntrain eval RUN [KEY=VALUE ...] [-q]

Evaluates a run's best checkpoint (or the checkpoint file you name) and shows every class.
RUN is a run folder, a checkpoint file, or `last`.
  cnntrain eval last split=val
  cnntrain eval last data=mnist data.root=DIR

Takes: {keys}
""",
    "completion": """\
cnntrain completion bash|zsh|fish

Prints a completion script. To use it now and in every new shell:
  bash   echo 'source <(cnntrain completion bash)' >> ~/.bashrc
  zsh    echo 'source <(cnntrain completion zsh)' >> ~/.zshrc
  fish   cnntrain completion fish > ~/.config/fish/completions/cnntrain.fish
""",
}


def overview() -> str:
    """Return what ``cnntrain --help`` prints."""
    return OVERVIEW.format(version=__version__, groups=group_lines())


def of(command: str) -> str:
    """Return what ``cnntrain COMMAND --help`` prints."""
    if command not in INTRODUCTIONS:
        return overview()
    if command in ("train", "summary"):
        return f"{INTRODUCTIONS[command]}{group_lines()}{key_lines()}".rstrip()
    from cnntrain.cli import EVALUABLE, RESUMABLE

    keys = {"resume": RESUMABLE, "eval": EVALUABLE}.get(command, ())
    described = ", ".join("data=... and data.*" if key == "data." else key for key in keys)
    return INTRODUCTIONS[command].format(keys=textwrap.fill(described, 90, subsequent_indent="       "))


def group_lines() -> str:
    """Return the groups and their choices, as a paragraph."""
    lines = [
        textwrap.fill(f"  {group + '=':<12}{' | '.join(choices)}", 98, subsequent_indent=" " * 14, break_on_hyphens=False)
        for group, choices in groups().items()
    ]
    return "\nChoices:\n" + "\n".join(lines) + "\n"


def key_lines() -> str:
    """Return every key with its default, type, range and explanation."""
    width = min(120, max(80, shutil.get_terminal_size((100, 24)).columns))
    values = defaults()
    lines = []
    for key, rule in KEYS.items():
        if key not in values:
            continue
        head = f"  {key}={values[key]}"
        text = f"{rule.doc} ({rule.describe()})"
        lines.append(f"{head:<34} " + textwrap.fill(text, width - 35).replace("\n", "\n" + " " * 35))
    return "\nKeys, with their defaults (a key of one choice is listed with that choice's value):\n" + "\n".join(lines)


def defaults() -> dict[str, str]:
    """Return each key's default as typed: from train.yaml, else from the group's default choice or the first that has it."""
    import yaml

    found: dict[str, str] = {}
    base = yaml.safe_load((conf_folder() / "train.yaml").read_text())
    chosen = {k: v for entry in base["defaults"] if isinstance(entry, dict) for k, v in entry.items()}
    collect(base, "", found)
    for group, choices in groups().items():
        ordered = sorted(choices, key=lambda choice: choice != chosen.get(group))
        for choice in ordered:
            path = next(f / group / f"{choice}.yaml" for f in conf_folders() if (f / group / f"{choice}.yaml").exists())
            if group != "experiment":
                collect(yaml.safe_load(Path(path).read_text()) or {}, f"{group}.", found)
    return found


def collect(node: dict[str, object], prefix: str, found: dict[str, str]) -> None:
    """Add the keys of a YAML file that are not there yet."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if key in KEYS and not isinstance(value, dict):
            found.setdefault(key, shown(value))
        elif isinstance(value, dict) and name not in ("hydra", "defaults"):
            collect(value, f"{key}.", found)
