"""The packages that a project takes from folders; see the cases in ``local_packages.md``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from levada import project
from levada.project import Project

PAGE = Path(__file__).with_name("local_packages.md").read_text()
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def lines(section: str, kind: str) -> list[str]:
    return re.findall(rf"^{kind}: (.*)$", BLOCK.sub("", section), re.MULTILINE)


def made(section: str, root: Path) -> Project:
    texts = dict(BLOCK.findall(section))
    names = [name for line in lines(section, "files") for name in line.split()]
    for name, text in {**dict.fromkeys(names, ""), **texts}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{root}", str(root)))
    return project.find(str(root / "jobs" / "flow.py"))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_case(section: str, tmp_path: Path) -> None:
    found = made(section, tmp_path)
    for line in lines(section, "finds"):
        name, _, file = line.partition(" -> ")
        path = found.locate(name)
        is_module = path is not None and path.endswith(".py")
        assert (os.path.relpath(path or "", tmp_path) if is_module else "nothing") == file, name
    for line in lines(section, "search"):
        used = [found.relative(folder) for folder in found.used_search if Path(folder).is_dir()]
        assert " ".join(used) == line
    packages = found.packages
    assert packages is not None
    missing = {name: os.path.relpath(path, tmp_path) for name, path in packages.missing.items()}
    assert [f"{name} = {path}" for name, path in missing.items()] == lines(section, "missing")


def test_a_run_finds_the_same_modules_by_the_folders_that_were_used(tmp_path: Path) -> None:
    """What the plan carries is relative to the project, wherever that is."""
    section = next(each for each in SECTIONS if each.startswith("A path dependency, and"))
    found = made(section, tmp_path / "here")
    paths = [found.locate(name) for name in ("bq", "core")]
    search = [found.relative(folder) for folder in found.used_search]
    (tmp_path / "here").rename(tmp_path / "there")
    root = tmp_path / "there" / "jobs"
    moved = Project(str(root), [os.path.normpath(root / folder) for folder in search])
    for name, path in zip(("bq", "core"), paths, strict=True):
        assert path is not None
        place = moved.locate(name)
        assert place == path.replace("/here/", "/there/")
        assert moved.module_name(place) == name
        assert moved.relative(place) == found.relative(path)
