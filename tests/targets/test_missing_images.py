"""Steps without an image are one error, that shows all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from levada_compiler import targets
from levada_compiler.compilation import compile_file
from levada_compiler.target_checks import check

STEP = "@step\ndef step_{n}(size: int) -> int: ...\n"
OPTIONS = {
    "airflow": {"executor": "kubernetes", "store": "s3://bucket"},
    "kubeflow": {},
    "kubernetes": {},
}


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("name", OPTIONS)
def test_they_are_one_error(name: str, count: int, tmp_path: Path) -> None:
    steps = "".join(STEP.format(n=n) for n in range(count))
    calls = "".join(f"    x = step_{n}(x)\n" for n in range(count))
    text = f"from levada import pipeline, step\n{steps}@pipeline\ndef flow(x: int = 1):\n{calls}"
    (tmp_path / "flow.py").write_text(f"{text}    return x\n")
    program = compile_file(str(tmp_path / "flow.py")).program
    assert program is not None
    (found,) = check(targets.load(name), program, {"compiler": "0.1.0", **OPTIONS[name]})
    assert found.message == (
        f"{count} steps have no image to run in" if count > 1 else "`step_0` has no image to run in"
    )
    lines = [span.line for span in (found.span, *(label.span for label in found.labels))]
    assert lines == [3 + 2 * n for n in range(count)]
