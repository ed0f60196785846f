"""What the commands ``build`` and ``image`` do: plan a program's images, build them, lock them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

from levada_compiler.slotted import dataclass, replace

from . import delivery, lock, requirements, settings
from .engine import Engine, address
from .image import OCI_FILE
from .lock import LockedImage
from .plan import Plan, PlannedImage, Planner, with_labels
from .threads import in_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada.project import Project
    from levada_compiler.program.ir import Program

    from .image import Builder, BuiltImage, OnEvent
    from .settings import ImageSettings

#: Images that are built at the same time; each uses several threads of its own.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asks of ``levada build``, each as its option says."""

    push: str = ""
    platform: str = ""
    builder: str = ""
    upgrade: bool = False
    rebuild: bool = False
    insecure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """An image of the plan with what was built; None if that of the lock is still right.

    ``note`` says why it was not the preferred builder that made it.
    """

    planned: PlannedImage
    built: BuiltImage | None = None
    note: str = ""


class Session:
    """The images of one program. Use it as a context manager: it holds connections."""

    def __init__(self, program: Program, project: Project, wish: Wish) -> None:
        """Read the settings and the lock. Raises ImageError if they cannot be read."""
        self.program = program
        self.wish = wish
        self.root = Path(project.root)
        self._project = project
        self._before = lock.read(self.root)
        known = () if wish.upgrade else self._before.of(program.file, program.name)
        self.settings: ImageSettings = settings.read(project, wish.platform, known)
        self._stack = ExitStack()
        self._builders: tuple[Builder, ...] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not KeyboardInterrupt:  # a connection that is read from cannot be closed
            self._stack.close()

    @property
    def registry(self) -> str:
        """Where images are pushed to, empty if they are not."""
        return self.wish.push or self.settings.registry

    def plan(self, *, offline: bool = False) -> Plan:
        """Plan; ``offline`` leaves a base that was never pinned as it is written.

        Raises ImageError where the requirements cannot be locked or the base cannot be found.
        """
        planner = Planner(self.program, self._project, self.settings, self._before)
        plan = planner.plan(None if offline else self._pin, upgrade=self.wish.upgrade)
        return replace(plan, images=tuple(self._as_wished(each) for each in plan.images))

    def _as_wished(self, image: PlannedImage) -> PlannedImage:
        """Account for what was built but is not where it is wanted."""
        before = image.before
        if before is None or image.changes:
            return image
        if self.wish.rebuild:
            return replace(image, changes=("asked for",))
        registry = self.registry.rstrip("/")
        if registry and not (before.pushed and before.reference.startswith(f"{registry}/")):
            return replace(image, changes=(f"to be pushed to {registry}",))
        if not before.pushed and not self._is_here(before):
            return replace(image, changes=("not on this machine",))
        return image

    def _is_here(self, image: LockedImage) -> bool:
        """Whether an image that was not pushed is in the engine, or without one in the cache."""
        if image.reference:
            return self._engine.is_there() and self._engine.image(image.reference) is not None
        return not self._engine.is_there() and delivery.is_kept(image.name, image.digest)

    @cached_property
    def _engine(self) -> Engine:
        return Engine(address())

    def build(self, plan: Plan, on_event: OnEvent | None = None) -> tuple[Outcome, ...]:
        """Build (and push) what is not current, several images at once.

        Raises ImageError for the first that cannot be built, after the others have ended.
        """
        from . import builders, revision

        wanted = [image for image in plan.images if not image.is_current]
        labels = revision.labels(self.root) if wanted else {}
        chosen = [builders.choose(self._opened(), each.spec, self.wish.builder) for each in wanted]

        def build(work: tuple[PlannedImage, tuple[Builder, str]]) -> Outcome:
            image, (builder, note) = work
            spec = with_labels(image, self.program, labels).spec
            push = self.registry or None
            return Outcome(image, builder.build(spec, push=push, on_event=on_event), note)

        built = in_threads(build, list(zip(wanted, chosen, strict=True)), _AT_ONCE)
        by_name = {each.planned.spec.name: each for each in built}
        return tuple(by_name.get(image.spec.name, Outcome(image)) for image in plan.images)

    def contexts(self, plan: Plan) -> dict[str, dict[str, bytes]]:
        """A Dockerfile with its build context for each image: the files by path, by image.

        Raises ImageError for a base that no Dockerfile can start from.
        """
        from .dockerfile import write_context

        # A revision would make each commit change the files that it commits.
        images = (with_labels(image, self.program, {}).spec for image in plan.images)
        return {spec.name: write_context(spec) for spec in images}

    def files(self) -> dict[str, str]:
        """What was read beside the source: absolute paths with digests."""
        found = requirements.sources(self.root, self.settings)
        paths = [self.root / lock.FILE, *requirements.files(found)]
        return {str(path): sha256(path.read_bytes()).hexdigest() for path in paths}

    def write_lock(self, plan: Plan, outcomes: Sequence[Outcome]) -> bool:
        """Write ``levada.lock``; say whether it changed."""
        images = [locked for each in outcomes if (locked := self._locked(each)) is not None]
        file, pipeline, platform = self.program.file, self.program.name, self.settings.platform
        with lock.alone(self.root):
            # Meanwhile other pipelines of the project may have been built.
            now = lock.read(self.root).with_news(plan.lock)
            return lock.write(self.root, now.with_pipeline(file, pipeline, platform, images))

    def _locked(self, outcome: Outcome) -> LockedImage | None:
        planned, built = outcome.planned, outcome.built
        if built is None:
            if planned.before is None:
                return None
            return replace(planned.before, given=planned.given, resolution=planned.resolution)
        return LockedImage(
            file=self.program.file,
            pipeline=self.program.name,
            name=built.name,
            inputs=planned.inputs,
            resolution=planned.resolution,
            digest=built.digest,
            # A folder of this machine would say nothing to another one.
            reference="" if built.reference.startswith(OCI_FILE) else built.reference,
            size=built.size,
            pushed=built.pushed,
            given=planned.given,
        )

    def _opened(self) -> tuple[Builder, ...]:
        from . import builders

        if self._builders is None:
            opened = builders.open_builders(
                insecure=self.wish.insecure, network=self.settings.network
            )
            self._builders = self._stack.enter_context(opened)
        return self._builders

    def _pin(self, base: str, platform: str) -> str:
        from . import builders

        return builders.pin(self._opened(), base, platform)
