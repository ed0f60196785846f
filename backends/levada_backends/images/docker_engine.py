"""The Docker builder: for what needs a running base image.

That is: Debian packages, source distributions, a base image that only the engine has. Wheels,
the runtime and the project are the same layers as those of the direct builder. Source
distributions are made wheels first, in a container image that is thrown away; where credentials
and certificates of a package index are needed, they are only ever there.
"""

from __future__ import annotations

import configparser
import hashlib
import io
import os
import re
import tarfile
import tempfile
import uuid
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from levada_compiler.slotted import replace

from . import dockerfile, engine, interpreters, logins, oci, places, sbom
from .base import FILE, Bases
from .image import BuiltImage, Event, ImageError, Layer, Wheel
from .recipe import Recipe, grouped
from .reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from docker import DockerClient

    from .image import ImageSpec, OnEvent
    from .layers import CachedLayer, LayerCache
    from .recipe import Fetch

    _Maker = Callable[[LayerCache], tuple[CachedLayer, bool]]

BUILDER = "docker"
_CONTEXT_LABEL = "dev.levada.context"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_INSTALL = "pip install levada"
_COMPILE = """\
FROM {base}
USER 0:0
{apt}COPY . /levada/
ENV PIP_CONFIG_FILE=/levada/pip.conf HOME=/tmp
RUN ["python{python}", {pip}, "wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", "/wheels", \
    "/levada/{filename}"]
"""
#: What pip is told of the package index, by what uv and pip themselves are told here.
_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_MORE_INDEXES = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
_CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
#: What pip and apt say where a build has no network, and what may be done about it.
_UNREACHABLE = ("name resolution", "Network is unreachable", "Failed to establish a new connection")
_NO_NETWORK = 'the build has no network: try `network = "host"` in `[tool.levada.images]`'
#: Arguments that Docker keeps out of an image's history by itself.
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class DockerBuilder:
    """Builds with a Docker engine, by its SDK. ``fetch`` gives the verified file of a wheel.

    ``docker_host`` is the engine's address, by default Docker's own; ``network`` that of the
    commands of a build (``host``), by default the engine's.
    """

    name = BUILDER

    def __init__(
        self,
        cache: LayerCache,
        fetch: Fetch,
        *,
        insecure: Collection[str] = (),
        docker_host: str = "",
        network: str | None = None,
    ) -> None:
        self._cache = cache
        self._fetch = fetch
        self._bases = Bases(cache, insecure)
        self._host = docker_host or engine.address()
        self._network = network

    def close(self) -> None:
        """Close the connections to registries."""
        self._bases.close()

    def pin(self, base: str, platform: str) -> str:
        """Give a base image's digest, or its id where only the engine has it.

        Raises ImageError.
        """
        if base.startswith("sha256:"):
            return base
        if not base.startswith(FILE) and (known := self.engine.image(base)) is not None:
            wanted = parse_reference(base)
            there = map(parse_reference, known.in_registries)
            if not any((x.host, x.repository) == (wanted.host, wanted.repository) for x in there):
                return known.id
        return self._bases.pin(base, platform)

    def why_not(self, spec: ImageSpec) -> str | None:
        """Say why no image can be built here, None if it can."""
        del spec
        try:
            import docker
        except ImportError:
            return f"the Docker SDK is not installed (`{_INSTALL}`)"
        del docker
        if not engine.Engine(self._host).is_there():
            return f"no Docker engine answers at {self._host}"
        return None

    def build(
        self, spec: ImageSpec, *, push: str | None = None, on_event: OnEvent | None = None
    ) -> BuiltImage:
        """Build an image in the engine, and push it from there.

        Raises ImageError, and OSError for a full disk here.
        """
        if (reason := self.why_not(spec)) is not None:
            raise ImageError(
                f"{spec.name} cannot be built with Docker: {reason}",
                "start an engine, or name one in DOCKER_HOST",
            )
        tell = on_event or _tell_nobody
        with _client(self._host) as client:
            built = _Build(self, client, spec, tell).run(push)
        tell(Event("done", spec.name, built.reference))
        return built

    def base(self, spec: ImageSpec) -> str:
        """Give what ``FROM`` says; a base from a file is loaded into the engine."""
        if not spec.base.startswith(FILE):
            return spec.base
        base = self._bases.open(spec.base, spec.platform)
        docker = engine.Engine(self._host)
        digest = base.manifest.config.digest
        name = f"levada-base:{digest.removeprefix('sha256:')[:12]}"
        if docker.image(name) is not None:
            return name
        manifest = base.manifest.encode()
        files = {layer.digest: self._bases.layer(base, layer) for layer in base.manifest.layers}
        with ExitStack() as stack:
            blobs: dict[str, bytes | BinaryIO] = {digest: b"".join(base.origin.blob(digest))}
            for key, path in files.items():
                blobs[key] = stack.enter_context(path.open("rb"))
            archive = stack.enter_context(tempfile.TemporaryFile())
            oci.write_archive(archive, name, manifest, blobs)
            size = archive.tell()
            archive.seek(0)
            docker.load(archive, size)
        return name

    @property
    def engine(self) -> engine.Engine:
        """The engine, without the SDK."""
        return engine.Engine(self._host)

    @property
    def network(self) -> str | None:
        """The network of a build's commands."""
        return self._network

    @property
    def cache(self) -> LayerCache:
        """Where layers and wheels are kept."""
        return self._cache

    @property
    def fetch(self) -> Fetch:
        """What gives the file of a wheel."""
        return self._fetch


