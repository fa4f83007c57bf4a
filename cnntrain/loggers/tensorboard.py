"""TensorBoard: event files in the run folder."""

from __future__ import annotations

from torch import Tensor

from cnntrain.loggers.base import Logged, Logger
from cnntrain.loggers.images import grid
from cnntrain.runs.records import EpochRow, RunSummary
from cnntrain.runtime.imports import needed
from cnntrain.text import argument


class TensorBoard(Logger):
    """Writes event files for ``tensorboard --logdir outputs``.

    Args:
        folder: the folder for the files, within the run folder.
    """

    def __init__(self, folder: str) -> None:
        needed("tensorboard", "logger=tensorboard")
        self.name = folder
        self.step = 0

    def begin(self, run: Logged) -> None:
        """Open a file. What files before it say is void, and said again: so no point is there twice."""
        from torch.utils.tensorboard import SummaryWriter

        self.run = run
        self.parameters = run.parameters()
        self.folder = run.folder / self.name
        self.writer = SummaryWriter(self.folder, purge_step=0)
        self.writer.add_text("configuration", "\n".join(f"    {k}: {v}" for k, v in self.parameters.items()))
        if run.images is not None:
            self.writer.add_image("first images", grid(run.images), 0)
        for row in run.history:
            self.epoch(row)

    def epoch(self, row: EpochRow) -> None:
        """Record the figures of an epoch at its last step."""
        self.step = row["step"]
        for tag, value in self.run.figures_in(row).items():
            self.writer.add_scalar(tag, value, self.step)
        self.writer.flush()

    def end(self, summary: RunSummary, confusion: Tensor | None) -> None:
        """Record the test figures, and the hyperparameters beside them."""
        if confusion is not None:
            self.writer.add_image("confusion", confusion, self.step, dataformats="HWC")
        figures = self.run.tested_in(summary)
        self.writer.add_hparams(self.parameters, figures, run_name=".", global_step=self.step)

    def close(self) -> None:
        """Close the file."""
        self.writer.close()

    def opened_by(self) -> tuple[str, str]:
        """Return the command that shows the run."""
        return "TensorBoard", f"tensorboard --logdir {argument(self.folder)}"
