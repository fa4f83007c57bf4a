"""Private names of torch: all that cnntrain uses, so that an upgrade of torch breaks one file at most.

Each is in torch 2.10, the oldest that cnntrain accepts, and in 2.14.1. ``test_private_names.py`` fails with
the version of a torch that lacks one.

Most of them keep ``torch._dynamo`` away, whose import takes as long as that of torch. Optimizers, the
counter of FLOPs and DistributedDataParallel tell torch's compiler to leave them alone, and import it to say
so. That takes 2 s at the first step of a run that compiles nothing. Here they find no compiler. What they
compute stays the same, and a torch that is built otherwise is left as it is. So are runs that do compile.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch.optim import Optimizer
from torch.utils.data import DataLoader


def default_store() -> dist.Store:
    """Return the store of the processes of this run, which outlives a failed collective operation.

    ``_get_default_store``: torch has no public name for the store that ``init_process_group`` makes.
    """
    return dist.distributed_c10d._get_default_store()


def end_workers(loader: DataLoader[Any]) -> None:
    """End the workers that a loader keeps from epoch to epoch, and wait for them. A new epoch starts others.

    ``_iterator``, ``_shutdown_workers``: torch has no public name for the end of ``persistent_workers``. It
    comes when the loader is freed, and that may be while Python itself ends.
    """
    kept, loader._iterator = loader._iterator, None
    if kept is not None:
        kept._shutdown_workers()  # type: ignore[attr-defined]


def ignoring_sizes(wanted: bool) -> AbstractContextManager[None]:
    """Let torch.export take what an example has for one of many sizes.

    ``_config.patch(backed_size_oblivious=True)``, which torch.onnx sets too, has no public name. Without it
    torch 2.14 would also demand of all images that they are padded if the example is, and that none becomes
    one pixel at the deepest level.
    """
    from torch.fx.experimental import _config

    patch: Any = getattr(_config, "patch")  # noqa: B009  # torch adds it as the module is imported
    patched: AbstractContextManager[None] = patch(backed_size_oblivious=wanted)
    return patched


@contextmanager
def looping(wanted: bool) -> Iterator[None]:
    """Let torch's exporters write LSTMs and GRUs as a loop over any number of steps, if that is wanted.

    ``torch.export._patches``: torch.onnx takes it from there. Earlier versions of torch have none, and unroll
    the steps. ``_dispatch_cache``: torch 2.14 forgets to clear it, so that each export of a process after the
    first would take the number of steps of its example alone.
    """
    operators = (torch.ops.aten.lstm.input, torch.ops.aten.gru.input)
    with ExitStack() as loops:
        loops.callback(forget_kernels, operators)
        forget_kernels(operators)
        if wanted and can_loop():
            patches = import_module("torch.export._patches")
            loops.enter_context(patches.register_lstm_while_loop_decomposition())
            loops.enter_context(patches.register_gru_while_loop_decomposition())
        yield


def forget_kernels(operators: Sequence[Any]) -> None:
    """Let torch look for the kernels of operators again."""
    for operator in operators:
        getattr(operator, "_dispatch_cache", {}).clear()


def can_loop() -> bool:
    """Return whether torch.export can write LSTMs and GRUs as loops."""
    return find_spec("torch.export._patches") is not None


def count_as_step(optimizer: Optimizer) -> None:
    """Let a step that the scaler left out count as one, or the schedule warns that it was called too early.

    ``_opt_called``: what a schedule looks for on its optimizer at its first step.
    """
    optimizer._opt_called = True  # type: ignore[attr-defined]


def has_compiler() -> bool:
    """Return whether torch's compiler is imported, so that there is nothing left to be kept away."""
    return "torch._dynamo" in sys.modules


def without_compiler() -> None:
    """Let the methods that all optimizers share be called as they are."""
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        call_as_it_is(getattr(Optimizer, name))


def steps_without_compiler(kind: type[Optimizer]) -> None:
    """Let ``step`` of a class of torch's optimizers switch gradients off without marks for the compiler.

    ``_use_grad``: the wrapper that torch puts around ``step``, and that makes these marks.
    """
    function: Any = kind.step
    while function is not None and function.__code__.co_name != "_use_grad":
        function = getattr(function, "__wrapped__", None)
    if function is None:  # one of the user's, or done already
        return
    step = Optimizer.profile_hook_step(without_gradients(inspect.unwrap(function)))
    step.hooked = True  # type: ignore[attr-defined]
    kind.step = step  # type: ignore[method-assign]


def without_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that records gradients only if it is to be differentiated itself."""

    def step(self: Optimizer, closure: Callable[[], float] | None = None) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return function(self, closure)

    return step


@contextmanager
def parallel_without_compiler() -> Iterator[None]:
    """Let DistributedDataParallel be built without the compiler, which it asks how it splits its graphs.

    ``torch._dynamo``: asked when it is built. ``_inside_ddp_forward``: imports it at the first forward pass.
    """
    from torch.nn.parallel import DistributedDataParallel

    if has_compiler():
        yield
        return
    utils = SimpleNamespace(get_optimize_ddp_mode=lambda: "ddp_optimizer")  # the default
    vars(torch)["_dynamo"] = SimpleNamespace(utils=utils)
    try:
        yield
    finally:
        del vars(torch)["_dynamo"]
    call_as_it_is(getattr(DistributedDataParallel, "_inside_ddp_forward", None))


def flops_without_compiler() -> None:
    """Let torch count operations without the compiler.

    ``_FlopCounterMode``: the mode that ``FlopCounterMode`` enters; it imports the compiler at each operation.
    """
    from torch.utils import flop_counter

    call_as_it_is(getattr(getattr(flop_counter, "_FlopCounterMode", None), "__torch_dispatch__", None))


def call_as_it_is(wrapped: Any) -> None:
    """Let a function that torch has wrapped in ``torch._disable_dynamo`` be called without the compiler.

    ``__dynamo_disable``: the wrapper calls what it finds there, and imports the compiler if there is nothing.
    """
    function = inspect.unwrap(wrapped) if wrapped is not None else None
    if function is not None and function is not wrapped:
        vars(function).setdefault("__dynamo_disable", function)
