"""A program that is read back from its JSON form: written by a tool, or changed by one.

It is verified as a whole, since nothing else stands between it and the targets.
"""

from __future__ import annotations

import os

from levada import project as projects
from levada.hashing import sha256

from .compiled import Compilation
from .diagnostics.diagnostic import Diagnostic, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .program.ir import Program

#: How many problems of an invalid program are shown.
_MOST = 20


def compile_ir(path: str, pipeline: str | None = None) -> Compilation:
    """Read the program of a ``.json`` file; whatever is wrong with it is a diagnostic."""
    path = os.path.abspath(path)
    file = projects.find(path).file or os.path.basename(path)
    try:
        with open(path, "rb") as opened:
            content = opened.read()
    except OSError as error:
        return _refused(file, "file-not-found", f"`{file}` cannot be read: {error.strerror}")
    files = {path: f"sha256:{sha256(content).hexdigest()}"}
    program, problems = _read(content)
    if program is not None and pipeline not in (None, program.name, program.function):
        message = f"there is no pipeline `{pipeline}` in this file"
        return _refused(file, "unknown-pipeline", message, f"its pipeline is `{program.name}`")
    diagnostics = tuple(_problem(file, problem) for problem in problems[:_MOST])
    names = (program.name,) if program else ()
    text = content.decode("utf-8", "replace")
    return Compilation(None if problems else program, diagnostics, {file: text}, files, names)


def _read(content: bytes) -> tuple[Program | None, list[str]]:
    from .program import ir_json
    from .program.verify import verify

    try:
        program = ir_json.load(content.decode("utf-8"))
    except UnicodeDecodeError:
        return None, ["this is not UTF-8"]
    except ir_json.IrError as error:
        return None, [str(error)]
    try:
        return program, verify(program)
    except RecursionError:
        return None, ["this is nested too deeply"]


def _problem(file: str, message: str) -> Diagnostic:
    return Diagnostic(
        "invalid-program",
        message,
        Span(file, 1, 1, 1, 2),
        help="correct what wrote it: levada_compiler/program/ir.schema.json says what a program is",
    )


def _refused(file: str, rule: str, message: str, way_out: str = "check the path") -> Compilation:
    found = Diagnostic(rule, message, Span(file, 1, 1, 1, 2), help=way_out)
    return Compilation(None, (found,), {}, {}, ())
