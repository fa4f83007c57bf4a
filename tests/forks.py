"""Commands in processes of their own, forked from one that has imported torch, which takes seconds.

Nothing of cnntrain is kept, so what a command does when it begins is done each time.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["torch.distributed", "torch.nn.parallel", "hydra.main", "rich.table", "rich.progress", "tqdm"]
)
# Processes of a run that ends wait for each other, and then for torchrun to end them, which is not there.
WAITS = {
    "cnntrain.runtime.distributed.ANSWER_SECONDS": 0.2,
    "cnntrain.runtime.ranks.Reporter.PATIENCE_SECONDS": 0.5,
}


class Forked:
    """``cnntrain ARGUMENTS`` in a process of its own, with the methods of ``subprocess.Popen``.

    Args:
        arguments: of the command.
        env: variables to be added to those of this process.
        without: modules whose import fails.
        values: what names in cnntrain are to stand for.
        terminal: that it writes to; "" for files, which :meth:`communicate` reads.
    """

    def __init__(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        without: tuple[str, ...] = (),
        values: dict[str, float] | None = None,
        terminal: str = "",
    ) -> None:
        self.files = [Path(terminal or tempfile.mkstemp()[1]) for _ in range(2)]
        place = (str(Path.cwd()), {**os.environ, **(env or {})}, [str(file) for file in self.files])
        self.process = CONTEXT.Process(target=command, args=(arguments, *place, without, values or {}))
        self.process.start()

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def poll(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 120) -> int | None:
        self.process.join(timeout)
        assert self.process.exitcode is not None, "it does not end"
        return self.process.exitcode

    def communicate(self, timeout: float = 120) -> tuple[str, str]:
        """Wait for its end, and return what it printed, and its errors."""
        self.wait(timeout)
        out, err = (file.read_text() for file in self.files)
        return out, err


def started(processes: int, *arguments: str) -> list[Forked]:
    """Start the processes of a run as torchrun would, without the seconds that torchrun itself takes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": str(processes)}
    of_all = {**ranks, "WORLD_SIZE": str(processes)}
    envs = [{**of_all, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(processes)]
    return [Forked(*arguments, env=env, values=WAITS) for env in envs]


def ended(running: list[Forked]) -> list[tuple[int | None, str, str]]:
    """Return exit code, output and errors of each process."""
    outputs = [process.communicate() for process in running]
    return [(process.returncode, *texts) for process, texts in zip(running, outputs, strict=True)]


def command(
    arguments: tuple[str, ...],
    cwd: str,
    env: dict[str, str],
    files: list[str],
    without: tuple[str, ...],
    values: dict[str, float],
) -> None:
    """What the process does: all that a new one would find is put in its place first."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), number)
    sys.argv = ["cnntrain", *arguments]
    multiprocessing.set_start_method(None, force=True)  # else workers of loaders outlive a run that is killed
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cnntrain"]:
        del sys.modules[name]  # if joblib's processes come of the same one
    sys.modules.update(dict.fromkeys(without))  # type: ignore[arg-type]
    for name, value in values.items():
        owner, _, attribute = name.rpartition(".")
        setattr(pkgutil.resolve_name(owner), attribute, value)
    from cnntrain.__main__ import main

    main()
