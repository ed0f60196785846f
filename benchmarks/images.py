"""`python -m benchmarks.images`: a numpy and pandas step as an image, beside `docker build`.

Everything is real: the wheels of the index, an engine and a registry of this machine, a base of
this Python with pip. Each subject builds cold (its wheels are on disk for Levada, and for uv after
its first build), again without a change, after a change of the code, and with a package more; all
with a push. Times are of the builder alone, once each, in seconds.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from levada_backends.images.direct import DirectBuilder
from levada_backends.images.docker_engine import DockerBuilder
from levada_backends.images.image import ImageSpec, Wheel
from levada_backends.images.layers import LayerCache
from levada_backends.images.make_base import make_base

from tests.engines import docker as engines
from tests.images import parts

CODE = b"import pandas\n\n\ndef total(n):\n    return int(pandas.Series(range(n)).sum())\n"
PACKAGES, MORE = ("numpy", "pandas"), ("click",)
PIP = """FROM {base}
USER 0
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN python{python} -m venv /venv
RUN /venv/bin/pip install --no-cache-dir {packages}
COPY . /app
"""
UV = """FROM {base}
USER 0
COPY uv /bin/uv
RUN --mount=type=cache,target=/root/.cache/uv \\
    UV_LINK_MODE=copy uv venv /venv && uv pip install --python /venv/bin/python {packages}
COPY app /app
"""
Subject = tuple[str, Callable[[bytes, tuple[str, ...]], object]]


def main() -> None:
    """Measure and print a Markdown table."""
    with engines.start() as docker, tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        base = f"oci:{work}/base.tar@{make_base(work / 'base.tar')}"
        with_pip = parts.with_shell(docker, base, work / "shell")
        wheels = _download(work / "wheels")
        print("| subject | cold | no change | code change | one package more |")
        print("|---|---|---|---|---|")
        for name, build in _subjects(docker, work, base, with_pip, wheels):
            more = (*PACKAGES, *MORE)
            changed = CODE + b"# changed\n"
            steps = ((CODE, PACKAGES), (CODE, PACKAGES), (changed, PACKAGES), (changed, more))
            times = " | ".join(f"{_seconds(build, *step):.3f}" for step in steps)
            print(f"| {name} | {times} |", flush=True)


def _subjects(
    docker: engines.Docker, work: Path, base: str, with_pip: str, wheels: dict[str, Wheel]
) -> list[Subject]:
    def spec(code: bytes, packages: tuple[str, ...]) -> ImageSpec:
        names = set(wheels) - set(MORE) if "click" not in packages else set(wheels)
        own = parts.make_spec(base, *(wheels[name] for name in names))
        return replace(own, slice_files={"pipeline.py": code})

    direct = DirectBuilder(LayerCache(work / "direct"), parts.fetch, docker_host=docker.host)
    engine = DockerBuilder(LayerCache(work / "engine"), parts.fetch, docker_host=docker.host)
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))

    def dockerfile(text: str, name: str, buildkit: str) -> Callable[..., object]:
        def build(code: bytes, packages: tuple[str, ...]) -> object:
            context = work / name
            (context / "app").mkdir(parents=True, exist_ok=True)
            shutil.copy(uv, context / "uv")
            (context / "app" / "pipeline.py").write_bytes(code)
            words = {"base": with_pip, "python": parts.PYTHON, "packages": " ".join(packages)}
            (context / "Dockerfile").write_text(text.format(**words))
            tag = f"{docker.registry}/{name}:1"
            command = ["/usr/bin/docker", "--host", docker.host, "build", "--network", "host"]
            environment = {**os.environ, "DOCKER_BUILDKIT": buildkit}
            command += ["--quiet", "--tag", tag, str(context)]
            subprocess.run(command, check=True, capture_output=True, env=environment)
            return docker.run("push", tag)

        return build

    return [
        ("levada, direct", lambda c, p: direct.build(spec(c, p), push=f"{docker.registry}/a")),
        ("levada, docker", lambda c, p: engine.build(spec(c, p), push=f"{docker.registry}/b")),
        ("docker build, pip", dockerfile(PIP, "pip", "0")),
        ("docker build, uv with a cache, BuildKit", dockerfile(UV, "uv", "1")),
    ]


def _seconds(build: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    build(*arguments)
    return time.perf_counter() - start


def _download(folder: Path) -> dict[str, Wheel]:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), *PACKAGES, *MORE], check=True)
    wheels = [parts.locked(path) for path in sorted(folder.glob("*.whl"))]
    return {wheel.name: wheel for wheel in wheels}


if __name__ == "__main__":
    main()
