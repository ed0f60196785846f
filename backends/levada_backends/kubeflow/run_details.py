"""The tasks of a run as KFP's API tells them, found again in the pipeline that it is of.

The API lists the nodes of the run's Argo workflow in no order: what each is called within the DAG
that it is in (``train``, ``executor``), its state, and the ids of those that start after it. It
says neither which node it is in nor its own id. But Argo derives an id from the whole name of a
node (``NodeID``), and KFP's compiler to Argo derives the names from the pipeline. So a task is the
node whose pod's id is that of the name which its pod must have.
"""

from __future__ import annotations

import json
import re

from levada.kubeflow import PUBLISH
from levada_compiler.slotted import dataclass, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

_ITERATION = re.compile(r"iteration-iterations\((\d+):\d+\)")
_ATTEMPT = re.compile(r"executor\((\d+)\)")
#: The templates of pods, after which these are named: of a task, also one with retries, and of
#: the driver before it.
_EXECUTORS = ("system-container-impl", "retry-system-container-impl")
_DRIVERS = ("system-container-driver", "system-dag-driver")


@dataclass(frozen=True, slots=True)
class Pod:
    """What it may be called: as its node's id, or by its template, as Argo is set up.

    An archived log is found by the node's id, which is the first. None is known of an attempt that
    KFP forgot when the run was retried.
    """

    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Which node of the pipeline a task is, for which items of its loops, and its attempts' pods.

    Where the driver failed, it is that one's, and no attempt was made. The only item of a loop that
    is never empty in KFP may be no item.
    """

    node: str
    index: tuple[int, ...] | None
    is_control: bool
    pods: tuple[Pod, ...] = ()
    is_driver: bool = False
    may_be_no_item: bool = False


class Tasks:
    """The tasks of a PipelineSpec."""

    def __init__(self, spec: Any) -> None:
        """``spec`` is as the API gives it: the PipelineSpec, or that in a field of it."""
        given = spec if isinstance(spec, dict) else {}
        content = given.get("pipeline_spec", given)
        self._pod_templates = _pod_templates(given.get("platform_spec") or {})
        self._root = content.get("root", {}).get("dag", {}).get("tasks", {})
        self._components = content.get("components", {})
        self._executors = content.get("deploymentSpec", {}).get("executors", {})

    def of(self, details: Sequence[Any]) -> Iterator[tuple[Any, Place]]:
        """Those of the nodes that are tasks with a container, with what they are.

        A task whose driver failed is among them too: by its driver, which says why.
        """
        nodes = _Nodes(details, self._pod_templates)
        if nodes.workflow:
            yield from self._within(self._root, _Dag(f"{nodes.workflow}.root"), nodes)

    def _within(
        self, tasks: Mapping[str, Any], dag: _Dag, nodes: _Nodes
    ) -> Iterator[tuple[Any, Place]]:
        for name, task in tasks.items():
            here = f"{dag.name}.{name}"
            loops = "parameterIterator" in task
            driver = f"{here}.iteration-driver" if loops else f"{here}-driver"
            component = self._components.get(task.get("componentRef", {}).get("name"), {})
            inner = component.get("dag", {}).get("tasks")
            is_control = inner is not None or not self._is_step(component)
            place = Place(_node(task, name), dag.index or None, is_control)
            if (failed := nodes.failed_driver(driver)) is not None:
                yield failed, replace(place, pods=(nodes.driver_pod(driver),), is_driver=True)
            elif inner is None:
                place = replace(place, may_be_no_item=dag.may_be_no_item)
                yield from _executed(here, place, nodes)
            elif not loops:
                yield from self._within(inner, replace(dag, name=here), nodes)
            else:
                found = list(nodes.iterations(here))
                may_be = dag.may_be_no_item or (len(found) == 1 and _is_never_empty(task, tasks))
                for number, item in found:
                    yield from self._within(inner, _Dag(item, (*dag.index, number), may_be), nodes)

    def _is_step(self, component: Mapping[str, Any]) -> bool:
        """Whether it runs a step: all else decides, lists or records."""
        executor = self._executors.get(component.get("executorLabel"), {})
        request = _request(executor.get("container", {}).get("args") or [""])
        role = request.get("kubeflow", {}).get("role", PUBLISH)
        return request.get("do") == "step" and role == PUBLISH


@dataclass(frozen=True, slots=True)
class _Dag:
    """A DAG of the workflow by its whole name, for which items, or maybe for none."""

    name: str
    index: tuple[int, ...] = ()
    may_be_no_item: bool = False


class _Nodes:
    """The nodes of a workflow by their ids, as far as they can be told."""

    def __init__(self, details: Sequence[Any], pod_templates: Sequence[str]) -> None:
        self._pod_templates = pod_templates
        self._above: dict[str, Any] = {}  #: a node's id -> what it starts after
        self._without_any: dict[str, Any] = {}  #: a name in a DAG -> a node that nothing is after
        for detail in details:
            if not detail.child_tasks:
                self._without_any.setdefault(detail.display_name, detail)
            for child in detail.child_tasks or ():
                self._above.setdefault(child.pod_name, detail)
        names = list(dict.fromkeys(detail.display_name or "" for detail in details))
        self._most_iterations = _most(_ITERATION, names)
        self._most_attempts = _most(_ATTEMPT, names)
        entries = (name for name in names if name and _id(name, f"{name}.root-driver") in self)
        self.workflow = next(entries, "")

    def __contains__(self, node: str) -> bool:
        return node in self._above

    def has(self, name: str) -> bool:
        """Whether there is a node of this whole name."""
        return _id(self.workflow, name) in self

    def pod(self, name: str) -> Pod:
        """The pod of an attempt; nothing is known of one without a name."""
        return self._pod(name, self._pod_templates) if name else Pod()

    def driver_pod(self, name: str) -> Pod:
        """The pod of a driver."""
        return self._pod(name, _DRIVERS)

    def _pod(self, name: str, templates: Sequence[str]) -> Pod:
        node = _id(self.workflow, name)
        number = node.rpartition("-")[2]
        return Pod((node, *(f"{self.workflow}-{each}-{number}" for each in templates)))

    def iterations(self, loop: str) -> Iterator[tuple[int, str]]:
        """The iterations of a loop that were begun, by number, and the names of their DAGs."""
        for number in range(self._most_iterations):
            item = f"{loop}.iteration-iterations({number}:{number})"
            if self.has(item):
                yield number, f"{item}.iteration-item"

    def attempts(self, task: str) -> list[str]:
        """The nodes of a task's attempts; "" for one that KFP forgot."""
        one = f"{task}.executor"
        each = [f"{one}({number})" for number in range(self._most_attempts)]
        known = [node if self.has(node) else "" for node in each]
        while known and not known[-1]:
            known.pop()
        return known or [one] * self.has(one)

    def failed_driver(self, name: str) -> Any:
        """The driver of this name if it failed. It is the one that its task comes after."""
        task = name.removesuffix("-driver")
        after = f"{task}-iterations" if task.endswith(".iteration") else task
        detail = self._above.get(_id(self.workflow, after))
        if detail is None or detail.display_name != name.rpartition(".")[2]:
            return None
        return detail if str(detail.state) == "FAILED" else None

    def of(self, name: str) -> Any:
        """What is said of a task: by what is in it; without any, by the name that it has there.

        Of several with nothing in them which one it is cannot be told, but these are alike.
        """
        above = self._above.get(_id(self.workflow, f"{name}.executor"))
        return above or self._without_any.get(name.rpartition(".")[2])


