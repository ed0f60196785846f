"""`levada build`, `levada image` and the lock in `levada compile`, as processes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from levada_backends.images.layers import LayerCache

from tests.cli.schemas import valid
from tests.images import parts
from tests.images.wheelhouse import SETTINGS

SOURCE = """
from levada import pipeline, step
from helpers import scale


@step
def one(number: int) -> int:
    return scale(number)


@step
def two() -> int:
    return 2


@pipeline
def flow():
    return one(two())
"""
HELPERS = """
import beta

FACTOR = 3


def scale(number: int) -> int:
    return number * FACTOR * beta.ONE
"""
PYPROJECT = """
[project]
name = "case"
version = "1"
dependencies = {dependencies}

[tool.levada.images]
base = "{base}"
python = "{python}"
"""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass
class Folder:
    """A project whose packages are in a folder, and the command line in it."""

    path: Path
    base: str
    index: Path
    variables: dict[str, str] = field(default_factory=dict)

    def settings(self, dependencies: str = '["beta"]', **changed: str) -> None:
        filled = {"base": self.base, "python": PYTHON, "dependencies": dependencies, **changed}
        text = PYPROJECT.format(**filled) + SETTINGS.format(folder=self.index)
        (self.path / "pyproject.toml").write_text(text)

    def replace(self, file: str, old: str, new: str) -> None:
        text = (self.path / file).read_text()
        assert old in text
        (self.path / file).write_text(text.replace(old, new))

    def levada(
        self, *arguments: str, before: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "levada_cli.main", *arguments],
            cwd=self.path,
            env=os.environ | self.variables,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=before,
        )

    def build(self, *arguments: str) -> dict[str, Any]:
        done = self.levada("build", "pipeline.py", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = valid("build", done.stdout)
        return found

    def compile(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.levada("compile", "pipeline.py", "-t", "ir", "-o", "out", *arguments)


@pytest.fixture
def folder(tmp_path: Path, base: str, index: Path, cache_of_base: LayerCache) -> Folder:
    layers = tmp_path / "cache" / "levada" / "layers"
    shutil.copytree(cache_of_base.folder, layers, copy_function=os.link)
    path = tmp_path / "project"
    path.mkdir()
    variables = {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DOCKER_HOST": parts.NO_ENGINE,
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }
    made = Folder(path, base, index, variables)
    made.settings()
    (path / "pipeline.py").write_text(SOURCE)
    (path / "helpers.py").write_text(HELPERS)
    return made


def changes(document: dict[str, Any]) -> dict[str, list[str]]:
    return {image["name"]: image["changes"] for image in document["images"]}


def test_what_changed_is_built_and_nothing_else(folder: Folder) -> None:
    first = folder.build()
    assert changes(first) == {"flow/one": ["new"], "flow/two": ["new"]}
    assert [each["name"] for each in first["images"][0]["packages"]] == ["beta"]
    again = folder.build()
    assert changes(again) == {"flow/one": [], "flow/two": []}
    assert [each["digest"] for each in again["images"]] == [
        each["digest"] for each in first["images"]
    ]
    folder.replace("helpers.py", "FACTOR = 3", "FACTOR = 4  # now")
    assert changes(folder.build()) == {"flow/one": ["code of `one`"], "flow/two": []}
    assert changes(folder.build("--rebuild"))["flow/two"] == ["asked for"]


def test_what_is_gone_from_this_machine_is_built_again(folder: Folder) -> None:
    digests = [image["digest"] for image in folder.build()["images"]]
    shutil.rmtree(folder.path.parent / "cache" / "levada" / "layers" / "images" / "flow" / "two")
    again = folder.build()
    assert changes(again) == {"flow/one": [], "flow/two": ["not on this machine"]}
    assert [image["digest"] for image in again["images"]] == digests


def test_pipelines_of_a_project_are_built_at_once(folder: Folder) -> None:
    """Each finds its images in the lock afterwards, whoever wrote it last."""
    names = [f"flow{number}" for number in range(4)]
    more = "".join(f"\n\n@pipeline\ndef {name}():\n    return one(two())\n" for name in names)
    (folder.path / "pipeline.py").write_text(SOURCE + more)
    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(lambda name: folder.levada("build", f"pipeline.py:{name}"), names))
    assert [done.returncode for done in built] == [0] * 4, built
    for name in names:
        again = folder.levada("build", f"pipeline.py:{name}")
        assert again.stderr == "unchanged levada.lock\n"


def test_the_plan_is_a_table(folder: Folder) -> None:
    done = folder.levada("build", "pipeline.py", "--dry-run")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["STEP", "IMAGE", "CHANGED", "REUSED", "PACKAGES"],
        ["two", "flow/two", "new", "base", "none"],
        ["one", "flow/one", "new", "base", "1,", "0", "bytes"],
    ] or done.stdout.count("flow/") == 2
    assert not (folder.path / "levada.lock").exists()
    folder.build()
    said = folder.levada("build", "pipeline.py"), folder.levada("build", "pipeline.py")
    assert said[0].stdout == said[1].stdout
    assert said[0].stderr == said[1].stderr == "unchanged levada.lock\n"


def test_compiled_files_name_images_by_digest(folder: Folder) -> None:
    digests = {image["name"]: image["digest"] for image in folder.build()["images"]}
    assert folder.compile().returncode == 0
    compiled = folder.path / "out" / "flow.ir.json"
    assert "@sha256" not in compiled.read_text()  # nobody else can reach them
    for name, digest in digests.items():
        lock = (folder.path / "levada.lock").read_text()
        before, named, rest = lock.partition(f'name = "{name}"\nreference = ""')
        assert named
        pushed = f'name = "{name}"\nreference = "registry.example/{name}@{digest}"'
        (folder.path / "levada.lock").write_text(before + pushed + rest)
    assert folder.compile().returncode == 0
    for name, digest in digests.items():
        assert f"registry.example/{name}@{digest}" in compiled.read_text()
    assert folder.compile("--check").returncode == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("helpers.py", "FACTOR = 3", "FACTOR = 4"), "`one` in levada.lock is stale: its code"),
        (("pipeline.py", "return 2", "return 3"), "`two` in levada.lock is stale: its code"),
        (("pyproject.toml", '["beta"]', '["beta", "delta"]'), "the requirements have changed"),
        (("pyproject.toml", "oci:", "oci:/other"), "its base has changed"),
        (("pyproject.toml", "base =", 'apt = ["curl"]\nbase ='), "`[tool.levada.images]` has"),
        (("pipeline.py", "one(two())", "one(two()), three()"), "`three` in levada.lock is stale"),
    ],
)
def test_a_stale_lock_is_an_error_that_names_the_step(
    change: tuple[str, str, str], reason: str, folder: Folder
) -> None:
    three = "\n\n@step\ndef three() -> int:\n    return 3\n\n\n@pipeline"
    folder.replace("pipeline.py", "\n\n@pipeline", three)
    folder.build()
    assert folder.compile().returncode == 0
    folder.replace(*change)
    for arguments in ((), ("--check",)):
        done = folder.compile(*arguments)
        assert done.returncode == 1
        assert "error[stale-lock]" in done.stderr
        assert reason in done.stderr
        assert "run `levada build pipeline.py`" in done.stderr


def test_a_comment_changes_nothing(folder: Folder) -> None:
    folder.build()
    folder.replace("helpers.py", "FACTOR = 3", "# more\nFACTOR = 3")
    assert folder.compile().returncode == 0
    assert changes(folder.build()) == {"flow/one": [], "flow/two": []}


def test_why_something_is_in_an_image(folder: Folder) -> None:
    folder.build()
    done = folder.levada("image", "one", "beta", "helpers.py")
    assert done.stdout.splitlines() == [
        "beta",
        "  `import beta` in helpers.py:2",
        "  used by `scale` (helpers.py:7)",
        "  used by `one` (pipeline.py:7)",
        "",
        "helpers.py (96 bytes)",
        "  `scale` (helpers.py:7) and 2 more of its statements",
        "  used by `one` (pipeline.py:7)",
    ]
    document = valid("image", folder.levada("image", "one", "--json").stdout)
    assert {"beta", "helpers.py"} <= {item["name"] for item in document["items"]}
    listed = folder.levada("image", "one").stdout
    assert "one runs in flow/one" in listed
    missing = folder.levada("image", "two", "beta")
    assert missing.returncode == 1
    assert "`beta` is not in the image because of `two`" in missing.stderr
    unknown = folder.levada("image", "tow", "--file", "pipeline.py")
    assert unknown.returncode == 2
    assert "`flow` has no step `tow`; did you mean `two`?" in unknown.stderr


def test_contexts_to_commit(folder: Folder) -> None:
    folder.settings(base="registry.example/python:3")
    assert folder.levada("build", "pipeline.py", "--dockerfile", "images").returncode == 0
    context = folder.path / "images" / "flow" / "one"
    assert "FROM registry.example/python:3" in (context / "Dockerfile").read_text()
    assert (context / "project" / "helpers.py").is_file()
    folder.replace("pipeline.py", "from helpers import scale", "scale = int")
    assert folder.levada("build", "pipeline.py", "--dockerfile", "images").returncode == 0
    assert not list((folder.path / "images").rglob("helpers.py"))


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["--builder", "nix"], {}, "there is no builder `nix`"),
        (["--platform", "plan9/mips"], {}, "there are no images for the platform `plan9/mips`"),
        ([], {"python": "3"}, "is not a minor version such as `3.11`"),
        ([], {"python": '3.11"\nbse = "x'}, "has no setting `bse`\nhelp: did you mean `base`?"),
        ([], {"base": "oci:nowhere.tar"}, "there is no base image"),
        ([], {"base": "127.0.0.1:9/python"}, "127.0.0.1:9"),
        ([], {"dependencies": '["bata"]'}, "no index has `bata`"),
        ([], {"dependencies": '["beta<1"]'}, "no versions fit together"),
        ([], {"dependencies": '["beta >>> 3"]'}, "`beta >>> 3` is no requirement: Expected"),
        ([], {"dependencies": "[3]"}, "project.dependencies in pyproject.toml has to be a list"),
        ([], {"dependencies": '"beta"'}, "project.dependencies in pyproject.toml has to be a list"),
        ([], {"dependencies": '["beta @ file:///nowhere/b-1-py3-none-any.whl"]'}, "nowhere"),
        (["--push", "127.0.0.1:9/team"], {}, "127.0.0.1:9"),
    ],
)
def test_bad_input(
    arguments: list[str], settings: dict[str, str], message: str, folder: Folder
) -> None:
    folder.settings(**settings)
    done = folder.levada("build", "pipeline.py", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder.path / "levada.lock").exists()


def test_an_import_that_nothing_provides(folder: Folder) -> None:
    folder.replace("helpers.py", "beta", "beat")
    done = folder.levada("build", "pipeline.py")
    assert done.returncode == 1
    assert "error[import-not-required]" in done.stderr
    assert "helpers.py:2:8" in done.stderr
    assert "did you mean `beta` (of `beta`)?" in done.stderr


def test_a_requirement_of_a_step_that_is_none(folder: Folder) -> None:
    folder.replace("pipeline.py", "@step\ndef two", '@step(requirements=["beta =>"])\ndef two')
    done = folder.levada("build", "pipeline.py")
    assert done.returncode == 1
    assert "the requirements of `two` cannot be locked: `beta =>` is no requirement" in done.stderr
    assert "pipeline.py:11:7" in done.stderr


def test_an_index_that_cannot_be_reached(folder: Folder) -> None:
    settings = (folder.path / "pyproject.toml").read_text().partition("[tool.uv]")[0]
    index = '[[tool.uv.index]]\nurl = "http://127.0.0.1:9/simple"\ndefault = true\n'
    (folder.path / "pyproject.toml").write_text(settings + index)
    folder.variables |= {"UV_HTTP_RETRIES": "0", "UV_NO_CACHE": "1"}
    done = folder.levada("build", "pipeline.py")
    assert done.returncode == 1
    assert "the package index cannot be reached: http://127.0.0.1:9/simple/beta" in done.stderr


def test_a_full_disk(folder: Folder) -> None:
    folder.build()  # so that the base has been read

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    folder.replace("helpers.py", "FACTOR = 3", "FACTOR = 4")
    before = (folder.path / "levada.lock").read_text()
    done = folder.levada("build", "pipeline.py", before=limit)
    assert done.returncode in (1, 2)
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder.path / "levada.lock").read_text() == before
    assert changes(folder.build()) == {"flow/one": ["code of `one`"], "flow/two": []}


def test_a_damaged_wheel_in_the_cache_is_fetched_again(folder: Folder) -> None:
    digests = [image["digest"] for image in folder.build()["images"]]
    cache = folder.path.parent / "cache" / "levada"
    shutil.rmtree(cache / "layers" / "layers")
    wheels = list((cache / "wheels").rglob("*.whl"))
    assert wheels
    for wheel in wheels:
        wheel.write_bytes(wheel.read_bytes()[:100])
    assert [image["digest"] for image in folder.build("--rebuild")["images"]] == digests


def test_an_interrupt_ends_at_once_and_the_next_build_goes_on(folder: Folder) -> None:
    """Even where a registry says nothing, and a thread waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "levada_cli.main", "build", "pipeline.py"]
        process = subprocess.Popen(
            [*command, "--push", address],
            cwd=folder.path,
            env=os.environ | folder.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # What a shell starts in the background ignores it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert said == "interrupted; what is finished is kept, the same command goes on from it\n"
    assert not (folder.path / "levada.lock").exists()
    # Of the image that was to be pushed all is there; the other one may not have got so far.
    images = folder.build()["images"]
    assert any(all(layer["reused"] for layer in image["layers"]) for image in images)
