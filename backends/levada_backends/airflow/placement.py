"""Which executor and image each task of a graph has.

A step has its own. What is no step (a condition, a list of items, the pipeline's outputs) needs a
Python with Levada, and whatever loads the values that it looks at: it runs where the first step
runs whose output it looks at. If it looks at none, the first step that it decides about.
"""

from __future__ import annotations

from levada_compiler.program.ir import Call, walk
from levada_compiler.program.references import References

from .options import PROCESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from levada_compiler.program.ir import Program

    from .graph import Task
    from .options import Options
    from .settings import Settings

#: Kinds of tasks that run no command of Levada's.
BARE = ("except", "finally")


class Placement:
    """The executor and the image of each task of a program."""

    def __init__(self, program: Program, settings: Settings, options: Options) -> None:
        self._program = program
        self._settings = settings
        self._options = options
        self._refer = References(program)
        self._programs = {step.key for step in program.steps if step.container}
        nodes = tuple(walk(program.body))
        self._calls = {node.id: node for node in nodes if isinstance(node, Call)}
        self._regions = {node.id: node for node in nodes if not isinstance(node, Call)}

    def of_step(self, call: Call) -> tuple[str, str | None]:
        """The executor and the image of a call."""
        own = self._settings.of(call)
        executor = own.get("executor") or self._options.executor
        if executor == PROCESS:
            return executor, None
        if call.step in self._programs:
            return executor, self._levada_image()
        return executor, own.get("image") or self._options.image

    def _levada_image(self) -> str | None:
        """An image with Levada for what is around a program: of the first function, if any."""
        functions = (call for call in self._calls.values() if call.step not in self._programs)
        images = (self._settings.of(call).get("image") for call in functions)
        return next(filter(None, images), self._options.image)

    def of(self, task: Task) -> tuple[str | None, str | None]:
        """The executor and the image of a task; neither if it runs no command."""
        if task.kind in BARE:
            return None, None
        if isinstance(task.node, Call) and task.kind == "step":
            return self.of_step(task.node)
        model = next(self._looked_at(task), None)
        executor, image = self.of_step(model) if model else (self._options.executor, None)
        wanted = self._options.decisions or executor
        return wanted, None if wanted == PROCESS else image or self._options.image

    def _looked_at(self, task: Task) -> Iterator[Call]:
        for name in self._names(task):
            yield from self._within(name)
        if task.node is not None:
            yield from self._within(task.node.id)
        yield from self._calls.values()

    def _within(self, name: str) -> Iterator[Call]:
        if name in self._calls:
            yield self._calls[name]
        elif name in self._regions:
            inside = self._regions[name].walk()
            yield from (node for node in inside if isinstance(node, Call))

    def _names(self, task: Task) -> Iterator[str]:
        """The calls and guards that a task looks at, by their ids."""
        if task.node is not None:
            yield from self._refer.of_node(task.node)
        else:
            for value in self._program.result.values:
                yield from self._refer.of(value)
        yield from self._refer.of_values(task.checks)
