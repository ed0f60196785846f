"""What a project requires, locked with hashes by uv.

Sources, all of them together: the ``dependencies`` of ``pyproject.toml`` with the groups and extras
that the settings name, a requirements file, and ``requirements=[…]`` of the steps. uv reads them
itself, so that its settings (indexes, sources, credentials) hold. What it gives is a
``pylock.toml`` (PEP 751), of which each package keeps one file: the best wheel for the platform,
else the source distribution.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada import local_packages
from levada.distributions import requirement_name
from levada.local_packages import LocalPackages
from levada_compiler.slotted import dataclass

from . import logins, places, uv
from .image import ImageError, Wheel
from .settings import PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.tags import Tag

    from .settings import ImageSettings


#: What a project with pipelines requires and its images have anyway, as plain files.
_OWN = "levada"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a project declares: requirements as text, and a digest of all that uv will read."""

    requirements: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a project says what it requires.

    ``document`` is its pyproject.toml, ``pyproject`` whether that says something; ``file`` is the
    requirements file, relative to the project, or empty. ``packages`` are those that it takes from
    folders: a step has what it reaches of them, and they require something in turn.
    """

    root: Path
    document: dict[str, Any]
    pyproject: bool
    file: str
    settings: ImageSettings
    packages: LocalPackages

    def indexes(self, of_steps: Iterable[str]) -> list[places.Index]:
        """The indexes that uv takes from its settings and from the requirements file.

        Also the places of packages that are required by URL: credentials may stand in any of them.
        """
        found = [index for each in uv.settings(self.root) for index in _of_settings(each)]
        texts = [*of_steps]
        texts += _of_pyproject(self.document, self.settings) if self.pyproject else []
        for path in files(self):
            for line in path.read_text(encoding="utf-8").splitlines():
                option = re.match(r"\s*(-i|--index-url|--extra-index-url)[ =]+(\S+)", line)
                if option:
                    is_default = option[1] != "--extra-index-url"
                    found.append(places.Index("", option[2], is_default))
                else:
                    texts.append(line)
        by_url = [word for text in texts for word in text.split() if "://" in word and "@" in word]
        urls = [re.sub(r"^.*?(https?://)", r"\1", word) for word in by_url]
        return found + [places.Index("", url, is_explicit=True) for url in urls]

    def keyring_provider(self) -> str:
        """Uv's setting of this name; empty without one."""
        return next(
            (
                str(each["keyring-provider"])
                for settings in uv.settings(self.root)
                for each in (settings, _table(settings, "pip"))
                if "keyring-provider" in each
            ),
            "",
        )


def _of_settings(settings: dict[str, Any]) -> Iterator[places.Index]:
    """Give the indexes of one file of uv's settings."""
    for each in settings.get("index", ()):
        if isinstance(each, dict) and "url" in each:
            name, url = str(each.get("name", "")), str(each["url"])
            yield places.Index(name, url, bool(each.get("default")), bool(each.get("explicit")))
    for table in (settings, _table(settings, "pip")):
        if isinstance(table.get("index-url"), str):
            yield places.Index("", table["index-url"], True)
        more = table.get("extra-index-url", [])
        for url in more if isinstance(more, list) else ():
            yield places.Index("", str(url))


def sources(root: Path, settings: ImageSettings) -> Sources:
    """Find where a project says what it requires.

    Raises ImageError if the requirements file of the settings does not exist.
    """
    file = settings.requirements
    if file and not (root / file).is_file():
        raise ImageError(
            f"there is no requirements file `{file}`",
            "correct `requirements` in `[tool.levada.images]` of pyproject.toml",
        )
    document = read_pyproject(root)
    project = _table(document, "project")
    has_own = bool(project.get("dependencies") or settings.groups or settings.extras)
    if "dependencies" in project.get("dynamic", ()):
        has_own = True
    if not file and not has_own and (root / "requirements.txt").is_file():
        file = "requirements.txt"
    packages = LocalPackages(str(root.absolute()), document)
    return Sources(root, document, has_own, file, settings, packages)


