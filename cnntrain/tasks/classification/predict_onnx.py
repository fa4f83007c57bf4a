"""Name the class of image files with model.onnx, which lies beside this file.

Type: python predict.py FILE_OR_FOLDER...

It needs onnxruntime, Pillow and numpy, and nothing else. The model takes bytes; normalisation and softmax are
inside it. How a file becomes those bytes is said in the model's metadata, and done here.
"""

from __future__ import annotations

import sys

import numpy as np

from cnntrain.tasks.portable.script import Model, line, middle, program, report_each

USAGE = "usage: python predict.py FILE_OR_FOLDER...  (the likeliest class of each image, and its probability)"


def main(words: list[str], model: Model) -> int:
    """Print the likeliest class of each file, and its probability. Return 1 if a file could not be read."""

    def show(file: str, image: np.ndarray) -> None:
        (probabilities,) = model.outputs(image)
        best = int(probabilities.argmax())
        print(f"{line(file)}\t{line(model.names[best])}\t{probabilities[best]:.6f}")

    return report_each(words, lambda file: middle(file, model.how)[0], show)


if __name__ == "__main__":
    sys.exit(program(USAGE, 1, main))