class _Build:
    """One image's build."""

    def __init__(
        self, builder: DockerBuilder, client: DockerClient, spec: ImageSpec, tell: OnEvent
    ) -> None:
        self._builder = builder
        self._client = client
        self._spec = spec
        self._tell = tell
        self._base = builder.base(spec)
        self._compiled: dict[str, Path] = {}

    def run(self, push: str | None) -> BuiltImage:
        spec = self._spec
        compiled = [self._compile(sdist) for sdist in spec.sdists]
        wheels = tuple(sorted((*spec.wheels, *compiled)))
        files = self._context(replace(spec, wheels=wheels, sdists=()))
        digest = _context_digest(files, self._base)
        tag = f"{spec.name}:{digest[:12]}"
        if self._builder.engine.image(tag) is None:
            self._engine_build(files, {"tag": tag, "labels": {_CONTEXT_LABEL: digest}})
        if push is None:
            return self._built(tag, str(self._client.images.get(tag).id), pushed=False)
        return self._push(tag, push)

    def _context(self, spec: ImageSpec) -> dict[str, bytes | Path]:
        interpreter = interpreters.find(spec.python)
        recipe = Recipe(spec, interpreter, "", self._fetch, self._tell)
        files: dict[str, bytes | Path] = {}
        names: list[str] = []
        groups = grouped(spec.wheels, 20)
        makers: list[_Maker] = [
            *(partial(recipe.wheels, group) for group in groups),
            recipe.runtime,
        ]
        for layer in [self._sound(make) for make in makers]:
            names.append(f"layers/{len(names):03}.tar.gz")
            files[names[-1]] = layer.path
            self._tell(Event("layer", spec.name, layer.title, layer.descriptor.size))
        names.append("layers/sbom.tar")
        files[names[-1]] = _tar({sbom.FILE: sbom.write_sbom(self._spec)})
        names.append("layers/project.tar.gz")
        files[names[-1]] = self._sound(recipe.project).path
        title = f"The image {spec.name}, for the steps {', '.join(spec.steps)}. Made by Levada."
        text = dockerfile.render(spec, self._base, title, names)
        return {"Dockerfile": text.encode(), **files}

    def _sound(self, make: _Maker) -> CachedLayer:
        """Give a layer, made anew if it was damaged in the cache: an engine would not tell."""
        cache = self._builder.cache
        layer, was_there = make(cache)
        if was_there and cache.drop_if_damaged(layer.descriptor.digest):
            return make(cache)[0]
        return layer

    def _fetch(self, wheel: Wheel, tell: OnEvent | None, image: str) -> Path:
        return self._compiled.get(wheel.filename) or self._builder.fetch(wheel, tell, image)

    def _compile(self, sdist: Wheel) -> Wheel:
        """Give the wheel of a source distribution, compiled once for a base image."""
        spec = self._spec
        parts = (sdist.sha256, spec.base, spec.platform, spec.python, *spec.apt)
        key = hashlib.sha256(oci.encode(parts)).hexdigest()
        cache = self._builder.cache
        if (known := cache.recall(f"compiled/{key}")) is None:
            self._tell(Event("fetch", spec.name, f"compiling {sdist.name} {sdist.version}"))
            filename, data = self._compile_in_engine(sdist)
            digest = oci.digest_of(data)
            cache.add_blob(digest, iter((data,)), filename)
            cache.remember(f"compiled/{key}", f"{filename} {digest}".encode())
        else:
            filename, _, digest = known.decode().partition(" ")
        if cache.drop_if_damaged(digest) or (path := cache.blob(digest)) is None:
            (cache.folder / f"compiled/{key}").unlink(missing_ok=True)
            return self._compile(sdist)
        self._compiled[filename] = path
        size = path.stat().st_size
        return replace(
            sdist, filename=filename, url="", sha256=digest.removeprefix("sha256:"), size=size
        )

    def _compile_in_engine(self, sdist: Wheel) -> tuple[str, bytes]:
        spec = self._spec
        pip, pip_files = _pip()
        apt = ""
        if spec.apt:
            apt = f"RUN apt-get update && apt-get install --yes {' '.join(spec.apt)}\n"
        text = _COMPILE.format(
            base=self._base,
            python=spec.python,
            apt=apt,
            filename=Path(sdist.filename).name,
            pip=", ".join(f'"{word}"' for word in pip),
        )
        source = self._builder.fetch(sdist, self._tell, spec.name)
        files = {"Dockerfile": text.encode(), sdist.filename: source, **pip_files, **_index_files()}
        tag = f"levada-stage:{uuid.uuid4().hex}"
        try:
            # Without a cache: nothing of the stage is to be found again.
            self._engine_build(files, {"tag": tag, "nocache": True})
            return self._wheel_in(tag)
        finally:
            with suppress(*self._errors()):
                self._client.images.remove(tag, force=True)

    def _wheel_in(self, tag: str) -> tuple[str, bytes]:
        container = self._client.containers.create(tag)
        try:
            pieces, _ = container.get_archive("/wheels")
            data = b"".join(pieces)
        finally:
            container.remove(force=True)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if member.name.endswith(".whl") and (file := archive.extractfile(member)):
                    return Path(member.name).name, file.read()
        raise ImageError(f"{tag} holds no wheel")

    def _engine_build(self, files: Mapping[str, bytes | Path], options: dict[str, Any]) -> None:
        proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
        with _context_file(files) as context:
            lines = self._api(
                "build",
                fileobj=context,
                custom_context=True,
                decode=True,
                rm=True,
                forcerm=True,
                pull=False,
                platform=self._spec.platform,
                network_mode=self._builder.network,
                buildargs=proxies,
                **options,
            )
            said: list[str] = []
            for line in lines:
                said.append(str(line.get("stream", "")))
                if "error" in line:
                    raise self._failed(str(line["error"]), said)

    def _failed(self, error: str, said: list[str]) -> ImageError:
        text = "".join(said)
        python = f"python{self._spec.python}"
        if f'"{python}": executable file not found' in error or f"{python}: not found" in text:
            return ImageError(
                f"the base image {self._spec.base} has no Python {self._spec.python}",
                f"use one that has, such as python:{self._spec.python}-slim",
            )
        lines = _ESCAPES.sub("", text).splitlines()
        if told := [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]:
            return ImageError(
                f"the Debian packages of {self._spec.name} cannot be installed: {'; '.join(told)}",
                "check their names (`apt`) and that the build reaches Debian's servers",
            )
        tail = "\n".join(lines[-15:])
        way_out = _NO_NETWORK if any(word in text for word in _UNREACHABLE) else ""
        return ImageError(
            f"building {self._spec.name} with Docker failed: {error}\n{tail}", way_out
        )

    def _push(self, tag: str, registry: str) -> BuiltImage:
        reference = parse_reference(f"{registry.rstrip('/')}/{self._spec.name}")
        repository = f"{reference.host}/{reference.repository}"
        name = tag.partition(":")[2]
        self._client.images.get(tag).tag(repository, name)
        digest = ""
        for line in self._api("push", repository, tag=name, stream=True, decode=True):
            if "error" in line:
                raise ImageError(
                    f"the engine cannot push to {repository}: {line['error']}",
                    f"check the registry; `docker login {reference.host}` if it wants a login",
                )
            if "Digest" in line.get("aux", {}):
                digest = str(line["aux"]["Digest"])
            detail = line.get("progressDetail") or {}
            done, total = detail.get("current", 0), detail.get("total", 0)
            self._tell(Event("push", self._spec.name, str(line.get("id", "")), done, total))
        if not digest:
            raise ImageError(f"the engine does not say what it pushed to {repository}")
        return self._built(f"{repository}@{digest}", digest, pushed=True, tag=tag)

    def _built(self, reference: str, digest: str, *, pushed: bool, tag: str = "") -> BuiltImage:
        image = self._client.images.get(tag or reference)
        size = int(image.attrs.get("Size") or 0)
        layers = tuple(
            Layer(str(entry["CreatedBy"])[:80], str(entry["Id"]), int(entry["Size"]))
            for entry in reversed(image.history())
            if entry["Size"]
        )
        return BuiltImage(self._spec.name, digest, reference, size, layers, pushed, BUILDER)

    def _api(self, method: str, *arguments: object, **options: object) -> Iterator[dict[str, Any]]:
        """Call the SDK, its errors made ours."""
        try:
            yield from getattr(self._client.api, method)(*arguments, **options)
        except self._errors() as error:
            raise ImageError(f"the Docker engine says: {error}") from error

    def _errors(self) -> tuple[type[Exception], ...]:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        return (DockerException, RequestException)


