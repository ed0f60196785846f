"""The console script: a compile that hits the cache, a plain one, or else the command line proper.

The cache comes first, before anything of weight is imported, and click last.
"""

from __future__ import annotations

import os
import sys

from .terminal import PeoplesStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO, TypeGuard

INTERRUPTED = 130
BROKEN_PIPE = 141
FAULT = 2


def main() -> int:
    """Run the command of ``sys.argv``: 0 fine, 1 diagnostics or a failed run, 2 wrong usage."""
    # Under a CI job too stdout may be a file or another program: what goes there is data.
    sys.stdout, sys.stderr = _stream(sys.stdout, is_log=False), _stream(sys.stderr, is_log=True)
    arguments = sys.argv[1:]
    if arguments[:1] in (["compile"], ["build"]):
        status = guarded(lambda: _replay(arguments))
        if status is None:
            status = guarded(lambda: _run_plain(arguments))
        if status is not None:
            return status
    return guarded(lambda: _run(arguments)) or 0


def _stream(stream: TextIO | None, *, is_log: bool) -> TextIO:
    """A stream that takes any text: a closed one takes all, an ASCII one gets escapes."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")
    shown: Any = PeoplesStream(stream, is_log=is_log)
    return shown  # type: ignore[no-any-return]


def guarded(action: Callable[[], int | None]) -> int | None:
    """The result of ``action`` and a flush; whatever is raised becomes a message and a status."""
    from levada_compiler.output_files import OutputError

    try:
        status = action()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _close_quietly()
        return BROKEN_PIPE
    except OutputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Exception as error:  # noqa: BLE001
        return _system_error(error) if _is_theirs(error) else _fault(error)
    return status


def _replay(arguments: list[str]) -> int | None:
    from . import compile_cache, output

    product = compile_cache.replay(arguments)
    return None if product is None else output.deliver(product)


def _run_plain(arguments: list[str]) -> int | None:
    import gc
    from importlib import import_module

    # All that a compilation makes lives until the end: looking for garbage in it takes 5% of the
    # time, and doing so once more when the interpreter ends another 10%.
    gc.disable()
    modules = {"compile": "compiling", "build": "building"}
    command = import_module(f"levada_cli.commands.{modules[arguments[0]]}")
    status: int | None = command.run_plain(arguments[1:])
    gc.freeze()
    return status


def _run(arguments: list[str]) -> int:
    from .commands.cli import run

    return run(arguments)


def _close_quietly() -> None:
    """The reader of our output has gone: let the interpreter end without a word about it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


def _is_theirs(error: Exception) -> TypeGuard[OSError]:
    """Whether the system refused something that the user can mend: space, rights, a path."""
    import errno

    names = "ENOSPC EDQUOT EFBIG EROFS EACCES EPERM ENOENT ENOTDIR EISDIR ENAMETOOLONG EMFILE EIO"
    codes = {getattr(errno, name, None) for name in names.split()}
    return isinstance(error, OSError) and error.errno in codes


def _system_error(error: OSError) -> int:
    """A full disk, a folder that is gone: theirs to mend, so no traceback."""
    if os.environ.get("LEVADA_DEBUG") == "1":
        raise error
    _close_quietly()
    place = f" `{error.filename}`" if error.filename else ""
    sys.stderr.write(f"error: {error.strerror or error}{place}\n")
    return FAULT


def _fault(error: Exception) -> int:
    """Report an internal error: one line, and the traceback in a file to send."""
    if os.environ.get("LEVADA_DEBUG") == "1":
        raise error
    from levada_compiler.foreign_target import TargetFaultError

    report = _written(error)
    if isinstance(error, TargetFaultError):
        line = f"{error}; report it to its authors, with the file {report}"
    else:
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        line = f"internal error in Levada, please report it with the file {report} ({summary})"
    sys.stderr.write(f"error: {line}\n")
    return FAULT


def _written(error: Exception) -> str:
    """Write a traceback into a new file, and return the file's path."""
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="levada-", suffix=".txt", delete=False, encoding="utf-8", errors="replace"
    ) as file:
        file.write(f"levada {' '.join(sys.argv[1:])}\nPython {sys.version}\n\n")
        traceback.print_exception(error, file=file)
    return file.name


if __name__ == "__main__":
    sys.exit(main())
