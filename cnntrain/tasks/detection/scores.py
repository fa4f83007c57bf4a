"""The scores of detection: the loss, and the average precision of the boxes."""

from cnntrain.tasks.scores import LOSS, Score, Scores

# Measured in validation alone: in training the outputs of each batch would have to be sorted and matched.
AP = Score("ap", "AP", higher_is_better=True, is_fraction=True, bounds=(0.0, 1.0), in_training=False)
AP50 = Score("ap50", "AP50", higher_is_better=True, is_fraction=True, bounds=(0.0, 1.0), in_training=False)
SCORES = Scores((LOSS, AP, AP50))
