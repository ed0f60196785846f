"""What is in an image of packages in folders, of installed ones, and of those from a repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from levada import project
from levada_backends.images import layout, lock, repository_wheel, settings, wheels
from levada_backends.images.dockerfile import write_context
from levada_backends.images.image import ImageError
from levada_backends.images.plan import Plan, Planner
from levada_compiler.compilation import compile_file

from tests.images.index import MAKER
from tests.images.wheelhouse import SETTINGS, wheel

SITE = ".venv/lib/python3.11/site-packages"
STEPS = """
from dataclasses import dataclass

from levada import step


@dataclass
class Report:
    size: int


@step
def query(sql: str) -> Report:
    return Report(len(sql))
"""
FILES = {
    "lib/bq/pyproject.toml": '[project]\nname = "bq"\nversion = "1"\ndependencies = ["beta"]\n',
    "lib/bq/src/bq.py": """
import beta
import gamma
from levada import step

FACTOR = 2


@step
def twice(number: int) -> int:
    return number * FACTOR * beta.ONE


def unused():
    return gamma.ONE


def plain(number):
    return number + 1
""",
    "jobs/pipeline.py": """
from acme.steps import query
from bq import plain, twice
from delta import one
from levada import pipeline, step

plus = step(plain)
unit = step(one)


@step
def last(report) -> int:
    return report.size


@pipeline
def flow(sql: str = "select"):
    report = query(sql)
    return twice(report.size), plus(report.size), unit(), last(report)
""",
}
PYPROJECT = """
[project]
name = "jobs"
version = "1"
dependencies = ["acme-steps", "bq", "delta"]

[tool.levada.images]
python = "3.11"
platform = "linux/amd64"
"""
SOURCES = '\n[tool.uv.sources]\nbq = { path = "../lib/bq" }\n'


class Jobs:
    """A project with a package beside it, an index, and what is installed in its environment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = path / "index"
        for version in ("1.0", "2.0"):
            wheel(self.index, "acme-steps", version, {"acme/steps.py": STEPS}, ["beta"])
        wheel(self.index, "beta", "1.0", {"beta.py": "ONE = 1\n"})
        wheel(self.index, "delta", "1.0", {"delta.py": "def one():\n    return 1\n"})
        for name, text in FILES.items():
            self.write(name, text)
        self.install("acme_steps-1.0")
        self.install("delta-1.0")
        self.require()

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def require(self, acme: str = "acme-steps==1.0", more: str = "", sources: str = "") -> None:
        text = PYPROJECT.replace("acme-steps", acme).replace('"delta"', f'"delta"{more}')
        text += SETTINGS.format(folder=self.index) + SOURCES + sources
        self.write("jobs/pyproject.toml", text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def install(self, stem: str) -> None:
        with zipfile.ZipFile(self.index / f"{stem}-py3-none-any.whl") as archive:
            archive.extractall(self.path / "jobs" / SITE)

    def plan(self, known: lock.Lock | None = None) -> Plan:
        path = str(self.path / "jobs" / "pipeline.py")
        compiled = compile_file(path)
        assert compiled.program is not None, compiled.diagnostics
        found = project.find(path)
        return Planner(compiled.program, found, settings.read(found), known or lock.Lock()).plan()


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Jobs(tmp_path)


def test_levada_itself_is_not_locked(jobs: Jobs) -> None:
    """Images have it, and no index need have it, whoever requires it."""
    before = jobs.plan()
    wheel(jobs.index, "acme-steps", "1.0", {"acme/steps.py": STEPS}, ["beta", "levada>=9"])
    jobs.replace("jobs/pyproject.toml", '"bq"', '"bq", "Levada[s3]>=0.1,<99"')
    plan = jobs.plan()
    assert plan.diagnostics == ()
    assert packages(plan) == packages(before)
    assert [each.digest for each in plan.lock.resolutions] == [
        each.digest for each in before.lock.resolutions
    ]


def packages(plan: Plan) -> dict[str, list[str]]:
    return {
        key: [f"{each.name} {each.version}" for each in needs.packages]
        for key, needs in plan.needs.items()
    }


def test_folders_are_sliced_and_wheels_are_required(jobs: Jobs) -> None:
    plan = jobs.plan()
    assert plan.diagnostics == ()
    assert packages(plan) == {
        "acme.steps:query": ["acme-steps 1.0", "beta 1.0"],
        "bq:twice": ["beta 1.0"],
        "pipeline:last": ["acme-steps 1.0", "beta 1.0"],
        "pipeline:plus": [],
        "pipeline:unit": ["delta 1.0"],
    }
    files = {
        image.spec.name: {
            name: [line for line in text.decode().splitlines() if line.strip()]
            for name, text in image.spec.slice_files.items()
        }
        for image in plan.images
    }
    assert files["flow/twice"] == {
        "lib/bq/src/bq.py": [
            "import beta",
            "from levada import step",
            "FACTOR = 2",
            "@step",
            "def twice(number: int) -> int:",
            "    return number * FACTOR * beta.ONE",
        ]
    }
    assert files["flow/plus"] == {
        "lib/bq/src/bq.py": ["def plain(number):", "    return number + 1"],
        "project/pipeline.py": [
            "from bq import plain",
            "from levada import step",
            "plus = step(plain)",
        ],
    }
    assert {image.spec.project for image in plan.images} == {"/app/project"}
    assert {image.spec.search for image in plan.images} == {(".", "../lib/bq/src")}


def test_the_code_in_an_image_runs_by_the_paths_of_the_plan(jobs: Jobs, tmp_path: Path) -> None:
    spec = next(each.spec for each in jobs.plan().images if each.spec.name == "flow/plus")
    root = tmp_path / "image"
    for name, data in spec.slice_files.items():
        path = root / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    place = {"pipeline": "flow", "run_id": "r", "node": "plus", "paths": list(spec.search)}
    step = {"module": "pipeline", "function": "plus"}
    request = {**place, "step": step, "sources": {"number": "2"}, "params": {}}
    command = [sys.executable, "-m", "levada", json.dumps(request)]
    variables = {"LEVADA_PROJECT": f"{root}{spec.project}", "LEVADA_STORE": str(tmp_path / "store")}
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["return"] == 3


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("lib/bq/src/bq.py", "FACTOR = 2", "FACTOR = 3", {"flow/twice": ("code of `twice`",)}),
        ("lib/bq/src/bq.py", "number + 1", "number + 2", {"flow/plus": ("code of `plus`",)}),
        ("lib/bq/src/bq.py", "gamma.ONE", "gamma.TWO", {}),
        (f"jobs/{SITE}/delta.py", "return 1", "return 2", {"flow/unit": ("code of `unit`",)}),
        (f"jobs/{SITE}/acme/steps.py", "len(sql)", "1", {"flow/query": ("code of `query`",)}),
    ],
)
def test_a_change_of_a_package_reaches_the_images_that_it_concerns(
    file: str, old: str, new: str, changes: dict[str, tuple[str, ...]], jobs: Jobs
) -> None:
    before = jobs.plan()
    images = [
        lock.LockedImage("pipeline.py", "flow", i.spec.name, i.inputs, i.resolution, "", "", 0)
        for i in before.images
    ]
    known = before.lock.with_pipeline("pipeline.py", "flow", "linux/amd64", images)
    jobs.replace(file, old, new)
    found = {image.spec.name: image.changes for image in jobs.plan(known).images if image.changes}
    assert found == changes


