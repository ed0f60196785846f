"""Functions of ``json``, ``datetime``, ``pathlib``, ``os.path`` and ``uuid``."""

from __future__ import annotations

from levada.operations.errors import TooLargeError, UnsupportedError
from levada.operations.function import Function
from levada.operations.plain import extent
from levada.operations.text_formats import MAX_DIGITS, check_digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from levada.operations.budget import Budget

_DUMPS: Final = frozenset(
    ("skipkeys", "ensure_ascii", "check_circular", "allow_nan", "indent", "separators", "sort_keys")
)
#: Characters of a format that `strptime` makes a regular expression of, and of a text to match.
_MAX_FORMAT: Final = 200
_MAX_MATCHED: Final = 1000


def _dumps(budget: Budget, /, *arguments: object, **keywords: Any) -> str:
    import json

    _refuse_keywords("json.dumps", keywords, _DUMPS)
    budget.spend(10)
    for value in arguments:
        measured = extent(budget, value)
        check_digits(measured.bits, value)
        size = 32 * measured.count + 12 * measured.text + measured.bits // 3
        size += measured.count * _spacing(keywords, measured.levels)
        budget.spend(size // 500, size)
    return json.dumps(*arguments, **keywords)


def _spacing(keywords: Mapping[str, object], levels: int) -> int:
    """Return how many characters the keywords put around one value."""
    indent, separators = keywords.get("indent"), keywords.get("separators")
    width = levels * (len(indent) if isinstance(indent, str) else 0)
    if isinstance(indent, int):
        width = levels * max(0, indent)
    if isinstance(separators, (tuple, list)):
        width += sum(len(part) for part in separators if isinstance(part, str))
    return 4 * width


def _loads(budget: Budget, /, *arguments: Any, **keywords: object) -> object:
    import json

    _refuse_keywords("json.loads", keywords, frozenset())
    for text in arguments:
        size = len(text) if isinstance(text, (str, bytes)) else 0
        budget.spend(size // 20, 32 * size)
    if len(arguments) != 1:
        return json.loads(*arguments)  # raises Python's TypeError
    return json.loads(*arguments, parse_int=_whole_number)


def _whole_number(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise TooLargeError(f"a text of more than {MAX_DIGITS} digits is too long for a number")
    return int(text)


def _refuse_keywords(name: str, keywords: Mapping[str, object], known: frozenset[str]) -> None:
    for keyword in keywords:
        if keyword not in known:
            raise UnsupportedError(f"`{name}` takes no `{keyword}` in a pipeline")


def _strptime(budget: Budget, /, *arguments: Any, **keywords: object) -> object:
    from datetime import datetime

    limits = (_MAX_MATCHED, _MAX_FORMAT)
    for text, limit in zip(arguments, limits, strict=False):
        if isinstance(text, str) and len(text) > limit:
            raise TooLargeError(f"`strptime` takes at most {limit} characters here")
    budget.spend(300)
    return datetime.strptime(*arguments, **keywords)


def _from_timestamp(_budget: Budget, /, *arguments: Any, **keywords: Any) -> object:
    from datetime import datetime

    given = arguments[1] if len(arguments) > 1 else keywords.get("tz")
    if arguments and given is None:
        raise UnsupportedError(
            "`datetime.fromtimestamp` would use the machine's time zone: give it `timezone.utc`"
        )
    return datetime.fromtimestamp(*arguments, **keywords)


def _dates(owner: str, names: str) -> list[Function]:
    return [Function(f"datetime.{owner}.{name}", f"{owner}.{name}") for name in names.split()]


TABLE: Final = (
    Function("json.dumps", "json.dumps", run=_dumps, first="obj"),
    Function("json.loads", "json.loads", run=_loads, first="s"),
    *(
        Function(f"datetime.{name}", name)
        for name in ("date", "datetime", "time", "timedelta", "timezone")
    ),
    *_dates("date", "fromisoformat fromordinal fromisocalendar"),
    *_dates("datetime", "fromisoformat fromordinal fromisocalendar combine"),
    *_dates("time", "fromisoformat"),
    Function("datetime.datetime.strptime", "datetime.strptime", run=_strptime),
    Function("datetime.datetime.fromtimestamp", "datetime.fromtimestamp", run=_from_timestamp),
    Function("pathlib.Path", "Path"),
    Function("pathlib.PurePosixPath", "PurePosixPath"),
    *(
        Function(f"os.path.{name}", f"os.path.{name}")
        for name in ("join", "basename", "dirname", "splitext")
    ),
    Function("uuid.UUID", "UUID"),
)
#: Constants of libraries that expressions know: by their names there, those in Python.
CONSTANTS: Final = {
    **{f"math.{name}": f"math.{name}" for name in ("pi", "e", "tau", "inf", "nan")},
    "timezone.utc": "datetime.timezone.utc",
    **{
        f"{owner}.{name}": f"datetime.{owner}.{name}"
        for owner in ("date", "datetime", "time", "timedelta")
        for name in ("min", "max", "resolution")
    },
}
