"""The tasks of a run as KFP's API tells them, found again in the pipeline that it is of.

The API lists Argo's nodes. Beside the tasks of a pipeline these are its drivers, its executors and
what an iterator is made of (``iteration-item``, ``iteration-iterations(0:0)``); each names its
parent.
"""

from __future__ import annotations

import re

from levada_compiler.slotted import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_ITERATION = re.compile(r"\((\d+)(?::.*)?\)$")
_NODE = re.compile(r"^node (\S+)", re.MULTILINE)
_STEP = re.compile(r"^step \S+:(\S+)", re.MULTILINE)
#: The node that is a task's own pod.
_EXECUTOR = "executor"


@dataclass(frozen=True, slots=True)
class Place:
    """Which node of the pipeline a task is, for which items of its loops, and in which pod."""

    node: str
    index: tuple[int, ...] | None
    is_control: bool
    pod: str


class Tasks:
    """The tasks of a PipelineSpec."""

    def __init__(self, spec: Any) -> None:
        """``spec`` is as the API gives it: the PipelineSpec, or that in a field of it."""
        content = spec if isinstance(spec, dict) else {}
        content = content.get("pipeline_spec", content)
        self._root = content.get("root", {}).get("dag", {}).get("tasks", {})
        self._components = content.get("components", {})
        self._executors = content.get("deploymentSpec", {}).get("executors", {})

    def of(self, details: Sequence[Any]) -> Iterator[tuple[Any, Place]]:
        """Those of the nodes that are tasks with a container, with what they are."""
        parents = {detail.task_id: detail for detail in details}
        pods = {d.parent_task_id: d.pod_name for d in details if d.display_name == _EXECUTOR}
        for detail in details:
            pod = pods.get(detail.task_id) or detail.pod_name or ""
            place = self._place([one.display_name for one in _chain(detail, parents)], pod)
            if place is not None:
                yield detail, place

    def _place(self, names: list[str], pod: str) -> Place | None:
        """Go down from the root; names that are no task there are KFP's own."""
        tasks, component = self._root, {}
        index: list[int] = []
        found: Any = None
        for name in names:
            found = tasks.get(name)
            if item := _ITERATION.search(name):
                index.append(int(item[1]))
            if found is not None:
                component = self._components.get(found.get("componentRef", {}).get("name"), {})
                tasks = component.get("dag", {}).get("tasks", {})
        label = component.get("executorLabel") if found is not None else None
        if label is None:
            return None
        arguments = self._executors.get(label, {}).get("container", {}).get("args") or [""]
        is_control = arguments[0] != "step"
        return Place(_node(found, names[-1]), tuple(index) or None, is_control, pod)


def _chain(detail: Any, parents: dict[str, Any]) -> list[Any]:
    """The node and those above it, the outermost first."""
    found = [detail]
    while (above := parents.get(found[-1].parent_task_id)) is not None and above not in found:
        found.append(above)
    return found[::-1]


def _node(task: Any, name: str) -> str:
    """The id of the node that a task is called for; its own name where there is none."""
    given = task.get("inputs", {}).get("parameters", {})
    call = given.get("levada-call", {}).get("runtimeValue", {}).get("constant", "")
    node = _NODE.search(call) or _STEP.search(call)
    return node[1] if node else name
