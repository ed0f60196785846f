"""The Job of an attempt: its name, how it is made from a template, and what its state says."""

from __future__ import annotations

import copy
import hashlib
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from levada.engine import Attempt

RUN = "levada.dev/run"
NODE, MAP_INDEX, ATTEMPT = "levada.dev/node", "levada.dev/map-index", "levada.dev/attempt"
CANCEL = "levada.dev/cancel"
PROGRESS = "levada.dev/progress"
#: Of a Job: its pods add five characters and a hyphen, and their names are labels as well.
NAME_LENGTH = 57
_HASH_LENGTH = 10

Key = tuple[str, tuple[int, ...], int]


def key_of(attempt: Attempt) -> Key:
    """What tells an attempt from the others of its run."""
    return attempt.node, attempt.map_index, attempt.number


def hashed(shown: str, identity: str, length: int, digits: int = 8) -> str:
    """``shown`` as far as it fits and may stand in a name, and the start of a hash."""
    end = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
    words = re.sub(r"[^a-z0-9]+", "-", shown.lower()).strip("-")
    words = words[: length - len(end) - 1].rstrip("-")
    return f"{words}-{end}" if words else f"x-{end}"


def name(run: str, uid: str, key: Key) -> str:
    """The name of an attempt's Job, the same in every driver.

    It starts with the name of the run and the node, as far as there is room for both.
    """
    node, map_index, number = key
    place = "-".join(map(str, (*map_index, number)))
    room = NAME_LENGTH - _HASH_LENGTH - len(place) - 2
    half = max(room // 2, room - len(node) - 1)
    shown = f"{run[:half].rstrip('-.')}-{node}"[:room].rstrip("-._") + f"-{place}"
    return hashed(shown, f"{uid} {node} {map_index} {number}", NAME_LENGTH, _HASH_LENGTH)


def manifest(
    template: dict[str, Any], owner: dict[str, Any], key: Key, request: str
) -> dict[str, Any]:
    """The Job of an attempt.

    ``owner`` is the driver's Job: when it goes, so do all of its run. ``request`` is the path of
    the attempt's request in the store.
    """
    job = copy.deepcopy(template)
    metadata = owner["metadata"]
    node, map_index, number = key
    labels = {RUN: metadata["uid"]}
    annotations = {NODE: node, ATTEMPT: str(number)}
    if map_index:
        annotations[MAP_INDEX] = ".".join(map(str, map_index))
    job["metadata"] = {
        "name": name(metadata["name"], metadata["uid"], key),
        "labels": {**job["metadata"]["labels"], **labels},
        "annotations": annotations,
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
        ],
    }
    pod = job["spec"]["template"]
    pod["metadata"]["labels"] = {**pod["metadata"]["labels"], **labels}
    pod["metadata"]["annotations"] = annotations
    # Made of names of nodes, numbers and percent-quoted text: there is no `$` in it.
    pod["spec"]["containers"][0]["command"] = [
        *("python", "-m", "levada.contained", "stored", request),
    ]
    return job


def condition(thing: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """A condition of a Job or a pod that is true."""
    for found in thing.get("status", {}).get("conditions") or ():
        if found["type"] == kind and found["status"] == "True":
            return dict(found)
    return None


def is_finished(job: dict[str, Any]) -> bool:
    """Whether it will make no other pod."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def has_pods(job: dict[str, Any]) -> bool:
    """Whether pods of it run or end."""
    status = job.get("status", {})
    return bool(status.get("active") or status.get("terminating"))
