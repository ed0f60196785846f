"""From an exception to the error part of a record, with the traceback in the user's frames only.

Frames of the runtime are dropped; runs of frames of libraries are folded into one line.
"""

from __future__ import annotations

import os

from levada.artifact import MaterializerError
from levada.declarations import PermanentError
from levada.errors import Cancelled, ReturnError, TimedOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from traceback import FrameSummary, TracebackException
    from typing import Any

    from levada.record_types import ErrorFrame, ErrorKind, ErrorPart

_RUNTIME = os.path.dirname(os.path.abspath(__file__)) + os.sep
_FOLDED = "\0folded"
_LIBRARIES = ("/site-packages/", "/dist-packages/")
_MAX_TEXT = 20_000  # characters of a message or of a line
_MAX_LINES = 400  # of a traceback; a deep recursion has thousands
_MAX_FRAMES = 100
#: What a timeout is an instance of, as `except` in a pipeline sees it.
_TIMEOUT = ("builtins.TimeoutError", "builtins.OSError", "builtins.Exception")
#: Another attempt would end in the same way.
_PERMANENT = (PermanentError, MaterializerError, ReturnError, SyntaxError, ImportError)


def describe(error: BaseException, project: Iterable[str]) -> Any:
    """Give the `ErrorPart` of a record. ``project`` holds the folders of the user's frames.

    What is installed below such a folder is not the user's, unless the folder is itself installed.
    """
    from traceback import FrameSummary, TracebackException

    folders = tuple(os.path.abspath(folder) + os.sep for folder in project)
    kind = _kind(error)
    trace = TracebackException.from_exception(error)
    if isinstance(error, ReturnError) and error.place is not None:
        trace.stack.append(FrameSummary(*error.place))
    frames = [frame for frame in trace.stack if _is_users(frame, folders)]
    _fold(trace, folders, set())
    described: ErrorPart = {
        "type": type(error).__qualname__,
        "module": type(error).__module__,
        "bases": bases(type(error)),
        "message": _message(error),
        "args": arguments(error.args),
        "traceback": [] if kind == "cancelled" else _lines(trace),
        "frames": [_frame(frame, folders) for frame in frames[-_MAX_FRAMES:]],
        "permanent": kind == "error" and isinstance(error, _PERMANENT),
        "kind": kind,
    }
    return described


def of_expression(error: BaseException) -> ErrorPart:
    """Give the error of an exception that an expression of the pipeline raised."""
    return {
        "type": type(error).__qualname__,
        "module": type(error).__module__,
        "bases": bases(type(error)),
        "message": _message(error),
        "args": arguments(error.args),
        "traceback": [],
        "frames": [],
        "permanent": True,
        "kind": "error",
    }


def raised(classes: list[str], given: list[object]) -> Any:
    """Give the `ErrorPart` of a ``raise`` in a pipeline.

    ``classes`` are the qualified names of the exception's class and of its bases, itself first,
    ``given`` its arguments. The text is that of ``BaseException``.
    """
    module, _, name = classes[0].rpartition(".")
    if "builtins.KeyError" in classes and len(given) == 1:
        message = repr(given[0])
    else:
        message = "" if not given else str(given[0] if len(given) == 1 else tuple(given))
    described: ErrorPart = {
        "type": name,
        "module": module,
        "bases": classes,
        "message": message[:_MAX_TEXT],
        "args": arguments(tuple(given)),
        "traceback": [],
        "frames": [],
        "permanent": True,
        "kind": "error",
    }
    return described


def bases(kind: type) -> list[str]:
    """Name the class of an exception and its bases, itself first, each with its module.

    A timeout is also a ``TimeoutError``: what ends the step must not be one, since the step
    itself could handle it.
    """
    names = [f"{each.__module__}.{each.__qualname__}" for each in kind.__mro__[:-1]]
    return [*names, *_TIMEOUT] if issubclass(kind, TimedOut) else names


def arguments(given: tuple[object, ...]) -> list[object] | None:
    """Give the arguments of an exception as JSON; None where one has no such form, or is large."""
    plain = all(each is None or type(each) in (bool, int, float, str) for each in given)
    finite = all(each == each and abs(each) < float("inf") for each in given if type(each) is float)
    small = all(len(each) <= _MAX_TEXT for each in given if type(each) is str)
    return list(given) if plain and finite and small else None