def declared(found: Sources, of_steps: Iterable[str]) -> Declared:
    """Collect what is required, without asking uv. Raises ImageError for an unknown group."""
    texts = list(of_steps)
    whole = hashlib.sha256()
    if found.pyproject:
        texts += _of_pyproject(found.document, found.settings)
        # uv's own settings (indexes, sources) change what it finds.
        of_uv = _table(_table(found.document, "tool"), "uv")
        whole.update(json.dumps(of_uv, sort_keys=True, default=str).encode())
    if found.file:
        texts += _of_file(found.root / found.file, whole)
    for package in found.packages.needed():
        place = os.path.relpath(package.folder, found.packages.root)
        requires = local_packages.declared(package.document)
        of_uv = _table(_table(package.document, "tool"), "uv")
        whole.update(json.dumps([place, requires, of_uv], sort_keys=True, default=str).encode())
    settings = found.settings
    others = (text for text in texts if requirement_name(text) != _OWN)
    shown = tuple(sorted({logins.without_credentials(text) for text in others}))
    for part in (settings.python, settings.platform, *shown):
        whole.update(part.encode() + b"\0")
    return Declared(shown, f"sha256:{whole.hexdigest()}")


def files(found: Sources) -> list[Path]:
    """The requirements file with those that it includes; none if there is none."""
    read: list[Path] = []
    if found.file:
        _of_file(found.root / found.file, hashlib.sha256(), read)
    return read


def lock(
    found: Sources, of_steps: Iterable[str], known: Sequence[Wheel] = (), *, upgrade: bool = False
) -> tuple[Wheel, ...]:
    """Resolve everything that is required, with hashes, sorted by name.

    ``known`` is what was locked before: its versions are kept where they still fit, unless
    ``upgrade``. Raises ImageError if there is no uv, or if it finds no solution.
    """
    import tempfile
    import tomllib

    tool = uv.find()
    with tempfile.TemporaryDirectory(prefix="levada-lock-") as folder:
        output = Path(folder, "pylock.toml")
        steps = Path(folder, "steps.in")
        steps.write_text("".join(f"{text}\n" for text in of_steps), encoding="utf-8")
        own = Path(folder, "own.in")
        # In uv's words: nothing is to be resolved for it, whoever requires it.
        own.write_text(f"{_OWN} ; python_version < '0'\n", encoding="utf-8")
        if known and not upgrade:
            output.write_text(_as_pylock(known), encoding="utf-8")
        try:
            _run([*_command(tool, found, steps, output), "--override", str(own)], found.root, steps)
        except ImageError as error:
            raise _malformed(found, of_steps) or error from error
        document = tomllib.loads(output.read_text(encoding="utf-8"))
        return tuple(_packages(document, found, Path(folder)))


def _malformed(found: Sources, of_steps: Iterable[str]) -> ImageError | None:
    """Name the first requirement that is none: uv would have it built before it says so."""
    from packaging.requirements import InvalidRequirement, Requirement

    own = _of_pyproject(found.document, found.settings) if found.pyproject else []
    for text in (*of_steps, *own):
        try:
            Requirement(text)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            return ImageError(
                f"`{text}` is no requirement: {reason}",
                "write a name with versions (`pandas>=2,<3`), or `name @ URL`",
            )
    return None


# ---------------------------------------------------------------------------- what is declared


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name, {})
    return table if isinstance(table, dict) else {}


def read_pyproject(root: Path) -> dict[str, Any]:
    """Read the project's ``pyproject.toml``, empty where there is none."""
    import tomllib

    try:
        return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _of_pyproject(document: dict[str, Any], settings: ImageSettings) -> list[str]:
    project = _table(document, "project")
    texts = _strings(project.get("dependencies", []), "project.dependencies")
    optional = _table(project, "optional-dependencies")
    for extra in settings.extras:
        texts += _strings(_named(optional, extra, "extra"), f"the extra `{extra}`")
    groups = _table(document, "dependency-groups")
    for group in settings.groups:
        texts += _group(groups, group, ())
    return texts


def _strings(value: object, what: str) -> list[str]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise ImageError(f"{what} in pyproject.toml has to be a list of strings")


def _named(table: dict[str, Any], name: str, kind: str) -> object:
    for key, value in table.items():
        if _normalised(key) == _normalised(name):
            return value
    there = ", ".join(f"`{key}`" for key in table) or "none"
    raise ImageError(
        f"pyproject.toml has no {kind} `{name}`",
        f"`[tool.levada.images]` names it; there are: {there}",
    )


