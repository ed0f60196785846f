"""Where a module belongs, and which modules are beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from levada.project import Project, ProjectError, find


def project(root: Path, *files: str, of: str) -> Project:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return find(str(root / of))


def test_the_root_is_the_nearest_folder_with_a_marker(tmp_path: Path) -> None:
    found = project(
        tmp_path, ".git/HEAD", "a/pyproject.toml", "a/b/pipeline.py", of="a/b/pipeline.py"
    )
    assert found.root == str(tmp_path / "a")
    assert found.file == "b/pipeline.py"
    assert found.import_root == str(tmp_path / "a/b")
    assert found.search == tuple(str(tmp_path / name) for name in ("a/b", "a", "a/src"))


def test_a_module_in_a_package_is_imported_from_above_it(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        "pyproject.toml",
        "src/team/__init__.py",
        "src/team/jobs/__init__.py",
        "src/team/jobs/churn.py",
        of="src/team/jobs/churn.py",
    )
    assert found.import_root == str(tmp_path / "src")
    assert found.search == (str(tmp_path / "src"), str(tmp_path))
    assert found.module_name(str(tmp_path / "src/team/jobs/churn.py")) == "team.jobs.churn"
    assert found.module_name(str(tmp_path / "src/team/jobs/__init__.py")) == "team.jobs"
    assert found.relative(str(tmp_path)) == "."


def test_the_import_root_is_not_above_the_project(tmp_path: Path) -> None:
    found = project(
        tmp_path, "__init__.py", "p/__init__.py", "p/pyproject.toml", "p/a.py", of="p/a.py"
    )
    assert (found.root, found.import_root) == (str(tmp_path / "p"), str(tmp_path / "p"))
    assert found.module_name(str(tmp_path / "p/a.py")) == "a"


def test_a_module_has_the_name_by_which_it_can_be_imported(tmp_path: Path) -> None:
    """``lib`` has no ``__init__.py``, and yet its modules are imported as ``lib.…``."""
    found = project(
        tmp_path, "pyproject.toml", "lib/steps.py", "flows/churn.py", of="flows/churn.py"
    )
    steps = str(tmp_path / "lib/steps.py")
    assert found.module_name(steps) == "lib.steps"
    assert found.source_root(steps) == str(tmp_path)
    assert found.locate("lib.steps") == steps
    again = Project(found.root, found.search)
    assert again.module_name(steps) == "lib.steps"


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("pipeline", "flows/pipeline.py"),
        ("both", "flows/both.py"),
        ("package", "package/__init__.py"),
        ("package.module", "package/module.py"),
        ("package.missing", None),
        ("space", "flows/space"),
        ("space.one", "flows/space/one.py"),
        ("space.two", "space/two.py"),
        ("source", "src/source.py"),
        ("data", "data"),
        ("data.x", None),
        ("both.x", None),
        ("os", None),
        ("", None),
        ("a..b", None),
    ],
)
def test_local_modules_are_found_as_python_finds_them(
    dotted: str, expected: str | None, tmp_path: Path
) -> None:
    found = project(
        tmp_path,
        "pyproject.toml",
        "flows/pipeline.py",
        "flows/both.py",
        "both/__init__.py",
        "package/__init__.py",
        "package/module.py",
        "flows/space/one.py",
        "space/two.py",
        "src/source.py",
        "data/x.csv",
        of="flows/pipeline.py",
    )
    assert found.locate(dotted) == (str(tmp_path / expected) if expected else None)


def test_settings_are_the_table_tool_levada(tmp_path: Path) -> None:
    found = project(tmp_path, "pyproject.toml", "pipeline.py", of="pipeline.py")
    assert found.settings == {}
    (tmp_path / "pyproject.toml").write_text('[tool.levada]\nstore = "s3://b"\n')
    assert find(str(tmp_path / "pipeline.py")).settings == {"store": "s3://b"}
    (tmp_path / "pyproject.toml").unlink()
    assert find(str(tmp_path / "pipeline.py")).settings == {}


@pytest.mark.parametrize(
    ("content", "line", "column", "message"),
    [
        (b"[tool.levada]\nstore = \n", 2, 9, "Invalid value"),
        (b"a = 1\n[tool", 2, 0, "Expected"),
        (b"\xff", 0, 0, "not UTF-8"),
        (b"tool.levada = 3\n", 0, 0, "has to be a table"),
    ],
    ids=["value", "end", "bytes", "no table"],
)
def test_broken_settings_are_a_project_error(
    content: bytes, line: int, column: int, message: str, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(ProjectError, match=message) as caught:
        _ = find(str(tmp_path / "pipeline.py")).settings
    assert caught.value.file == str(tmp_path / "pyproject.toml")
    assert (caught.value.line, caught.value.column) == (line, column)


def test_importing_it_loads_nothing_but_os() -> None:
    script = (
        "import sys, os; before = set(sys.modules); import levada.project, levada.code;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {name for name in done.stdout.split() if not name.startswith("levada")}
    assert loaded <= {"__future__"}
