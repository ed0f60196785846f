"""The cases: a pipeline module in `cases/`, beside it in `goldens/` the file that it must give.

A case may have options of the target, in a `.toml` file beside the module.

`python -m tests.targets.kubeflow.emission` writes the goldens anew; read the difference before you
commit it.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from levada_backends.kubeflow import TARGET
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.target_checks import check

FOLDER = Path(__file__).parent
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.py"))
OPTIONS = {
    "compiler": "0.1.0",
    "image": "registry.example.com/team/steps:1",
    "claim": "levada-store",
}


def golden(case: str) -> Path:
    """The file that a case must give."""
    return FOLDER / "goldens" / f"{case}.yaml"


def emit(case: str) -> str:
    """The file that a case gives."""
    own = FOLDER / "cases" / f"{case}.toml"
    options = tomllib.loads(own.read_text()) if own.exists() else {}
    return emit_file(FOLDER / "cases" / f"{case}.py", case, options)


def emit_file(
    path: Path, pipeline: str | None = None, options: dict[str, object] | None = None
) -> str:
    """The file of the pipeline in a module; ``options`` are beside the usual ones."""
    given = OPTIONS | (options or {})
    compilation = compile_file(path, pipeline)
    assert compilation.program is not None, compilation.diagnostics
    found = check(TARGET, compilation.program, given)
    assert not [one for one in found if one.severity is Severity.ERROR], found
    (text,) = TARGET.emit(compilation.program, given).values()
    return text


if __name__ == "__main__":
    for name in CASES:
        golden(name).write_text(emit(name))
