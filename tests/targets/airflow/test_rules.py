"""Each diagnostic of the target has a page with an example that gives it, and a way out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import levada_backends.airflow.check as check_module
import pytest
from levada_backends.airflow import TARGET
from levada_compiler.compilation import compile_file

RULES = Path(check_module.__file__).parent / "rules"
IDS = sorted(path.stem for path in RULES.glob("*.md"))
#: A module, and options of the target after it.
PARTS = re.compile(r"```python\n(.*?)```\n(?:\n```toml\n(.*?)```\n)?", re.DOTALL)


def test_every_diagnostic_has_a_page() -> None:
    source = "".join(path.read_text() for path in RULES.parent.glob("check*.py"))
    assert sorted(set(re.findall(r'"(airflow-[a-z-]+)"', source))) == IDS


@pytest.mark.parametrize("rule", IDS)
def test_the_example_gives_it_and_the_way_out_does_not(rule: str, tmp_path: Path) -> None:
    page = (RULES / f"{rule}.md").read_text()
    assert page.startswith(f"# {rule}\n")
    (example, its_options), (instead, options) = PARTS.findall(page)
    assert found(example, its_options, tmp_path) == {rule}
    assert found(instead, options, tmp_path) == set()


def found(source: str, settings: str, folder: Path) -> set[str]:
    """The ids of what the target says of a module that the compiler takes, with options."""
    module = folder / "nightly.py"
    module.write_text(source)
    compilation = compile_file(module)
    assert compilation.program is not None, compilation.diagnostics
    table = tomllib.loads(settings or "[tool.levada.targets.airflow]")
    options = table["tool"]["levada"]["targets"]["airflow"]
    diagnostics = TARGET.check(compilation.program, {"compiler": "0.1.0", **options})
    assert all(one.help for one in diagnostics)
    return {one.id for one in diagnostics}
