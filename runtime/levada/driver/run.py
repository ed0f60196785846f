"""One run of a plan by a driver, from where it is: the beginning, or where another one was."""

from __future__ import annotations

import json
import os

from levada import environment, git, index_log, records, values
from levada.engine import Event, Interpreter, Outcome, ParameterError, events
from levada.engine.run import Run, returns_secrets, secrets_of, trust_program
from levada.redaction import secret_variables
from levada.store import digest_of

from . import jobs, parameters
from .executor import JobExecutor
from .progress import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from levada.driver.driver_types import DriverDocument, KubernetesObject
    from levada.engine.run_context import RunContext
    from levada.plan_types import Plan
    from levada.record_types import EnginePart, RunDocument
    from levada.store import Store
    from levada.trees.tree_types import Tree

    from .api import Api


#: The fields of ``run.json`` that say what is run.
_DECIDING: tuple[Literal["plan", "engine", "parameters"], ...] = ("plan", "engine", "parameters")
#: The run that this one tries again.
RETRY_OF = "LEVADA_RETRY_OF"


class Snapshot:
    """What a run is of: its plan, its Jobs, its parameters. The first driver settles it."""

    def __init__(self, store: Store, run: RunDocument) -> None:
        self.run = run
        self.plan: Plan = json.loads(store.read_blob(str(run["plan"])))
        self.driver: DriverDocument = json.loads(store.read_blob(run["engine"]["jobs"]))

    @property
    def created(self) -> float:
        """When the run began, in seconds since the epoch."""
        from datetime import datetime

        return datetime.fromisoformat(self.run["created"]).timestamp()


def run_id(owner: KubernetesObject) -> str:
    """The run of a Job. A name may come again when its Job is gone, so it is not the name alone."""
    metadata = owner["metadata"]
    return f"{metadata['name']}-{metadata['uid'][:8]}"


def settle(api: Api, store: Store, owner: KubernetesObject, folder: str) -> Snapshot:
    """The snapshot of the Job's run: that of its ``run.json``, written now if there is none.

    The first driver notes the digest of that at the run's Job, which no step can change. Raises
    ParameterError, ApiError, StoreError, and OSError or ValueError if the plan cannot be read.
    """
    run = records.run_path(os.environ["LEVADA_PIPELINE"], run_id(owner))
    noted = (owner["metadata"].get("annotations") or {}).get(jobs.RUN_DOCUMENT)
    if noted is None:
        noted = _settle_first(store, owner, folder, run)
        change = {"metadata": {"annotations": {jobs.RUN_DOCUMENT: noted}}}
        api.patch("jobs", owner["metadata"]["name"], change)
    found = records.read_run(store, run)
    if found is None or digest_of(store.read(f"{run}/run.json")) != noted:
        raise ParameterError([_changed(run)])
    return Snapshot(store, found)


def _settle_first(store: Store, owner: KubernetesObject, folder: str, run: str) -> str:
    """Write ``run.json``; gives the digest of what is there.

    A driver that ended before it could note the digest has left the same, but for the time.
    """
    plan: Plan = _read(f"{folder}/plan.json")
    driver: DriverDocument = _read(f"{folder}/driver.json")
    document = _document(store, owner, plan, driver)
    data = records.document(document)
    if store.write_once(f"{run}/run.json", data):
        index_log.write_started(store, document)
        return digest_of(data)
    own, found = json.loads(data), records.read_run(store, run)
    if found is None or any(found[name] != own[name] for name in _DECIDING):
        raise ParameterError([_changed(run)])
    return digest_of(store.read(f"{run}/run.json"))


def _changed(run: str) -> str:
    return (
        f"{run}/run.json in the store is not of this run; somebody changed it: start the run again"
    )


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        return json.loads(file.read())


