"""Parameters of a run that Airflow cannot keep, or could not tell its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from levada_compiler.client import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: msgpack's integers, in which 3.x tells a task its parameters.
_LEAST, _MOST = -(2**63), 2**64 - 1


def refuse_what_tasks_cannot_be_told(parameters: Mapping[str, object]) -> None:
    """3.x takes larger numbers, and then each task of the run fails before it begins."""
    for name, value in parameters.items():
        if any(map(_is_too_large, _leaves(value))):
            raise ClientError(
                f"Airflow 3 has no whole numbers of more than 64 bits for its tasks: `{name}`",
                "let the pipeline take a text",
            )


def unkept(parameters: Mapping[str, object]) -> list[str]:
    """The names of those with a text that PostgreSQL refuses in JSON, and with it the run."""
    return [name for name, value in parameters.items() if any(map(_is_unkept, _leaves(value)))]


def _is_too_large(leaf: object) -> bool:
    """Whether it is, or comes out of a PostgreSQL as, an integer that msgpack does not have."""
    is_whole = isinstance(leaf, int) or (isinstance(leaf, float) and leaf.is_integer())
    return is_whole and not _LEAST <= leaf <= _MOST  # type: ignore[operator]


def _is_unkept(leaf: object) -> bool:
    characters = leaf if isinstance(leaf, str) else ""
    return any(one == "\0" or "\ud800" <= one <= "\udfff" for one in characters)


def _leaves(value: object) -> Iterator[object]:
    """The texts, numbers and keys in a JSON value."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
