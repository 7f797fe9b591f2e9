"""A formula of counts, given as text: arithmetic and nothing else."""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlwatch.collectors.business.counts import NAMES, Counts
from mlwatch.errors import ConfigurationError

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CLASSES = ("predicted", "actual")
_LONGEST = 500
"""Characters; so no formula is deep enough to matter."""


@dataclass(frozen=True, slots=True)
class Formula:
    """Numbers, names of counts, + - * / and brackets; nothing is ever executed.

    Args:
        text: The formula, such as `"40 * true_positives - 5 * predicted_positives"`.

    Raises:
        ConfigurationError: It is none, or names what is not counted.
    """

    text: str

    def __post_init__(self) -> None:
        if len(self.text) > _LONGEST:
            raise ConfigurationError(f"a formula of {len(self.text)} characters; write a function")
        self._check(self._tree())

    def value(self, counts: Counts) -> float:
        """Return the value for the counts of a window.

        Raises:
            LookupError: A count is not defined for this task.
            ArithmeticError: It divides by 0, or is too large.
        """
        found = self._value(self._tree(), counts)
        if not math.isfinite(found):
            raise OverflowError("the result is too large")
        return found

    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise ConfigurationError(f"{self.text!r} is no formula: {error}") from error

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                self._check(left)
                self._check(right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                self._check(operand)
            case ast.Constant(value=int() | float() as value) if _is_number(value):
                pass
            case ast.Name(id=name):
                self._check_name(name)
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant()) if name in _CLASSES:
                pass
            case _:
                raise ConfigurationError(
                    f"{self.text!r}: {ast.unparse(node)!r} is not allowed; a formula has numbers, "
                    "names of counts, + - * / and brackets, all else is for a function"
                )

    def _check_name(self, name: str) -> None:
        if name in _CLASSES:
            raise ConfigurationError(f'{self.text!r}: say of which class, as {name}["name"]')
        if name not in NAMES:
            near = difflib.get_close_matches(name, [*NAMES, *_CLASSES], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(NAMES)}"
            raise ConfigurationError(f"{self.text!r}: nothing counted is called {name!r}; {hint}")

    def _value(self, node: ast.expr, counts: Counts) -> float:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                sides = self._value(left, counts), self._value(right, counts)
                return _OPERATORS[type(op)](*sides)
            case ast.UnaryOp(op=op, operand=operand):
                value = self._value(operand, counts)
                return -value if isinstance(op, ast.USub) else value
            case ast.Name(id=name):
                return float(counts[name])
            case ast.Subscript(value=ast.Name(id=kind), slice=ast.Constant(value=name)):
                return float(counts.of_class(kind, str(name)))
            case ast.Constant(value=int() | float() as value):
                return float(value)
        raise AssertionError(ast.dump(node))


def _is_number(value: float) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
