"""Compile one module in this process for every target, and say what is wrong with the answer."""

from __future__ import annotations

import ast
import json
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import yaml
from levada_compiler import target_checks, targets
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.render import FORMATS, render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from levada_compiler.compiled import Compilation
    from levada_compiler.target import Target

#: Seconds of the processor that one module may take for all targets: far more than any should.
LIMIT = 10.0
IMAGE = {"image": f"registry.example.com/work@sha256:{'a' * 64}"}
#: Each target, with the options that it needs.
TARGETS: Mapping[str, Mapping[str, Any]] = {
    "airflow": {},
    "kubeflow": IMAGE,
    "kubernetes": IMAGE,
    "ir": {},
}


def fault(content: bytes, folder: Path) -> str:
    """Return what is wrong with how a module is compiled; empty if nothing is."""
    path = folder / "fuzzed.py"
    path.write_bytes(content)
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = _compiled(compile_file(str(path), _pipeline(content)))
    except Exception as error:  # noqa: BLE001 - it is what is looked for
        said = f"{place(error)}\n{traceback.format_exc(limit=-6)}"
    spent = time.process_time() - start
    return said or (f"it takes {spent:.1f} s" if spent > LIMIT else "")


def _pipeline(content: bytes) -> str | None:
    return "flow" if b"def flow(" in content else None


def place(error: Exception) -> str:
    """Return the line that raised, by which faults of one cause are told from others."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name} ({frame.filename.rpartition('/')[2]})"


def _compiled(compilation: Compilation) -> str:
    for form in FORMATS:
        render(compilation.diagnostics, compilation.sources, form, colour=False).encode()
    for item in compilation.diagnostics:
        if not item.message or (item.severity is Severity.ERROR and not item.help):
            return f"the diagnostic {item.id} does not say what to do"
    failed = any(item.severity is Severity.ERROR for item in compilation.diagnostics)
    if compilation.program is None:
        return "" if failed else "refused without an error"
    for name, options in TARGETS.items():
        said = _emitted(targets.load(name), compilation, {**options, "compiler": "0"})
        if said:
            return f"{name}: {said}"
    return ""


def _emitted(target: Target, compilation: Compilation, options: Mapping[str, object]) -> str:
    program = compilation.program
    assert program is not None
    found = target_checks.check(target, program, options)
    for form in FORMATS:
        render(found, compilation.sources, form, colour=False).encode()
    if any(item.severity is Severity.ERROR for item in found):
        return ""
    for path, text in target.emit(program, {**options, "project": ".."}).items():
        text.encode()
        load(path, text)
    return ""


def load(path: str, text: str) -> None:
    """Read a file as whoever gets it does. Raises what that raises."""
    if path.endswith(".py"):
        ast.parse(text)
    elif path.endswith(".json"):
        json.loads(text)
    else:
        list(yaml.load_all(text, Loader=yaml.CSafeLoader))
