"""The plan: a program as the JSON that the engine interprets (schema ``levada.plan/2``)."""

from __future__ import annotations

import json

from levada import __version__
from levada.settings import SETTINGS

from . import forms
from .expression_text import ExpressionWriter, source_names
from .ir import Branch, Call, Fail, Group, Guard, Loop, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .ir import Node, Parameter, Program, Result, Setting, Step

SCHEMA = "levada.plan/2"


def plan(program: Program) -> dict[str, Any]:
    """The plan of a checked program: JSON values only, in a fixed order."""
    writer = ExpressionWriter(program, inline_raising=False)
    pipeline = _settings(program.settings)
    steps = {step.key: _settings(step.settings) for step in program.steps}
    return {
        "schema": SCHEMA,
        "pipeline": program.name,
        "description": program.description,
        "file": program.file,
        "source": program.source,
        "search": list(program.search),
        "compiler": __version__,
        "settings": pipeline,
        "parameters": [_parameter(parameter) for parameter in program.parameters],
        "steps": {step.key: _step(step, steps[step.key]) for step in program.steps},
        "definitions": writer.definitions(),
        "body": _PlanWriter(writer, pipeline, steps).region(program.body),
        "result": _result(program.result, writer),
    }


def merged_settings(
    pipeline: dict[str, Any], step: dict[str, Any], call: dict[str, Any]
) -> dict[str, Any]:
    """The settings of one call: the call's own before the step's before the pipeline's.

    Environments are merged variable by variable, all other settings as a whole.
    """
    inherited = {name: value for name, value in pipeline.items() if SETTINGS[name].inherited}
    merged = inherited | step | call
    environment: dict[str, str] = {}
    for layer in (inherited, step, call):
        environment |= layer.get("environment", {})
    return merged | ({"environment": environment} if environment else {})


class _PlanWriter:
    """Writes the nodes of one program."""

    def __init__(
        self,
        writer: ExpressionWriter,
        pipeline: dict[str, Any],
        steps: dict[str, dict[str, Any]],
    ) -> None:
        self._writer = writer
        self._pipeline = pipeline
        self._steps = steps

    def region(self, nodes: tuple[Node, ...]) -> list[dict[str, Any]]:
        inlined = self._writer.inlined
        return [self._node(node) for node in nodes if node.id not in inlined]

    def _node(self, node: Node) -> dict[str, Any]:
        form: dict[str, Any] = {}
        match node:
            case Call():
                form = self._call(node)
            case Value():
                form = {"raises": node.raises}
            case Fail():
                arguments = [self._writer.text(argument) for argument in node.arguments]
                form = {"classes": list(node.classes), "arguments": arguments, "guard": node.guard}
            case Branch():
                form = {
                    "condition": self._writer.text(node.condition),
                    "then": self.region(node.then),
                    "otherwise": self.region(node.otherwise),
                }
            case Loop():
                form = self._loop(node)
            case Guard():
                form = {
                    "body": self.region(node.body),
                    "handler": None if node.handler is None else self.region(node.handler),
                    "final": self.region(node.final),
                    "checks": list(node.checks),
                }
            case Group():
                form = {"pipeline": node.pipeline, "body": self.region(node.body)}
        kind = type(node).__name__.lower()
        return {"kind": kind, "id": node.id, **form, "after": list(node.after)}

    def _call(self, call: Call) -> dict[str, Any]:
        own = _settings(call.settings)
        return {
            "step": call.step,
            "inputs": {a.name: self._writer.text(a.value) for a in call.arguments},
            "settings": merged_settings(self._pipeline, self._steps[call.step], own),
        }

    def _loop(self, loop: Loop) -> dict[str, Any]:
        limit = {} if loop.max_parallel is None else {"max_parallel": loop.max_parallel}
        return {
            "target": self._writer.target(loop.target),
            "items": self._writer.text(loop.items),
            "where": [self._writer.text(condition) for condition in loop.conditions],
            **({"named": source_names(loop)} if loop.named else {}),
            **limit,
            "body": self.region(loop.body),
        }


def _settings(settings: tuple[Setting, ...]) -> dict[str, Any]:
    return {setting.name: json.loads(setting.value) for setting in settings}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    default = parameter.default
    return {
        "name": parameter.name,
        "type": parameter.type.text,
        "schema": forms.schema(forms.of_parameter(parameter)),
        "description": parameter.description,
        "default": None if default is None else json.loads(default),
        "required": default is None,
    }


def _step(step: Step, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": step.module,
        "function": step.function,
        "source_root": step.source_root,
        "code": step.code,
        "imports": list(step.imports),
        "outputs": [output.name for output in step.outputs],
        "returns": step.returns.text,
        "settings": settings,
        "file": step.span.file,
        **({} if step.container is None else {"container": step.container.as_json()}),
    }


def _result(result: Result, writer: ExpressionWriter) -> dict[str, Any]:
    return {
        "values": [writer.text(value) for value in result.values],
        "names": list(result.names),
        "kind": result.kind,
        "after": list(result.after),
    }
