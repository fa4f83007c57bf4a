"""What a command is: all that main, help and completion know of it, in one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Flags = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Args:
        name: the word that is typed.
        function: is given the words behind the command, and returns the exit code.
        summaries: what may follow the name, such as ``RUN [KEY=VALUE ...]``, with a line on what that does.
        help: what ``--help`` prints before the keys: usage, explanation, examples.
        flags: its flags, each with the values that may follow. A "" there means that nothing may, too.
        topics: words that it takes, and that are neither runs, files nor overrides.
        keys: the keys that it takes; None for those of conf/NAME.yaml.
        keys_help: is given the word behind ``--help``, and returns what help says of the keys; None for a
            list of ``keys``, with the values of conf/NAME.yaml.
        composes: whether it takes the keys of ``train``, from all of conf/.
        needs_run: whether the name of a run comes first.
        takes_runs: whether any number of runs may follow.
        takes_files: whether files or folders of images follow, behind the run if there is one.
        works_under_torchrun: whether the processes of ``torchrun`` do it together.
        is_complete_without_screen: whether its results are in files, so that a lost output loses none.
    """

    name: str
    function: Callable[[Sequence[str]], int]
    summaries: Mapping[str, str]
    help: str
    flags: Flags = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    keys_help: Callable[[str], str] | None = None
    composes: bool = False
    needs_run: bool = False
    takes_runs: bool = False
    takes_files: bool = False
    works_under_torchrun: bool = False
    is_complete_without_screen: bool = False
