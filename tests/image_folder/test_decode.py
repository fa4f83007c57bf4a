"""Image files are untrusted: they start and hang nothing, and memory is bounded. Values keep their scale."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, is_told
from image_tree import digits
from PIL import Image

from cnntrain.image_folder.decode import decode, read_pixels
from cnntrain.image_folder.inventory import inventory
from cnntrain.image_folder.opening import Decoding, ImageTooLarge, UnreadableImage
from cnntrain.runtime import memory

RUN = ("train", "data=folder", "data.root=images", "model=mlp", "epochs=1", "report=false")
SMALL = Decoding(max_megapixels=0.01)  # 100 x 100
BOUND = Decoding(max_megapixels=64)


@pytest.fixture
def ghostscript(in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in place of Ghostscript; return the file that it writes when it is started."""
    programs = in_empty_folder / "programs"
    programs.mkdir()
    for name in ("gs", "gswin32c", "gswin64c"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {in_empty_folder}/started\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return in_empty_folder / "started"


def postscript(path: str) -> None:
    Path(path).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n%%EOF\n")


@pytest.mark.parametrize("name", ["holiday.png", "holiday.eps"])
def test_postscript_starts_no_program_and_is_refused_by_name(ghostscript: Path, name: str) -> None:
    postscript(name)
    with pytest.raises(UnreadableImage, match="EPS files are refused: reading them starts Ghostscript"):
        decode(Path(name), BOUND)
    with pytest.raises(UnreadableImage, match="EPS"):
        read_pixels(Path(name), "RGB", BOUND, 28)
    assert not ghostscript.exists()


def test_no_command_starts_a_program_for_an_image(cnntrain: Command, ghostscript: Path) -> None:
    digits(Path("images"), 8)
    postscript("images/d0/holiday.png")
    is_told(cnntrain(*RUN), "images/d0/holiday.png", "EPS files are refused")
    assert "EPS files are refused" in cnntrain("data", "images", "--html", "a.html").out
    assert cnntrain(*RUN, "data.on_bad_image=skip", "out=run").code == 0
    outcome = cnntrain("predict", "run", "images/d0/holiday.png")
    assert outcome.code == 1 and "EPS files are refused" in outcome.err
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", ["ICNS", "PSD", "FLI", "MSP"])
def test_formats_that_are_not_read_are_named(kind: str) -> None:
    heads = {
        "ICNS": b"icns",
        "PSD": b"8BPS",
        "FLI": b"\0\0\0\0\x11\xaf" + b"\0" * 8 + b"\0\0",
        "MSP": b"DanM",
    }
    Path("a.png").write_bytes(heads[kind] + b"\0" * 200)
    with pytest.raises(UnreadableImage, match=f"{kind} files are not read"):
        decode(Path("a.png"), BOUND)


def fifo() -> None:
    os.mkfifo("a.png")


def link_to_fifo() -> None:
    os.mkfifo("pipe")
    Path("a.png").symlink_to("pipe")


def unix_socket() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("a.png")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (fifo, "a FIFO"),
        (link_to_fifo, "a FIFO"),
        (unix_socket, "a socket"),
        (lambda: Path("a.png").symlink_to("/dev/zero"), "a device"),
        (lambda: Path("a.png").mkdir(), "a folder"),
    ],
)
def test_only_regular_files_are_opened(make: Callable[[], None], kind: str) -> None:
    make()
    for read in (lambda path: decode(path, BOUND), lambda path: read_pixels(path, "RGB", BOUND)):
        with pytest.raises(UnreadableImage, match=f"not a regular file, but {kind}"):
            read(Path("a.png"))