def _executed(name: str, place: Place, nodes: _Nodes) -> Iterator[tuple[Any, Place]]:
    """A task that has a container, unless nothing is known of it yet."""
    if not nodes.has(name):
        return
    detail = nodes.of(name)
    if detail is not None:
        pods = tuple(nodes.pod(attempt) for attempt in nodes.attempts(name))
        yield detail, replace(place, pods=pods)


def _pod_templates(platform: Any) -> list[str]:
    """The templates of a pipeline's pods, which have other names where these have metadata."""
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
    found = list(_EXECUTORS)
    for metadata in filter(None, (each.get("podMetadata") for each in executors.values())):
        sizes = (len(metadata.get(kind, {})) for kind in ("annotations", "labels"))
        prefix = "metadata-{}-{}-".format(*sizes)
        found += [f"{prefix}{name}" for name in _EXECUTORS if f"{prefix}{name}" not in found]
    return found


def _most(pattern: re.Pattern[str], names: Sequence[str]) -> int:
    """One more than the largest number in those of the names that are of this form."""
    numbers = [int(found[1]) for name in names if (found := pattern.fullmatch(name))]
    return max(numbers, default=-1) + 1


def _id(workflow: str, name: str) -> str:
    """The id that Argo gives the node of this name: its FNV-1a of 32 bits."""
    number = 0x811C9DC5
    for byte in name.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{workflow}-{number}"


def _is_never_empty(loop: Any, tasks: Mapping[str, Any]) -> bool:
    """Whether the task that lists the loop's items lists one where there is none."""
    items = loop["parameterIterator"].get("items", {}).get("inputParameter", "")
    given = loop.get("inputs", {}).get("parameters", {}).get(items, {})
    lists = tasks.get(given.get("taskOutputParameter", {}).get("producerTask"), {})
    return bool(_call(lists).get("kubeflow", {}).get("never_empty"))


def _request(arguments: Sequence[str]) -> dict[str, Any]:
    """What the requests of a component's tasks have in common; nothing if it is not Levada's."""
    try:
        found = json.loads(arguments[0])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _call(task: Any) -> dict[str, Any]:
    """What the request of a task has beside what its component says."""
    given = task.get("inputs", {}).get("parameters", {})
    found = given.get("levada-call", {}).get("runtimeValue", {}).get("constant")
    return found if isinstance(found, dict) else {}


def _node(task: Any, name: str) -> str:
    """The id of the node that a task is called for; its own name where there is none."""
    call = _call(task)
    return str(call.get("node") or call.get("step", "").partition(":")[2] or name)
