"""The scores of classification: the loss, and the share of the images whose class is right."""

from cnntrain.language.translation import later
from cnntrain.tasks.scores import LOSS, Score, Scores

ACCURACY = Score(later("accuracy"), "acc", higher_is_better=True, is_fraction=True, bounds=(0.0, 1.0))
SCORES = Scores((LOSS, ACCURACY))
