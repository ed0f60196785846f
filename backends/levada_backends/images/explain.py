"""Why a package or a file is in an image: the chain from a step to it."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from levada_compiler.slotted import dataclass

from . import layout
from .image import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada.code_units import Unit

    from .needs import Reason, StepNeeds
    from .plan import Plan, PlannedImage


@dataclass(frozen=True, slots=True)
class Item:
    """Something in an image. ``chain`` says why, from the item to the step, one clause each."""

    kind: str  #: ``package``, ``module`` or ``data``
    name: str
    size: int | None
    chain: tuple[str, ...]


class Explanation:
    """Everything in the image of one step that is there for this step."""

    def __init__(self, plan: Plan, key: str) -> None:
        """Look at the step ``key`` of a plan without errors."""
        self.needs: StepNeeds = plan.needs[key]
        self.image: PlannedImage = next(image for image in plan.images if key in image.spec.steps)
        self._code = self.needs.slice.code
        self._parents = self._reached()

    def items(self) -> list[Item]:
        """All packages, then all files, each with a shortest chain."""
        return [*self._packages(), *self._modules(), *self._data()]

    def find(self, name: str) -> list[Item]:
        """The items of this name: a package, a file, or what an import comes from.

        Raises ImageError if there is none.
        """
        items = self.items()
        found = [item for item in items if name in (item.name, Path(item.name).name)]
        provided = self.needs.locked.providers(name)
        found = found or [item for item in items if item.name in provided]
        if found:
            return found
        names = [item.name for item in items]
        near = get_close_matches(name, names, n=1)
        step = self.needs.step.function
        raise ImageError(
            f"`{name}` is not in the image because of `{step}`",
            f"did you mean `{near[0]}`?" if near else f"`levada image {step}` lists all that is",
        )

    # ---------------------------------------------------------------- packages

    def _packages(self) -> Iterator[Item]:
        for wheel in self.needs.packages:
            yield Item(
                "package",
                wheel.name,
                wheel.size,
                tuple(self._package_chain(wheel.name)),
            )

    def _package_chain(self, name: str) -> Iterator[str]:
        parents = self.needs.parents
        while parents[name] != name:
            name = parents[name]
            yield f"required by {name} {self.needs.locked.packages[name].version}"
        reason = self.needs.reasons[name]
        yield self._first_hand(reason)
        if reason.unit is not None:
            yield from self._unit_chain(reason.unit)

    def _first_hand(self, reason: Reason) -> str:
        if reason.span is None:
            return reason.text
        return f"{reason.text} in {reason.span.file}:{reason.span.line}"

    # ---------------------------------------------------------------- files

    def _modules(self) -> Iterator[Item]:
        files = self.needs.slice.files()
        units: dict[str, list[Unit]] = {}
        for unit in self.needs.slice.units:
            name = self._code.project.relative(unit.path)
            units.setdefault(name, []).append(unit)
        for name, content in files.items():
            yield Item("module", name, len(content), tuple(self._file_chain(units.get(name, []))))

    def _file_chain(self, units: list[Unit]) -> Iterator[str]:
        """Through the statement of the file that is nearest to the step."""
        chains = [(self._unit_name(unit), list(self._unit_chain(unit))) for unit in units]
        if not chains:
            yield "a package that is imported on the way"
            return
        name, chain = min(chains, key=lambda each: (len(each[1]), each[0]))
        others = len(units) - 1
        yield f"{name}{f' and {others} more of its statements' if others else ''}"
        yield from chain

    def _data(self) -> Iterator[Item]:
        for setting in self.needs.step.settings:
            for pattern in json.loads(setting.value) if setting.name == "files" else ():
                for name in self._code.data_files(pattern):
                    spec = self.image.spec
                    size = len(spec.slice_files[layout.place(spec.project, name)])
                    yield Item("data", name, size, (f'`files=["{pattern}"]`',))

    # ---------------------------------------------------------------- from unit to unit

    def _reached(self) -> dict[Unit, Unit | None]:
        """Each statement with the one that it is reached from, nearest first."""
        start = self._code.resolve(self.needs.path, self.needs.step.function)
        parents: dict[Unit, Unit | None] = dict.fromkeys(start)
        pending = list(start)
        while pending:
            unit = pending.pop(0)
            for other in self._code.links(unit).units:
                if other not in parents:
                    parents[other] = unit
                    pending.append(other)
        return parents

    def _unit_chain(self, unit: Unit) -> Iterator[str]:
        if unit not in self._parents:
            yield "runs when its module is imported"
            return
        while (parent := self._parents[unit]) is not None:
            if parent.kind != "import":  # the name under which it is used says nothing more
                yield f"used by {self._unit_name(parent)}"
            unit = parent

    def _unit_name(self, unit: Unit) -> str:
        line = getattr(unit.statement, "lineno", 0)
        place = f"{self._code.project.relative(unit.path)}:{line}"
        names = ", ".join(f"`{name}`" for name in unit.bound)
        return f"{names} ({place})" if names else place
