"""A step runs with the folders of the pipeline's file in front of `sys.path`, wherever it lives."""

from __future__ import annotations

import json
from pathlib import Path

from levada import engine, project
from levada_compiler.compilation import compile_file
from levada_compiler.program.plan import plan

FILES = {
    "pyproject.toml": "",
    "flows/nightly.py": """
from levada import pipeline
from steps.counting import count

@pipeline
def nightly(number: int = 1):
    return count(number)
""",
    "flows/beside.py": "def following(number): return number + 1\n",
    "src/steps/__init__.py": "",
    "src/steps/counting.py": """
from beside import following
from levada import step

@step
def count(number: int) -> int:
    return following(number)
""",
}


def test_a_step_of_another_folder_finds_what_is_beside_the_pipeline(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    file = tmp_path / "flows/nightly.py"
    program = compile_file(file).program
    assert program is not None
    assert program.search == ("flows", ".", "src")
    outcome = engine.run(
        plan(program), {}, store=str(tmp_path / "store"), project=project.find(str(file))
    )
    assert json.loads(json.dumps(outcome.as_json()))["outputs"] == 2
