"""The page of ``cnntrain demo``, drawn on in Chromium."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import needs_browser
from chromium import Page, chromium, outside
from conftest import Command
from drawn_digits import lines_of
from PIL import Image
from torch import Tensor

from cnntrain.cli import main
from cnntrain.data.resize import to_size
from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.inference.model import Trained, load

pytestmark = [needs_browser, pytest.mark.slow]
IS_THERE = "document.readyState === 'complete' && typeof demo !== 'undefined'"
RUN_ALL = """(async () => {
  const bytes = bytesOf("%s"), found = [];
  for (let i = 0; i < bytes.length; i += 784) {
    found.push([...(await demo.run(bytes.slice(i, i + 784)))[DATA.output].data]);
  }
  return found;
})()"""
# What the window says of the values in the middle row of a layer's first map: value, and sum with bias.
SUMS = """(async () => {
  const layer = layers[%d], found = [];
  for (let column = 0; column < layer.width; column++) {
    layer.choose(0, layer.height >> 1, column);
    await demo.settled();
    const {value, total} = document.querySelector("#sheet .total").dataset;
    found.push([Number(value), Number(total)]);
  }
  return found;
})()"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of the usual CNN, trained for a few seconds, with its page."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        training = ("epochs=3", "precision=fp32", "report=false", "doctor=false", "out=run")
        for words in (["train", *training], ["demo", "run"]):
            patch.setattr("sys.argv", ["cnntrain", *words, "-q"])
            with pytest.raises(SystemExit, match="0"):
                main.main()
    return folder / "run"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def model(written: Path) -> Trained:
    return load(written, ["device=cpu", "precision=fp32"])


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """Return the test images, which the run has not seen, and their classes."""
    test = MNISTMini(train=False)
    return test.images, test.labels


