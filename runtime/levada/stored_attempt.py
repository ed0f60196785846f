"""An attempt in a pod: it is read from the store, and tells its end by the termination message.

A pod may be gone before anybody reads the store, and a store may be slow to show what is new: so
the message has what the driver needs to go on, as far as it fits. It has one of these:

- ``{"record": {…}}``: the record, but for what only people read of it;
- ``{"path": …, "status": …}``: the record is in the store, and does not fit;
- ``{"lost": {"status", "end", "memory"?}}``: there is no record, since the process was ended.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

from __future__ import annotations

import json
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from levada.cache import Lookup
    from levada.driver.driver_types import LostPart, PeakMemory, PodMessage
    from levada.record_types import Record, RecordEnd
    from levada.request import StepRequest

#: Bytes that Kubernetes keeps of a message.
LONGEST_MESSAGE = 4096
DONE, FAILED, PERMANENT, TERMINATED = 0, 1, 65, 143
#: Seconds after its timeout at which an attempt that has not ended itself is killed.
_MARGIN = 5


def read(orders: str) -> tuple[StepRequest, Lookup | None]:
    """The attempt that this pod is to run; from now in its project. Raises StoreError.

    ``orders`` is the digest of a blob in the store that LEVADA_STORE names: a list of
    [path, digest] of the requests of the Job's pods, in the order of their completion indexes.
    Nobody who can write to the store can have a pod run something else.
    """
    from levada import handover
    from levada.store import StoreError, digest_of, open_store

    store = open_store(os.environ["LEVADA_STORE"])
    os.chdir(os.environ.get("LEVADA_PROJECT") or ".")
    place = int(os.environ.get("JOB_COMPLETION_INDEX") or 0)
    path, digest = json.loads(store.read_blob(orders))[place]
    data = store.read(path)
    if digest_of(data) != digest:
        raise StoreError(
            f"{path} in the store is not the request that this pod is for; somebody changed it:"
            " start the run again"
        )
    request, looked_up = handover.read(data)
    request.store = store.url  # the driver may have it mounted elsewhere
    return request, looked_up


def run(orders: str, spool: str, tell_parent: Callable[[int, str], None]) -> int:
    """Run it in this process, which ends after it; gives the exit code.

    Its parent is told in how many seconds it is overdue, and its folder in the store. One that has
    a record is not run again: its pod was lost after its end.
    """
    from levada import records, runner

    request, looked_up = read(orders)
    request.spool = spool
    tell_parent(longest(request), request.folder)
    attempt = runner.Run(request, looked_up, replaceable=True)
    record = records.read_record(attempt.store, request.folder)
    if record is None:
        record = attempt.run(echo=True, ends_process=True)
    error = record["error"]
    if error is not None and error["type"] == "Cancelled":
        return TERMINATED
    tell(_of_record(record, records.record_path(request.folder)))
    if error is None:
        return DONE
    return PERMANENT if error["permanent"] else FAILED


def stage(request: StepRequest) -> int:
    """Write the inputs of a container step to where its program finds them; gives the exit code.

    What fails has a record: the pod's other containers are not started then.
    """
    from levada import failures, programs, records, runner

    try:
        runner.stage(request, programs.FOLDER)
    except Exception as error:  # noqa: BLE001  whatever loading an input raises
        attempt = runner.Run(request).attempt
        attempt.error = failures.describe(error, [])
        told = attempt.write(records.FAILED)["error"]  # secrets are masked in it
        print(f"{told['type']}: {told['message']}", file=sys.stderr)  # noqa: T201
        return PERMANENT if attempt.error["permanent"] else FAILED
    return DONE


def longest(request: StepRequest) -> int:
    """Seconds after which the process is to be killed; 0 for never."""
    timeout = request.settings.get("timeout")
    return 0 if timeout is None else int(timeout) + 1 + _MARGIN


def tell_lost(status: int, *, timed_out: bool) -> bool:
    """Say that the process was ended, with the exit status of waitpid, and left no record.

    Returns whether that is so.
    """
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) in (DONE, FAILED, PERMANENT, TERMINATED):
        return False
    lost: LostPart = {"status": status, "end": "timeout" if timed_out else ""}
    memory = _out_of_memory() if _was_killed(status) and not timed_out else None
    if memory is not None:
        lost["memory"] = memory
    tell({"lost": lost})
    return True


def store_log(folder: str, spool: str) -> None:
    """Store the log of an attempt that could not, as far as there is one."""
    from levada.log_upload import store_whole
    from levada.store import StoreError, open_store

    try:
        store_whole(open_store(os.environ["LEVADA_STORE"]), folder, spool)
    except StoreError as error:
        print(f"the log is not in the store: {error}", file=sys.stderr)  # noqa: T201


def _was_killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _out_of_memory() -> PeakMemory | None:
    """The peak of the container, if the kernel ended something in it for a lack of memory."""
    from levada.resources import Usage

    used = Usage().finish()
    if not used.get("container_oom_kills"):
        return None
    return {"peak": used.get("container_peak_memory_bytes")}


def tell_result(result: Mapping[str, object]) -> None:
    """Say what ``python -m levada`` gave, without its values if they do not fit."""
    if len(_text(result)) > LONGEST_MESSAGE:
        result = {name: result[name] for name in ("digest", "record")}
    tell(result)


def _of_record(record: Record, path: str) -> PodMessage:
    cache = record["cache"]
    kept: RecordEnd = {
        "status": record["status"],
        "returns": record["returns"],
        "error": record["error"],
        "cache": None if cache is None else {"hit": cache["hit"]},
        "resources": record["resources"],
        "seconds": record["seconds"],
        "finished": record["finished"],
        "metrics": record["metrics"],
    }
    whole: PodMessage = {"record": kept, "path": path}
    if len(_text(whole)) <= LONGEST_MESSAGE:
        return whole
    return {"path": path, "status": record["status"]}


def _text(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def tell(message: Mapping[str, object]) -> None:
    """Write the message where Kubernetes looks for it; elsewhere there is no such file."""
    path = os.environ.get("LEVADA_TERMINATION_LOG") or "/dev/termination-log"
    try:
        file = os.open(path, os.O_WRONLY | os.O_TRUNC)
    except OSError:
        return
    try:
        os.write(file, _text(message))
    finally:
        os.close(file)
