"""All loggers of a run, which never stop it: one that fails is named once and left out from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from cnntrain.config.instantiate import build
from cnntrain.errors import describe_error
from cnntrain.loggers.base import Logged, Logger
from cnntrain.loggers.images import heat
from cnntrain.runs.records import EpochRow, RunSummary
from cnntrain.runtime.console import Console


class Loggers:
    """All loggers of a run. One that fails is named and left out, and the run goes on.

    Args:
        loggers: the loggers, by their names.
        console: the console to print failures to.
    """

    def __init__(self, loggers: Mapping[str, Logger], console: Console) -> None:
        self.loggers = dict(loggers)
        self.console = console

    def begin(self, run: Callable[[], Logged]) -> None:
        """Begin all of them; ``run`` is asked only if there are any."""
        if self.loggers:
            logged = run()
            self.each(lambda logger: logger.begin(logged))

    def epoch(self, row: EpochRow) -> None:
        """Record an epoch in all of them."""
        self.each(lambda logger: logger.epoch(row))

    def end(self, summary: RunSummary) -> None:
        """Record in all of them how the run ended, and close them."""
        matrix = summary.get("confusion_matrix")
        confusion = None if matrix is None else heat(torch.tensor(matrix))
        self.each(lambda logger: logger.end(summary, confusion))
        self.each(lambda logger: logger.close())

    def show(self) -> None:
        """Print how each record is opened."""
        for opened in [logger.opened_by() for logger in self.loggers.values()]:
            if opened is not None:
                self.console.command(*opened)

    def __enter__(self) -> Loggers:
        """Close all of them if what is done within fails, or is stopped."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Close all of them if it has."""
        if kind is not None:
            self.each(lambda logger: logger.close())

    def each(self, work: Callable[[Logger], None]) -> None:
        """Call a function with each logger."""
        for name, logger in list(self.loggers.items()):
            try:
                work(logger)
            except Exception as error:  # whatever a server or a full disk may raise
                del self.loggers[name]
                self.console.warn(
                    f"logger {name} failed and is left out from now on: {describe_error(error)}"
                )


def build_loggers(nodes: Mapping[str, Mapping[str, Any]], trust: Sequence[str] | None) -> dict[str, Logger]:
    """Build loggers.

    Args:
        nodes: their classes and arguments, by their names.
        trust: packages that they may be of; None for what the user typed.

    Raises:
        UserError: a package that one of them needs is not installed.
    """
    return {name: build(f"logger.{name}", node, Logger, trust) for name, node in nodes.items()}
