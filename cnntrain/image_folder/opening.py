"""Opens image files safely: files are untrusted.

Only regular files are opened, only as formats whose decoders start no other program, and only within a bound
on the pixels that are decoded.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from cnntrain.image_folder.depth import NoRange
from cnntrain.runtime.regular_files import NotRegular, open_regular
from cnntrain.text import printable

# Not among them: EPS, for which Pillow starts Ghostscript, those that other libraries register, and
# those in which nobody keeps photographs.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM"),
    *("QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP"),
)
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF
JPEG = b"\xff\xd8\xff"  # how JPEG files begin
HEAD = 64  # bytes that tell the format
REDUCIBLE = 4  # times the bound that a JPEG may have: it is then decoded at half its width and height
ONE_AT_A_TIME = 0.125  # share of the bound above which images are decoded one after another
FILE_BYTES = 4  # bytes a pixel of the bound that the file of a format may have which is read whole
# Files of photographs, drawings and films that are not read, and what to convert them to.
PHOTOGRAPHS = "heic heif cr2 cr3 nef arw dng orf raf rw2"  # of iPhones, and raw ones of cameras
DRAWINGS = "svg pdf"
FILMS = "mp4 mov avi mkv webm m4v mpg mpeg wmv"
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands, ISO/IEC 23008-12
ADVICE = {
    **{f".{name}": f"{name.upper()} is not read here: convert it to JPEG" for name in PHOTOGRAPHS.split()},
    **{f".{name}": f"{name.upper()} is not read here: convert it to PNG" for name in DRAWINGS.split()},
    **{f".{name}": "a video is not read here: save its frames as JPEG" for name in FILMS.split()},
}
# Of large images and odd metadata. Not around each file, since filters are not a thread's own.
warnings.filterwarnings("ignore", module="PIL")


class UnreadableImage(Exception):
    """A file that is not an image, or is damaged or refused; the text says what is wrong with it."""


class ImageTooLarge(UnreadableImage):
    """An image of more pixels than may be decoded."""


@dataclass(frozen=True)
class Decoding:
    """The way to decode the images of a data set.

    Args:
        max_megapixels: millions of pixels that an image may have.
        value_range: values that become black and white in images of more than 8 bits; ``own``: the lowest and
            the highest of each image; None knows those of 16-bit files alone.
        large: held while a large image is decoded, so that there is one in memory at a time.
    """

    max_megapixels: float
    value_range: Sequence[float] | str | None = None
    large: AbstractContextManager[Any] = field(default_factory=threading.Lock)

    @property
    def most(self) -> int:
        """Pixels that an image may have."""
        return int(1e6 * self.max_megapixels)


@functools.cache
def suffixes() -> frozenset[str]:
    """Return the extensions, in small letters, of all files that can be read."""
    kinds = (*FORMATS, "MPO")  # whose first image is a plain JPEG
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in kinds)


@contextlib.contextmanager
def open_image(path: Path, decoding: Decoding) -> Iterator[Image.Image]:
    """Open an image file without decoding it.

    Raises:
        UnreadableImage: its format is refused.
        ImageTooLarge: it has more pixels than may be decoded.
        Exception: whatever Pillow raises.
    """
    # For images within images, too, such as a PNG in an ICO file. Pillow refuses what is twice as large.
    Image.MAX_IMAGE_PIXELS = max(1, decoding.most // 2)
    with open_regular(path) as file:
        head = file.read(HEAD)
        file.seek(0)
        if head.startswith(JPEG):  # of whatever size, since it can be decoded at a fraction of it
            jpeg: Image.Image = JpegImageFile(file)
            with jpeg:
                yield jpeg
            return
        is_read_whole = head[8:12] == b"WEBP" or head[4:8] == b"ftyp"
        if is_read_whole and os.fstat(file.fileno()).st_size > max_file_bytes(decoding.most):
            megabytes = f"{os.fstat(file.fileno()).st_size / 1e6:,.0f} MB"
            bound = f"data.max_megapixels={decoding.most / 1e6:g}"
            raise ImageTooLarge(f"a file of {megabytes}, more than {bound}")
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            why = advice(path.name, head) or refused_format(head, file) or "not an image"
            raise UnreadableImage(why) from None
        with image:
            yield image


def max_file_bytes(pixels: int) -> int:
    """Return how many bytes the file of an image may have that is read whole."""
    return FILE_BYTES * pixels + 2**20


def refused_format(head: bytes, file: BinaryIO) -> str:
    """Return why a file is not read whose format Pillow knows; empty if Pillow does not know it."""
    Image.init()
    for name in Image.ID:
        accept = Image.OPEN[name][1]
        with contextlib.suppress(Exception):  # some look at more bytes than there are
            if name not in FORMATS and accept is not None and accept(head) is True:
                if name == "EPS":
                    return "EPS files are refused: reading them starts Ghostscript; save it as PNG or JPEG"
                return f"{name} files are not read: save it as PNG or JPEG"
    return ""


def advice(name: str, head: bytes = b"") -> str:
    """Return what to do about a file that is not read, by its extension or first bytes; empty if unknown."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return ADVICE[".heic"]
    return ADVICE.get(PurePath(name).suffix.lower(), "")


def advice_for(names: Iterable[str]) -> list[str]:
    """Return what to do about files that are not read, each advice once."""
    return [text for text in dict.fromkeys(map(advice, names)) if text]


def prepare_decoding(image: Image.Image, at_least: int | None, decoding: Decoding) -> bool:
    """Let Pillow decode a JPEG at a fraction of its size, and return whether an image is a large one.

    Raises:
        ImageTooLarge: it has more pixels than may be decoded.
    """
    pixels, most = image.width * image.height, decoding.most
    if isinstance(image, JpegImageFile):
        # Of a progressive one the decoder keeps all coefficients, at whatever size it is decoded.
        reducible = 1 if image.info.get("progressive") else REDUCIBLE
        check_size(image.size, decoding, reducible)
        if pixels > most and (at_least is None or 2 * at_least > min(image.size)):
            image.draft(None, (image.width // 2, image.height // 2))
        elif at_least is not None:
            image.draft(None, (at_least, at_least))  # both sides stay at least as long
        pixels = max(image.width * image.height, pixels // REDUCIBLE)
    else:
        check_size(image.size, decoding)
        tags: Any = getattr(image, "tag_v2", {})
        tile = int(tags.get(TILE_WIDTH, 1)) * int(tags.get(TILE_LENGTH, 1))
        check_size((tile, 1), decoding)  # a tile may be larger than its image
        pixels = max(pixels, tile)
    return pixels > ONE_AT_A_TIME * most


def check_size(size: tuple[int, int], decoding: Decoding, factor: int = 1) -> None:
    """Raise TooLarge if an image has more pixels than may be decoded."""
    if size[0] * size[1] > factor * decoding.most:
        raise too_large(size[0] * size[1], decoding)


def too_large(pixels: int, decoding: Decoding) -> ImageTooLarge:
    """Return the error about an image of that many pixels."""
    bound = f"more than data.max_megapixels={decoding.most / 1e6:g}"
    return ImageTooLarge(f"{pixels / 1e6:,.3g} megapixels, {bound}")


def reason(error: Exception) -> str:
    """Return, in one line, why an image can't be read."""
    if isinstance(error, NotRegular | NoRange):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(str(error) or type(error).__name__)
