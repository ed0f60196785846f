"""Levada's settings as Airflow's arguments."""

from __future__ import annotations

import json

from levada.task_request import FOR_THE_COMMAND
from levada_compiler.program.plan import merged_settings

from .source_text import CallText, ListText, Text, call, literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from levada_compiler.program.ir import Call, Program, Setting

#: Seconds that a step has beyond its timeout to end and to write its record.
GRACE = 60

#: What Airflow has the same thing for, under another name.
FOR_AIRFLOW = {"pool": "pool", "queue": "queue", "priority": "priority_weight"}


def values(settings: tuple[Setting, ...]) -> dict[str, Any]:
    """Settings by name, as JSON values."""
    return {setting.name: json.loads(setting.value) for setting in settings}


class Settings:
    """The settings of every call of a program, for one version of Airflow or for both."""

    def __init__(self, program: Program, airflow: int | None) -> None:
        self.pipeline = values(program.settings)
        self._airflow = airflow
        self._steps = {step.key: values(step.settings) for step in program.steps}
        self._programs = {step.key for step in program.steps if step.container}

    def of(self, call: Call) -> dict[str, Any]:
        """A call's own, then its step's, then the pipeline's."""
        return merged_settings(self.pipeline, self._steps[call.step], values(call.settings))

    def arguments(self, node: Call, *, mapped: bool = False) -> dict[str, Text]:
        """The arguments of a step's task, in the order to be written."""
        own = self.of(node)
        arguments: dict[str, Text] = {}
        wanted = (*FOR_THE_COMMAND, "image") if node.step in self._programs else FOR_THE_COMMAND
        inner = {name: own[name] for name in wanted if name in own}
        if inner:
            arguments["settings"] = literal(inner)
        if own.get("retry") != self.pipeline.get("retry"):
            arguments |= retry(own.get("retry"))
        if own.get("timeout") is not None:
            # The step command ends the step itself, and says why; this is for when it cannot.
            arguments["execution_timeout"] = duration(own["timeout"] + GRACE)
        if not mapped:
            arguments |= self.sla(own)
        elif self.sla(self.pipeline):
            arguments["sla"] = "None"  # Airflow 2 refuses one of a mapped task
        for name, airflows in FOR_AIRFLOW.items():
            if own.get(name) is not None:
                arguments[airflows] = literal(own[name])
        if own.get("on_failure"):
            arguments["on_failure_callback"] = call("callback", literal(own["on_failure"]))
        if own.get("consumes"):
            arguments["inlets"] = assets(own["consumes"])
        if own.get("produces"):
            arguments |= {"outlets": assets(own["produces"]), "post_execute": "announce"}
        return arguments

    def sla(self, own: Mapping[str, Any]) -> dict[str, Text]:
        """The argument for the SLA of a task, which only Airflow 2 has."""
        if own.get("sla") is None or self._airflow == 3:
            return {}
        return {"sla": duration(own["sla"]) if self._airflow else call("sla", **units(own["sla"]))}


def assets(uris: Iterable[str]) -> ListText:
    """Assets by their URIs."""
    return ListText(tuple(call("Asset", literal(uri)) for uri in uris))


def retry(value: Mapping[str, Any] | None) -> dict[str, Text]:
    """The retry arguments of a task: none at all unless the pipeline says so."""
    if not value or not value.get("count"):
        return {"retries": "0"}
    arguments: dict[str, Text] = {"retries": literal(value["count"])}
    arguments["retry_delay"] = duration(value.get("delay", 1))
    if value.get("backoff", 2) != 1:
        arguments["retry_exponential_backoff"] = "BACKOFF"
    if value.get("max_delay") is not None:
        arguments["max_retry_delay"] = duration(value["max_delay"])
    return arguments


def duration(seconds: float) -> CallText:
    """A ``timedelta``, as somebody would write it."""
    return call("timedelta", **units(seconds))


def units(seconds: float) -> dict[str, Text]:
    """The arguments of a ``timedelta``."""
    parts: dict[str, Text] = {}
    rest = seconds
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        count, rest = divmod(rest, size)
        if count:
            parts[unit] = literal(int(count))
    if rest or not parts:
        parts["seconds"] = literal(int(rest) if rest == int(rest) else rest)
    return parts
