"""What training gives back: a run, with its figures, its folder and, on first use, its model."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.runs import run_folder
from cnntrain.runs.run_files import read_yaml
from cnntrain.tasks.chosen import scores_of
from cnntrain.text import shown_path

if TYPE_CHECKING:
    from cnntrain.inference.model import Trained
    from cnntrain.runs.records import RunSummary
    from cnntrain.tasks.scores import Scores


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run. It can be used as the path of its folder.

    Args:
        folder: the run folder, as an absolute path.
        summary: what its ``summary.json`` holds, such as ``summary["test"]["loss"]``.
    """

    folder: Path
    summary: RunSummary

    @cached_property
    def model(self) -> Trained:
        """The trained model of the best epoch: ``run.model.predict(images)``."""
        from cnntrain.api.using import load

        return load(self)

    @cached_property
    def scores(self) -> Scores:
        """The scores of the run's task."""
        return scores_of(read_yaml(self.folder / run_folder.CONFIG)["task"], None)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows of metrics.csv, one for each epoch."""
        from cnntrain.report.entry import history_of

        return history_of(self.folder)

    def __fspath__(self) -> str:
        """Return the run folder."""
        return str(self.folder)

    def facts(self) -> dict[str, str]:
        """Return the facts about the run in short."""
        from cnntrain.runtime.console import count  # which imports rich, for which the user has not asked

        summary = self.summary
        return {
            **figures_of(dict(summary["test"]), self.scores),
            "trained": f"{count(summary['epochs'], 'epoch')} in {summary['train_seconds']:.1f} s",
            "parameters": f"{summary['parameters']:,}",
            "folder": shown_path(self.folder),
        }

    def __repr__(self) -> str:
        """Return the run in a line."""
        return f"Run({', '.join(f'{name}: {value}' for name, value in self.facts().items())})"

    def _repr_html_(self) -> str:
        """Return the run as a table, for notebooks."""
        left = "style='text-align:left'"
        rows = (
            f"<tr><th {left}>{name}</th><td {left}>{html.escape(value)}</td></tr>"
            for name, value in self.facts().items()
        )
        return f"<table>{''.join(rows)}</table>"


def figures_of(test: Mapping[str, Any], scores: Scores) -> dict[str, str]:
    """Return the figures of an evaluation as text: the scores of the task, or all as plain numbers."""
    ranked = {figure.score.name: figure.score for figure in scores.ranked}
    if ranked.keys() <= test.keys():
        return {f"test {name}": score.text(test[name]) for name, score in ranked.items()}
    return {f"test {name}": f"{value:.4g}" for name, value in test.items() if isinstance(value, float)}
