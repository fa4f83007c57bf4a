"""``demo``: a page that runs a trained network while one draws."""

from __future__ import annotations

from collections.abc import Sequence

from cnntrain.cli.command import Command, quiet_as_override, run_and_overrides, split_flags
from cnntrain.config.keys import EXPORTERS, OVERRIDABLE


def demo(arguments: Sequence[str]) -> int:
    """``cnntrain demo RUN [overrides] [--serve]``."""
    from cnntrain.config.from_checkpoint import check_overridable, data_trust
    from cnntrain.config.schema import IMAGES, inputs_of
    from cnntrain.errors import UserError
    from cnntrain.inference.saved_run import open_best
    from cnntrain.runs.run_folder import CHECKPOINTS
    from cnntrain.runs.run_writes import check_links
    from cnntrain.runtime.imports import needed

    flags, _ = split_flags(quiet_as_override(arguments), DEMO)
    run_name, overrides = run_and_overrides(arguments, DEMO)
    parsed = check_overridable(overrides, OVERRIDABLE["demo"], "demo")
    serves, names_file = "--serve" in flags, any(override.key_or_group == "out" for override in parsed)
    if serves and names_file:
        raise UserError("--serve writes no file: leave it out, or out=")
    for package in EXPORTERS["onnx"]:
        needed(package, "demo", "export")
    run = open_best(run_name, "demo", parsed)
    inputs = inputs_of(run.config["data"])
    if inputs != IMAGES:
        raise UserError(f"demo is for networks that take images, and this run's takes {inputs}")
    if run.path.parent.name == CHECKPOINTS and not names_file:
        check_links(run.folder)
    from cnntrain.config.sections import DemoSettings
    from cnntrain.demo.entry import demo as demo_run

    demo_run(DemoSettings.of(run.config), run.path, run.state, data_trust(run.config, parsed), serves)
    return 0


DEMO = Command(
    "demo",
    demo,
    {"RUN [KEY=VALUE ...]": "a page to draw on: the network at work"},
    """\
cnntrain demo RUN [KEY=VALUE ...] [--serve] [-q]

Writes RUN/demo.html: one file in which the run's best model works in any
browser, on phones too, without a network. Draw on it, drop an image, or choose
a test image: probabilities and feature maps follow; click on a value to see the
window and the kernel that it came from. The page takes 5 MB and the weights.
  cnntrain demo last
  cnntrain demo last out=digits.html

Flags:
  --serve  write nothing, and show the page at an address of this machine until
           Ctrl-C: for models of more than 100 MB, which no page can hold

Keys (without a value here: as in the checkpoint):
""",
    {"--serve": ()},
    keys=OVERRIDABLE["demo"],
    needs_run=True,
    is_complete_without_screen=True,
)
