"""Every rule has a page, and the page's examples are true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import levada_cli
import levada_compiler
import pytest
from levada_compiler.compilation import compile_file
from levada_compiler.rule_pages import summary

PACKAGE = Path(levada_compiler.__file__).parent
PAGES = sorted((PACKAGE / "diagnostics" / "rules").glob("*.md"))
#: What is wrong here is not in the module's text alone.
OUTSIDE = {
    "file-not-found",
    "ignored-setting",
    "invalid-option",
    "invalid-program",
    "module-name",
    "nesting-too-deep",
    "notebook-file",
    "project-settings",
    "step-code",
    "undeclared-file",
    "unknown-pipeline",
    "unknown-project-setting",
    "unsupported-construct",
    "unsupported-setting",
}
BLOCK = re.compile(r"^## (Example|Instead)\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def ids_of(source: str, folder: Path) -> set[str]:
    (folder / "pyproject.toml").touch()
    path = folder / "flow.py"
    path.write_text(source)
    return {diagnostic.id for diagnostic in compile_file(str(path)).diagnostics}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_summary_is_a_line_of_whole_sentences(page: Path) -> None:
    assert summary(page.read_text()).endswith(".")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_example_gives_the_rule_and_the_way_out_compiles(page: Path, tmp_path: Path) -> None:
    blocks = dict(BLOCK.findall(page.read_text()))
    if page.stem in OUTSIDE:
        assert not blocks
        return
    assert ids_of(blocks["Example"], tmp_path) == {page.stem}
    assert ids_of(blocks["Instead"], tmp_path) == set()


def reported_rules(package: Path = PACKAGE) -> set[str]:
    """The ids that a package's source names in a report."""
    found: set[str] = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return {text for text in found if re.fullmatch(r"[a-z]+(-[a-z]+)+", text)}


def test_every_page_belongs_to_a_rule() -> None:
    command_line = Path(levada_cli.__file__).parent  # it reports what is wrong with a project
    pages = {page.stem for page in PAGES}
    assert pages <= reported_rules() | reported_rules(command_line)


def test_every_rule_has_a_page() -> None:
    not_rules = {"keyword-only", "positional-only", "utf-8"}
    named = {rule for rule in reported_rules() if _is_reported(rule)} - not_rules
    assert named - {page.stem for page in PAGES} == set()


def _is_reported(rule: str) -> bool:
    call = re.compile(rf'(error|warning|_error|fail|NotConstantError|Unusable)\(\s*"{rule}"')
    return any(call.search(path.read_text()) for path in PACKAGE.rglob("*.py"))
