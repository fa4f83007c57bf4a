"""Files of photographs, drawings and films that are not read, and what to convert them to."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

PHOTOGRAPHS = "heic heif cr2 cr3 nef arw dng orf raf rw2"  # of iPhones, and raw ones of cameras
DRAWINGS = "svg pdf"
FILMS = "mp4 mov avi mkv webm m4v mpg mpeg wmv"
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands, ISO/IEC 23008-12
ADVICE = {
    **{f".{name}": f"{name.upper()} is not read here: convert it to JPEG" for name in PHOTOGRAPHS.split()},
    **{f".{name}": f"{name.upper()} is not read here: convert it to PNG" for name in DRAWINGS.split()},
    **{f".{name}": "a video is not read here: save its frames as JPEG" for name in FILMS.split()},
}


def advice(name: str, head: bytes = b"") -> str:
    """Return what to do about a file that is not read, by its extension or first bytes; empty if unknown."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return ADVICE[".heic"]
    return ADVICE.get(PurePath(name).suffix.lower(), "")


def advice_for(names: Iterable[str]) -> list[str]:
    """Return what to do about files that are not read, each advice once."""
    return [text for text in dict.fromkeys(map(advice, names)) if text]