def _document(
    store: Store, owner: KubernetesObject, plan: Plan, driver: DriverDocument
) -> RunDocument:
    trees = _parameters(store, plan)
    metadata = owner["metadata"]
    scheduled = (metadata.get("annotations") or {}).get(
        "batch.kubernetes.io/cronjob-scheduled-timestamp"
    )
    engine: EnginePart = {
        "name": "kubernetes",
        "namespace": metadata["namespace"],
        "job": metadata["name"],
        "uid": metadata["uid"],
        "jobs": _blob(store, driver),
    }
    earlier = os.environ.get(RETRY_OF)
    if earlier:
        engine["retry_of"] = earlier
    if scheduled:
        engine["logical_date"] = scheduled
    if os.environ.get("LEVADA_ENVIRONMENT"):
        engine["environment"] = os.environ["LEVADA_ENVIRONMENT"]
    shown: dict[str, object] = {name: values.display(tree, store) for name, tree in trees.items()}
    return {
        "schema": records.RUN_SCHEMA,
        "pipeline": plan["pipeline"],
        "run_id": run_id(owner),
        "parameters": {"trees": trees, "display": shown},
        "trigger": "schedule" if scheduled else "manual",
        "user": None,
        "engine": engine,
        "created": records.timestamp(),
        "source": plan["source"],
        "plan": _blob(store, plan),
        "git": git.describe(".", store, secret_variables(secrets_of(plan), os.environ).values()),
        "environment": environment.whole(),
    }


def _parameters(store: Store, plan: Plan) -> dict[str, Tree]:
    """The trees of the parameters: those of the run that is tried again, or what is given."""
    earlier = os.environ.get(RETRY_OF)
    if earlier:
        run = records.read_run(store, records.run_path(plan["pipeline"], earlier))
        if run is None:
            raise ParameterError([f"there is no run {earlier} of {plan['pipeline']} in the store"])
        trees = run["parameters"]["trees"]
        if trees.keys() == {parameter["name"] for parameter in plan["parameters"]}:
            return trees
        raise ParameterError([f"the pipeline takes other parameters now than the run {earlier}"])
    given = parameters.read(plan["parameters"], os.environ)
    return {name: values.encode(value, store) for name, value in given.items()}


def _blob(store: Store, content: Mapping[str, object]) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return store.put_blob(text.encode("utf-8", "surrogatepass"))


class DriverRun(Run):
    """A run whose attempts are Jobs."""

    def __init__(self, snapshot: Snapshot, store: Store, project: str) -> None:
        run = snapshot.run
        trees = run["parameters"]["trees"]
        super().__init__(snapshot.plan, trees, store, project, engine=run["engine"], git=run["git"])
        self._driver = snapshot.driver
        self._created = snapshot.created
        self._started = int(self._created * 1e9)
        self._id = run["run_id"]

    def drive(self, api: Api, owner: KubernetesObject) -> Outcome:
        """Go on with the run to its end."""
        context = self._context(self._id)
        trust_program(self._plan, self._store, self._project)
        retry_of = self._engine.get("retry_of")
        executor = JobExecutor(context, api, owner, self._driver, self._created, retry_of)
        progress = Progress(
            api.sibling(),
            owner["metadata"]["name"],
            executor.waiting,
            shows_outputs=not returns_secrets(self._plan),
        )
        self._warn_of_store(progress.take)
        interpreter = Interpreter(
            self._plan,
            self._trees,
            executor,
            self._store,
            max_parallel=self._driver["max_parallel"],
            on_event=progress.take,
            attend=lambda interpreter: _attend(interpreter, executor),
            clock=executor.clock,
            secrets=None if returns_secrets(self._plan) else (),
        )
        executor.on_look = progress.look
        try:
            interpreter.run()
        finally:
            executor.close()
        outcome = self._outcome(interpreter, self._id)
        self._warn_of_store(progress.take)
        progress.take(Event(events.RUN_FINISHED, outcome=outcome))
        return outcome

    def _context(self, run_id: str) -> RunContext:
        context = super()._context(run_id)
        # As the pods see it: below the project that their image has.
        context.search = list(self._plan["search"])
        return context


def _attend(interpreter: Interpreter, executor: JobExecutor) -> None:
    if executor.cancellation is not None:
        reason, force = executor.cancellation
        interpreter.cancel(reason, force=force)
