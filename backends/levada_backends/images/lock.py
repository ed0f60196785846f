"""``levada.lock``: what was locked and built, to be committed with the compiled files.

TOML, one line a package and one table an image, in a fixed order, so that a change reads well in a
diff. It holds no credentials, no path of a machine and no time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada_compiler.slotted import dataclass, field, replace

from .image import ImageError, Wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FILE = "levada.lock"
_VERSION = 1
_HEAD = "# Written by `levada build`: commit it, and do not edit it.\n"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a set of requirements was locked to, for a Python and a platform.

    ``digest`` covers all that was declared; ``requirements`` is what was
    declared, ``packages`` are sorted by name.
    """

    digest: str
    python: str
    platform: str
    requirements: tuple[str, ...]
    packages: tuple[Wheel, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that decides what is in an image. Two images with equal inputs do the same.

    ``steps`` maps the keys of the steps to the digests of their code, ``values`` those of classes
    (``module:Class``) whose values they are given; ``packages`` are ``name version sha256`` lines.
    """

    python: str
    platform: str
    base: str
    levada: str
    steps: Mapping[str, str]
    values: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockedImage:
    """An image that was built: what it was made from, and where it is.

    ``file`` and ``pipeline`` say for which pipeline. ``resolution`` is the digest of the
    :class:`Resolution` that its packages are of. ``reference`` is what an engine runs. ``given``
    names the steps whose values those in it are given, and the enumerations whose members: what
    decided on ``inputs.values``.
    """

    file: str
    pipeline: str
    name: str
    inputs: Inputs
    resolution: str
    digest: str
    reference: str
    size: int
    pushed: bool = False
    given: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """The whole file. ``bases`` maps ``reference platform`` to the reference with its digest."""

    resolutions: tuple[Resolution, ...] = ()
    images: tuple[LockedImage, ...] = ()
    bases: Mapping[str, str] = field(default_factory=dict)

    def resolution(self, digest: str) -> Resolution | None:
        """The resolution of these declarations, if they were locked."""
        return next((each for each in self.resolutions if each.digest == digest), None)

    def of_pipeline(self, file: str, pipeline: str, platform: str) -> tuple[LockedImage, ...]:
        """The images of a pipeline for a platform."""
        images = self.of(file, pipeline)
        return tuple(image for image in images if image.inputs.platform == platform)

    def of(self, file: str, pipeline: str) -> tuple[LockedImage, ...]:
        """The images of a pipeline for all platforms."""
        wanted = (file, pipeline)
        return tuple(each for each in self.images if (each.file, each.pipeline) == wanted)

    def with_pipeline(
        self, file: str, pipeline: str, platform: str, images: Sequence[LockedImage]
    ) -> Lock:
        """The same with these images of a pipeline, and without what nothing refers to."""
        replaced = self.of_pipeline(file, pipeline, platform)
        kept = [image for image in self.images if image not in replaced]
        everything = sorted([*kept, *images], key=_order)
        used = {image.resolution for image in everything}
        bases = {image.inputs.base for image in everything}
        return Lock(
            tuple(each for each in self.resolutions if each.digest in used),
            tuple(everything),
            {name: base for name, base in sorted(self.bases.items()) if base in bases},
        )

    def with_news(self, other: Lock) -> Lock:
        """The same with what another one has resolved and pinned."""
        bases = {**self.bases, **other.bases}
        return replace(self.with_resolutions(other.resolutions), bases=bases)

    def with_resolutions(self, new: Iterable[Resolution]) -> Lock:
        """The same with more resolutions."""
        by_digest = {each.digest: each for each in (*self.resolutions, *new)}
        return replace(self, resolutions=tuple(by_digest[key] for key in sorted(by_digest)))

    def with_base(self, base: str, platform: str, pinned: str) -> Lock:
        """The same with the digest of a base image."""
        return replace(self, bases={**self.bases, f"{base} {platform}": pinned})

    def base(self, base: str, platform: str) -> str | None:
        """The reference with a digest that a base image is pinned to."""
        return self.bases.get(f"{base} {platform}")


def _order(image: LockedImage) -> tuple[str, ...]:
    return image.file, image.pipeline, image.inputs.platform, image.name


def differences(before: Inputs, now: Inputs) -> tuple[str, ...]:
    """What differs between two inputs, in words; empty if nothing does."""
    found = []
    for title, old, new in (
        ("code", before.steps, now.steps),
        ("values", before.values, now.values),
    ):
        names = sorted({*old, *new})
        changed = [name for name in names if old.get(name) != new.get(name)]
        found += [f"{_what(title, old, new, name)} `{name.partition(':')[2]}`" for name in changed]
    found += _package_differences(before.packages, now.packages)
    for title in ("python", "platform", "base", "apt"):
        if getattr(before, title) != getattr(now, title):
            found.append(f"{title} {_short(getattr(now, title))}")
    if before.levada != now.levada:
        found.append("Levada itself")
    return tuple(found)


def _what(title: str, old: Mapping[str, str], new: Mapping[str, str], name: str) -> str:
    if title == "values":
        return "class"
    return "code of" if name in old and name in new else "new" if name in new else "without"


def _package_differences(before: tuple[str, ...], now: tuple[str, ...]) -> list[str]:
    old, new = ({line.split()[0]: line.split() for line in lines} for lines in (before, now))
    found = []
    for name in sorted({*old, *new}):
        if name not in old:
            found.append(f"+ {name} {new[name][1]}")
        elif name not in new:
            found.append(f"- {name}")
        elif old[name] != new[name]:
            same = old[name][1] == new[name][1]
            found.append(f"{name} {'file' if same else f'{old[name][1]} -> {new[name][1]}'}")
    return found


def _short(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value).partition("@")[0]


# ---------------------------------------------------------------------------- the file


def read(root: Path) -> Lock:
    """Read the lock of a project, an empty one where there is none.

    Raises ImageError if it cannot be read: a lock of a newer Levada, or a merge conflict.
    """
    try:
        text = (root / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return Lock()
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"`{FILE}` cannot be read: {error}") from error
    try:
        return _lock(tomllib.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        conflict = "<<<<<<<" in text
        reason = "it has a merge conflict" if conflict else str(error)
        raise ImageError(
            f"`{FILE}` cannot be read: {reason}", "remove it, and run `levada build` again"
        ) from error


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Be the only one who reads and writes the lock of a project, where the system can say so."""
    folder = os.open(root, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write(root: Path, lock: Lock) -> bool:
    """Write the lock if it differs from what is there, all or nothing; say whether it did."""
    place = root / FILE
    text = dumps(lock)
    if place.is_file() and place.read_text(encoding="utf-8") == text:
        return False
    with tempfile.NamedTemporaryFile(
        "w", dir=root, prefix=f".{FILE}.", delete=False, encoding="utf-8", newline="\n"
    ) as file:
        file.write(text)
    Path(file.name).chmod(0o666 & ~_umask())
    Path(file.name).replace(place)
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def dumps(lock: Lock) -> str:
    """The text of a lock."""
    lines = [_HEAD, f"version = {_VERSION}"]
    if lock.bases:
        lines += ["", "[bases]"]
        lines += [f"{_text(name)} = {_text(base)}" for name, base in sorted(lock.bases.items())]
    for resolution in lock.resolutions:
        lines += ["", "[[resolution]]", *_pairs(resolution, ("digest", "python", "platform"))]
        lines += _list("requirements", [_text(each) for each in resolution.requirements])
        lines += _list("packages", [_inline(each) for each in resolution.packages])
    for image in lock.images:
        lines += ["", "[[image]]", *_image_lines(image)]
    return "\n".join(lines) + "\n"


def _image_lines(image: LockedImage) -> list[str]:
    inputs = image.inputs
    lines = _pairs(image, ("file", "pipeline", "name", "reference", "digest", "size", "pushed"))
    lines += _pairs(inputs, ("python", "platform", "base", "levada"))
    lines += _pairs(image, ("resolution",))
    lines += _list("given", [_text(each) for each in image.given])
    lines += _list("apt", [_text(each) for each in inputs.apt])
    lines += _list("packages", [_text(each) for each in inputs.packages])
    for title, table in (("steps", inputs.steps), ("values", inputs.values)):
        if table:
            lines += ["", f"[image.{title}]"]
            lines += [f"{_text(name)} = {_text(table[name])}" for name in sorted(table)]
    return lines


def _pairs(value: object, names: Sequence[str]) -> list[str]:
    return [f"{name} = {_scalar(getattr(value, name))}" for name in names]


def _scalar(value: object) -> str:
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(value: str) -> str:
    """A basic string of TOML: JSON's escapes are a part of its own, but for DEL and surrogates."""
    shown = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return shown.encode("utf-8", "replace").decode()


def _list(name: str, items: Sequence[str]) -> list[str]:
    if not items:
        return [f"{name} = []"]
    return [f"{name} = [", *(f"  {item}," for item in items), "]"]


def _inline(wheel: Wheel) -> str:
    size = "" if wheel.size is None else f", size = {wheel.size}"
    fields = ", ".join(
        f"{name} = {_text(getattr(wheel, name))}"
        for name in ("name", "version", "filename", "url", "sha256")
    )
    return f"{{ {fields}{size} }}"


def _lock(document: Mapping[str, Any]) -> Lock:
    if document["version"] != _VERSION:
        raise ImageError(
            f"`{FILE}` has version {document['version']}, which this Levada cannot read",
            "use the Levada that wrote it, or remove it and run `levada build` again",
        )
    return Lock(
        tuple(_resolution(each) for each in document.get("resolution", ())),
        tuple(_image(each) for each in document.get("image", ())),
        dict(document.get("bases", {})),
    )


def _resolution(table: Mapping[str, Any]) -> Resolution:
    return Resolution(
        table["digest"],
        table["python"],
        table["platform"],
        tuple(table["requirements"]),
        tuple(Wheel(**each) for each in table["packages"]),
    )


def _image(table: Mapping[str, Any]) -> LockedImage:
    inputs = Inputs(
        **{name: table[name] for name in ("python", "platform", "base", "levada")},
        steps=dict(table["steps"]),
        values=dict(table.get("values", {})),
        packages=tuple(table["packages"]),
        apt=tuple(table["apt"]),
    )
    names = ("file", "pipeline", "name", "resolution", "digest", "reference", "size", "pushed")
    given = tuple(table["given"])
    return LockedImage(inputs=inputs, given=given, **{name: table[name] for name in names})
