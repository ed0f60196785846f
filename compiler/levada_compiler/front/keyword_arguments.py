"""The arguments that functions and methods of the evaluator take by name.

Python has no signature of most builtin functions, and those that it has differ by version. What
is not in a table takes arguments by position only.
"""

from __future__ import annotations

import ast

from levada import operations

from ..diagnostics.reports import did_you_mean, listing
from .not_constant import NotConstantError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from . import modules as m

_DATE: Final = ("year", "month", "day")
_TIME: Final = ("hour", "minute", "second", "microsecond", "tzinfo", "fold")
_SPLIT: Final = ("sep", "maxsplit")
_CODEC: Final = ("encoding", "errors")
_JSON: Final = ("skipkeys", "ensure_ascii", "check_circular", "allow_nan", "indent", "separators")
#: Those that take any name.
_ANY: Final = frozenset(("dict", "format"))

FUNCTIONS: Final[dict[str, tuple[str, ...]]] = {
    "Decimal": ("value", "context"),
    "Fraction": ("numerator", "denominator"),
    "Fraction.from_decimal": ("dec",),
    "Fraction.from_float": ("f",),
    "UUID": ("hex", "bytes", "bytes_le", "fields", "int", "version"),
    "bytes": ("source", *_CODEC),
    "complex": ("real", "imag"),
    "date": _DATE,
    "date.fromisocalendar": ("year", "week", "day"),
    "datetime": (*_DATE, *_TIME),
    "datetime.combine": ("date", "time", "tzinfo"),
    "datetime.fromisocalendar": ("year", "week", "day"),
    "datetime.fromtimestamp": ("timestamp", "tz"),
    "enumerate": ("iterable", "start"),
    "int": ("base",),
    "int.from_bytes": ("bytes", "byteorder", "signed"),
    "itertools.accumulate": ("iterable", "func", "initial"),
    "itertools.combinations": ("iterable", "r"),
    "itertools.permutations": ("iterable", "r"),
    "itertools.product": ("repeat",),
    "itertools.repeat": ("object", "times"),
    "json.dumps": (*_JSON, "sort_keys"),
    "math.isclose": ("a", "b", "rel_tol", "abs_tol"),
    "math.nextafter": ("steps",),
    "math.prod": ("start",),
    "max": ("key", "default"),
    "min": ("key", "default"),
    **dict.fromkeys(("os.path.basename", "os.path.dirname", "os.path.splitext"), ("p",)),
    "os.path.join": ("a",),
    "pow": ("base", "exp", "mod"),
    "round": ("number", "ndigits"),
    "sorted": ("key", "reverse"),
    "statistics.correlation": ("method",),
    "statistics.fmean": ("data", "weights"),
    "statistics.geometric_mean": ("data",),
    "statistics.harmonic_mean": ("data", "weights"),
    "statistics.mean": ("data",),
    "statistics.median": ("data",),
    "statistics.median_high": ("data",),
    "statistics.median_low": ("data",),
    "statistics.mode": ("data",),
    "statistics.multimode": ("data",),
    "statistics.pstdev": ("data", "mu"),
    "statistics.pvariance": ("data", "mu"),
    "statistics.quantiles": ("data", "n", "method"),
    "statistics.stdev": ("data", "xbar"),
    "statistics.variance": ("data", "xbar"),
    "str": ("object", *_CODEC),
    "sum": ("start",),
    "time": _TIME,
    "timedelta": (
        *("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks"),
    ),
    "timezone": ("offset", "name"),
    "zip": ("strict",),
}
#: By the type of the value, and the name of the method.
METHODS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "str": {
        "encode": _CODEC,
        "expandtabs": ("tabsize",),
        "replace": ("count",),
        "rsplit": _SPLIT,
        "split": _SPLIT,
        "splitlines": ("keepends",),
    },
    "bytes": {
        "decode": _CODEC,
        "expandtabs": ("tabsize",),
        "hex": ("sep", "bytes_per_sep"),
        "rsplit": _SPLIT,
        "split": _SPLIT,
        "splitlines": ("keepends",),
    },
    **{key: {"to_bytes": ("length", "byteorder", "signed")} for key in ("int", "bool")},
    "date": {"replace": _DATE, "strftime": ("format",)},
    "datetime": {
        "astimezone": ("tz",),
        "isoformat": ("sep", "timespec"),
        "replace": (*_DATE, *_TIME),
        "strftime": ("format",),
    },
    "time": {"isoformat": ("timespec",), "replace": _TIME, "strftime": ("format",)},
    "Path": {
        "match": ("path_pattern", "case_sensitive"),
        "relative_to": ("walk_up",),
        "with_name": ("name",),
        "with_stem": ("stem",),
        "with_suffix": ("suffix",),
    },
    "Decimal": {
        **dict.fromkeys(("exp", "ln", "log10", "logb", "normalize", "sqrt"), ("context",)),
        "to_eng_string": ("context",),
        **dict.fromkeys(("compare", "copy_sign", "max", "min"), ("other", "context")),
        **dict.fromkeys(("remainder_near", "same_quantum", "scaleb"), ("other", "context")),
        "fma": ("other", "third", "context"),
        "quantize": ("exp", "rounding", "context"),
        "to_integral_value": ("rounding", "context"),
    },
    "Fraction": {"limit_denominator": ("max_denominator",)},
}


def check_function(node: ast.Call, name: str, module: m.Module | None = None) -> None:
    """Raise NotConstantError for a keyword argument that a function of the evaluator lacks."""
    if node.keywords and name not in _ANY:
        _check(node, name, FUNCTIONS.get(name, ()), module)


def check_method(node: ast.Call, kind: str, module: m.Module | None = None) -> None:
    """Raise NotConstantError for a keyword argument that a method lacks.

    ``kind`` is the type of the value; of another than plain ones, any method of that name counts.
    """
    assert isinstance(node.func, ast.Attribute)  # noqa: S101 - a call of a method
    name = node.func.attr
    kinds = [kind] if kind in operations.METHODS else list(operations.METHODS)
    having = [each for each in kinds if name in operations.METHODS[each]]
    if node.keywords and having and name not in _ANY:
        known = [word for each in having for word in METHODS.get(each, {}).get(name, ())]
        _check(node, name, tuple(dict.fromkeys(known)), module)


def _check(node: ast.Call, name: str, known: tuple[str, ...], module: m.Module | None) -> None:
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in known:
            continue
        takes = listing(known) if known else "no argument"
        why = f"`{name}` has no parameter `{keyword.arg}`"
        way_out = f"{did_you_mean(keyword.arg, known)} `{name}` takes {takes} by name".strip()
        raise NotConstantError(keyword, why, "unknown-argument", module, help=way_out)