def test_a_file_that_becomes_a_fifo_during_a_run_is_told(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnntrain.data.sources.folder import Folder

    digits(Path("images"), 8)
    folder = Folder("images", True, 1, 28)
    path = Path("images", folder.files[3])
    path.unlink()
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    with pytest.raises(Exception, match="can't be read any more: not a regular file, but a FIFO"):
        folder[3]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.webp", {}),
        ("a.tif", {"compression": "tiff_deflate"}),
        ("a.gif", {}),
        ("a.bmp", {}),
        ("a.jp2", {}),
        ("a.avif", {}),
        ("a.ppm", {}),
        ("a.ico", {"sizes": [(120, 120)]}),
        ("a.jpg", {"progressive": True}),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_images_of_too_many_pixels_are_refused_by_name(name: str, options: dict, mode: str) -> None:
    try:
        Image.new(mode, (120, 120)).save(name, **options)
    except (OSError, KeyError):
        pytest.skip(f"{name} has no mode {mode}")
    with pytest.raises(ImageTooLarge, match="megapixels, more than data"):
        decode(Path(name), SMALL)
    assert decode(Path(name), Decoding(0.02)).size == (120, 120)


def test_an_image_within_an_icon_is_bounded_too() -> None:
    Image.new("RGB", (300, 300)).save("inner.png")
    inner = Path("inner.png").read_bytes()
    entry = bytes([16, 16, 0, 0, 1, 0, 32, 0]) + len(inner).to_bytes(4, "little") + (22).to_bytes(4, "little")
    Path("a.ico").write_bytes(b"\0\0\1\0\1\0" + entry + inner)  # it says 16 x 16
    with pytest.raises(ImageTooLarge):
        decode(Path("a.ico"), SMALL)


@pytest.mark.parametrize(("side", "decoded"), [(90, 90), (110, 55), (190, 95), (210, None)])
def test_a_large_jpeg_is_decoded_at_half_its_size(side: int, decoded: int | None) -> None:
    grey = np.tile(np.linspace(0, 255, side, dtype=np.uint8), (side, 1))
    Image.fromarray(grey).save("a.jpg")
    if decoded is None:
        with pytest.raises(ImageTooLarge):
            decode(Path("a.jpg"), SMALL)
        return
    assert decode(Path("a.jpg"), SMALL).image.size == (decoded, decoded)
    found = read_pixels(Path("a.jpg"), "L", SMALL)[decoded // 2, :, 0]
    assert np.abs(found.astype(int) - np.linspace(0, 255, decoded)).max() < 4


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    ("kind", "before"),
    [(b"zTXt", b"Comment\0\0"), (b"iTXt", b"Comment\0\1\0\0\0"), (b"iCCP", b"profile\0\0")],
)
def test_large_chunks_beside_the_pixels_are_not_unpacked(kind: bytes, before: bytes) -> None:
    Image.new("RGB", (8, 8), "red").save("a.png")
    whole = Path("a.png").read_bytes()
    packer = zlib.compressobj()
    bomb = b"".join([*(packer.compress(bytes(10**6)) for _ in range(100)), packer.flush()])
    Path("a.png").write_bytes(whole[:33] + chunk(kind, before + bomb) + whole[33:])  # behind the header
    taken = memory.peak()
    with contextlib.suppress(UnreadableImage):
        assert np.asarray(decode(Path("a.png"), BOUND).image)[0, 0].tolist() == [255, 0, 0]
    assert memory.peak() - taken < 50_000_000


def test_the_first_of_several_images_is_taken() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        frames[0].save(
            name, save_all=True, append_images=frames[1:], **({"lossless": True} if "w" in name else {})
        )
        assert np.asarray(decode(Path(name), BOUND).image)[5, 5].tolist() == [255, 0, 0]


def test_the_bound_is_a_key_and_a_record_in_the_cache_depends_on_it(cnntrain: Command) -> None:
    digits(Path("images"), 8)
    Image.new("L", (200, 200)).save("images/d0/large.png")
    is_told(
        cnntrain(*RUN, "data.max_megapixels=0.01"), "images/d0/large.png: 0.04 megapixels, more than data"
    )
    assert cnntrain(*RUN, "out=run").code == 0
    is_told(
        cnntrain(*RUN, "data.max_megapixels=0.01"), "images/d0/large.png: 0.04 megapixels, more than data"
    )
    assert cnntrain("predict", "run", "images/d0/large.png").code == 0
    outcome = cnntrain("predict", "run", "images/d0/large.png", "data.max_megapixels=0.01")
    assert outcome.code == 1 and "more than data.max_megapixels=0.01" in outcome.err
    is_told(cnntrain(*RUN, "data.max_megapixels=0"), "data.max_megapixels=0 is not possible")


# Transparency


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "I;16"])
def test_what_is_transparent_is_composited_on_white_in_every_mode(mode: str) -> None:
    if mode == "I;16":
        deep = np.zeros((4, 4), np.uint16)
        deep[:, 2:] = 65535 // 2
        Image.fromarray(deep).save("a.png", transparency=0)
    else:
        image = Image.new("RGB", (4, 4))
        image.paste((128, 128, 128), (2, 0, 4, 4))
        hidden = image.convert(mode) if mode != "P" else image.quantize(4)
        if mode in ("RGBA", "LA"):
            alpha = Image.new("L", (4, 4))
            alpha.paste(255, (2, 0, 4, 4))
            hidden.putalpha(alpha)
            hidden.save("a.png")
        else:
            first = hidden.getpixel((0, 0))
            hidden.save("a.png", transparency=first)
    pixels = read_pixels(Path("a.png"), "L", BOUND)[..., 0]
    assert (pixels[:, :2] == 255).all()
    if mode != "1":
        assert np.abs(pixels[:, 2:].astype(int) - 128).max() <= 1


# More than 8 bits


