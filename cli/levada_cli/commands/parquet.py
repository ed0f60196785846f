"""Columns as a Parquet file, by whichever library is installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

#: Columns that are times, in text.
_TIMES = ("started", "finished")
_NUMBERS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}


def write(path: str, columns: Mapping[str, Sequence[Any]], *, force: bool) -> None:
    """Write a file whole or not at all. Refuses to replace one unless ``force`` says so."""
    if os.path.exists(path) and not force:
        raise click.UsageError(f"`{path}` exists: choose another file, or replace it with --force")
    typed = {name: _typed(name, values) for name, values in columns.items()}
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        _write(temporary, typed)
        os.replace(temporary, path)
    except OSError as error:
        raise click.ClickException(f"cannot write `{path}`: {error.strerror or error}") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _write(path: str, columns: Mapping[str, Sequence[Any]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError:
        try:
            import polars
        except ModuleNotFoundError:
            raise click.ClickException(
                "--parquet needs a package that is not installed: pip install pyarrow (or polars)"
            ) from None
        polars.DataFrame(columns, strict=False).write_parquet(path)
        return
    parquet.write_table(pyarrow.table(dict(columns)), path)


def _typed(name: str, values: Sequence[Any]) -> list[Any]:
    """Values of one type: times, numbers, truth values or texts; what is mixed is text."""
    import json

    given = [value for value in values if value is not None]
    if name in _TIMES:
        return [_time(value) for value in values]
    if all(isinstance(value, bool) for value in given):
        return list(values)
    if name.startswith("metrics.") or all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in given
    ):
        if all(isinstance(value, int) and abs(value) < 1 << 63 for value in given):
            return list(values)
        return [None if value is None else _number(value) for value in values]
    return [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in values
    ]


def _number(value: Any) -> float | None:
    try:
        return float(_NUMBERS.get(value, value) if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None


def _time(value: Any) -> Any:
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
