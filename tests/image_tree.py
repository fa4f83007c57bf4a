"""Folders of real digits as files, with or without planted faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cnntrain.data.sources.builtin import MNISTMini


def digits(root: Path, per_class: int = 20, classes: tuple[int, ...] = (0, 1, 3), first: int = 0) -> Path:
    """Write digits as ``root/CLASS/NUMBER.png`` or ``.jpg``, by turns."""
    images = MNISTMini(train=True)
    for digit in classes:
        folder = root / f"d{digit}"
        folder.mkdir(parents=True, exist_ok=True)
        members = (images.labels == digit).nonzero().flatten()[first : first + per_class].tolist()
        for number, index in enumerate(members):
            image = Image.fromarray(images.images[index, 0].numpy())
            image.save(folder / f"{number:03}.{'png' if number % 2 else 'jpg'}", quality=95)
    return root


def faulty(root: Path) -> Path:
    """Write digits, and plant each kind of fault among them."""
    digits(root)
    whole = (root / "d0/000.jpg").read_bytes()
    (root / "d0/truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "d1/text.png").write_text("not an image")
    (root / "d1/notes.txt").write_text("a note")
    Image.open(root / "d0/001.png").rotate(20).convert("CMYK").save(root / "d0/cmyk.jpg")
    deep = np.asarray(Image.open(root / "d3/001.png").rotate(20)).astype(np.uint16) * 257
    Image.fromarray(deep).save(root / "d3/deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter clockwise when it is shown
    ramp = np.tile(np.linspace(0, 255, 60, dtype=np.uint8), (40, 1))
    Image.fromarray(np.stack([ramp, ramp[:, ::-1], ramp // 2], 2)).save(root / "d3/turned.jpg", exif=exif)
    (root / "empty").mkdir()
    digits(root / ".hidden", 1, (0,))
    (root / "d1/copy.png").write_bytes((root / "d3/003.png").read_bytes())
    return root
