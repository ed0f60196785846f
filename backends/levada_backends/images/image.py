"""What the planner and the builders of images agree on.

The planner (:mod:`.plan`) says what belongs into an image and nothing about how it is made; a
:class:`Builder` makes exactly that. Everything in an :class:`ImageSpec` is fixed by the project
and its lock: no clock, no machine, no credentials. Two equal specs give equal images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from levada_compiler.slotted import dataclass, field

#: The folder of all code in every image: ``slice_files`` are relative to it.
CODE_FOLDER = "/app"

#: What a base image from a file (an OCI archive or layout) begins with.
OCI_FILE = "oci:"


@dataclass(frozen=True, slots=True, order=True)
class Wheel:
    """A locked wheel, or a locked source distribution (in ``ImageSpec.sdists``).

    ``name`` is normalised as PyPI compares names, ``sha256`` is the hex digest of the file (no
    prefix), ``size`` its bytes or None where the index does not say. ``url`` never holds
    credentials; it may be a ``file://`` URL. :func:`.wheels.fetch` gives the verified file.
    """

    name: str
    version: str
    filename: str
    url: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Everything that is in one image.

    - ``name``: its repository name below the registry (``churn/train``), lower case.
    - ``steps``: the keys (``module:function``) that run in it, sorted.
    - ``python``: the minor version (``3.11``); ``platform``: as Docker writes it (``linux/amd64``).
    - ``base``: the reference of the base image, pinned by digest where the lock knows it.
    - ``wheels``: sorted by name, one version each; ``sdists``: those that have no wheel for this
      platform, so that they must be built (only a builder with an engine can).
    - ``requirements``: ``wheels`` and ``sdists`` as a hashed requirements file (for a Dockerfile);
      ``requirements_digest``: ``sha256:…`` of it.
    - ``runtime_files``: the Levada runtime, by POSIX path below a folder on ``sys.path``
      (``levada/__init__.py``); ``slice_files``: the project's files that the steps need, by POSIX
      path below :data:`CODE_FOLDER`.
    - ``project``: the project's folder, which is the working directory and ``LEVADA_PROJECT``;
      other than the folder of all code if packages are beside the project (:mod:`.layout`).
    - ``search``: the folders that go in front of ``sys.path``, in order (POSIX, relative to the
      project; ``.`` is the project itself).
    - ``apt``: Debian packages, sorted. ``labels``: of the image. ``environment``: variables of it.
    - ``uid``: who runs in it.
    """

    name: str
    steps: tuple[str, ...]
    python: str
    platform: str
    base: str
    wheels: tuple[Wheel, ...] = ()
    sdists: tuple[Wheel, ...] = ()
    requirements: str = ""
    requirements_digest: str = ""
    runtime_files: Mapping[str, bytes] = field(default_factory=dict)
    slice_files: Mapping[str, bytes] = field(default_factory=dict)
    project: str = CODE_FOLDER
    search: tuple[str, ...] = (".",)
    apt: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    uid: int = 65532


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a built image.

    ``title`` says what is in it (``numpy 2.4.6``, ``base``, ``levada``, ``project``); ``size`` is
    what it takes in a registry (compressed), in bytes; ``reused`` that it was there already.
    """

    title: str
    digest: str
    size: int
    reused: bool = False


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A finished image.

    ``digest`` is that of its manifest (``sha256:…``), ``reference`` what an engine pulls or runs
    (``registry/name@sha256:…`` once pushed, else a local tag), ``size`` the compressed bytes of
    all its layers. ``builder`` is the name of the one that made it.
    """

    name: str
    digest: str
    reference: str
    size: int
    layers: tuple[Layer, ...] = ()
    pushed: bool = False
    builder: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Progress of one image. ``kind`` is ``fetch``, ``layer``, ``push``, ``load`` or ``done``.

    ``text`` is for people (a wheel's name, a layer's title), ``done`` and ``total`` count bytes
    and are 0 where there is nothing to count.
    """

    kind: str
    image: str
    text: str
    done: int = 0
    total: int = 0


OnEvent = Callable[[Event], None]


class ImageError(Exception):
    """Why an image cannot be planned, built or pushed. ``way_out`` says what to do about it."""

    def __init__(self, message: str, way_out: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out


class Builder(Protocol):
    """Makes images. Safe to use from several threads at once."""

    @property
    def name(self) -> str:
        """The word after ``--builder``."""

    def pin(self, base: str, platform: str) -> str:
        """Give the reference of a base image with its digest (``name:tag@sha256:…``).

        Raises ImageError if there is no such image, or its registry cannot be reached.
        """

    def why_not(self, spec: ImageSpec) -> str | None:
        """Say why it cannot build this image (one clause, for people), or None if it can."""

    def build(
        self, spec: ImageSpec, *, push: str | None = None, on_event: OnEvent | None = None
    ) -> BuiltImage:
        """Build the image; push it to the registry ``push`` (``host[:port][/prefix]``) if given.

        Raises ImageError, and OSError for a full disk or a folder that cannot be written.
        """
