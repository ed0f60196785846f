"""The cases: a pipeline module in `cases/`, and in `goldens/` the DAG file that it must give.

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
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.py"))
OPTIONS: dict[str, Any] = {"compiler": "0.1.0"}


def golden(case: str) -> Path:
    """The DAG file that a case must give."""
    return FOLDER / "goldens" / f"{case}.py"


def emit(case: str) -> str:
    """The DAG file that a case gives."""
    return emit_file(FOLDER / "cases" / f"{case}.py", case, options(case))


def options(case: str) -> dict[str, Any]:
    """The options of a case."""
    own = FOLDER / "cases" / f"{case}.toml"
    return OPTIONS | (tomllib.loads(own.read_text()) if own.exists() else {})


def emit_file(path: Path, pipeline: str | None = None, options: dict[str, Any] = OPTIONS) -> str:
    """The DAG file of the pipeline in a module."""
    compilation = compile_file(path, pipeline)
    assert compilation.program is not None, compilation.diagnostics
    found = check(TARGET, compilation.program, options)
    assert not [one for one in found if one.severity is Severity.ERROR], found
    (text,) = TARGET.emit(compilation.program, options).values()
    return text


if __name__ == "__main__":
    for name in CASES:
        golden(name).write_text(emit(name))
