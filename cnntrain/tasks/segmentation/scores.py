"""The scores of segmentation: the loss, and how well the classes' regions cover the true ones."""

from cnntrain.tasks.scores import LOSS, Score, Scores

MIOU = Score("miou", "mIoU", higher_is_better=True, is_fraction=True, bounds=(0.0, 1.0))
DICE = Score("dice", "Dice", higher_is_better=True, is_fraction=True, bounds=(0.0, 1.0))
SCORES = Scores((LOSS, MIOU, DICE))