def cleared(page: Page, written: Path) -> None:
    """Go on with the page if it is open, with an empty pad; open it otherwise."""
    if page.value("location.href") != (written / "demo.html").as_uri() or page.value("innerWidth") != 1280:
        opened(page, written)
    page.complaints.clear()
    page.value("scrollTo(0, 0); document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    page.value("pad.clear()")
    page.value("demo.settled()")


def opened(page: Page, written: Path, width: int = 1280, scheme: str = "light") -> None:
    """Open the page and wait until it can answer."""
    page.requests.clear()
    page.complaints.clear()
    page.open((written / "demo.html").as_uri(), width, 900, scheme)
    until(page, IS_THERE)
    page.value("demo.settled()")


def until(page: Page, expression: str) -> None:
    """Wait until something is true on the page."""
    end = time.monotonic() + 30
    while not page.value(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.02)


def answered(page: Page) -> tuple[Tensor, Tensor]:
    """Return what the network saw, uint8 (1, 1, 28, 28), and its probabilities, float (1, 10)."""
    page.value("demo.settled()")
    seen, answer = page.value("[[...demo.seen], demo.answer]")
    return torch.tensor(seen, dtype=torch.uint8).view(1, 1, 28, 28), torch.tensor([answer])


def draw(page: Page, digit: Tensor, finger: bool) -> None:
    """Draw the lines of a digit on the pad, which is in view."""
    page.value("scrollTo(0, 0); pad.clear()")
    left, top, width, height = page.value(
        "(({left, top, width, height}) => [left, top, width, height])(at('pad').getBoundingClientRect())"
    )
    for line in lines_of(digit.numpy()):
        points = [(left + width * x, top + height * y) for x, y in line]
        (page.touch if finger else page.draw)(points)


def test_it_gives_the_probabilities_of_torch_for_100_test_images(
    page: Page, written: Path, model: Trained, digits: tuple[Tensor, Tensor]
) -> None:
    opened(page, written)
    images = digits[0][::10]
    assert len(images) == 100
    found = page.value(RUN_ALL % base64.b64encode(images.numpy().tobytes()).decode())
    assert (torch.tensor(found) - model.predict(images)).abs().max() < 1e-4
    assert (outside(page.requests), page.complaints) == ([], [])


@pytest.mark.parametrize(("width", "finger"), [(1280, False), (390, True)])
def test_it_knows_drawn_digits(
    page: Page,
    written: Path,
    model: Trained,
    digits: tuple[Tensor, Tensor],
    width: int,
    finger: bool,
) -> None:
    """Ten are drawn with the mouse and ten with a finger. At most one of each may be taken for another."""
    opened(page, written, width, "dark" if finger else "light")
    images, labels = digits
    right, milliseconds = 0, []
    for label in range(10):
        draw(page, images[labels == label][int(finger), 0], finger)
        seen, found = answered(page)
        assert (found - model.predict(seen)).abs().max() < 1e-4
        right += int(found.argmax() == label)
        milliseconds.append(page.value("demo.milliseconds"))
    print(f"{right} of 10 right; {np.median(milliseconds):.1f} ms from a line to the maps")
    assert right >= 9
    assert page.value("document.documentElement.scrollWidth") <= width
    assert (outside(page.requests), page.complaints) == ([], [])


def test_a_drawing_is_centred_and_scaled_wherever_it_stands(page: Page, written: Path) -> None:
    cleared(page, written)
    seen = []
    for size, corner in ((0.2, 0.1), (0.6, 0.35)):
        draw_line = "pad.clear(); pad.lines = [{points: %s, color: [255, 255, 255]}]; pad.update()"
        points = [[28 * (corner + size * x), 28 * (corner + size * y)] for x, y in ((0, 0), (1, 0), (0.6, 1))]
        page.value(draw_line % points)
        seen.append(answered(page)[0][0, 0].float())
    assert (seen[0] - seen[1]).abs().max() <= 1
    ink = seen[0] > 50
    assert int(ink.any(1).sum()) == 20 and not ink[:3].any()
    mass = torch.stack([seen[0].sum(1), seen[0].sum(0)]) * (torch.arange(28) + 0.5)
    assert torch.allclose(mass.sum(1) / seen[0].sum(), torch.tensor([14.0, 14.0]), atol=0.1)


def test_it_begins_with_a_test_image_that_the_first_line_replaces(page: Page, written: Path) -> None:
    opened(page, written)
    seen, found = answered(page)
    assert seen.flatten().tolist() == page.value("[...bytesOf(DATA.images).slice(0, 784)]")
    assert found.max() > 0.9
    left, top = page.value("(({left, top}) => [left, top])(at('pad').getBoundingClientRect())")
    page.draw([(left + 50, top + 100), (left + 150, top + 100)])
    assert page.value("pad.lines.length") == 1 and not answered(page)[0][0, 0, :3].any()
    page.value("at('undo').click()")
    assert not answered(page)[0].any()


def test_undo_takes_back_a_line_and_clear_all(page: Page, written: Path) -> None:
    cleared(page, written)
    left, top = page.value("(({left, top}) => [left, top])(at('pad').getBoundingClientRect())")
    for y in (100, 150):
        page.draw([(left + 50, top + y), (left + 150, top + y)])
    assert page.value("pad.lines.length") == 2
    page.value("at('undo').click()")
    assert page.value("pad.lines.length") == 1 and answered(page)[0].any()
    page.value("at('clear').click()")
    assert not answered(page)[0].any()


def test_the_window_of_a_value_gives_that_value(page: Page, written: Path) -> None:
    cleared(page, written)
    page.value("document.querySelector('#images button').click()")
    for name, framed in (("Conv2d", 1 + 16), ("Linear", 1 + 1)):
        place = page.value(f"DATA.taps.findLastIndex(tap => tap.kind === '{name}')")
        sums = torch.tensor(page.value(SUMS % place))
        assert (sums[:, 0] - sums[:, 1]).abs().max() < 1e-4 and sums.abs().max() > 0.1
        assert page.value("document.querySelectorAll('.frame').length") == framed
    pool = page.value("DATA.taps.findIndex(tap => tap.kind === 'MaxPool2d')")
    page.value(f"layers[{pool}].choose(3, 5, 6)")
    page.value("demo.settled()")
    maps = torch.tensor(page.value(f"[...layers[{pool - 1}].values]")).view(16, 28, 28)
    assert page.value(f"layers[{pool}].values[(3 * 14 + 5) * 14 + 6]") == maps[3, 10:12, 12:14].max()
    page.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
    assert page.value("at('sheet').hidden && !document.querySelector('.frame')")
    assert page.complaints == []


def test_a_click_on_a_map_chooses_the_value_there(page: Page, written: Path) -> None:
    cleared(page, written)
    page.value("layers[1].root.scrollIntoView()")
    left, top, side = page.value(
        "(({left, top, width}) => [left, top, width])(layers[1].canvases[2].getBoundingClientRect())"
    )
    page.draw([(left + side * 4.5 / 28, top + side * 9.5 / 28)])
    page.value("demo.settled()")
    assert page.value("layers[1].where(chosen.value)") == [2, 9, 4]
    assert "map 2, row 9, column 4" in page.value("at('sheet-title').textContent")


def test_an_image_that_is_opened_becomes_a_digit(
    page: Page, written: Path, digits: tuple[Tensor, Tensor]
) -> None:
    """A small photograph: dark on grey paper, in a corner, larger than the network's images."""
    cleared(page, written)
    images, labels = digits
    paper = Image.new("RGB", (200, 300), (190, 190, 180))
    sign = Image.fromarray(images[labels == 3][0, 0].numpy()).resize((112, 112))
    paper.paste((20, 20, 60), (10, 150), sign)
    paper.save("photograph.png")
    Path("no.png").write_text("no image")
    assert not answered(page)[0].any()
    choose_file(page, Path("photograph.png"))
    until(page, "demo.seen.some(value => value > 0)")
    assert int(answered(page)[1].argmax()) == 3
    choose_file(page, Path("no.png"))
    until(page, "!at('notice').hidden")
    assert "no.png" in page.value("at('notice').textContent")
    Image.fromarray(images[5, 0].numpy()).save("exact.png")
    choose_file(page, Path("exact.png"))
    until(page, "at('notice').hidden")
    until(page, f"demo.seen.join() === '{','.join(map(str, images[5].flatten().tolist()))}'")


DROP = """(async () => {
  const file = new File([bytesOf("%s")], "photograph.png", {type: "image/png"});
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(file);
  at("pad").dispatchEvent(new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
})()"""


def test_a_dropped_image_is_scaled_as_in_training(
    page: Page, cnntrain: Command, in_empty_folder: Path
) -> None:
    pytest.importorskip("onnxscript")
    fake = ("data=fake", "data.channels=3", "data.image_size=[24,32]", "data.source.size=64")
    quick = ("model.channels=[4,4]", "epochs=1", "precision=fp32", "report=false", "out=run")
    assert cnntrain("train", *fake, *quick).code == 0
    assert cnntrain("demo", "run").code == 0
    opened(page, in_empty_folder / "run")
    noise = torch.randint(
        0, 256, (1, 3, 12, 18), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    photograph = torch.nn.functional.interpolate(noise, size=(60, 90))
    Image.fromarray(photograph[0].permute(1, 2, 0).numpy()).save("photograph.png")
    content = base64.b64encode(Path("photograph.png").read_bytes()).decode()
    for resize in ("crop", "pad", "squash"):
        page.value(f"DATA.resize = '{resize}'; pad.clear(); demo.settled()")
        page.value(DROP % content)
        until(page, "demo.seen.some(value => value > 0)")
        seen = torch.tensor(page.value("[...demo.seen]")).view(3, 24, 32)
        expected = to_size(photograph, (24, 32), resize)[0]
        assert (seen - expected.int()).abs().max() <= 2, resize
    assert (outside(page.requests), page.complaints) == ([], [])


def choose_file(page: Page, file: Path) -> None:
    """Choose a file as a user does in the dialogue."""
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(file.absolute())], nodeId=node)
