"""Enumerations: parameters that are members, and members that are written out."""

from enum import Enum, IntEnum, StrEnum, auto, unique

from levada import pipeline, step


class Solver(Enum):
    """The name, not the value, is what a step sees first."""

    EXACT = "exact"
    FAST = "{{ fast }}"
    QUICK = FAST

    def shout(self) -> str:
        return self.name.upper() + "!"


@unique
class Level(IntEnum):
    LOW = auto()
    HIGH = auto()


class Mode(StrEnum):
    DRY = auto()
    WET = auto()


@step
def solve(solver: Solver, level: Level, modes: list[Mode], other: Solver | None = None) -> str:
    kinds = [type(each).__name__ for each in (solver, level, *modes, other)]
    return f"{solver.shout()} {level.name} {kinds}"


@step
def pick(text: str) -> Solver:
    return Solver(text)


@step
def note(text: str) -> str:
    return text


@step
def show(values):
    """Nothing here says of which classes these are: whoever passes them does."""
    return [f"{type(each).__name__}.{each.name}" for each in values]


@pipeline
def members(
    solver: Solver = Solver.QUICK,
    level: Level = Level.HIGH,
    other: Solver | None = None,
    mode: Mode = Mode.DRY,
):
    solved = [solve(each, level, [mode, Mode.WET], other) for each in (Solver.EXACT, solver)]
    picked = pick(solver.value)
    again = solve(picked, Level.LOW, [])
    if solver is Solver.FAST and other != Solver.EXACT:
        said = note("fast " + solver.value)
    else:
        said = note("slow")
    if level > Level.LOW or mode in (Mode.WET, "x"):
        more = note("more")
    else:
        more = note("less")
    shown = show([solver, Mode.WET])
    return solved, again, said, more, solver, other, picked, shown