def test_what_a_package_in_a_folder_requires_is_locked_again(jobs: Jobs) -> None:
    before = jobs.plan()
    wheel(jobs.index, "gamma", "1.0", {"gamma.py": "ONE = 1\n"})
    jobs.replace("lib/bq/pyproject.toml", '["beta"]', '["beta", "gamma"]')
    jobs.replace("lib/bq/src/bq.py", "beta.ONE", "gamma.ONE")
    assert packages(jobs.plan(before.lock))["bq:twice"] == ["gamma 1.0"]


def test_an_image_never_has_another_version_than_the_step_was_read_from(jobs: Jobs) -> None:
    jobs.require("acme-steps==2.0")
    (found,) = jobs.plan().diagnostics
    assert found.id == "package-differs"
    assert found.message == ("`query` was read from `acme-steps` 1.0, and its image would have 2.0")
    assert found.span.file == "site-packages/acme/steps.py"


def test_a_package_with_steps_that_nothing_requires(jobs: Jobs) -> None:
    jobs.require("beta")
    (found,) = {each.message: each for each in jobs.plan().diagnostics}.values()
    assert found.id == "import-not-required"
    assert found.message == "no requirement provides `acme.steps`, which `query` is in"


# ---------------------------------------------------------------------------- from a repository


def repository(jobs: Jobs) -> str:
    """A package in a repository, built by a backend of the index; returns its commit."""
    wheel(jobs.index, "maker", "1.0", {"maker.py": MAKER})
    build = '[build-system]\nrequires = ["maker"]\nbuild-backend = "maker"\n'
    info = "Metadata-Version: 2.2\nName: vcs_steps\nVersion: 0.1\n"
    jobs.write("vcs/pyproject.toml", build + '[project]\nname = "vcs-steps"\nversion = "0.1"\n')
    jobs.write("vcs/PKG-INFO", info)
    jobs.write("vcs/vcs_steps.py", "from levada import step\n\n\n@step\ndef take() -> int: ...\n")
    return commit(jobs)


