"""What is in the image of each step, told from the files in the wheels; see `cases/plans.md`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from levada import project
from levada_backends.images import lock, requirements, settings, uv
from levada_backends.images.image import ImageError
from levada_backends.images.plan import Plan, Planner
from levada_compiler.compilation import compile_file

from tests.images.wheelhouse import SETTINGS

SECTIONS = re.split(
    r"^## ", (Path(__file__).parent / "cases" / "plans.md").read_text(), flags=re.M
)[1:]
PYTHON = '\n[tool.levada.images]\npython = "3.11"\nplatform = "linux/amd64"\n'


def plan(folder: Path, known: lock.Lock | None = None) -> Plan:
    path = str(folder / "pipeline.py")
    program = compile_file(path).program
    assert program is not None
    found = project.find(path)
    return Planner(program, found, settings.read(found), known or lock.Lock()).plan()


def write(folder: Path, index: Path, project_table: str, source: str) -> None:
    head = '[project]\nname = "case"\nversion = "1"\n'
    text = f"{head}{project_table}{SETTINGS.format(folder=index)}{PYTHON}"
    (folder / "pyproject.toml").write_text(text)
    (folder / "pipeline.py").write_text(source)


def lines(section: str, kind: str) -> list[str]:
    return re.findall(rf"^{kind}: (.*)$", section, re.M)


def entries(section: str, kind: str) -> dict[str, list[str]]:
    pairs = [entry.partition("=") for line in lines(section, kind) for entry in line.split(";")]
    return {
        step.strip(): [name.strip() for name in names.split(",") if name.strip()]
        for step, _, names in pairs
    }


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_plans(section: str, tmp_path: Path, index: Path) -> None:
    blocks = dict(re.findall(r"^```(\w+).*?\n(.*?)^```$", section, re.M | re.S))
    write(tmp_path, index, blocks["toml"], blocks["python"])
    refused = lines(section, "refused")
    if refused:
        with pytest.raises(ImageError, match=re.escape(refused[0])):
            plan(tmp_path)
        return
    found = plan(tmp_path)
    said = [
        f"{each.id} {each.span.line}:{each.span.column}: {each.help}" for each in found.diagnostics
    ]
    assert said == lines(section, "error")
    check(found, section)


def check(found: Plan, section: str) -> None:
    functions = {key.partition(":")[2]: needs for key, needs in found.needs.items()}
    for step, names in entries(section, "packages").items():
        assert [each.name for each in functions[step].packages] == names, step
    for step, names in entries(section, "versions").items():
        assert [f"{each.name} {each.version}" for each in functions[step].packages] == names
    for step, names in entries(section, "values").items():
        assert [name.partition(":")[2] for name in functions[step].values] == names
    for line in lines(section, "images"):
        groups = [
            " ".join(key.partition(":")[2] for key in image.spec.steps) for image in found.images
        ]
        assert sorted(groups) == sorted(each.strip() for each in line.split("|"))


# ---------------------------------------------------------------------------- planned again

SOURCE = """
from levada import pipeline, step
import beta

LIMIT = 3


@step
def one() -> int:
    return beta.ONE + LIMIT


@step
def two() -> int:
    return 2  # a comment


@pipeline
def flow():
    return one(), two()
