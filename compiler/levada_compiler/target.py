"""What every target is: a name, what it can do, and a pure function from a program to files."""

from __future__ import annotations

from .slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from .diagnostics.diagnostic import Diagnostic
    from .program.ir import Program
else:
    Protocol = object  # the real one takes 4 ms to import, and only type checkers ask for it


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether a target can do a construct or a setting; ``note`` says how, or what to do."""

    name: str
    supported: bool
    note: str


@dataclass(frozen=True, slots=True)
class Option:
    """A key of ``[tool.levada.targets.<name>]``; ``note`` says what it does, and its default."""

    name: str
    note: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do, as data. Names are those of the table in ``docs/language.md``.

    ``options`` are all that the target takes: any other is refused. None takes whatever is given.
    """

    constructs: tuple[Capability, ...]
    settings: tuple[Capability, ...]
    options: tuple[Option, ...] | None = None


class Target(Protocol):
    """A target as found under the entry point group ``levada.targets``.

    One that can be submitted to has an attribute ``client`` too, a reference to the class
    (``module:Class``) that does what :mod:`.client` says.
    """

    @property
    def name(self) -> str:
        """The word after ``--target``."""

    @property
    def description(self) -> str:
        """One line for ``levada targets``."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
        """Whatever this target cannot do, or its engine would refuse, with spans.

        One that is about an option has ``pyproject.toml#<option>`` as the file of its span; whoever
        asks finds the place.
        """

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:
        """The files, by POSIX path relative to the output folder. Pure; ``check`` gave no error.

        ``options`` is ``[tool.levada.targets.<name>]`` of the project's pyproject.toml, with the
        chosen environment and the command line's ``--set`` over it, plus ``compiler`` (the version
        of Levada) and ``project`` (a relative POSIX path: from the output folder to the project's
        root; absent where nothing is written).
        """
