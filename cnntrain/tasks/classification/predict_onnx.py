"""Name the class of image files with model.onnx, which lies beside this file.

Type: python predict.py FILE_OR_FOLDER...

It needs onnxruntime, Pillow and numpy, and nothing else. The model takes bytes; normalisation and softmax are
inside it. How a file becomes those bytes is said in the model's metadata, and done here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime

from cnntrain.tasks.image_input import ended, fitted, line, pixels_of, read_all, sides, upright

USAGE = "usage: python predict.py FILE_OR_FOLDER...  (the likeliest class of each image, and its probability)"


def main(words: list[str]) -> int:
    """Print the likeliest class of each file, and its probability. Return 1 if a file could not be read."""
    if not words or {"-h", "--help"} & set(words):
        print(USAGE, file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    try:
        session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
        metadata = session.get_modelmeta().custom_metadata_map
        names, how = json.loads(metadata["class_names"]), json.loads(metadata["preprocessing"])
    except Exception as error:  # onnxruntime has its own kinds
        print(f"model.onnx can't be read: {line(str(error))}", file=sys.stderr)
        return 2
    large, (height, width) = sides(how["resize_size"]), sides(how["image_size"])
    top, left = (large[0] - height) // 2, (large[1] - width) // 2

    def read(file: str) -> np.ndarray:
        whole = fitted(upright(file, how)[0], large, how["resize"])
        return pixels_of(whole.crop((left, top, left + width, top + height)))

    failed = 0
    for file, image in read_all(words, read):
        if isinstance(image, str):
            print(f"{line(file)}: {line(image)}", file=sys.stderr)
            failed += 1
            continue
        (probabilities,) = session.run(None, {"images": image})[0]
        best = int(probabilities.argmax())
        print(f"{line(file)}\t{line(names[best])}\t{probabilities[best]:.6f}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(ended(lambda: main(sys.argv[1:])))
