"""Run a pipeline as plain Python, by its program and by the engine, and say what differs."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from levada import expressions, values
from levada.engine.interpreter import Interpreter
from levada.program_modules import ProgramModules
from levada.project import Project
from levada_compiler.compilation import compile_file
from levada_compiler.program.ir import Loop
from levada_compiler.program.plan import plan
from levada_compiler.program.verify import verify

from tests.compiler.meaning import Meaning
from tests.conformance.order import Order
from tests.conformance.traced import Calls, load, traced
from tests.engine.in_process import InProcessExecutor

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

    from levada.store import Store
    from levada_compiler.program.ir import Node, Program

    from tests.conformance.order import Interval


@dataclass
class Ran:
    """What a run came to: the text of what it returned, or the exception; and the calls."""

    returned: str = ""
    raised: tuple[str, str] | None = None  #: the name of the class, and the message
    calls: Calls = field(default_factory=list)

    def effects(self) -> Calls:
        """Return the calls of the step that is there for its side effect only."""
        return [call for call in self.calls if call[0] == "note"]

    def __str__(self) -> str:
        end = self.returned if self.raised is None else ": ".join(self.raised)
        return "\n".join([*(f"  {name} {given}" for name, given in self.calls), f"  {end}"])


def differences(
    path: Path, parameters: dict[str, Any], store: Store, seed: int
) -> list[str] | None:
    """Say how the pipeline ``flow`` of a module differs from plain Python.

    None for a module that the compiler refuses. ``seed`` is that of the order in which steps end.
    """
    compilation = compile_file(str(path), "flow")
    if compilation.program is None:
        return None if compilation.diagnostics else ["refused without a diagnostic"]
    before = set(sys.modules)
    project = Project(str(path.parent), [str(path.parent)])
    values.set_program(ProgramModules(project, store, path.name))
    try:
        return compared(compilation.program, load(path, path.parent), parameters, store, seed)
    finally:
        values.set_program(())
        for name in set(sys.modules) - before:
            sys.modules.pop(name)


def compared(
    program: Program, module: types.ModuleType, parameters: dict[str, Any], store: Store, seed: int
) -> list[str]:
    """Say how what a program means, and what the engine makes of it, differ from plain Python."""
    calls: Calls = []
    steps = traced(module, calls)
    expected = ended(lambda: module.flow(**copied(parameters)), calls)
    said = [f"not valid: {problem}" for problem in verify(program)]
    meant = ended(lambda: Meaning(program, steps, copied(parameters)).run(), calls)
    source = Path(str(module.__file__)).read_text()
    certain = "    except" not in source
    if not is_like(expected, meant, certain=certain):
        said.append(f"the program means\n{meant}\nnot\n{expected}")
    engine = Engine(program, module, steps, store)
    found = engine.run(parameters, calls, 1, Random(seed))
    if not is_like(expected, found, certain=certain):
        said.append(f"one step at a time it gives\n{found}\nnot\n{expected}")
    if "with parallel():" not in source:
        found = engine.run(parameters, calls, 3, Random(seed))
        said += engine.unordered() + engine.unlike(expected, found)
    return said


def is_like(expected: Ran, found: Ran, *, certain: bool) -> bool:
    """Return whether a run in the order of the source is like plain Python's.

    Where an expression raises, a step whose result it would have used may have run or not: `f(x)`
    of ``(xs[0], f(x))``. So calls are the same, each in its place, if nothing raised for
    ``certain``; those of ``note``, whose results nothing uses, always are.
    """
    if (expected.returned, expected.raised) != (found.returned, found.raised):
        return False
    if certain and expected.raised is None:
        return expected.calls == found.calls
    return expected.effects() == found.effects()


def copied(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters that a run may change."""
    found: dict[str, Any] = json.loads(json.dumps(parameters))
    return found


def ended(run: Callable[[], Any], calls: Calls) -> Ran:
    """Run a function of Python; return what came of it."""
    calls.clear()
    try:
        returned = repr(run())
    except Exception as error:  # noqa: BLE001 - a failure is an outcome
        return Ran("", (type(error).__name__, str(error)), list(calls))
    return Ran(returned, None, list(calls))


class Engine:
    """A run by the interpreter of the local engine, with the steps called in this process."""

    def __init__(
        self,
        program: Program,
        module: types.ModuleType,
        steps: dict[str, Callable[..., Any]],
        store: Store,
    ) -> None:
        self._program = program
        self._module = module
        self._functions = {key.partition(":")[2]: function for key, function in steps.items()}
        self._store = store
        self._plan = plan(program)
        self._called: dict[tuple[str, str], set[str]] = {}  # the nodes of each call
        self._times: dict[tuple[str, tuple[int, ...]], Interval] = {}

    def run(self, parameters: dict[str, Any], calls: Calls, width: int, random: Random) -> Ran:
        """Run the pipeline with so many steps at a time, which end in any order."""
        calls.clear()
        self._called.clear()
        executor = InProcessExecutor(self._functions, self._store, random.randrange)
        run = Interpreter(self._plan, parameters, executor, self._store, max_parallel=width)
        failure = run.run()
        self._times = executor.times
        for (node, _), call in zip(executor.ended, calls, strict=True):
            self._called.setdefault(call, set()).add(node)
        if failure is not None:
            error = failure.error
            return Ran("", (error["type"], error["message"]), list(calls))
        return ended_with(lambda: self._returned(run), list(calls))

    def _returned(self, run: Interpreter) -> Any:
        result = self._plan["result"]
        found = [expressions.value(text, run.scope) for text in result["values"]]
        kind, names = result["kind"], result["names"]
        if kind in ("none", "value"):
            return found[0] if found else None
        if kind == "tuple":
            return tuple(found)
        named = dict(zip(names, found, strict=True))
        return named if kind == "dict" else getattr(self._module, kind.partition(":")[2])(**named)

    def unordered(self) -> list[str]:
        """Say which steps did not wait for one that they have to wait for."""
        return Order(self._program).violations(self._times)

    def unlike(self, expected: Ran, found: Ran) -> list[str]:
        """Say what is not as in plain Python in a run of several steps at a time.

        After a failure a step that plain Python does not reach may have run, if it is not there
        for a side effect, or is one of another iteration; and of several failures another one may
        have come first.
        """
        said = []
        if (expected.raised is None) != (found.raised is None):
            said.append(f"several at a time it ends with\n{found}\nnot\n{expected}")
        elif expected.returned != found.returned:
            said.append(f"several at a time it returns\n{found}\nnot\n{expected}")
        wanted, ran = Counter(expected.calls), Counter(found.calls)
        if expected.raised is None:
            said += [f"several at a time {call} is not run" for call in wanted - ran]
        order = Order(self._program)
        effects = {node.id for node in order.nodes() if order.has_effect(node)}
        effects -= {inner.id for node in order.nodes() for inner in _of_iterations(node)}
        extra = [call for call in ran - wanted if self._called[call] <= effects]
        return said + [f"several at a time {call} is run for its effect" for call in extra]


def _of_iterations(node: Node) -> list[Node]:
    """Return the nodes of a loop: its iterations run at the same time."""
    return list(node.walk()) if isinstance(node, Loop) else []


def ended_with(returned: Callable[[], Any], calls: Calls) -> Ran:
    """Return what came of a run whose steps are over."""
    found = ended(returned, [])
    return Ran(found.returned, found.raised, calls)
