"""What one step needs: its slice of the project and the packages, each with the reason."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

from levada.distributions import normalised
from levada_compiler.diagnostics.diagnostic import Diagnostic
from levada_compiler.program.ir import RUN_VALUES
from levada_compiler.slotted import dataclass, field

from . import flow, store_client
from .distributions import declared_name
from .imports import ImportFinder
from .slice import Slice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from levada.code import Code
    from levada.code_units import Unit
    from levada.distributions import Distribution
    from levada_compiler.diagnostics.diagnostic import Span
    from levada_compiler.program.ir import Step

    from .distributions import Locked
    from .image import Wheel
    from .imports import Import


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a package is needed first-hand; ``unit`` is the statement with the import, if one is."""

    text: str
    span: Span | None = None
    unit: Unit | None = None


@dataclass(slots=True)
class StepNeeds:
    """What a step needs.

    ``reasons`` has the packages that are needed first-hand, ``parents`` all packages, each with
    the one that requires it (itself if it is needed first-hand). ``values`` maps classes
    (``module:Class``) that the step may be given values of to their digests.
    """

    step: Step
    path: str
    slice: Slice
    locked: Locked
    reasons: dict[str, Reason] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    @property
    def packages(self) -> tuple[Wheel, ...]:
        """Its packages, sorted by name."""
        return tuple(self.locked.packages[name] for name in sorted(self.parents))


class NeedsFinder:
    """Finds what the steps of one program need; ``diagnostics`` holds what cannot be had."""

    def __init__(self, code: Code, steps: Iterable[Step]) -> None:
        """Know the program's steps, for the values that they hand on."""
        self.code = code
        self.steps = {step.key: step for step in steps}
        self.imports = ImportFinder(code)
        self.diagnostics: dict[Diagnostic, None] = {}

    def find(
        self, step: Step, given: Sequence[str], requirements: Iterable[str], locked: Locked
    ) -> StepNeeds:
        """Find what a step needs that is given these values (of :func:`.flow.producers`)."""
        path = self.path(step)
        needs = StepNeeds(step, path, Slice(self.code), locked)
        self._add_store_client(needs)
        if step.module == RUN_VALUES:
            needs.parents = locked.closure(dict.fromkeys(needs.reasons, ()))
            return needs
        needs.slice.add_step(path, step.function)
        libraries = self._add_values(needs, given)
        if self.code.project.is_installed(path):
            self._add_package(needs)
        for unit, each in self.imports.of_units(self._own_units(needs)):
            self._add_import(needs, unit, each)
        self._report_computed(needs)
        self._report_differing(needs)
        for module, reason in libraries.items():
            for name in locked.providers(module):
                needs.reasons.setdefault(name, Reason(reason))
        self._add_formats(needs)
        self._add_required(needs, requirements)
        needs.parents = locked.closure(dict.fromkeys(sorted(needs.reasons), ()))
        return needs

    def path(self, step: Step) -> str:
        """The file of a step's module."""
        return self.code.project.absolute(step.span.file)

    def _own_units(self, needs: StepNeeds) -> list[Unit]:
        """The statements that are in the slice; a package says itself what it requires."""
        is_installed = self.code.project.is_installed
        return [unit for unit in needs.slice.units if not is_installed(unit.path)]

    def _add_package(self, needs: StepNeeds) -> None:
        """Add the package that a step is in."""
        step = needs.step
        providers = needs.locked.providers(step.module)
        for name in providers:
            needs.reasons.setdefault(name, Reason(f"`{step.function}` is a step of it"))
        if not providers:
            self._report_missing(needs, step.module, step.span, "is in")

    def _add_import(self, needs: StepNeeds, unit: Unit, each: Import) -> None:
        providers = needs.locked.providers(each.module, each.name)
        for name in providers:
            needs.reasons.setdefault(name, Reason(f"`{each.text}`", each.span, unit))
        is_local = self.code.project.locate(each.module) is not None
        if not providers and not each.optional and not is_local:
            self._report_missing(needs, each.module, each.span, "imports")

    # ---------------------------------------------------------------- values of other steps

    def _add_values(self, needs: StepNeeds, given: Sequence[str]) -> dict[str, str]:
        """Add the classes of values; give the libraries of others, each with the reason."""
        libraries: dict[str, str] = {}
        made = {each: cls for each in given if (cls := flow.own_class(each))}
        for cls in made.values():
            self._add_class(needs, cls)
        for producer, kind in (flow.returned(v, self.steps) for v in given if v not in made):
            reason = f"`{producer.function}` returns its values"
            names = flow.classes(kind)
            if not flow.is_known(kind):
                reason = f"`{producer.function}` may return its values: it does not say what"
                names += self._reached_classes(producer) + self._reached_libraries(producer)
            for name in names:
                module, is_class, _ = name.partition(":")
                if is_class and self.code.project.locate(module) is not None:
                    self._add_class(needs, name)
                elif _is_outside(module):
                    libraries.setdefault(module, reason)
        return libraries

    def _add_class(self, needs: StepNeeds, name: str) -> None:
        module, _, qualname = name.partition(":")
        path = self.code.project.locate(module)
        top = qualname.partition(".")[0]
        if path is None or not path.endswith(".py") or not self.code.resolve(path, top):
            return
        known = len(needs.slice.units)
        needs.slice.add_name(path, top)
        if len(needs.slice.units) > known:
            needs.values[f"{module}:{top}"] = self.code.step(path, top).digest

    def _reached_classes(self, producer: Step) -> tuple[str, ...]:
        """The classes that a step reaches and that a value could be of."""
        reach = self.code.reach(self.path(producer), producer.function)
        name_of = self.code.project.module_name
        return tuple(
            f"{name_of(unit.path)}:{name}"
            for unit in reach.units
            if unit.kind == "class" and (unit.decorators or getattr(unit.node, "bases", None))
            for name in unit.bound
        )

    def _reached_libraries(self, producer: Step) -> tuple[str, ...]:
        tops = {module.partition(".")[0] for module in producer.imports}
        return tuple(sorted(tops & set(flow.FORMATS)))

    # ---------------------------------------------------------------- formats, requirements

    def _add_formats(self, needs: StepNeeds) -> None:
        """Add what writes and reads the values of a library, where they may come or go."""
        types = flow.signature(needs.step)
        named = {name.partition(".")[0] for each in types for name in flow.classes(each)}
        for library, formats in flow.FORMATS.items():
            is_there = any(name in needs.reasons for name in needs.locked.providers(library))
            if is_there and (library in named or flow.is_open(types)):
                reason = Reason(f"values of `{library}` are kept and loaded with it")
                for name in (each for module in formats for each in needs.locked.providers(module)):
                    needs.reasons.setdefault(name, reason)

    def _add_store_client(self, needs: StepNeeds) -> None:
        """Add the client of the store, where that is in a bucket."""
        if store_client.requirements(self.code.project.settings):
            for name in needs.locked.providers(store_client.PACKAGE):
                needs.reasons[name] = Reason("the store is in a bucket (`store` in pyproject.toml)")

    def _add_required(self, needs: StepNeeds, requirements: Iterable[str]) -> None:
        for text in requirements:
            name, _ = declared_name(text) or ("", ())
            if name in needs.locked.packages:
                needs.reasons[name] = Reason(f'`requirements=["{text}"]`', needs.step.span)

    # ---------------------------------------------------------------- what is missing

    def _report_computed(self, needs: StepNeeds) -> None:
        """Report imports of computed names, unless the step says what it requires."""
        if any(setting.name == "requirements" for setting in needs.step.settings):
            return
        for span in self.imports.computed(self._own_units(needs)):
            self.diagnostics[
                Diagnostic(
                    "computed-import",
                    f"what this imports is known only when `{needs.step.function}` runs",
                    span,
                    label="so nothing can tell which packages the step needs",
                    help="name them: `@step(requirements=[…])`, an empty list if there are none; "
                    "modules of the project go into `files=[…]`",
                )
            ] = None

    def _report_differing(self, needs: StepNeeds) -> None:
        """Report packages whose code was read here, and of which an image would have another."""
        is_installed = self.code.project.is_installed
        read = {unit.path for unit in needs.slice.units if is_installed(unit.path)}
        environment = self.code.project.environment
        owners = {environment.owner(path) for path in (*read, *needs.slice.libraries)}
        for owner in sorted((each for each in owners if each), key=lambda each: each.name):
            wheel = needs.locked.packages.get(owner.name)
            if wheel is None or _is_same(owner, wheel):
                continue
            here = f"{owner.version} {owner.commit[:12]}".rstrip()
            self.diagnostics[
                Diagnostic(
                    "package-differs",
                    f"`{needs.step.function}` was read from `{owner.name}` {here}, and its image "
                    f"would have {_locked_as(wheel)}",
                    needs.step.span,
                    label="an image must have the code that the step's digest is of",
                    help="run `uv sync`, or `levada build --upgrade`, so that both have the same",
                )
            ] = None

    def _report_missing(self, needs: StepNeeds, module: str, span: Span, verb: str) -> None:
        self.diagnostics[
            Diagnostic(
                "import-not-required",
                f"no requirement provides `{module}`, which `{needs.step.function}` {verb}",
                span,
                label="nothing that is locked has this module",
                help=_advice(module, needs.locked),
            )
        ] = None


