"""Folders of images as hostile, careless or unlucky people make them."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n"
EPS += b"0 0 moveto 20 20 lineto stroke\nshowpage\n"


def two_classes(root: Path, size: int = 20, per_class: int = 8) -> Path:
    """Write images of two classes that differ in their brightness."""
    draw = np.random.default_rng(0)
    for number, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            values = draw.integers(0, 100, (size, size)) + 120 * number
            Image.fromarray(values.astype(np.uint8)).save(root / name / f"{index:03}.png")
    return root


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, depth: int = 8, colour: int = 0, data: bytes | None = None, extra: bytes = b""
) -> bytes:
    """Return a PNG of zeros of any size, most of which is not held in memory."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if data is None:
        packer, parts = zlib.compressobj(9), []
        row = bytes(1 + (width * channels * depth + 7) // 8)
        for _ in range(height):
            parts.append(packer.compress(row))
        data = b"".join([*parts, packer.flush()])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    """Return an image as a file of some format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


GREY = Image.linear_gradient("L").resize((20, 20))
JPEG = saved(GREY.convert("RGB"), "JPEG")
BOMBS = (
    lambda: png(13_000, 13_000, 8, 6),
    lambda: png(13_000, 13_000, 16, 2),
    lambda: png(13_000, 13_000, 16, 0),
    lambda: png(1, 2_000_000),
    lambda: png(60_000, 60_000, data=zlib.compress(bytes(1000))),
    lambda: png(2**31 - 1, 2**31 - 1, data=zlib.compress(b"")),
    lambda: saved(Image.new("1", (13_000, 13_000)), "TIFF", compression="group4"),
)
FILES: dict[str, Callable[[], bytes]] = {
    "eps.png": lambda: EPS,
    "eps.eps": lambda: EPS,
    "eps.jpg": lambda: b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(EPS)) + bytes(18) + EPS,
    "empty.png": lambda: b"",
    "text.png": lambda: b"not an image\n",
    "html.jpg": lambda: b"<html><body>404 not found</body></html>",
    "truncated.jpg": lambda: JPEG[: len(JPEG) // 2],
    "truncated.png": lambda: png(20, 20)[:-20],
    "middle.jpg": lambda: JPEG[:300] + bytes(100) + JPEG[400:],
    "head.jpg": lambda: JPEG[:4],
    "crc.png": lambda: png(20, 20).replace(b"IDAT", b"IDAU"),
    "text-chunk.png": lambda: png(20, 20, extra=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**27)))),
    "icc.png": lambda: png(20, 20, extra=chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(2**26)))),
    "palette.png": lambda: png(20, 20, 8, 3),
    "zero.png": lambda: png(0, 0, data=b""),
    "wide.png": lambda: png(60_000, 1),
    "exif.jpg": lambda: JPEG[:2] + b"\xff\xe1\x00\x20Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(20) + JPEG[2:],
    "animated.gif": lambda: saved(
        GREY, "GIF", save_all=True, append_images=[GREY.rotate(n) for n in range(200)]
    ),
    "pages.tiff": lambda: saved(
        GREY, "TIFF", save_all=True, append_images=[GREY.rotate(n) for n in range(50)]
    ),
    "loop.tiff": lambda: b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 256, 4, 1, 1) + struct.pack("<I", 8),
    "float.tiff": lambda: saved(Image.fromarray(np.full((20, 20), np.nan, np.float32)), "TIFF"),
    "infinite.tiff": lambda: saved(Image.fromarray(np.full((20, 20), np.inf, np.float32)), "TIFF"),
    "cmyk.jpg": lambda: saved(GREY.convert("CMYK"), "JPEG"),
    "lab.tiff": lambda: saved(GREY.convert("RGB").convert("LAB"), "TIFF"),
    "16.png": lambda: saved(Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 163), "PNG"),
    "ppm.ppm": lambda: b"P6\n20 20\n65536\n" + bytes(10),
    "pgm.pgm": lambda: b"P5\n999999 999999\n255\n",
    "xpm.xpm": lambda: b'/* XPM */\nstatic char * x[] = {"99999999 1 1 1",',
    "bmp.bmp": lambda: (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, -20, 20, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
    "ico.ico": lambda: b"\0\0\x01\0\xff\xff" + bytes(200),
    "wmf.png": lambda: b"\xd7\xcd\xc6\x9a" + bytes(60),
    "psd.psd": lambda: b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3),
    "svg.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "dds.dds": lambda: b"DDS " + struct.pack("<I", 124) + bytes(120),
    "jp2.jp2": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100),
    "webp.webp": lambda: b"RIFF\xff\xff\xff\x7fWEBPVP8 \xff\xff\xff\x7f" + bytes(40),
    "avif.avif": lambda: b"\0\0\0\x20ftypavif" + bytes(60),
    "mpo.jpg": lambda: JPEG + JPEG,
    "numpy.png": lambda: b"\x93NUMPY\x01\0v\0{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
}
NAMES = (
    "new\nline.png",
    "\x1b]0;owned\x07\x1b[2J.png",
    "tab\tand\rreturn.png",
    "not-\udce9-utf-8.png",
    "[red]markup[link=x].png",
    "<script>alert(1)<script>.png",
    "=cmd|'C calc'!A7.png",
    'a,b;"c".png',
    "-rf.png",
    "--csv",
    "\u202egnp.exe.png",
    " .png",
    "n" * 240 + ".png",
    "${oc.env:HOME}.png",
    "@file.png",
    "x=1.png",
)


def fill(kind: str, root: Path) -> list[str]:
    """Write one kind of hostile folder, and return files that ``predict`` is to be given besides."""
    two_classes(root)
    name = kind.partition(" ")[2]
    if kind.startswith("file "):
        (root / "dark" / name).write_bytes(FILES[name]())
    elif kind.startswith("bomb "):
        (root / "dark" / "bomb.png").write_bytes(BOMBS[int(name)]())
    elif kind.startswith("name "):
        (root / "dark" / NAMES[int(name)]).write_bytes(png(20, 20))
    elif kind.startswith("class "):
        own = root / NAMES[int(name)].removesuffix(".png")
        own.mkdir()
        for number in range(8):
            (own / f"{number}.png").write_bytes(saved(GREY.rotate(number), "PNG"))
    else:
        OTHERS[kind](root)
    return [str(path) for path in sorted((root / "dark").iterdir()) if path.name != "000.png"][-3:]


def fifo(root: Path) -> None:
    """Put pipes that nobody writes to among the images."""
    os.mkfifo(root / "dark/pipe.png")
    os.mkfifo(root / "pipe.png")
    (root / "light/linked.png").symlink_to(root / "dark/pipe.png")


def devices(root: Path) -> None:
    """Put links to devices, and a socket, among the images."""
    for name in ("zero", "random", "full", "stdin"):
        (root / "dark" / f"{name}.png").symlink_to(f"/dev/{name}")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "dark/socket.png"))


def loops(root: Path) -> None:
    """Put links to folders above among the classes."""
    for name in ("x", "y"):
        (root / "dark" / name).symlink_to(".")
        (root / "light" / name).symlink_to("..")
    (root / "again").symlink_to(".")
    (root / "dark/round.png").symlink_to("round.png")
    (root / "dark/nowhere.png").symlink_to("nothing")


def run_within(root: Path) -> None:
    """Put a run's folder beside the classes."""
    (root / "outputs/train/x/plots").mkdir(parents=True)
    (root / "outputs/train/x/config.yaml").write_text("epochs: 1\n")
    (root / "outputs/train/x/plots/a.png").write_bytes(png(20, 20))


def deep(root: Path) -> None:
    """Put folders within folders, as deep as a path can be."""
    place = root / "dark"
    with contextlib.suppress(OSError):
        for _ in range(100):
            place = place / ("d" * 30)
            place.mkdir()
        (place / "a.png").write_bytes(png(20, 20))


def many_classes(root: Path) -> None:
    """Put a great many classes of one image each."""
    for number in range(400):
        (root / f"c{number}").mkdir()
        (root / f"c{number}/a.png").write_bytes(png(20, 20))


def one_class(root: Path) -> None:
    """Leave one class."""
    for path in (root / "light").iterdir():
        path.unlink()


def splits(root: Path) -> None:
    """Name the classes as parts of a data set are named."""
    (root / "dark").rename(root / "train")
    (root / "light").rename(root / "test")
    (root / "dark").mkdir()


def locked(root: Path) -> None:
    """Take the permissions of a class, and of a file of the other."""
    (root / "light").chmod(0)
    (root / "dark/001.png").chmod(0)


def copies(root: Path) -> None:
    """Put copies of one class's images into the other and into parts."""
    for path in (root / "dark").iterdir():
        (root / "light" / f"copy-{path.name}").write_bytes(path.read_bytes())


def folder_as_image(root: Path) -> None:
    """Put a folder with the name of an image, and a loose file beside the classes."""
    (root / "dark/folder.png").mkdir()
    (root / "loose.png").write_bytes(png(20, 20))


OTHERS: dict[str, Callable[[Path], None]] = {
    "fifo": fifo,
    "devices": devices,
    "loops": loops,
    "run within": run_within,
    "deep": deep,
    "many classes": many_classes,
    "one class": one_class,
    "splits": splits,
    "locked": locked,
    "copies": copies,
    "folder as image": folder_as_image,
}
KINDS = (
    *(f"file {name}" for name in FILES),
    *OTHERS,
    *(f"name {number}" for number in range(len(NAMES))),
    *(f"class {number}" for number in range(len(NAMES))),
    *(f"bomb {number}" for number in range(len(BOMBS))),
)
