"""The data set, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cnntrain.annotations.auto import annotation_options, has_validation_part
from cnntrain.config.inputs import CALLED, IMAGES, Called, height_and_width, input_shape, inputs_of
from cnntrain.config.keys import PASSED_ON
from cnntrain.image_folder.layout import FOLDER

Node = Mapping[str, Any]  # a class by ``_target_``, and its arguments
NO_CHANGES = ("_target_", "min_visible")  # arguments of an augmentation that change no image by itself
Shape = tuple[int, int, int]  # channels, height and width of an image


def strengths(augment: Node) -> dict[str, Any]:
    """Return the arguments of an augmentation that make it change images."""
    return {name: value for name, value in augment.items() if name not in NO_CHANGES and value}


@dataclass(frozen=True)
class DataSettings:
    """The data set, and how it is read: the group ``data`` of the configuration, whose keys these are.

    Args:
        limit: training images that are used; None: all.
        workers: processes that decode.
        targets: what the data give for each image: ``classes`` or ``masks``.
        inputs: what the network gets: ``images``, ``series`` or ``text``. Of a sequence, ``channels`` and
            ``image_size`` follow from steps and features.
        steps: the steps of the longest sequence; longer ones are cut.
        features: the features of a step.
        tokens: what of a text is numbered: ``bytes``, ``characters``, ``words``, or the file of a tokenizer.
        vocabulary: the characters or words, or the tokenizer.
        passed_on: what the class that reads the data is given, by the names of its arguments.
    """

    source: Node
    channels: int
    image_size: int | list[int]
    num_classes: int
    mean: list[float]
    std: list[float]
    val_fraction: float
    split_seed: int
    cache: str
    cache_gb: float
    resize: str
    resize_size: int | list[int] | None
    max_megapixels: float
    value_range: Any = None
    root: str | None = None
    on_bad_image: str | None = None
    limit: int | None = None
    workers: int = 0
    targets: str = "classes"
    inputs: str = IMAGES
    steps: int = 0
    features: int = 1
    tokens: str = "bytes"
    vocabulary: str = ""
    passed_on: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DataSettings:
        """Return what a configuration says about the data."""
        group = config["data"]
        if inputs_of(group) != IMAGES:
            channels, *size = input_shape(group)
            as_image = {"channels": channels, "image_size": size}
            group = {"mean": [0.0], "std": [1.0], **group, **as_image, "resize_size": None}
        own = {row.name: group[row.name] for row in fields(cls) if row.name in group}
        passed_on = {name: group[name] for name in PASSED_ON if name in group}
        return cls(**own, passed_on=passed_on, limit=config["limit"], workers=config["workers"])

    @property
    def called(self) -> Called:
        """What messages call the examples."""
        return CALLED[self.inputs]

    @property
    def shape(self) -> Shape:
        """Channels, height and width of an image."""
        return (self.channels, *self.size)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return height_and_width(self.image_size)

    @property
    def read_size(self) -> tuple[int, int]:
        """Height and width that images are resized to before a part of it is cut out."""
        return height_and_width(self.resize_size or self.image_size)

    @property
    def has_validation(self) -> bool:
        """Whether some images validate: those that are held out, or a folder's own validation part.

        Raises:
            UserError: the folder can't be used.
        """
        if self.val_fraction > 0 or self.source["_target_"] != FOLDER:
            return bool(self.val_fraction > 0)
        return has_validation_part(
            str(self.root), annotation_options({**self.passed_on, "targets": self.targets})
        )
