"""An exception as the handler of a pipeline sees it: from a record, without its class."""

from __future__ import annotations

from levada.operations.plain import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.record_types import ErrorPart


class HandledError:
    """What ``except … as error`` binds; it has the text, the arguments and the class's name."""

    __slots__ = ("args", "bases", "message", "name")

    def __init__(self, error: ErrorPart) -> None:
        """Take the error of a record."""
        self.name: str = error["type"].rpartition(".")[2]
        self.message: str = error["message"]
        given = error.get("args")
        self.args: tuple[object, ...] = (self.message,) if given is None else tuple(given)
        self.bases: list[str] = error.get("bases") or []

    @property
    def __name__(self) -> str:
        """The name of its class."""
        return self.name

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.args))})"


KINDS[HandledError] = "exception"
