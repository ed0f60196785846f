"""Reads YAML and TOML that somebody else has written, in bounded time and memory."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

MAX_VALUES: Final = 100_000  #: in a file, aliases and merges of YAML written out


class TooManyValuesError(ValueError):
    """A file has more than MAX_VALUES values."""

    def __init__(self) -> None:
        super().__init__(f"it has more than {MAX_VALUES:,} values, aliases written out")


def parse_yaml(content: str | bytes) -> Any:
    """Return the value of YAML text.

    Raises ImportError without PyYAML, TooManyValuesError, ValueError for anything else that cannot
    be read, and RecursionError.
    """
    import yaml

    loader = yaml.SafeLoader(content)
    try:
        found = loader.get_single_node()
        if found is None:
            return None
        if _written_out(found, {}) > MAX_VALUES:
            raise TooManyValuesError
        return loader.construct_document(found)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    finally:
        loader.dispose()


def _written_out(node: Any, known: dict[int, int]) -> int:
    """Return how many values a node of YAML has, aliases and merges written out.

    Raises ValueError where it contains itself.
    """
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("a value contains itself")
        return known[id(node)]
    known[id(node)] = 0
    inner = node.value if isinstance(node.value, list) else []
    parts = [part for each in inner for part in (each if isinstance(each, tuple) else (each,))]
    count = 1 + sum(_written_out(part, known) for part in parts)
    known[id(node)] = count
    return count