"""


def locked(found: Plan) -> lock.Lock:
    """The lock after all images of a plan were built."""
    images = [
        lock.LockedImage(
            "pipeline.py", "flow", image.spec.name, image.inputs, image.resolution, "", "", 0
        )
        for image in found.images
    ]
    return found.lock.with_pipeline("pipeline.py", "flow", "linux/amd64", images)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ("", "", {}),
        ("# a comment", "# another one", {}),
        ("LIMIT = 3", "LIMIT = 4", {"flow/one": ("code of `one`",)}),
        ("return 2 ", "return 3 ", {"flow/two": ("code of `two`",)}),
        (
            "return 2 ",
            "import delta; return 2 ",
            {"flow/two": ("code of `two`", "+ delta 1.0")},
        ),
    ],
)
def test_a_change_reaches_only_the_images_that_it_concerns(
    before: str, after: str, changes: dict[str, tuple[str, ...]], tmp_path: Path, index: Path
) -> None:
    write(tmp_path, index, 'dependencies = ["beta", "gamma[fast]"]\n', SOURCE)
    known = locked(plan(tmp_path))
    write(
        tmp_path,
        index,
        'dependencies = ["beta", "gamma[fast]"]\n',
        SOURCE.replace(before, after),
    )
    again = plan(tmp_path, known)
    assert {each.spec.name: each.changes for each in again.images if each.changes} == changes


def test_a_new_dependency_leaves_the_versions_of_others(tmp_path: Path, index: Path) -> None:
    write(tmp_path, index, 'dependencies = ["beta<2"]\n', SOURCE)
    known = locked(plan(tmp_path))
    write(tmp_path, index, 'dependencies = ["beta", "delta"]\n', SOURCE)
    again = plan(tmp_path, known)
    assert [each.changes for each in again.images] == [(), ()]
    versions = {each.name: each.version for each in again.lock.resolutions[-1].packages}
    assert (
        versions["beta"] == "1.0"
        or {each.name: each.version for each in again.lock.resolutions[0].packages}["beta"] == "1.0"
    )


def test_a_lock_is_read_as_it_was_written(tmp_path: Path, index: Path) -> None:
    write(tmp_path, index, 'dependencies = ["beta"]\n', SOURCE)
    known = locked(plan(tmp_path))
    assert lock.write(tmp_path, known)
    assert not lock.write(tmp_path, known)
    assert lock.read(tmp_path) == known
    assert str(tmp_path) not in (tmp_path / lock.FILE).read_text().replace(str(index), "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("version = 9\n", "has version 9, which this Levada cannot read"),
        ("<<<<<<< HEAD\nversion = 1\n", "it has a merge conflict"),
        ("version = 1\n[[image]]\n", "cannot be read"),
    ],
)
def test_a_lock_that_cannot_be_read(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / lock.FILE).write_text(text)
    with pytest.raises(ImageError, match=reason):
        lock.read(tmp_path)


def test_rule_pages() -> None:
    """Every diagnostic of the planner has a page."""
    from levada_compiler import rule_pages

    package = Path(lock.__file__).parent
    source = "".join(path.read_text() for path in package.glob("*.py"))
    pages = {path.stem for path in (package / "rules").glob("*.md")}
    assert pages == {
        "computed-import",
        "import-not-required",
        "package-differs",
        "requirements-not-locked",
        "stale-lock",
    }
    for page in pages:
        assert f'"{page}"' in source
        assert rule_pages.find(page)


def test_no_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="needs `uv`") as raised:
        uv.find()
    assert raised.value.way_out == "install it: pip install levada"


@pytest.mark.parametrize(
    ("files", "settings_table", "expected"),
    [
        (
            {"requirements.txt": "beta<2  # old\n-r more.txt\n", "more.txt": "delta\n"},
            "",
            {"beta": "1.0", "delta": "1.0"},
        ),
        ({"needs/all.txt": "gamma\n"}, 'requirements = "needs/all.txt"', {"gamma": "1.0"}),
        (
            {"needs/all.txt": "gamma\n-c at.txt\n", "needs/at.txt": "gamma==1.0\n"},
            'requirements = "needs/all.txt"',
            {"gamma": "1.0"},
        ),
        # The project itself needs no wheel: a step has what it reaches of it.
        (
            {"setup.cfg": "[options]\npy_modules = []\n", "requirements.txt": "-e .\ngamma\n"},
            "",
            {"gamma": "1.0"},
        ),
    ],
)
def test_requirements_files(
    files: dict[str, str],
    settings_table: str,
    expected: dict[str, str],
    tmp_path: Path,
    index: Path,
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    write(tmp_path, index, "", SOURCE)
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write(settings_table)
    found = requirements.sources(
        tmp_path, settings.read(project.find(str(tmp_path / "pipeline.py")))
    )
    packages = {each.name: each.version for each in requirements.lock(found, ())}
    assert packages == expected
    before = requirements.declared(found, ()).digest
    last = tmp_path / list(files)[-1]
    last.write_text(last.read_text() + "omega\n")
    assert requirements.declared(found, ()).digest != before


def test_what_the_settings_leave_open_stays_as_it_was_locked(tmp_path: Path, index: Path) -> None:
    """So that a pipeline compiles to the same under another Python, on another machine."""

    def read(name: str, table: str, platform: str = "") -> tuple[str, str, str]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "pyproject.toml").write_text(f"[tool.levada.images]\n{table}")
        found = project.find(str(folder / "pipeline.py"))
        got = settings.read(found, platform, before)
        return got.python, got.platform, got.base

    write(tmp_path, index, 'dependencies = ["beta"]', SOURCE)
    image = locked(plan(tmp_path)).images[0]
    before = [replace(image, inputs=replace(image.inputs, python="3.14", platform="linux/arm64"))]
    base = "docker.io/library/python"
    assert read("open", "") == ("3.14", "linux/arm64", f"{base}:3.14-slim")
    assert read("asked", "", "linux/amd64") == ("3.14", "linux/amd64", f"{base}:3.14-slim")
    assert read("said", 'python = "3.12"\n') == ("3.12", "linux/arm64", f"{base}:3.12-slim")


def test_groups_and_extras(tmp_path: Path, index: Path) -> None:
    table = """
[project.optional-dependencies]
fast = ["gamma"]

[dependency-groups]
base = ["delta"]
all = ["beta<2", {include-group = "base"}]
"""
    write(tmp_path, index, table, SOURCE)
    with (tmp_path / "pyproject.toml").open("a") as file:
        file.write('groups = ["all"]\nextras = ["fast"]\n')
    read = settings.read(project.find(str(tmp_path / "pipeline.py")))
    found = requirements.sources(tmp_path, read)
    texts = requirements.declared(found, ()).requirements
    assert texts == ("beta<2", "delta", "gamma")
    versions = {each.name: each.version for each in requirements.lock(found, ())}
    assert versions == {"beta": "1.0", "delta": "1.0", "gamma": "1.0"}