def _group(groups: dict[str, Any], name: str, within: tuple[str, ...]) -> list[str]:
    """Expand a dependency group (PEP 735) with those that it includes."""
    if name in within:
        raise ImageError(f"the dependency group `{name}` includes itself")
    items = _named(groups, name, "dependency group")
    texts: list[str] = []
    for item in items if isinstance(items, list) else [items]:
        included = item.get("include-group") if isinstance(item, dict) else None
        if isinstance(included, str):
            texts += _group(groups, included, (*within, name))
        else:
            texts += _strings([item], f"the dependency group `{name}`")
    return texts


def _of_file(path: Path, whole: Any, read: list[Path] | None = None) -> list[str]:
    """Read a requirements file and those that it includes; digest their texts.

    ``read`` collects the files.
    """
    if read is not None:
        read.append(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ImageError(f"cannot read `{path}`: {error.strerror}") from error
    whole.update(text.encode())
    texts = []
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        option = re.match(r"(-r|--requirement|-c|--constraint)[ =]*(\S+)", line)
        if option:
            inner = _of_file(path.parent / option[2], whole, read)
            texts += inner if option[1] in ("-r", "--requirement") else []
        elif line and not line.startswith("-"):
            texts.append(re.split(r"\s--hash", line)[0].strip())
    return texts


# ---------------------------------------------------------------------------- uv


def _command(tool: str, found: Sources, steps: Path, output: Path) -> list[str]:
    settings = found.settings
    command = [tool, "pip", "compile", str(steps), "--quiet", "--no-header", "--color", "never"]
    if found.pyproject:
        command.append("pyproject.toml")
        command += [word for name in settings.extras for word in ("--extra", name)]
        command += [word for name in settings.groups for word in ("--group", name)]
    if found.file:
        command.append(found.file)
    command += ["--python-version", settings.python]
    command += ["--python-platform", PLATFORMS[settings.platform]]
    return [*command, "--format", "pylock.toml", "--output-file", str(output)]


def _run(command: list[str], root: Path, steps: Path) -> None:
    import subprocess

    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        message = logins.without_credentials(done.stderr.strip())
        message = message.replace(f"`{steps}`", "`requirements=`")
        raise ImageError(*explain(message.replace(str(steps), "`requirements=`")))


def explain(message: str) -> tuple[str, str]:
    """Say in a line what uv says in many, and what to do; all its words follow the line.

    Its last sentence (``And because you require …``) is the reason, those before it the proof.
    """
    text = re.sub(r"\s+", " ", message)
    missing = re.search(r"ecause (\S+) was not found in ", text)
    if missing:
        name = missing[1]
        return f"no index has `{name}`\n{message}", "check its spelling, and the index of uv"
    if "No solution found" in text:
        last = re.search(r".*[Bb]ecause (.*?), we can conclude that your requirements are", text)
        reason = last[1].replace("you require ", "") if last else "the requirements"
        return (
            f"no versions fit together: {reason}\n{message}",
            "loosen one of these requirements; two steps may require different versions",
        )
    if "error sending request" in text or "Failed to fetch" in text:
        place = re.search(r"https?://[^\s)`]+", text)
        where = place[0] if place else "the package index"
        return (
            f"the package index cannot be reached: {where}\n{message}",
            "check the network, the index in `[tool.uv]` and its credentials",
        )
    return f"uv cannot lock the requirements\n{message}", ""


def _as_pylock(known: Sequence[Wheel]) -> str:
    """Write what uv needs to prefer the versions that were locked before."""
    lines = ['lock-version = "1.0"', 'created-by = "levada"']
    for wheel in known:
        if not wheel.url.startswith(("http:", "https:", "file:")):
            continue  # a commit: uv looks where its branch is now
        kind = "wheels = [" if wheel.filename.endswith(".whl") else "sdist = "
        end = "]" if wheel.filename.endswith(".whl") else ""
        file = f'{{ url = "{wheel.url}", hashes = {{ sha256 = "{wheel.sha256}" }} }}'
        lines += ["", "[[packages]]", f'name = "{wheel.name}"', f'version = "{wheel.version}"']
        lines.append(f"{kind}{file}{end}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------- pylock.toml


def _packages(document: dict[str, Any], found: Sources, folder: Path) -> Iterator[Wheel]:
    from packaging.markers import Marker

    settings = found.settings
    tags = supported_tags(settings.python, settings.platform)
    ranks = {tag: rank for rank, tag in enumerate(tags)}
    environments = marker_environments(settings.python, settings.platform)
    for package in sorted(document.get("packages", ()), key=lambda each: str(each["name"])):
        marker = package.get("marker")
        if marker and not any(Marker(marker).evaluate(each) for each in environments):
            continue
        if not _is_local(package, found, folder):
            yield _file(package, ranks, folder, found.root)


def _is_local(package: dict[str, Any], found: Sources, folder: Path) -> bool:
    """Whether a package is the project itself (`-e .`) or one that it takes from a folder."""
    path = _table(package, "directory").get("path")
    local = {each.resolve() for each in (found.root, *map(Path, found.packages.found))}
    return isinstance(path, str) and (folder / path).resolve() in local


def _file(package: dict[str, Any], ranks: dict[Tag, int], folder: Path, root: Path) -> Wheel:
    """Choose the file of a package: its best wheel for the platform, else the sdist."""
    if "archive" in package:
        return _wheel(package, package["archive"], folder)
    wheels = [_wheel(package, each, folder) for each in package.get("wheels", ())]
    fitting = [(rank, wheel) for wheel in wheels if (rank := _rank(wheel, ranks)) is not None]
    if fitting:
        return min(fitting)[1]
    if "sdist" in package:
        return _wheel(package, package["sdist"], folder)
    name = package["name"]
    if _table(package, "vcs").get("type") == "git":
        return _of_repository(package, root)
    if "directory" in package or "vcs" in package:
        place = package.get("directory") or package["vcs"]
        where = place.get("url") or os.path.relpath(folder / place["path"], root)
        raise ImageError(
            f"`{name}` comes from {where}, which has no digest that an image could be pinned to",
            "require a wheel of it: put one into an index, or require it as `name @ file:///….whl`",
        )
    raise ImageError(
        f"`{name}` {package.get('version', '')} has no wheel for this platform and no source",
        "require another version of it",
    )


def _of_repository(package: dict[str, Any], root: Path) -> Wheel:
    """Make the wheel of a package at a commit, and keep it where a build takes it from."""
    from . import repository_wheel, wheels

    wheel, data = repository_wheel.locked(package, root)
    wheels.keep(wheel, data)
    return wheel


def _wheel(package: dict[str, Any], file: dict[str, Any], folder: Path) -> Wheel:
    from urllib.parse import unquote, urlsplit

    url = file.get("url") or (folder / file["path"]).resolve().as_uri()
    filename = file.get("name") or unquote(urlsplit(url).path.rpartition("/")[2])
    hashes = file.get("hashes", {})
    if "sha256" not in hashes:
        raise ImageError(
            f"the index gives no sha256 of `{filename}`", "use an index that gives hashes"
        )
    return Wheel(
        _normalised(package["name"]),
        str(package.get("version") or _version_of(filename)),
        filename,
        logins.without_credentials(url),
        hashes["sha256"],
        file.get("size"),
    )


def _version_of(filename: str) -> str:
    stem = filename.removesuffix(".tar.gz").removesuffix(".zip")
    return filename.split("-")[1] if filename.endswith(".whl") else stem.rpartition("-")[2]


def _rank(wheel: Wheel, ranks: dict[Tag, int]) -> int | None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        tags = parse_wheel_filename(wheel.filename)[3]
    except InvalidWheelFilename:
        return None
    return min((ranks[tag] for tag in tags if tag in ranks), default=None)


def supported_tags(python: str, platform: str) -> list[Tag]:
    """The tags of the wheels that a platform takes, best first."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(part) for part in python.split("."))
    machine = PLATFORMS[platform].partition("-")[0]
    platforms = [f"manylinux_2_{level}_{machine}" for level in range(28, 4, -1)]
    for old, level in (("manylinux2014", 17), ("manylinux2010", 12), ("manylinux1", 5)):
        at = platforms.index(f"manylinux_2_{level}_{machine}")
        platforms.insert(at + 1, f"{old}_{machine}")
    platforms.append(f"linux_{machine}")
    specific = cpython_tags((major, minor), platforms=platforms)
    general = compatible_tags((major, minor), f"cp{major}{minor}", platforms)
    return [*specific, *general]


def marker_environments(python: str, platform: str) -> list[dict[str, str]]:
    """What markers may see on a platform: with the first and the last patch version of Python.

    Which of these the base image has is not known here, so what either needs is taken.
    """
    machine = PLATFORMS[platform].partition("-")[0]
    return [
        {
            "implementation_name": "cpython",
            "implementation_version": f"{python}.{patch}",
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{python}.{patch}",
            "python_version": python,
            "sys_platform": "linux",
        }
        for patch in (0, 99)
    ]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
