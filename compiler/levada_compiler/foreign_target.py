"""A target of another package: what it raises is said to be its fault, not Levada's."""

from __future__ import annotations

from contextlib import contextmanager

from levada_compiler.diagnostics.diagnostic import Diagnostic

from .target import Capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from levada_compiler.program.ir import Program


class TargetFaultError(Exception):
    """A target of another package failed; the cause is what it raised."""

    def __init__(self, name: str, package: str, cause: BaseException) -> None:
        self.name = name
        self.package = package
        summary = f"{type(cause).__name__}: {cause}".splitlines()[0]
        super().__init__(f"the target `{name}` (package {package}) failed: {summary}")


class ForeignTarget:
    """A target as the compiler asks it; ``reference`` is that of its entry point.

    Raises TargetFaultError wherever the target raises, or gives what is not as
    :class:`.target.Target` says.
    """

    def __init__(self, name: str, reference: str, target: Any) -> None:
        self.name = name
        self._target = target
        self._module = reference.partition(":")[0].strip()
        with self._blamed():
            self.description = str(target.description)
            self.client = getattr(target, "client", None)
            self.capabilities = _instance(target.capabilities, Capabilities, "capabilities")

    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
        """Return what the target says of a program."""
        with self._blamed():
            found = tuple(self._target.check(program, options))
            return tuple(_instance(one, Diagnostic, "check") for one in found)

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:
        """Return the files of the target, all of them within the output folder."""
        with self._blamed():
            files = dict(self._target.emit(program, options))
            for path, text in files.items():
                _instance(text, str, "emit")
                if path.startswith("/") or "\\" in path or not _is_inside(path):
                    raise ValueError(f"`emit` gave the file `{path}`, not in the output folder")
            return files

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            raise TargetFaultError(self.name, self._package(), error) from error

    def _package(self) -> str:
        """Return the distribution that the target comes from, or else its module's package."""
        from importlib.metadata import entry_points

        for point in entry_points(group="levada.targets", name=self.name):
            if point.dist is not None and point.module == self._module:
                return f"{point.dist.name} {point.dist.version}"
        return self._module.partition(".")[0]


def _instance(value: Any, kind: type, of: str) -> Any:
    if not isinstance(value, kind):
        shown = repr(value) if len(repr(value)) < 60 else type(value).__name__
        raise TypeError(f"`{of}` has to give {kind.__name__}, not {shown}")
    return value


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return bool(path) and ".." not in parts and "" not in parts