def without_traceback(name: str, message: str, kind: ErrorKind, *, permanent: bool) -> ErrorPart:
    """Give the error part of a record for what was no exception in the step."""
    return {
        "type": name,
        "module": "levada",
        "bases": [f"levada.{name}", *(_TIMEOUT if kind == "timeout" else _TIMEOUT[-1:])],
        "message": message,
        "args": [message],
        "traceback": [],
        "frames": [],
        "permanent": permanent,
        "kind": kind,
    }


def _kind(error: BaseException) -> ErrorKind:
    if isinstance(error, (Cancelled, KeyboardInterrupt)):
        return "cancelled"
    return "timeout" if isinstance(error, TimedOut) else "error"


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the step called sys.exit({'' if error.code is None else repr(error.code)})"
    if isinstance(error, KeyboardInterrupt):
        return "the step was interrupted"
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  the user's own __str__
        text = f"<{type(error).__qualname__} that cannot be shown>"
    return text[:_MAX_TEXT]


def _is_users(frame: FrameSummary, folders: tuple[str, ...]) -> bool:
    if frame.filename.startswith("<frozen "):  # no path, and so not below the project's folder
        return False
    path = os.path.abspath(frame.filename)
    if path.startswith(_RUNTIME):
        return False
    below = [path[len(folder) - 1 :] for folder in folders if path.startswith(folder)]
    return any(not any(library in rest for library in _LIBRARIES) for rest in below)


def _frame(frame: FrameSummary, folders: tuple[str, ...]) -> ErrorFrame:
    path = os.path.abspath(frame.filename)
    holder = min((f for f in folders if path.startswith(f)), key=len)
    file = path.removeprefix(holder).replace(os.sep, "/")
    for library in _LIBRARIES:  # wherever the environment is
        if library in path:
            file = f"{library[1:]}{path.rpartition(library)[2]}"
    return {
        "file": file,
        "line": frame.lineno,
        "function": frame.name,
        "code": frame.line,
    }


def _fold(trace: TracebackException, folders: tuple[str, ...], seen: set[int]) -> None:
    """Fold the frames of an exception and of those that it came from, in place."""
    from traceback import FrameSummary

    if id(trace) in seen:
        return
    seen.add(id(trace))
    kept: list[FrameSummary] = []
    libraries: list[str] = []
    for frame in [*trace.stack, None]:
        if frame is not None and not _is_users(frame, folders):
            libraries += _library(frame)
            continue
        if libraries:
            kept.append(FrameSummary(_FOLDED, 0, _fold_text(libraries), line=""))
            libraries = []
        if frame is not None:
            kept.append(frame)
    trace.stack[:] = kept
    for other in (trace.__cause__, trace.__context__, *(getattr(trace, "exceptions", None) or ())):
        if other is not None:
            _fold(other, folders, seen)


def _library(frame: FrameSummary) -> list[str]:
    """Name the library of a frame; nothing for the runtime itself and the import system."""
    path = os.path.abspath(frame.filename)
    if path.startswith(_RUNTIME) or frame.filename.startswith("<frozen importlib"):
        return []
    for folder in (*_LIBRARIES, f"{os.path.dirname(os.__file__)}/"):
        if folder in path:
            return [path.rpartition(folder)[2].split("/")[0].removesuffix(".py")]
    return [os.path.basename(path).removesuffix(".py")]


def _fold_text(libraries: list[str]) -> str:
    names = ", ".join(dict.fromkeys(libraries))
    count = len(libraries)
    return f"… {count} frame{'' if count == 1 else 's'} in {names}"


def _lines(trace: TracebackException) -> list[str]:
    lines: list[str] = []
    for text in trace.format():
        for line in text.removesuffix("\n").split("\n"):
            if f'"{_FOLDED}"' in line:
                indent = line.partition("File")[0]
                line = indent + line.partition(", in ")[2]
            lines.append(line[:_MAX_TEXT])
    left_out = len(lines) - _MAX_LINES
    if left_out > 0:
        half = _MAX_LINES // 2
        lines[half:-half] = [f"  … {left_out} lines left out"]
    return lines
