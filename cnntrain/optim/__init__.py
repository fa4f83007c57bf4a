"""Learning-rate schedules, groups of parameters, freezing and averaged weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntrain.runtime.imports import lazily

if TYPE_CHECKING:
    from cnntrain.optim.schedules import Constant as Constant
    from cnntrain.optim.schedules import Cosine as Cosine
    from cnntrain.optim.schedules import MultiStep as MultiStep
    from cnntrain.optim.schedules import OneCycle as OneCycle
    from cnntrain.optim.schedules import Step as Step

__getattr__, __dir__ = lazily(
    __name__, dict.fromkeys(("Constant", "Cosine", "MultiStep", "OneCycle", "Step"), "schedules")
)
