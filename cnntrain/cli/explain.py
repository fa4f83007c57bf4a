"""``cnntrain explain``: which explanation is asked for, of what. Imports no torch before all is checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnntrain.cli.command import (
    ANYTHING,
    CONFIG_DIR_FLAGS,
    Command,
    config_dir_of,
    quiet_as_override,
    split_flags,
)
from cnntrain.config.compose import groups
from cnntrain.config.keys import KEYS
from cnntrain.config.mistakes.malformed import malformed
from cnntrain.errors import UserError, did_you_mean
from cnntrain.text import printable

TOPICS = ("zero_grad", "shift", "filters")


def explain(arguments: Sequence[str]) -> int:
    """``cnntrain explain [zero_grad|shift|filters] [overrides] [--as-script FILE]``."""
    flags, words = split_flags(quiet_as_override(arguments), EXPLAIN)
    topic, words = topic_of(words)
    script, config_dir = flags.get("--as-script"), config_dir_of(flags)
    if script is not None and topic:
        raise UserError(f"--as-script writes a run, which {topic} is not: leave one of the two out")
    if script is not None and "=" in script and not Path(script).exists():
        raise UserError(f"--as-script needs a file behind it, and {printable(script)} is an override")
    from cnntrain.explain.subject import subjects_of

    subjects = subjects_of(topic, words, config_dir)
    if script is not None:
        from cnntrain.explain.script.script import write_script

        write_script(subjects[0].config, words, Path(script).expanduser())
    elif topic == "zero_grad":
        from cnntrain.explain.zero_grad import zero_grad

        zero_grad(subjects[0].config)
    elif topic == "shift":
        from cnntrain.explain.shift import shift

        shift(subjects)
    elif topic == "filters":
        from cnntrain.explain.filters import filters

        filters(subjects[0])
    else:
        from cnntrain.explain.five_steps import five_steps

        five_steps(subjects[0].config)
    return 0


def topic_of(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return the topic, or nothing, and the overrides."""
    named = [word for word in words if "=" not in word and not word.startswith("~")]
    for word in named:
        if word not in TOPICS:
            if word in (*KEYS, *groups()):
                raise UserError(malformed(word, (), words[list(words).index(word) + 1 :]))
            near = did_you_mean(word, TOPICS) or f"; topics: {', '.join(TOPICS)}; without one: the five steps"
            raise UserError(f"explain: unknown topic {printable(word)!r}{near}")
    if len(named) > 1:
        raise UserError(f"explain takes one topic at a time, not {' and '.join(named)}")
    return (named[0] if named else ""), [word for word in words if word not in named]


EXPLAIN = Command(
    "explain",
    explain,
    {"[TOPIC]": f"five steps on a batch, or a topic:\n{', '.join(TOPICS)}"},
    """\
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
    {**CONFIG_DIR_FLAGS, "--as-script": ANYTHING},
    topics=TOPICS,
    composes=True,
)
