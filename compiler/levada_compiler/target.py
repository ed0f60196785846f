"""What every target is: a name, what it can do, and a pure function from a program to files."""

from __future__ import annotations

from .slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from .diagnostics.diagnostic import Diagnostic
    from .options import OptionTable
    from .program.ir import Program
else:
    Protocol = object  # the real one takes 4 ms to import, and only type checkers ask for it


@dataclass(frozen=True, slots=True)
class Capability:
    """What a target does with a construct or a setting.

    ``note`` says how it does it, or why it does not. What is not ``supported`` is an error where
    a program uses it; a setting that is ``ignored`` is only a warning, with ``way_out`` as help.
    """

    name: str
    supported: bool
    note: str
    ignored: bool = False
    way_out: str = ""


def supports(notes: Mapping[str, str]) -> tuple[Capability, ...]:
    """Return capabilities of what a target can do, from how it does it."""
    return tuple(Capability(name, True, note) for name, note in notes.items())


def ignores(reasons: Mapping[str, str]) -> tuple[Capability, ...]:
    """Return settings that have no effect on a target, from why not: a warning each."""
    return tuple(Capability(name, False, why, ignored=True) for name, why in reasons.items())


def refuses(reasons: Mapping[str, str]) -> tuple[Capability, ...]:
    """Return what a target cannot do, from why not: an error where a program uses it."""
    return tuple(Capability(name, False, why) for name, why in reasons.items())


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a target can do, as data.

    ``constructs`` have the names of :data:`.program.constructs.CONSTRUCTS`, ``settings`` those of
    :data:`levada.settings.SETTINGS`. The compiler refuses a program that uses a construct that is
    not supported or not listed, and warns of settings that are not listed. ``options`` defines
    the options: any other is refused. None takes whatever is given.
    """

    constructs: tuple[Capability, ...]
    settings: tuple[Capability, ...]
    options: type[OptionTable] | None = None

    @classmethod
    def everything(cls, note: str, options: type[OptionTable] | None = None) -> Capabilities:
        """Return those of a target that can do all that there is."""
        from levada.settings import SETTINGS

        from .program.constructs import CONSTRUCTS

        settings = {name: note for name, each in SETTINGS.items() if each.for_targets}
        return cls(supports(dict.fromkeys(CONSTRUCTS, note)), supports(settings), options)


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
        """Return whatever its engine would refuse beyond its capabilities, with spans.

        One that is about an option has ``pyproject.toml#<option>`` as the file of its span;
        whoever asks finds the place.
        """

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:
        """Return the files, by POSIX path relative to the output folder.

        Pure; called only where ``check`` gave no error. ``options`` is
        ``[tool.levada.targets.<name>]`` of the project's pyproject.toml, with the chosen
        environment and the command line's ``--set`` over it, plus ``compiler`` (the version of
        Levada) and ``project`` (a relative POSIX path: from the output folder to the project's
        root; absent where nothing is written).
        """
