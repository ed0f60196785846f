"""The Jobs of attempts: their names, how they are made from a template, what their state says."""

from __future__ import annotations

import json
import re

from levada.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from levada.driver.driver_types import KubernetesObject
    from levada.engine import Attempt

RUN = "levada.dev/run"
NODE, MAP_INDEX, ATTEMPT = "levada.dev/node", "levada.dev/map-index", "levada.dev/attempt"
#: Of an Indexed Job, the attempts that it runs, in the order of its completion indexes:
#: ``0/1 1/1 2.3/1`` are map indexes and numbers.
ITEMS = "levada.dev/items"
#: What people call the item of a loop (`levada.item_labels`): of an Indexed Job a JSON list, in the
#: order of its completion indexes, and left out where it is longer than an annotation should be.
LABEL, LABELS = "levada.dev/label", "levada.dev/labels"
_LONGEST_LABELS = 64 * 1024
#: Set by Kubernetes on the pods of an Indexed Job.
PLACE = "batch.kubernetes.io/job-completion-index"
#: https://kueue.sigs.k8s.io/docs/tasks/run/jobs/
QUEUE = "kueue.x-k8s.io/queue-name"
CANCEL = "levada.dev/cancel"
PROGRESS = "levada.dev/progress"
#: Of the driver's Job: the digest of the run's ``run.json``, for the drivers that follow.
RUN_DOCUMENT = "levada.dev/run-document"
#: Of a Job: its pods add five characters and a hyphen, and their names are labels as well.
NAME_LENGTH = 57
_HASH_LENGTH = 10

Key = tuple[str, tuple[int, ...], int]


def key_of(attempt: Attempt) -> Key:
    """What tells an attempt from the others of its run."""
    return attempt.node, attempt.map_index, attempt.number


def hashed(shown: str, identity: str, length: int, digits: int = 8) -> str:
    """``shown`` as far as it fits and may stand in a name, and the start of a hash."""
    end = sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
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


def indexed_name(run: str, uid: str, node: str, entry: int) -> str:
    """The name of the Indexed Job that an entry of the run's journal is about."""
    shown = f"{run[: NAME_LENGTH // 2].rstrip('-.')}-{node}"
    return hashed(shown, f"{uid} {node} entry {entry}", NAME_LENGTH, _HASH_LENGTH)


def manifest(
    template: KubernetesObject, owner: KubernetesObject, key: Key, orders: str, label: str = ""
) -> KubernetesObject:
    """The Job of an attempt. ``label`` is what people call the item of a loop that it is for.

    ``owner`` is the driver's Job: when it goes, so do all of its run. ``orders`` is the digest of
    a blob that says what its pods run (``levada.stored_attempt``).
    """
    metadata = owner["metadata"]
    node, map_index, number = key
    annotations = {NODE: node, ATTEMPT: str(number)}
    if map_index:
        annotations[MAP_INDEX] = ".".join(map(str, map_index))
    if label:
        annotations[LABEL] = label
    own = name(metadata["name"], metadata["uid"], key)
    return _manifest(template, owner, own, annotations, orders)


def indexed(
    template: KubernetesObject,
    owner: KubernetesObject,
    name: str,
    keys: Sequence[Key],
    orders: str,
    labels: Sequence[str] = (),
) -> KubernetesObject:
    """One Job of several attempts of a node, which run side by side; each may fail by itself.

    ``orders`` and ``labels`` are as those of :func:`manifest`, in the order of ``keys``.
    """
    job = _manifest(template, owner, name, {NODE: keys[0][0]}, orders)
    text = json.dumps(list(labels), ensure_ascii=False)
    if any(labels) and len(text.encode("utf-8", "surrogatepass")) <= _LONGEST_LABELS:
        job["metadata"]["annotations"][LABELS] = text
    job["metadata"]["annotations"][ITEMS] = " ".join(map(_item, keys))
    del job["spec"]["backoffLimit"]
    job["spec"] |= {
        "backoffLimitPerIndex": 0,
        "completionMode": "Indexed",
        "completions": len(keys),
        "parallelism": len(keys),
    }
    return job


