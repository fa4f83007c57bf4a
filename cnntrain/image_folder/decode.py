"""From an image file of any kind that Pillow reads safely to upright 8-bit pixels, grey or colour.

Files are untrusted. Only regular files are opened, only as formats whose decoders start no other program,
and only within a bound on the pixels that are decoded.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from cnntrain.image_folder.depth import NoRange, extremes, is_deep, strips, to_eight_bits
from cnntrain.image_folder.not_read import advice
from cnntrain.runtime import memory
from cnntrain.runtime.regular_files import NotRegular, open_regular
from cnntrain.text import printable

T = TypeVar("T")
# Not among them: EPS, for which Pillow starts Ghostscript, those that other libraries register, and
# those in which nobody keeps photographs.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM"),
    *("QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP"),
)
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F")
ORIENTATION, SWAPPING = 0x0112, (5, 6, 7, 8)  # the tag of EXIF, and its values that swap width and height
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF
JPEG = b"\xff\xd8\xff"  # how JPEG files begin
HEAD = 64  # bytes that tell the format
REDUCIBLE = 4  # times the bound that a JPEG may have: it is then decoded at half its width and height
ONE_AT_A_TIME = 0.125  # share of the bound from which on images are decoded one after another
FILE_BYTES = 4  # bytes a pixel of the bound that the file of a format may have which is read whole
# Of large images and odd metadata. Not around each file, since filters are not a thread's own.
warnings.filterwarnings("ignore", module="PIL")


class Unreadable(Exception):
    """A file that is no image, a damaged one, or one that is refused; the text says what is wrong with it."""


class TooLarge(Unreadable):
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


class Upright(NamedTuple):
    """An image as a person sees it.

    Args:
        image: an image of mode L or RGB.
        mode: the mode of the file.
        size: width and height of the file's image, as they are seen, in pixels.
        is_turned: whether EXIF had it turned or mirrored.
        is_transparent: whether the file has an alpha channel or a transparent colour.
        values: lowest and highest value, of an image of more than 8 bits that was scaled by its own range.
    """

    image: Image.Image
    mode: str
    size: tuple[int, int]
    is_turned: bool
    is_transparent: bool
    values: tuple[float, float] | None = None


def read_pixels(path: Path, mode: str, decoding: Decoding, at_least: int | None = None) -> np.ndarray:
    """Read the pixels of an image as a person sees it: uint8 (H, W, C).

    Args:
        path: the path of the file.
        mode: ``L`` or ``RGB``.
        decoding: the bounds.
        at_least: shorter side that is needed, see :func:`open_upright`.

    Raises:
        Unreadable: it is no image, a damaged one, or one that is refused.
    """

    def as_array(upright: Upright) -> np.ndarray:
        image = upright.image
        array = np.array(image if image.mode == mode else image.convert(mode))
        return array.reshape(*array.shape[:2], -1)

    pixels = plain_jpeg(path, mode, decoding, at_least)
    return with_upright(path, as_array, decoding, at_least) if pixels is None else pixels


def plain_jpeg(path: Path, mode: str, decoding: Decoding, at_least: int | None) -> np.ndarray | None:
    """Return the pixels of a JPEG that needs no more than to be decoded in full; None of all other files.

    They are those that Pillow gives, in two thirds of the time: libjpeg-turbo writes them where they stay.
    """
    try:
        with open_regular(path) as file:
            if file.read(len(JPEG)) != JPEG:
                return None
            file.seek(0)
            image = JpegImageFile(file)
            size, pixels = image.size, image.width * image.height
            if image.mode != mode or image.getexif().get(ORIENTATION, 1) != 1:
                return None
            if at_least is not None and image.draft(None, (at_least, at_least)) and image.size != size:
                return None
            if pixels > ONE_AT_A_TIME * decoding.most or os.fstat(file.fileno()).st_size > room(pixels):
                return None
            file.seek(0)
            decoded: np.ndarray = simplejpeg.decode_jpeg(file.read(), "GRAY" if mode == "L" else "RGB")
            return decoded
    except Exception:  # Pillow tells what is wrong, or makes do with what there is
        return None


def open_upright(path: Path, decoding: Decoding, at_least: int | None = None) -> Upright:
    """Read an image as a person sees it.

    EXIF's rotation is applied, palettes and CMYK become RGB, more than 8 bits become 8, and what is
    transparent is composited on white. Of several images in a file it is the first.

    Args:
        path: the file.
        decoding: the bounds.
        at_least: shorter side that is needed, in pixels. A JPEG is then decoded at the half, quarter or
            eighth that is just large enough, which takes a fraction of the time.

    Raises:
        Unreadable: it is no image, a damaged one, or one that is refused.
    """
    return with_upright(path, lambda upright: upright, decoding, at_least)


def with_upright(
    path: Path, use: Callable[[Upright], T], decoding: Decoding, at_least: int | None = None
) -> T:
    """Return what a function makes of an image, of large ones one at a time; see :func:`open_upright`."""
    try:
        with opened(path, decoding) as image:
            size = image.size  # which prepare may change
            large = prepare(image, at_least, decoding)
            with decoding.large if large else contextlib.nullcontext():
                result = use(upright_of(image, size, decoding))
        if large:  # else a process would keep the memory that its largest image took
            del image
            memory.give_back()
        return result
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        pixels = re.search(r"(\d+) pixels", str(error))
        raise too_large(int(pixels[1]) if pixels else 0, decoding) from error
    except Exception as error:  # Pillow's plugins raise nearly anything for a damaged file
        raise Unreadable(reason(error)) from error


def upright_of(image: Image.Image, size: tuple[int, int], decoding: Decoding) -> Upright:
    """Decode an open image, whose size in the file is given."""
    mode = image.mode
    image.load()
    transparent = is_transparent(image)
    check_size(image.size, decoding)  # some formats know it only now
    orientation = image.getexif().get(ORIENTATION, 1)
    flat, values = flattened(image, decoding.value_range)
    if flat is not image:
        image.close()  # whose pixels are not needed any more
    upright = turned(flat, orientation)
    seen = (size[1], size[0]) if orientation in SWAPPING else size
    return Upright(upright, mode, seen, upright is not flat, transparent, values)


@contextlib.contextmanager
def opened(path: Path, decoding: Decoding) -> Iterator[Image.Image]:
    """Open an image file without decoding it.

    Raises:
        Unreadable: its format is refused.
        TooLarge: it has more pixels than may be decoded.
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
        if is_read_whole and os.fstat(file.fileno()).st_size > room(decoding.most):
            megabytes = f"{os.fstat(file.fileno()).st_size / 1e6:,.0f} MB"
            bound = f"data.max_megapixels={decoding.most / 1e6:g}"
            raise TooLarge(f"a file of {megabytes}, more than {bound}")
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            why = advice(path.name, head) or refused_format(head, file) or "not an image"
            raise Unreadable(why) from None
        with image:
            yield image


