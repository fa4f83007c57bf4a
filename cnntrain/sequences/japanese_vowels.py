"""JapaneseVowels: nine men say the vowels 'a' and 'e'; who is it? (Kudo, Toyama and Shimbo 1999.)"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from cnntrain.errors import UserError
from cnntrain.sequences.layout import contents, decoded
from cnntrain.sequences.source import Sample, Source

CARRIERS = ("aeon", "sktime")  # packages whose wheels hold the files
FOLDER = "datasets/data/JapaneseVowels"


class JapaneseVowels(Source):
    """270 utterances to train on and 370 to test on: 12 cepstral coefficients, 7 to 29 steps, 9 speakers.

    The files are those of the package aeon or sktime, which is not imported. They are in the .ts format of
    the archive of Bagnall et al. 2018 (The UEA multivariate time series classification archive).

    Args:
        train: the training and the validation part, or else the test part.
        class_names: those of a checkpoint, in the order of its outputs.

    Raises:
        UserError: neither package is installed.
    """

    def __init__(self, train: bool, class_names: list[str] | None = None) -> None:
        folder = folder_of_files()
        samples = []
        for part in ("train", "test"):
            content = decoded(contents(folder / f"JapaneseVowels_{part.upper()}.ts"), "JapaneseVowels")
            lines = [line for line in content.splitlines() if line and line[0] not in "#@"]
            for number, line in enumerate(lines, 1):
                values, _, label = line.rpartition(":")
                samples.append(Sample(f"{part} {number}", label, part, values.encode()))
        super().__init__(samples, train, "JapaneseVowels", None, class_names)

    def value(self, sample: Sample) -> np.ndarray:
        """Return an utterance, float32 (T, 12): a line holds one coefficient after the other."""
        features = [series.split(",") for series in sample.content.decode().split(":")]
        return np.array(features, dtype=np.float32).T


def folder_of_files() -> Path:
    """Return the folder of the files, inside whichever package carries them.

    Raises:
        UserError: neither does.
    """
    for name in CARRIERS:
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec is not None else ():
            if (Path(place) / FOLDER).is_dir():
                return Path(place) / FOLDER
    raise UserError(
        "data=japanese_vowels reads the files that the packages aeon and sktime carry, and neither is "
        "installed: pip install --no-deps aeon"
    )