def commit(jobs: Jobs) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "more"]):
        subprocess.run(["git", *words], cwd=jobs.path / "vcs", check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=jobs.path / "vcs",
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def locked(jobs: Jobs) -> tuple[Jobs, str]:
    head = repository(jobs)
    jobs.require(
        more=', "vcs-steps"', sources=f'vcs-steps = {{ git = "file://{jobs.path}/vcs" }}\n'
    )
    jobs.write(f"jobs/{SITE}/vcs_steps.py", (jobs.path / "vcs" / "vcs_steps.py").read_text())
    jobs.write(f"jobs/{SITE}/vcs_steps-0.1.dist-info/RECORD", "vcs_steps.py,,\n")
    origin = {"url": f"file://{jobs.path}/vcs", "vcs_info": {"vcs": "git", "commit_id": head}}
    jobs.write(f"jobs/{SITE}/vcs_steps-0.1.dist-info/direct_url.json", json.dumps(origin))
    jobs.replace("jobs/pipeline.py", "from bq", "from vcs_steps import take\nfrom bq")
    jobs.replace("jobs/pipeline.py", "return twice", "return take(), twice")
    return jobs, head


def test_a_package_of_a_repository_is_a_wheel_of_its_commit(locked: tuple[Jobs, str]) -> None:
    jobs, head = locked
    plan = jobs.plan()
    assert plan.diagnostics == ()
    (found,) = plan.needs["vcs_steps:take"].packages
    assert found.url == f"git+file://{jobs.path}/vcs@{head}"
    assert found.filename == "vcs_steps-0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheels.fetch(found)) as archive:
        assert archive.testzip() is None
        assert "vcs_steps.py" in archive.namelist()
    # Elsewhere it is made again, and is the same.
    path = wheels.fetch(found)
    content = path.read_bytes()
    path.unlink()
    assert wheels.fetch(found).read_bytes() == content


def test_another_commit_is_taken_when_it_is_asked_for(locked: tuple[Jobs, str]) -> None:
    jobs, head = locked
    before = jobs.plan()
    jobs.replace("vcs/vcs_steps.py", "...", "return 2")
    after = commit(jobs)
    assert jobs.plan(before.lock).diagnostics == ()
    (found,) = jobs.plan().diagnostics
    assert found.message == (
        f"`take` was read from `vcs-steps` 0.1 {head[:12]}, "
        f"and its image would have 0.1 {after[:12]}"
    )


def test_a_dockerfile_cannot_have_it(locked: tuple[Jobs, str]) -> None:
    jobs, _ = locked
    image = next(each for each in jobs.plan().images if "vcs_steps:take" in each.spec.steps)
    spec = replace(image.spec, base="python:3.11-slim")
    with pytest.raises(ImageError, match="installs from an index, and `vcs-steps` is from git"):
        write_context(spec)


def test_a_repository_whose_package_is_compiled(locked: tuple[Jobs, str]) -> None:
    jobs, _ = locked
    jobs.write("vcs/fast.py", "")
    jobs.replace("vcs/pyproject.toml", "[project]", "[project]\n# compiled")
    maker = MAKER.replace('glob("*.py")}', 'glob("*.py")} | {"fast.abi3.so": ""}')
    wheel(jobs.index, "maker", "1.1", {"maker.py": maker})
    jobs.replace("vcs/pyproject.toml", '"maker"]', '"maker==1.1"]')
    head = commit(jobs)
    url = f"git+file://{jobs.path}/vcs@{head}"
    with pytest.raises(ImageError, match=r"`vcs-steps` has compiled code \(`fast.abi3.so`\)"):
        repository_wheel.make("vcs-steps", url, jobs.path / "jobs")


# ---------------------------------------------------------------------------- where code is


@pytest.mark.parametrize(
    ("names", "folder", "places"),
    [
        ([".", "src", "a.py"], "/app", {"src/a.py": "src/a.py"}),
        (
            [".", "../lib/bq/src"],
            "/app/project",
            {"a.py": "project/a.py", "../lib/bq/src/b.py": "lib/bq/src/b.py"},
        ),
        (["../project/src"], "/app/project_", {"../project/src/a.py": "project/src/a.py"}),
        (["../../x", "../y"], "/app/project/project", {"../../x/a.py": "x/a.py"}),
    ],
)
def test_where_code_is(names: list[str], folder: str, places: dict[str, str]) -> None:
    assert layout.project_folder(names) == folder
    assert {name: layout.place(folder, name) for name in places} == places
