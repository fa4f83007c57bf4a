"""Optimizers and several processes without ``torch._dynamo``, whose import takes as long as that of torch.

Optimizers tell torch's compiler to leave them alone, and import it to say so: 2 s at the first step of a run
that compiles nothing. Here they find no compiler. What they compute stays the same, and a torch that is built
otherwise is left as it is. So are runs that do compile.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch.optim import Optimizer


def without_compiler() -> None:
    """Let the methods that all optimizers share be called as they are.

    ``torch._compile._disable_dynamo`` notes on a function what to call in its place, and imports the compiler
    only where nothing is noted yet.
    """
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        function = getattr(getattr(Optimizer, name), "__wrapped__", None)
        if function is not None:
            vars(function).setdefault("__dynamo_disable", function)


def steps_without_compiler(kind: type[Optimizer]) -> None:
    """Let ``step`` of a class of torch's optimizers switch gradients off without marks for the compiler."""
    function: Any = kind.step
    while function is not None and function.__code__.co_name != "_use_grad":
        function = getattr(function, "__wrapped__", None)
    if function is None:  # one of the user's, or done already
        return
    step = Optimizer.profile_hook_step(without_gradients(inspect.unwrap(function)))
    step.hooked = True  # type: ignore[attr-defined]
    kind.step = step  # type: ignore[method-assign]


@contextmanager
def parallel_without_compiler() -> Iterator[None]:
    """Let DistributedDataParallel be built without the compiler, which it asks how it splits its graphs."""
    from torch.nn.parallel import DistributedDataParallel

    if "torch._dynamo" in sys.modules:
        yield
        return
    utils = SimpleNamespace(get_optimize_ddp_mode=lambda: "ddp_optimizer")  # the default
    vars(torch)["_dynamo"] = SimpleNamespace(utils=utils)
    try:
        yield
    finally:
        del vars(torch)["_dynamo"]
    function: Any = inspect.unwrap(getattr(DistributedDataParallel, "_inside_ddp_forward", lambda: None))
    vars(function).setdefault("__dynamo_disable", function)


def without_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step that records gradients only if it is to be differentiated itself."""

    def step(self: Optimizer, closure: Callable[[], float] | None = None) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return function(self, closure)

    return step