def ramps(kind: str, scale: float, low: float = 0.0) -> None:
    """Write images of two classes whose brightest values differ, from ``low`` to ``low + scale`` in all."""
    noise = np.random.default_rng(0)
    for label, name in enumerate(("a", "b")):
        Path("images", name).mkdir(parents=True)
        for number in range(6):
            ramp = np.linspace(0, 1 if number == 5 else 0.5 + 0.05 * number, 24)
            ramp = np.tile(ramp if label else ramp[::-1], (24, 1)) * noise.integers(0, 2, (24, 24))
            ramp[0, 0 if label == 0 else -1] = ramp.max()
            values = (low + ramp * scale).astype(kind)
            Image.fromarray(values).save(f"images/{name}/{number}.{'png' if kind == 'uint16' else 'tif'}")


@pytest.mark.parametrize(
    ("kind", "scale", "low", "expected"),
    [
        ("uint16", 65535, 0, [0, 65535]),
        ("uint16", 4095, 0, [0, 4095]),
        ("uint16", 1000, 0, [0, 1023]),
        ("uint16", 257, 0, [0, 511]),
        ("uint16", 255, 0, [0, 255]),
        ("int32", 2000, -1000, [-1000, 1000]),
        ("int32", 70000, 0, [0, 131071]),
        ("float32", 1, 0, [0, 1]),
        ("float32", 200, 0, [0, 255]),
        ("float32", 2, -1, [-1, 1]),
    ],
)
def test_one_range_scales_all_images_of_a_folder(
    torchless: Command, kind: str, scale: float, low: float, expected: list[float]
) -> None:
    ramps(kind, scale, low)
    found = inventory("images", 64)
    facts = found.facts(0.01)
    assert facts["value_range"] == expected
    assert f"{expected[0]:g} is black, {expected[1]:g} is white" in torchless("data", "images").out
    decoding = Decoding(64, expected)
    seen = {path: read_pixels(path, "L", decoding) for path in Path("images").rglob("*.*")}
    brightest = (low + scale - expected[0]) / (expected[1] - expected[0]) * 255
    assert max(pixels.max() for pixels in seen.values()) == pytest.approx(brightest, abs=1)
    ratio = seen[Path("images/b/0.png" if kind == "uint16" else "images/b/0.tif")].max()
    if low == 0:  # half as bright in the file, half as bright in the result
        assert ratio == pytest.approx(brightest / 2, abs=1)
    trains = np.array(found.listing.files)[found.parts(0.01) == "train"]
    stacked = np.stack([seen[Path("images", name)] for name in trains]) / 255
    assert facts["mean"][0] == pytest.approx(stacked.mean(), abs=0.01)
    assert facts["std"][0] == pytest.approx(stacked.std(), abs=0.02)


def test_the_range_is_kept_with_the_run_and_used_by_predict_and_eval(cnntrain: Command) -> None:
    ramps("uint16", 4095)
    done = cnntrain(*RUN, "out=run", "data.channels=1", "epochs=12", "precision=fp32")
    assert done.code == 0, done.err
    assert "value_range:\n  - 0.0\n  - 4095.0" in Path("run/config.yaml").read_text()
    Path("other").mkdir()
    values = np.tile(np.linspace(0, 1000, 24), (24, 1))
    Image.fromarray(values.astype(np.uint16)).save("other/dark.png")
    Image.fromarray((values / 4095 * 255).round().astype(np.uint8)).save("other/same.png")
    assert cnntrain("predict", "run", "other", "--csv", "a.csv").code == 0
    dark, same = (row.split(",")[1:3] for row in Path("a.csv").read_text().splitlines()[1:])
    assert dark[0] == same[0] and float(dark[1]) == pytest.approx(float(same[1]), abs=0.02)
    assert cnntrain("eval", "run").code == 0


def test_values_without_a_scale_are_named(cnntrain: Command) -> None:
    ramps("float32", 1)
    Image.fromarray(np.full((24, 24), np.nan, np.float32)).save("images/a/nan.tif")
    is_told(cnntrain(*RUN), "images/a/nan.tif: it holds values that are NaN or infinite")
    Path("images/a/nan.tif").unlink()
    inventory.cache_clear()
    is_told(cnntrain(*RUN, "data.value_range=[1,0]"), "data.value_range=[1,0] is not possible")
    Image.fromarray(np.full((24, 24), 70000, np.int32)).save("images/a/7.tif")
    is_told(cnntrain(*RUN), "no scale in common", "data.value_range=[BLACK,WHITE]")
    assert cnntrain(*RUN, "data.value_range=[0,70000]").code == 0
    with pytest.raises(
        UnreadableImage, match=r"floats from 0 to 0\.5, and which of them are black and white"
    ):
        decode(Path("images/b/0.tif"), BOUND)


def test_the_script_beside_an_exported_model_reads_the_same_formats() -> None:
    from cnntrain.image_folder import opening
    from cnntrain.tasks.portable import script

    assert sorted(script.FORMATS) == sorted(opening.FORMATS)
