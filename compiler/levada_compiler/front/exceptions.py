"""Exception classes as they are told from the source: their names and those of their bases."""

from __future__ import annotations

import ast
import builtins

from ..slotted import dataclass
from . import modules as m

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


@dataclass(frozen=True, slots=True)
class ExceptionClass:
    """An exception class with the qualified names of it and of its bases, itself first."""

    names: tuple[str, ...]

    @property
    def catches_all(self) -> bool:
        """Whether every exception that a step may raise is an instance of it."""
        return self.names[0] in ("builtins.Exception", "builtins.BaseException")


_VALUE: Final = ("builtins.ValueError", "builtins.Exception", "builtins.BaseException")
_OS: Final = ("builtins.OSError", "builtins.Exception", "builtins.BaseException")
_PLAIN: Final = ("builtins.Exception", "builtins.BaseException")
_TIMEOUT: Final = ("builtins.TimeoutError", *_OS)
_SUBPROCESS: Final = ("subprocess.SubprocessError", *_PLAIN)
_SQLITE: Final = ("sqlite3.DatabaseError", "sqlite3.Error", *_PLAIN)
#: Exceptions of Python's library, by the names under which they are imported. Its modules are
#: not imported while compiling: what they are called there is in this table.
_KNOWN: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        ("levada.PermanentError", "levada.declarations.PermanentError"),
        ("levada.declarations.PermanentError", *_PLAIN),
    ),
    **dict.fromkeys(
        ("json.JSONDecodeError", "json.decoder.JSONDecodeError"),
        ("json.decoder.JSONDecodeError", *_VALUE),
    ),
    **dict.fromkeys(
        ("asyncio.TimeoutError", "concurrent.futures.TimeoutError", "socket.timeout"), _TIMEOUT
    ),
    "concurrent.futures.CancelledError": (
        *("concurrent.futures._base.CancelledError", "concurrent.futures._base.Error"),
        *_PLAIN,
    ),
    "subprocess.SubprocessError": _SUBPROCESS,
    "subprocess.CalledProcessError": ("subprocess.CalledProcessError", *_SUBPROCESS),
    "subprocess.TimeoutExpired": ("subprocess.TimeoutExpired", *_SUBPROCESS),
    "urllib.error.URLError": ("urllib.error.URLError", *_OS),
    "urllib.error.HTTPError": ("urllib.error.HTTPError", "urllib.error.URLError", *_OS),
    "http.client.HTTPException": ("http.client.HTTPException", *_PLAIN),
    "socket.gaierror": ("socket.gaierror", *_OS),
    "ssl.SSLError": ("ssl.SSLError", *_OS),
    "shutil.Error": ("shutil.Error", *_OS),
    "zipfile.BadZipFile": ("zipfile.BadZipFile", *_PLAIN),
    "tarfile.TarError": ("tarfile.TarError", *_PLAIN),
    "tarfile.ReadError": ("tarfile.ReadError", "tarfile.TarError", *_PLAIN),
    "csv.Error": ("_csv.Error", *_PLAIN),
    "configparser.Error": ("configparser.Error", *_PLAIN),
    "decimal.InvalidOperation": (
        *("decimal.InvalidOperation", "decimal.DecimalException"),
        *("builtins.ArithmeticError", *_PLAIN),
    ),
    "sqlite3.Error": ("sqlite3.Error", *_PLAIN),
    "sqlite3.DatabaseError": _SQLITE,
    "sqlite3.OperationalError": ("sqlite3.OperationalError", *_SQLITE),
    "sqlite3.IntegrityError": ("sqlite3.IntegrityError", *_SQLITE),
    "queue.Empty": ("_queue.Empty", *_PLAIN),
    "queue.Full": ("queue.Full", *_PLAIN),
    "pickle.PickleError": ("_pickle.PickleError", *_PLAIN),
    "pickle.UnpicklingError": ("_pickle.UnpicklingError", "_pickle.PickleError", *_PLAIN),
    "pickle.PicklingError": ("_pickle.PicklingError", "_pickle.PickleError", *_PLAIN),
    "struct.error": ("struct.error", *_PLAIN),
    "tomllib.TOMLDecodeError": ("tomllib.TOMLDecodeError", *_VALUE),
    "xml.etree.ElementTree.ParseError": (
        *("xml.etree.ElementTree.ParseError", "builtins.SyntaxError"),
        *_PLAIN,
    ),
    "statistics.StatisticsError": ("statistics.StatisticsError", *_VALUE),
}


def builtin(name: str) -> ExceptionClass:
    """Return a builtin exception class."""
    return _of_class(getattr(builtins, name))


def find(modules: m.Modules, definition: m.Class | m.External) -> ExceptionClass | str:
    """Return an exception class; the reason, as text, why it is not known."""
    names = _names(modules, definition, frozenset())
    if isinstance(names, str):
        return names
    if "builtins.BaseException" not in names:
        return "it is not derived from `Exception`"
    return ExceptionClass(names)


def _names(
    modules: m.Modules, definition: m.Definition | None, seen: frozenset[str]
) -> tuple[str, ...] | str:
    if isinstance(definition, m.External):
        return _external(definition.name)
    if not isinstance(definition, m.Class) or definition.key in seen:
        return "it is not a class"
    if len(definition.node.bases) != 1 or definition.node.keywords:
        return "it has several bases, or none"
    for item in definition.node.body:
        if isinstance(item, ast.FunctionDef) and item.name in ("__init__", "__new__", "__str__"):
            return f"its `{item.name}` would have to be run"
    base = _names(modules, _base(modules, definition), seen | {definition.key})
    if isinstance(base, str):
        return base
    return f"{definition.module.name}.{definition.node.name}", *base


def _base(modules: m.Modules, definition: m.Class) -> m.Definition | None:
    (node,) = definition.node.bases
    found = modules.resolve(definition.module, node)
    if found is None and isinstance(node, ast.Name) and node.id in m.BUILTINS:
        return m.External(f"builtins.{node.id}")
    return found


def _external(name: str) -> tuple[str, ...] | str:
    """Return the names of a class of Python or of Levada; of other packages nothing is known."""
    if name in _KNOWN:
        return _KNOWN[name]
    module, _, attribute = name.rpartition(".")
    found = getattr(builtins, attribute, None) if module == "builtins" else None
    if isinstance(found, type) and issubclass(found, BaseException):
        return _of_class(found).names
    package = name.partition(".")[0]
    return "it is not an exception" if module == "builtins" else f"`{package}` is not imported"


def _of_class(found: type) -> ExceptionClass:
    names = [f"{each.__module__}.{each.__qualname__}" for each in found.__mro__]
    return ExceptionClass(tuple(names[:-1]))
