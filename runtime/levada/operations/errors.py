"""What an expression can fail by, apart from what Python itself raises."""

from __future__ import annotations


class ExpressionError(Exception):
    """An expression that Levada cannot evaluate: malformed, unknown names, or one of the below."""


class UnsupportedError(ExpressionError):
    """A function, method or attribute that does not exist in expressions."""


class UnorderedError(UnsupportedError):
    """The text of a value would differ from one process to the next: of a set, for its order."""


class TooLargeError(ExpressionError):
    """An operation whose cost exceeds the budget. ``what`` says what is too large."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; compute it in a step")
        self.what = what


class NotPlainError(ExpressionError):
    """A value of a type that expressions do not compute with, a frame or a model say."""

    def __init__(self, type_name: str) -> None:
        super().__init__(
            f"`{type_name}` cannot be computed with in a pipeline; compute it in a step"
        )
        self.type_name = type_name
