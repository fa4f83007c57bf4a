"""Class names of a model and of data: compared by name, never by number; and how much each class covers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cnntrain.errors import UserError
from cnntrain.text import printable

BYTES = 256  # the values of a pixel of a mask
SHOWN = 5  # names that a message shows


def renumbering(of_data: Sequence[str], of_model: Sequence[str]) -> Tensor | None:
    """Return the model's number of each class of the data, int64 (classes,); None if they are the same.

    Raises:
        UserError: the data have classes of other names.
    """
    if list(of_data) == list(of_model):
        return None
    if sorted(of_data) != sorted(of_model) or len(set(of_model)) < len(of_model):
        raise UserError(difference(of_data, of_model))
    number = {name: index for index, name in enumerate(of_model)}
    return torch.tensor([number[name] for name in of_data])


def renumbered(
    batches: Iterable[tuple[Tensor, Tensor]], numbers: Tensor | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of images and labels with the labels as the model numbers its classes.

    Args:
        batches: images (N, C, H, W) and labels, int64 (N,), or masks, uint8 (N, H, W), in which numbers that
            are no class stay as they are.
        numbers: the new numbers, from :func:`renumbering`.
    """
    if numbers is None:
        yield from batches
        return
    table = torch.cat([numbers, torch.arange(len(numbers), BYTES)])
    for images, labels in batches:
        yield images, table.to(labels.device)[labels.long()].to(labels.dtype)


def check_same(of_data: Sequence[str], of_model: Sequence[str]) -> None:
    """Raise a UserError if data have not the very classes of a model, in their order."""
    if list(of_data) != list(of_model):
        raise UserError(difference(of_data, of_model))


def difference(of_data: Sequence[str], of_model: Sequence[str]) -> str:
    """Return a line that names the classes that differ, and another that says what to do."""
    only_data, only_model = (
        [name for name in one if name not in other]
        for one, other in ((of_data, set(of_model)), (of_model, set(of_data)))
    )
    if not only_data and not only_model:
        return f"the data have the classes of the model in another order: {listed(of_data)}"
    text = f"the data have classes {listed(only_data)}, and the model knows {listed(only_model)} instead"
    if is_numbered(of_data):
        return (
            f"{text}\nthe data's are only numbered: data=folder data.root=DIR takes a folder for each class, "
            "named as the model's, and a data set of your own names them in its list `classes`"
        )
    return f"{text}: name data of the same classes"


def is_numbered(names: Sequence[str]) -> bool:
    """Return whether class names are nothing but the numbers of the classes."""
    return list(names) == [str(number) for number in range(len(names))]


def listed(names: Sequence[str]) -> str:
    """Return the first names, separated by commas."""
    text = ", ".join(printable(name, 40) for name in names[:SHOWN])
    return f"{text}, ... ({len(names):,} in all)" if len(names) > SHOWN else text or "none"


def areas(counts: Tensor, class_names: Sequence[str], most: int) -> tuple[tuple[str, float], ...]:
    """Return the classes of an image that are there and the share of the pixels of each, the largest first.

    Args:
        counts: pixels of each class, (classes,).
        class_names: the class names of the model.
        most: how many classes at most.
    """
    ordered = (counts.double() / counts.sum()).sort(descending=True, stable=True)
    pairs = zip(ordered.indices[:most].tolist(), ordered.values[:most].tolist(), strict=True)
    return tuple((class_names[index], share) for index, share in pairs if share > 0)
