"""``python -m levada.driver FOLDER``: run the plan in a folder, as the Job that this pod is of.

Exit codes: 0 the run succeeded, 3 it did not, 1 the driver was lost and is to be started again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from levada.engine import Outcome, ParameterError
from levada.store import StoreError, UnknownStore, open_store
from levada.stored_attempt import tell

from . import jobs
from .api import Api, ApiError, Backoff
from .run import DriverRun, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from levada.driver.driver_types import KubernetesObject

SUCCEEDED, LOST, NOT_SUCCEEDED = 0, 1, 3


def main(words: list[str]) -> int:
    """Run it; gives the exit code."""
    # As the first process of a container it would not end by the signal. It has nothing to do
    # before its end: a driver that follows goes on.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    if len(words) != 1:
        sys.stderr.write("usage: python -m levada.driver FOLDER\n")
        return NOT_SUCCEEDED
    api = Api.of_pod(os.environ["LEVADA_NAMESPACE"])
    owner = _own_job(api)
    if owner is None:
        return SUCCEEDED
    try:
        store = open_store(os.environ["LEVADA_STORE"])
        store.prepare()
        snapshot = settle(api, store, owner, words[0])
    except (ParameterError, UnknownStore) as error:
        return _refuse(api, owner, str(error))
    except (ApiError, StoreError, OSError, ValueError) as error:
        sys.stderr.write(f"the run cannot begin yet: {error}\n")
        return LOST
    project = os.environ.get("LEVADA_PROJECT") or os.getcwd()
    os.chdir(project)
    try:
        outcome = DriverRun(snapshot, store, project).drive(api, owner)
    except StoreError as error:
        sys.stderr.write(f"the run cannot go on: {error}\n")
        return LOST
    _tell(outcome)
    return SUCCEEDED if outcome.status == "succeeded" else NOT_SUCCEEDED


def _own_job(api: Api) -> KubernetesObject | None:
    """The Job that this pod is of; None if it is being deleted."""
    backoff = Backoff()
    while True:
        try:
            found = api.get("jobs", os.environ["LEVADA_JOB"])
        except ApiError as error:
            if error.status == 404:
                return None
            sys.stderr.write(f"{error.message}\n")
            time.sleep(backoff.delay(error))
            continue
        return None if found["metadata"].get("deletionTimestamp") else found


def _refuse(api: Api, owner: KubernetesObject, problem: str) -> int:
    """There can be no such run."""
    sys.stderr.write(f"{problem}\n")
    tell({"status": "failed", "error": problem[:3000]})
    progress = json.dumps({"status": "failed", "error": problem[:2000]})
    change = {"metadata": {"annotations": {jobs.PROGRESS: progress}}}
    try:
        api.patch("jobs", owner["metadata"]["name"], change)
    except ApiError:
        return NOT_SUCCEEDED
    return NOT_SUCCEEDED


def _tell(outcome: Outcome) -> None:
    error = outcome.error
    said: dict[str, object] = {"status": outcome.status, "run_id": outcome.run_id}
    if error is not None:
        said["error"] = f"{error['node']}: {error['message']}"[:3000]
    tell(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
