"""The cases: a pipeline module in `cases/`, and in `goldens/` the files that it must give.

A case may have options of the target, in a `.toml` file beside the module.

`python -m tests.targets.airflow.emission` writes the goldens anew; read the difference before you
commit it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from levada_backends.airflow import TARGET
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.target_checks import check

FOLDER = Path(__file__).parent
GOLDENS = FOLDER / "goldens"
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.py"))
OPTIONS: dict[str, Any] = {"compiler": "0.1.0"}


def golden(case: str) -> Path:
    """The DAG file that a case must give."""
    return GOLDENS / f"{case}.py"


def emit(case: str) -> dict[str, str]:
    """The files that a case gives: the DAG file, and the module that it may import."""
    return emit_files(FOLDER / "cases" / f"{case}.py", case, options(case))


def options(case: str) -> dict[str, Any]:
    """The options of a case."""
    own = FOLDER / "cases" / f"{case}.toml"
    return OPTIONS | (tomllib.loads(own.read_text()) if own.exists() else {})


def emit_file(path: Path, pipeline: str | None = None, options: dict[str, Any] = OPTIONS) -> str:
    """The DAG file of the pipeline in a module."""
    *_, text = emit_files(path, pipeline, options).values()
    return text


def emit_files(path: Path, pipeline: str | None, options: dict[str, Any]) -> dict[str, str]:
    """The DAG file of the pipeline in a module, after what it imports."""
    compilation = compile_file(path, pipeline)
    assert compilation.program is not None, compilation.diagnostics
    found = check(TARGET, compilation.program, options)
    assert not [one for one in found if one.severity is Severity.ERROR], found
    return TARGET.emit(compilation.program, options)


if __name__ == "__main__":
    for old in GOLDENS.glob("*.py"):
        old.unlink()
    for name in CASES:
        for file, text in emit(name).items():
            (GOLDENS / file).write_text(text)