@contextmanager
def _client(host: str) -> Iterator[DockerClient]:
    import docker

    try:
        client = docker.DockerClient(base_url=host, timeout=600)
    except docker.errors.DockerException as error:
        raise ImageError(f"no Docker engine answers at {host}: {error}") from error
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _context_file(files: Mapping[str, bytes | Path]) -> Iterator[BinaryIO]:
    """Give a build context as a tar file: the same bytes for the same files."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path, content in sorted(files.items()):
                member = tarfile.TarInfo(path)
                member.mode = 0o644
                if isinstance(content, bytes):
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
                    continue
                member.size = content.stat().st_size
                with content.open("rb") as data:
                    archive.addfile(member, data)
        file.seek(0)
        yield file


def _pip() -> tuple[list[str], dict[str, bytes | Path]]:
    """Give how to run pip, and the files that it needs: bases often have none.

    A wheel of pip runs as it is; Python brings one, Debian keeps it elsewhere.
    """
    import ensurepip

    folders = (Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels"))
    for folder in folders:
        for wheel in sorted(folder.glob("pip-*.whl")):
            return [f"/levada/{wheel.name}/pip"], {wheel.name: wheel}
    return ["-m", "pip"], {}


def _index_files() -> dict[str, bytes | Path]:
    """Give pip's settings for the package index, and the certificates that go with them.

    An sdist's build requires more from there. What the environment says comes before the project.
    """
    settings = configparser.ConfigParser(interpolation=None)
    settings["global"] = {}
    files: dict[str, bytes | Path] = {}
    known = [each for each in places.indexes() if not each.is_explicit]
    index = next(filter(None, map(os.environ.get, _INDEX)), "")
    default = logins.named(index) if index else next((x for x in known if x.is_default), None)
    if default is not None:
        settings["global"]["index-url"] = _with_login(default)
    words = (word for name in _MORE_INDEXES for word in os.environ.get(name, "").split())
    more = [*map(logins.named, words), *(each for each in known if not each.is_default)]
    if more:
        settings["global"]["extra-index-url"] = " ".join(map(_with_login, more))
    certificates = next(filter(None, map(os.environ.get, _CERTIFICATES)), "")
    if certificates and Path(certificates).is_file():
        settings["global"]["cert"] = "/levada/ca.crt"
        files["ca.crt"] = Path(certificates)
    text = io.StringIO()
    settings.write(text)
    return {**files, "pip.conf": text.getvalue().encode()}


def _with_login(index: places.Index) -> str:
    """Give an index's URL with the credentials that are known for it."""
    login = index.login()
    if login is None or not login[1]:
        login = logins.find(index.url) or login
    if login is None:
        return index.url
    scheme, _, rest = index.address.partition("://")
    user, password = (quote(part, safe="") for part in login)
    return f"{scheme}://{user}:{password}@{rest}"


def _context_digest(files: Mapping[str, bytes | Path], base: str) -> str:
    """Give what names a context: its Dockerfile and the digests of all else in it."""
    parts = {
        path: hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else content.name
        for path, content in files.items()
    }
    return hashlib.sha256(oci.encode([base, parts])).hexdigest()


def _tar(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return raw.getvalue()


def _tell_nobody(_: Event) -> None:
    """Say nothing."""