def _is_same(owner: Distribution, wheel: Wheel) -> bool:
    """Whether a distribution that is installed here is the one that is locked."""
    if owner.commit and "@" in wheel.url:
        return f"@{owner.commit}" in wheel.url
    return normalised(owner.version) == normalised(wheel.version)


def _locked_as(wheel: Wheel) -> str:
    commit = wheel.url.partition("#")[0].rpartition("@")[2] if "git+" in wheel.url else ""
    return f"{wheel.version} {commit[:12]}".rstrip()


def _is_outside(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in ("levada", "typing_extensions")


def _advice(module: str, locked: Locked) -> str:
    """What to do about an import that nothing provides."""
    top = module.partition(".")[0]
    as_name = top.replace("_", "-").lower()
    if as_name in locked.packages:
        modules = ", ".join(f"`{name}`" for name in locked.modules_of(as_name)[:3])
        return f"the package `{as_name}` is imported as {modules}"
    near = get_close_matches(top, _public(locked.top_modules()), n=1)
    if near:
        owner = locked.providers(near[0])
        return f"did you mean `{near[0]}` (of `{', '.join(owner)}`)?"
    close = get_close_matches(as_name, sorted(locked.declared), n=1)
    if close and close[0] in locked.packages:
        modules = ", ".join(f"`{name}`" for name in locked.modules_of(close[0])[:3])
        return f"`{close[0]}` is imported as {modules}"
    return "add the package that has it to the project's dependencies or to `requirements=[…]`"


def _public(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith("_")]


def union_of_values(needs: Iterable[StepNeeds]) -> Mapping[str, str]:
    """The classes of several steps' values, by name."""
    found = {name: digest for each in needs for name, digest in each.values.items()}
    return dict(sorted(found.items()))
