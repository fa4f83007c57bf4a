"""A scalar autograd in pure Python: what torch does for tensors, in a class to read.

The idea of A. Karpathy's micrograd (2020): each result remembers what it was made of, and how to hand its
gradient on to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable


class Value:
    """A number that knows how it came about, so that it can have a gradient.

    Args:
        data: the number.
        inputs: the values that it was computed from.
        operation: the name of the operation, for drawings.

    Attributes:
        grad: the derivative of the result with respect to this value, once ``backward`` was called on that
            result. As in torch, ``backward`` adds to it.
    """

    __slots__ = ("_backward", "data", "grad", "inputs", "operation")  # which saves memory and time

    def __init__(self, data: float, inputs: tuple[Value, ...] = (), operation: str = "") -> None:
        self.data = data
        self.grad = 0.0
        self.inputs = inputs
        self.operation = operation
        self._backward: Callable[[], None] = lambda: None  # hands the gradient on to the inputs

    def __add__(self, other: Value | float) -> Value:
        """Return the sum, whose gradient goes to both sides as it is."""
        other = as_value(other)
        out = Value(self.data + other.data, (self, other), "+")

        def backward() -> None:
            self.grad += out.grad
            other.grad += out.grad

        out._backward = backward
        return out

    def __mul__(self, other: Value | float) -> Value:
        """Return the product, whose gradient goes to each side times the other side."""
        other = as_value(other)
        out = Value(self.data * other.data, (self, other), "×")

        def backward() -> None:
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad

        out._backward = backward
        return out

    def tanh(self) -> Value:
        """Return the hyperbolic tangent t, whose derivative is 1 - t²."""
        out = Value(math.tanh(self.data), (self,), "tanh")

        def backward() -> None:
            self.grad += (1 - out.data**2) * out.grad

        out._backward = backward
        return out

    def relu(self) -> Value:
        """Return the value, or 0 if it is negative; only in the first case does a gradient pass."""
        out = Value(max(0.0, self.data), (self,), "ReLU")

        def backward() -> None:
            self.grad += (out.data > 0) * out.grad

        out._backward = backward
        return out

    def __neg__(self) -> Value:
        """Return the value with the other sign."""
        return self * -1.0

    def __sub__(self, other: Value | float) -> Value:
        """Return the difference."""
        return self + -as_value(other)

    __radd__, __rmul__ = __add__, __mul__

    def backward(self) -> None:
        """Add to the gradient of every value that this one depends on: the chain rule, backwards."""
        self.grad = 1.0
        for value in reversed(ordered(self)):
            value._backward()


def as_value(number: Value | float) -> Value:
    """Return a number as a value."""
    return number if isinstance(number, Value) else Value(number)


def ordered(result: Value) -> list[Value]:
    """Return a value and all that it depends on, each after its inputs: a topological order.

    A stack in place of recursion, which Python allows only 1,000 deep.
    """
    order: list[Value] = []
    seen: set[Value] = set()
    stack = [(result, False)]
    while stack:
        value, inputs_are_done = stack.pop()
        if inputs_are_done:
            order.append(value)
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            stack += [(one, False) for one in value.inputs]
    return order
