"""The nodes of a run's workflow as KFP's API lists them, made from their whole names and states."""

from __future__ import annotations

import re
from typing import Any

WORKFLOW = "nightly-x1"


def executed(task: str) -> dict[str, str]:
    """The nodes of a task that ran, and those that it is in."""
    parts = task.split(".")
    inside = [".".join(parts[:count]) for count in range(1, len(parts))]
    return dict.fromkeys((*inside, f"{task}-driver", task, f"{task}.executor"), "SUCCEEDED")


def node(name: str) -> str:
    """The id that Argo gives the node of this name."""
    number = 2166136261
    for byte in f"{WORKFLOW}.{name}".encode():
        number = (number ^ byte) * 16777619 % 2**32
    return f"{WORKFLOW}-{number}"


def details(nodes: dict[str, str]) -> list[dict[str, Any]]:
    """Each as the API has it: it names those that start after it, by their ids."""
    times = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:05Z"}
    states = {"": "RUNNING", "root-driver": "SUCCEEDED", **nodes}
    return [
        {
            "task_id": f"task-{number}",
            "display_name": name.rpartition(".")[2] or WORKFLOW,
            "state": state,
            "child_tasks": [
                {"pod_name": node(n)} for n in states if n and above(n, states) == name
            ],
            **times,
        }
        for number, (name, state) in enumerate(states.items())
    ]


def above(name: str, nodes: dict[str, str]) -> str:
    """What a node starts after: its driver, or else what it is in."""
    if f"{name}-driver" in nodes:
        return f"{name}-driver"
    attempt = re.fullmatch(r"(.*)\((\d+)\)", name)
    return attempt[1] if attempt else name.rpartition(".")[0]
