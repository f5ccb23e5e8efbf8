"""Arithmetic in a configuration: `exp(-3 * t)` as a function, and nothing that could run code."""

import ast
import math
import operator
from collections.abc import Callable, Mapping

OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[..., float]] = {
    **{name: getattr(math, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "floor")},
    "min": min, "max": max, "abs": abs,
}  # fmt: skip
CONSTANTS = {"pi": math.pi}


class Expression:
    """A number as a function of named numbers: + - * / // % **, comparisons, `a if b else c`, and `FUNCTIONS`.

    Args:
        text: the expression.
        names: what it may name; ValueError where it names anything else or does not parse.
    """

    def __init__(self, text: str | float, names: tuple[str, ...]) -> None:
        self.text, self.names = str(text), names
        try:
            self._tree = ast.parse(self.text, mode="eval").body
        except SyntaxError:
            raise ValueError(f"'{self.text}' is not an expression") from None
        self._check(self._tree)

    def __call__(self, values: Mapping[str, float]) -> float:
        """Its value; nan where it has none (division by zero, logarithm of a negative number)."""
        try:
            return float(self._value(self._tree, {**CONSTANTS, **values}))
        except (ArithmeticError, ValueError, TypeError):  # TypeError: a root of a negative number is complex
            return math.nan

    def _check(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name) and node.id not in (*self.names, *CONSTANTS):
            allowed = ", ".join((*self.names, *CONSTANTS, *FUNCTIONS))
            raise ValueError(f"'{self.text}' should name {allowed}. Found '{node.id}'")
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords:
                raise ValueError(f"'{self.text}' should call {', '.join(FUNCTIONS)}. Found {ast.unparse(node)}")
            children: list[ast.AST] = list(node.args)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            children = []
        elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            children = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
            children = [node.operand]
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
            children = [node.left, *node.comparators]
        elif isinstance(node, ast.IfExp):
            children = [node.test, node.body, node.orelse]
        elif isinstance(node, ast.Name):
            children = []
        else:
            raise ValueError(f"'{self.text}' should be plain arithmetic. Found {ast.unparse(node)}")
        for child in children:
            self._check(child)

    def _value(self, node: ast.AST, values: Mapping[str, float]) -> float:
        match node:
            case ast.Constant():
                return node.value  # ty: ignore[invalid-explicit-return]
            case ast.Name():
                return values[node.id]
            case ast.BinOp():
                return OPERATORS[type(node.op)](self._value(node.left, values), self._value(node.right, values))
            case ast.UnaryOp():
                return OPERATORS[type(node.op)](self._value(node.operand, values))
            case ast.Compare():
                return OPERATORS[type(node.ops[0])](
                    self._value(node.left, values), self._value(node.comparators[0], values)
                )
            case ast.IfExp():
                return self._value(node.body if self._value(node.test, values) else node.orelse, values)
            case ast.Call():
                assert isinstance(node.func, ast.Name)
                return FUNCTIONS[node.func.id](*(self._value(child, values) for child in node.args))
        raise AssertionError(node)
