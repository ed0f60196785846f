"""Images in a real engine and a real registry: they run, and what is built with Docker too."""

from __future__ import annotations

import io
import json
import os
import ssl
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from levada_backends.images import dockerfile
from levada_backends.images.direct import DirectBuilder
from levada_backends.images.docker_engine import DockerBuilder
from levada_backends.images.image import ImageError, Wheel

from . import parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada_backends.images.image import ImageSpec
    from levada_backends.images.layers import LayerCache

    from ..engines.docker import Docker

pytestmark = pytest.mark.engine
GOLDENS = Path(__file__).parent / "goldens"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty configuration of Docker."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


@pytest.fixture
def direct(docker: Docker, cache: LayerCache) -> Iterator[DirectBuilder]:
    """A direct builder that loads into the engine."""
    builder = DirectBuilder(cache, parts.fetch, docker_host=docker.host)
    yield builder
    builder.close()


@pytest.fixture
def with_docker(docker: Docker, cache: LayerCache) -> Iterator[DockerBuilder]:
    """A builder that uses the engine; its commands have the machine's network."""
    builder = DockerBuilder(cache, parts.fetch, docker_host=docker.host, network="host")
    yield builder
    builder.close()


def run_step(docker: Docker, image: str, store: Path) -> dict[str, object]:
    """Run the step as the strictest host would; give its record."""
    store.mkdir()
    store.chmod(0o777)
    limits = ["--rm", "--read-only", "--network", "none", "--user", "65532", "--cap-drop", "ALL"]
    place = {"pipeline": "hello", "run_id": "r1", "node": "greet", "store": "/store"}
    step = {"module": "pipeline", "function": "greet"}
    request = json.dumps({**place, "step": step, "sources": {"name": "'moon'"}, "params": {}})
    done = docker.run(
        *("run", *limits, "--volume", f"{store}:/store", image, "python", "-m", "levada", request),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["return"] == "hello moon"
    record: dict[str, object] = json.loads((store / answer["record"]).read_text())
    return record


def check_record(record: dict[str, object]) -> None:
    assert record["status"] == "succeeded"
    assert record["environment"]["packages"] == {"greeting": "1.0"}  # type: ignore[index]
    assert record["environment"]["python"].startswith(parts.PYTHON)  # type: ignore[index]
    assert record["code"]["file"] == "pipeline.py"  # type: ignore[index]


# ------------------------------------------------------------------------- built directly


def test_pushed_pulled_and_run(
    docker: Docker, direct: DirectBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    built = direct.build(parts.make_spec(base, greeting), push=f"{docker.registry}/direct")
    assert built.reference == f"{docker.registry}/direct/hello/greet@{built.digest}"
    docker.run("pull", built.reference)
    check_record(run_step(docker, built.reference, tmp_path / "store"))


def test_loaded_and_run(
    docker: Docker, direct: DirectBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    built = direct.build(parts.make_spec(base, greeting))
    check_record(run_step(docker, built.reference, tmp_path / "store"))
    changed = parts.make_spec(base, greeting, pipeline=parts.PIPELINE + b"# more\n")
    again = direct.build(changed)  # only the last layer is sent
    assert again.reference != built.reference
    check_record(run_step(docker, again.reference, tmp_path / "again"))
    assert direct.build(changed).reference == again.reference


def test_scripts_and_settings_of_the_image(
    docker: Docker, direct: DirectBuilder, base: str, greeting: Wheel
) -> None:
    image = direct.build(parts.make_spec(base, greeting)).reference
    strict = ["run", "--rm", "--read-only", "--network", "none", image]
    assert docker.run(*strict, "greet").stdout == "hello you\n"
    assert docker.run(*strict, "greet-script").stdout == "script\n"
    assert "usage: python -m levada" in docker.run(*strict, "levada-step", "--help").stdout
    program = """
import importlib.metadata, os, sys, greeting, levada
print(os.getuid(), os.getcwd(), sys.prefix, greeting.__cached__ in greeting.__spec__.cached)
print(importlib.metadata.version("greeting"), importlib.metadata.files("greeting") is not None)
"""
    said = docker.run(*strict, "python", "-c", program).stdout.splitlines()
    assert said == ["65532 /app /opt/levada True", "1.0 True"]


def test_a_base_from_a_registry(
    docker: Docker, direct: DirectBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    """Its layers are mounted within a registry, and copied to another one."""
    file = base.removeprefix("oci:").partition("@")[0]
    loaded = docker.run("load", "--input", file).stdout.rpartition(": ")[2].strip()
    name = f"{docker.registry}/bases/python:1"
    docker.run("tag", loaded, name)
    docker.run("push", name)
    pinned = direct.pin(name, "linux/amd64")
    assert pinned.startswith(f"{name}@sha256:")
    built = direct.build(parts.make_spec(pinned, greeting), push=f"{docker.registry}/from-registry")
    docker.run("pull", built.reference)
    check_record(run_step(docker, built.reference, tmp_path / "store"))
    config = json.loads(docker.run("inspect", built.reference).stdout)[0]["Config"]
    assert config["Labels"]["org.opencontainers.image.base.name"] == name
    assert config["Labels"]["org.opencontainers.image.base.digest"] == pinned.partition("@")[2]
    other = docker.start_registry()
    elsewhere = direct.build(parts.make_spec(pinned, greeting), push=other)
    assert elsewhere.digest == built.digest
    docker.run("pull", elsewhere.reference)
    with pytest.raises(ImageError, match="there is no image"):
        direct.pin(f"{docker.registry}/bases/nothing:1", "linux/amd64")
    with pytest.raises(ImageError, match=r"is for linux/amd64, not for linux/arm64"):
        direct.pin(name, "linux/arm64")


def test_a_layer_that_was_damaged_on_disk_is_made_again(
    docker: Docker, direct: DirectBuilder, cache: LayerCache, base: str, greeting: Wheel
) -> None:
    spec = parts.make_spec(base, greeting)
    sound = direct.build(spec)
    layer = next(layer for layer in sound.layers if layer.title == "greeting 1.0")
    path = cache.blob(layer.digest)
    assert path is not None
    data = bytearray(path.read_bytes())
    data[100] ^= 0xFF
    path.write_bytes(data)
    built = direct.build(spec, push=f"{docker.registry}/damaged")
    assert built.digest == sound.digest
    docker.run("pull", built.reference)


def test_a_registry_that_wants_a_login(
    docker: Docker, direct: DirectBuilder, base: str, greeting: Wheel
) -> None:
    closed = docker.start_registry(wants_login=True)
    with pytest.raises(ImageError, match="the registry wants a login") as caught:
        direct.build(parts.make_spec(base, greeting), push=closed)
    assert f"docker login {closed}" in caught.value.way_out


# ------------------------------------------------------------------------- built with Docker

BACKEND = b"""
import base64, hashlib, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "compiled-1.0.dist-info"
    files = {
        "compiled.py": b"VALUE = 42\\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\\nName: compiled\\nVersion: 1.0\\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\\n" for name in files).encode()
    with zipfile.ZipFile(f"{folder}/compiled-1.0-py3-none-any.whl", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return "compiled-1.0-py3-none-any.whl"
"""
PROJECT = b"""
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "compiled"
version = "1.0"
"""


@pytest.fixture
def sdist(tmp_path: Path) -> Wheel:
    """A source distribution with a build backend of its own."""
    path = tmp_path / "compiled-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in (("backend.py", BACKEND), ("pyproject.toml", PROJECT)):
            member = tarfile.TarInfo(f"compiled-1.0/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return replace(parts.locked(path), name="compiled", version="1.0")


def test_docker_builds_sources_and_leaves_no_secret(
    docker: Docker,
    with_docker: DockerBuilder,
    base: str,
    greeting: Wheel,
    sdist: Wheel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "hunter2-in-a-url"
    certificate = tmp_path / "company.pem"
    authority = "-----BEGIN CERTIFICATE-----\nVERYSECRETCOMPANYAUTHORITY\n"
    certificate.write_text(authority)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"https://me:{secret}@127.0.0.1:9/simple")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    spec = replace(parts.make_spec(base, greeting), sdists=(sdist,))
    built = with_docker.build(spec, push=f"{docker.registry}/with-docker")
    check_record(run_step(docker, built.reference, tmp_path / "store"))
    program = "import compiled; print(compiled.VALUE)"
    strict = ["run", "--rm", "--read-only", "--network", "none", built.reference]
    assert docker.run(*strict, "python", "-c", program).stdout == "42\n"
    image = saved(docker, built.reference)
    everything = docker.run("images", "--all", "--quiet", "--no-trunc").stdout.split()
    history = docker.run("history", "--no-trunc", built.reference).stdout
    others = "".join(docker.run("inspect", name).stdout for name in everything)
    for word in (secret, "VERYSECRETCOMPANYAUTHORITY"):
        assert word.encode() not in image
        assert word not in history
        assert word not in others
    assert "levada-stage" not in others


def saved(docker: Docker, image: str) -> bytes:
    """Give all that is in an image, its layers' tar files and its configuration."""
    command = ["/usr/bin/docker", "--host", docker.host, "save", image]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_docker_builds_nothing_anew_without_a_change(
    docker: Docker, with_docker: DockerBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    spec = parts.make_spec(base, greeting)
    first = with_docker.build(spec)
    assert with_docker.build(spec).digest == first.digest
    changed = parts.make_spec(base, greeting, pipeline=parts.PIPELINE + b"# more\n")
    second = with_docker.build(changed)
    assert second.digest != first.digest
    check_record(run_step(docker, second.reference, tmp_path / "store"))
    same = [layer for layer in second.layers if layer.digest in {x.digest for x in first.layers}]
    assert len(same) < len(second.layers)


def test_a_base_that_only_the_engine_has(
    docker: Docker, with_docker: DockerBuilder, base: str, greeting: Wheel, tmp_path: Path
) -> None:
    file = base.removeprefix("oci:").partition("@")[0]
    loaded = docker.run("load", "--input", file).stdout.rpartition(": ")[2].strip()
    docker.run("tag", loaded, "only-here:1")
    pinned = with_docker.pin("only-here:1", "linux/amd64")
    assert pinned.startswith("sha256:")
    built = with_docker.build(parts.make_spec(pinned, greeting))
    check_record(run_step(docker, built.reference, tmp_path / "store"))


def test_a_base_without_python(docker: Docker, with_docker: DockerBuilder) -> None:
    command = ["/usr/bin/docker", "--host", docker.host, "import", "-", "no-python:1"]
    subprocess.run(command, input=bytes(10240), check=True, capture_output=True)
    with pytest.raises(ImageError) as caught:
        with_docker.build(parts.make_spec(with_docker.pin("no-python:1", "linux/amd64")))
    assert caught.value.message.endswith(f"has no Python {parts.PYTHON}")


def test_a_registry_that_refuses_docker(
    docker: Docker, with_docker: DockerBuilder, base: str, greeting: Wheel
) -> None:
    closed = docker.start_registry(wants_login=True)
    with pytest.raises(ImageError, match="the engine cannot push") as caught:
        with_docker.build(parts.make_spec(base, greeting), push=closed)
    assert "no basic auth credentials" in caught.value.message


def test_no_engine(cache: LayerCache, base: str) -> None:
    builder = DockerBuilder(cache, parts.fetch, docker_host=parts.NO_ENGINE)
    spec = parts.make_spec(base)
    assert builder.why_not(spec) == f"no Docker engine answers at {parts.NO_ENGINE}"
    with pytest.raises(ImageError, match="no Docker engine answers"):
        builder.build(spec)


# ------------------------------------------------------------------------- Dockerfiles


def committed() -> ImageSpec:
    spec = parts.make_spec(f"python:3.11-slim@sha256:{'0' * 64}")
    return replace(
        spec,
        python="3.11",
        apt=("libgomp1",),
        environment={"COST": '5$ "each" \\ {{ x }}'},
        labels={"dev.levada.steps": "pipeline:greet"},
    )


def test_the_dockerfile_that_is_committed() -> None:
    files = dockerfile.write_context(committed())
    assert files["Dockerfile"].decode() == (GOLDENS / "Dockerfile").read_text()
    assert {"requirements.txt", "sbom.cdx.json", "project/pipeline.py"} <= set(files)
    assert "runtime/levada/__init__.py" in files


@pytest.mark.parametrize(
    "change",
    [
        {"apt": ("curl; rm -rf /",)},
        {"base": "python\nRUN evil"},
        {"labels": {"a": "b\nRUN evil"}},
        {"environment": {"a b": "c"}},
    ],
)
def test_what_a_dockerfile_cannot_say_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ImageError):
        dockerfile.write_context(replace(committed(), **change))  # type: ignore[arg-type]


def test_the_committed_dockerfile_builds_and_runs(
    docker: Docker, base: str, tmp_path: Path
) -> None:
    """By BuildKit, with a real package from the index, whose certificate is a secret."""
    name = parts.with_shell(docker, base, tmp_path / "shell")
    digest = "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"
    pipeline = parts.PIPELINE.replace(b"return greeting", b"return six.ensure_str(greeting")
    pipeline = b"import six\n" + pipeline.replace(b"greet(name)\n\n\n", b"greet(name))\n\n\n", 1)
    spec = replace(
        parts.make_spec(name),
        requirements=f"six==1.17.0 --hash=sha256:{digest}\n",
        environment={"COST": '5$ "each" \\ {{ x }}'},
        slice_files={
            "pipeline.py": pipeline,
            "greeting.py": parts.GREETING["greeting/__init__.py"],
        },
    )
    folder = tmp_path / "context"
    for path, data in dockerfile.write_context(spec).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    certificates = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    secret = ["--secret", f"id=ca.crt,src={certificates}"] if certificates else []
    command = ["/usr/bin/docker", "--host", docker.host, "build", "--network", "host", *secret]
    done = subprocess.run(
        [*command, "--tag", "committed:1", str(folder)],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    record = run_step(docker, "committed:1", tmp_path / "store")
    assert record["environment"]["packages"] == {"six": "1.17.0"}  # type: ignore[index]
    program = "import os; print(os.environ['COST'])"
    said = docker.run("run", "--rm", "committed:1", "python", "-c", program).stdout
    assert said == '5$ "each" \\ {{ x }}\n'