def is_transparent(image: Image.Image) -> bool:
    """Return whether an image has an alpha channel, or a colour that is transparent."""
    return "A" in image.mode or "a" in image.mode or "transparency" in image.info


def room(pixels: int) -> int:
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


def prepare(image: Image.Image, at_least: int | None, decoding: Decoding) -> bool:
    """Let Pillow decode a JPEG at a fraction of its size, and return whether an image is a large one.

    Raises:
        TooLarge: it has more pixels than may be decoded.
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


def too_large(pixels: int, decoding: Decoding) -> TooLarge:
    """Return the error about an image of so many pixels."""
    bound = f"more than data.max_megapixels={decoding.most / 1e6:g}"
    return TooLarge(f"{pixels / 1e6:,.3g} megapixels, {bound}")


def reason(error: Exception) -> str:
    """Return in one line why an image can't be read."""
    if isinstance(error, NotRegular | NoRange):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return printable(str(error) or type(error).__name__)


def flattened(
    image: Image.Image, value_range: Sequence[float] | str | None
) -> tuple[Image.Image, tuple[float, float] | None]:
    """Return an image of any mode as L or RGB, and its lowest and highest value if it is scaled by those.

    It is done strip by strip, so that it takes little more memory than the image and its result.
    """
    if is_deep(image):
        if value_range != "own":
            return to_eight_bits(image, None if isinstance(value_range, str) else value_range), None
        low, high = extremes(image)
        return to_eight_bits(image, (low, high if high > low else low + 1)), (low, high)
    mode = "L" if image.mode in GREY else "RGB"
    if is_transparent(image):
        flat = Image.new(mode, image.size)
        for top, strip in strips(image):
            colour = strip.convert("RGBA")
            white = Image.new("RGBA", colour.size, "white")
            flat.paste(Image.alpha_composite(white, colour).convert(mode), (0, top))
        return flat, None
    return (image if image.mode == mode else image.convert(mode)), None


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image turned and mirrored as EXIF's orientation says; the same one if that says nothing."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image
