"""The commands, in the order of the overview. A new one is a module with its row, and its name here."""

from __future__ import annotations

from cnntrain import __version__
from cnntrain.cli import help
from cnntrain.cli.command import Command
from cnntrain.cli.completion import COMPLETION
from cnntrain.cli.explain import EXPLAIN
from cnntrain.cli.inference import DEMO, EVAL, EXPORT, PREDICT, REPORT
from cnntrain.cli.inspect import BENCH, COMPARE, DATA, SUMMARY
from cnntrain.cli.resume import RESUME
from cnntrain.cli.train import TRAIN
from cnntrain.config.conf_files import groups
from cnntrain.config.keys import KEYS

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        *(TRAIN, RESUME, EVAL, REPORT, PREDICT, EXPORT, DEMO, COMPARE),
        *(DATA, SUMMARY, EXPLAIN, BENCH, COMPLETION),
    )
}
COLUMN = 39  # where summaries begin
TO_START = """\
RUN is a run folder, a checkpoint file, or `last` for the newest run. To start:
  cnntrain train                       a CNN on 5,000 digits, in seconds
  cnntrain train model=mlp epochs=3    another model, fewer epochs
  cnntrain explain                     what training does, topic by topic
  cnntrain predict last FILE           apply the last run to a file
  cnntrain train -m model=mlp,cnn      compare two models

Keys and choices: cnntrain train --help. Details: cnntrain COMMAND --help"""


def overview() -> str:
    """Return what ``cnntrain --help`` prints."""
    title = f"cnntrain {__version__}: train vision networks from the shell"
    lines = [
        f"{f'  cnntrain {command.name} {behind}':<{COLUMN}}" + summary.replace("\n", "\n" + " " * COLUMN)
        for command in COMMANDS.values()
        for behind, summary in command.summaries.items()
    ]
    return "\n".join([title, "", *lines, "", TO_START])


def help_of(name: str, subject: str = "") -> str:
    """Return what ``cnntrain COMMAND --help [SUBJECT]`` prints.

    Args:
        name: the command; for anything else, the overview is returned.
        subject: ``all``, a group or a key, alone or with a value; anything else counts as nothing.

    Raises:
        UserError: the subject looks like a key, and there is none such.
    """
    command = COMMANDS.get(name)
    if command is None:
        return overview()
    key = subject.partition("=")[0].lstrip("+~")
    is_key = key in groups() or any(other == key or other.startswith(f"{key}.") for other in KEYS)
    topics = [topic for other in COMMANDS.values() for topic in other.topics]
    # Behind other commands stand names of runs and files, too.
    if is_key or (key and command.composes and key not in ("all", *topics)):
        return help.about(key)
    if command.keys_help is not None:
        return (command.help + command.keys_help(key)).rstrip()
    values = help.own_values(name)
    listed = help.key_lines(command.keys or values, values) if values else ""
    return (command.help + listed).rstrip()