def _item(key: Key) -> str:
    return f"{'.'.join(map(str, key[1]))}/{key[2]}"


def keys_of(job: KubernetesObject) -> list[Key]:
    """The attempts of a Job, by its annotations."""
    annotations = job["metadata"].get("annotations") or {}
    node = str(annotations.get(NODE) or "")
    alone = f"{annotations.get(MAP_INDEX) or ''}/{annotations.get(ATTEMPT) or 1}"
    items = (annotations.get(ITEMS) or alone).split(" ")
    return [_key(node, *item.split("/")) for item in items]


def labels_of(job: KubernetesObject) -> list[str]:
    """What people call the items of the attempts of a Job, by its annotations; empty if unknown."""
    annotations = job["metadata"].get("annotations") or {}
    count = len(keys_of(job))
    try:
        found = json.loads(annotations.get(LABELS) or "null")
    except (ValueError, RecursionError):
        found = None
    if found is None and count == 1:
        found = [annotations.get(LABEL) or ""]
    if not isinstance(found, list) or len(found) != count:
        return [""] * count
    return [each if isinstance(each, str) else "" for each in found]


def _key(node: str, index: str, number: str) -> Key:
    return node, tuple(map(int, index.split("."))) if index else (), int(number)


def _manifest(
    template: KubernetesObject,
    owner: KubernetesObject,
    name: str,
    annotations: dict[str, str],
    orders: str,
) -> KubernetesObject:
    from copy import deepcopy  # the compiler takes names from here, and no copies

    job = deepcopy(template)
    metadata = owner["metadata"]
    labels = {RUN: metadata["uid"]}
    job["metadata"] = {
        "name": name,
        "labels": {**job["metadata"]["labels"], **labels},
        "annotations": dict(annotations),
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
    command = ("python", "-m", "levada.contained")
    pod["spec"]["containers"][0]["command"] = [*command, "stored", orders]
    for first in pod["spec"].get("initContainers", [])[:1]:  # of a container step
        first["command"] = [*command, "stage", orders]
    return job


def condition(thing: KubernetesObject, kind: str) -> KubernetesObject | None:
    """A condition of a Job or a pod that is true."""
    for found in thing.get("status", {}).get("conditions") or ():
        if found["type"] == kind and found["status"] == "True":
            return dict(found)
    return None


def is_finished(job: KubernetesObject) -> bool:
    """Whether it will make no other pod."""
    return bool(condition(job, "Complete") or condition(job, "Failed"))


def ended(job: KubernetesObject, place: int) -> str:
    """``Complete`` or ``Failed`` if the attempt with this completion index is over."""
    if job["spec"].get("completionMode") == "Indexed":
        status = job.get("status", {})
        if _has(status.get("completedIndexes"), place):
            return "Complete"
        return "Failed" if is_finished(job) or _has(status.get("failedIndexes"), place) else ""
    return next((kind for kind in ("Complete", "Failed") if condition(job, kind)), "")


def _has(ranges: str | None, place: int) -> bool:
    """Whether ``1,3-5,7`` has a number."""
    for part in (ranges or "").split(","):
        first, _, last = part.partition("-")
        if first and int(first) <= place <= int(last or first):
            return True
    return False


def place_of(pod: KubernetesObject) -> tuple[str, int]:
    """The Job that a pod is of, and its completion index there."""
    labels = pod["metadata"].get("labels") or {}
    return labels.get("batch.kubernetes.io/job-name") or "", int(labels.get(PLACE) or 0)


def has_pods(job: KubernetesObject) -> bool:
    """Whether pods of it run or end."""
    status = job.get("status", {})
    return bool(status.get("active") or status.get("terminating"))


def memory_limit(job: KubernetesObject) -> str | None:
    """The memory that the Job's container, or its program, may have, as a quantity."""
    pod = job["spec"]["template"]["spec"]
    last = (pod.get("initContainers") or pod["containers"])[-1]
    resources = last.get("resources") or {}
    limit: str | None = (resources.get("limits") or {}).get("memory")
    return limit
