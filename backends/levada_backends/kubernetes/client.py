"""Deploys to a cluster and runs pipelines there, by the ``kubernetes`` library."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from kubernetes import client as api
from kubernetes import config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from levada import records
from levada.driver import jobs as driver_jobs
from levada_compiler.client import (
    QUEUED,
    RUNNING,
    SUCCEEDED,
    WAITING,
    Change,
    Client,
    ClientError,
    NotDeployedError,
    Run,
    RunState,
    StepState,
    refuse_large,
    text_option,
)
from urllib3.exceptions import HTTPError

from ..pods import container, names
from . import states
from .manifests import NAME_LENGTH
from .options import TABLE, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from levada_compiler.client import Compiled, Request

_MANAGER = "levada"
#: Seconds that a request, and a pod that only reads the store, may take.
_TIMEOUT = 30
_READER_SECONDS = 120
#: Bytes of all parameters: Linux limits a variable to 128 KiB, with its name.
_LARGEST = 124 * 1024


class KubernetesClient(Client):
    """A namespace of a cluster, by a context of the user's kubeconfig or the pod's account."""

    def __init__(self, options: Mapping[str, object], root: str) -> None:
        found = Options(options)
        for _, problem in found.problems():
            raise ClientError(f"{TABLE} in pyproject.toml: {problem}")
        self._connect(options, root)
        self.namespace = found.namespace or self._default_namespace
        # Their methods take JSON as well, which their types do not say.
        self._jobs: Any = api.BatchV1Api(self._api)
        self._core: Any = api.CoreV1Api(self._api)

    def _connect(self, options: Mapping[str, object], root: str) -> None:
        place = text_option(options, "kubeconfig")
        file = str(Path(root, Path(place).expanduser())) if place else None
        context = text_option(options, "context") or None
        self._default_namespace = "default"
        try:
            self._api = config.new_client_from_config(config_file=file, context=context)
            contexts, active = config.list_kube_config_contexts(config_file=file)
            chosen = next((c for c in contexts if c["name"] == context), active)
            self._default_namespace = chosen["context"].get("namespace") or "default"
        except (ConfigException, OSError, yaml.YAMLError) as error:
            if file is not None or context is not None:
                raise ClientError(_short(error), "look at `kubectl config get-contexts`") from error
            self._connect_from_pod(error)

    def _connect_from_pod(self, error: Exception) -> None:
        settings = api.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)
        except ConfigException:
            way_out = "write one, or name it in KUBECONFIG or as `kubeconfig` of the target"
            raise ClientError(f"there is no kubeconfig: {_short(error)}", way_out) from error
        self._api = api.ApiClient(settings)

    @property
    def address(self) -> str:
        """The API server and the namespace."""
        return f"{self._api.configuration.host} (namespace {self.namespace})"

    @property
    def folder(self) -> str | None:
        """Nothing is copied."""
        return None

    # ---------------------------------------------------------------- deploying

    def deploy(self, compiled: Compiled, *, dry_run: bool = False) -> Sequence[Change]:
        """Apply everything, after a dry run of everything."""

        def apply() -> list[Change]:
            objects = list(_objects(compiled))
            server = dynamic.DynamicClient(self._api)
            would = [self._apply(server, each, dry_run=True) for each in objects]
            if dry_run:
                return would
            return [self._apply(server, each, dry_run=False) for each in objects]

        changes: list[Change] = self._asked(apply)
        return changes

    def _apply(self, server: Any, manifest: dict[str, Any], *, dry_run: bool) -> Change:
        kind = server.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
        name = manifest["metadata"]["name"]
        where = {"namespace": self.namespace} if kind.namespaced else {}
        before = _found(lambda: kind.get(name=name, **where).to_dict())
        after = kind.server_side_apply(
            body=manifest,
            name=name,
            field_manager=_MANAGER,
            force_conflicts=True,
            **where,
            **({"dry_run": "All"} if dry_run else {}),
        ).to_dict()
        status = "new" if before is None else _difference(before, after)
        return Change(f"{manifest['kind'].lower()}/{name}", status)

    def verify(self, compiled: Compiled) -> None:
        """The CronJob has the plan and the driver that are compiled here."""
        found = self._cron_job(compiled.pipeline)
        (own,) = (each for each in _objects(compiled) if each["kind"] == "CronJob")
        mine, theirs = _identity(own), _identity(found)
        if mine != theirs:
            raise NotDeployedError(
                f"the cluster has another `{compiled.pipeline}` than the one that is here",
                "deploy it first: `levada deploy`",
            )

    def _cron_job(self, pipeline: str) -> dict[str, Any]:
        name = names.label(pipeline, NAME_LENGTH)
        found = self._asked(
            lambda: _found(lambda: self._jobs.read_namespaced_cron_job(name, self.namespace))
        )
        if found is None:
            raise NotDeployedError(
                f"there is no CronJob `{name}` at {self.address}", "deploy it: `levada deploy`"
            )
        return self._plain(found)

    # ---------------------------------------------------------------- runs

    def submit(self, compiled: Compiled, request: Request) -> Run:
        """Make a Job of the CronJob's template, with the parameters."""
        refuse_large(
            request.parameters, _LARGEST, "the driver gets them as a variable of at most 128 KiB"
        )
        variables = {"LEVADA_PARAMS": json.dumps(dict(request.parameters))}
        return self._submit(compiled.pipeline, request.run_id, variables)

    def _submit(self, pipeline: str, name: str | None, variables: dict[str, str]) -> Run:
        template = self._cron_job(pipeline)["spec"]["jobTemplate"]
        name = name or _new_name(pipeline)
        if problem := names.label_problem(name):
            raise ClientError(f"`{name}` cannot be the name of a run: {problem}")
        metadata = {**template["metadata"], "name": name}
        metadata["annotations"] = {"cronjob.kubernetes.io/instantiate": "manual"}
        (driver,) = template["spec"]["template"]["spec"]["containers"]
        driver["env"] += container.variables(variables)
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}
        job["spec"] = template["spec"]
        made = self._asked(lambda: self._jobs.create_namespaced_job(self.namespace, job))
        return _run(pipeline, self._plain(made))

    def find(self, pipeline: str, run_id: str) -> Run:
        """By the name of its Job, or by the run's id, which has the start of its uid as well."""
        for name in (run_id.rpartition("-")[0], run_id):
            found = self._job(name) if name else None
            if found is not None and run_id in (name, _run(pipeline, found).run_id):
                return _run(pipeline, found)
        raise ClientError(
            f"there is no run `{run_id}` at {self.address}",
            "its Job may be gone; its records are in the store",
        )

    def status(self, run: Run) -> RunState:
        """From the driver's Job, the Jobs of the attempts and their pods."""
        return self._state(run, self._needed(run))

    def _state(self, run: Run, job: dict[str, Any]) -> RunState:
        selector = _of_run(job)
        jobs = self._listed(self._jobs.list_namespaced_job, selector)
        pods = self._listed(self._core.list_namespaced_pod, selector)
        driver = self._listed(
            self._core.list_namespaced_pod, f"batch.kubernetes.io/job-name={_name(job)}"
        )
        return states.of_run(run, job, jobs, pods, driver)

    def follow(self, run: Run) -> Iterator[RunState]:
        """Look again whenever one of its Jobs changes; half of the time at most, if it is large."""
        while True:
            started = time.monotonic()
            state = self.status(run)
            taken = time.monotonic() - started
            yield state
            if state.is_over:
                return
            time.sleep(taken)
            self._wait_for_change(run)

    def _wait_for_change(self, run: Run) -> None:
        """Until a Job of the pipeline changes, or a few seconds are over."""
        selector = f"levada.dev/pipeline={names.label_value(run.pipeline)}"
        stream: Any = watch.Watch()
        try:
            known = self._jobs.list_namespaced_job(self.namespace, label_selector=selector, limit=1)
            for _ in stream.stream(
                self._jobs.list_namespaced_job,
                self.namespace,
                label_selector=selector,
                resource_version=known.metadata.resource_version,
                timeout_seconds=3,
            ):
                stream.stop()
        except (ApiException, HTTPError, OSError):
            time.sleep(1)

    def log(self, run: Run, step: StepState, attempt: int, first: int = 0) -> Sequence[str]:
        """From the pod, or from the store where the pod is gone."""
        job = self._needed(run)
        jobs = self._listed(self._jobs.list_namespaced_job, _of_run(job))
        place = states.place(jobs, step, attempt)
        text = None if place is None else self._pod_log(*place)
        if text is None:
            if step.status in (RUNNING, WAITING, QUEUED):
                return []
            attempted = (run.pipeline, run.run_id, step.node, step.map_index, attempt)
            text = self._stored(job, f"{records.attempt_path(*attempted)}/log") or ""
        return text.splitlines()[first:]

    def _pod_log(self, job: str, at: int = 0) -> str | None:
        selector = f"batch.kubernetes.io/job-name={job}"
        listed = self._listed(self._core.list_namespaced_pod, selector)
        pods = [pod for pod in listed if driver_jobs.place_of(pod) == (job, at)]
        for pod in sorted(pods, key=lambda each: each["metadata"]["creationTimestamp"])[-1:]:
            spec = pod["spec"]
            containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
            found = [self._container_log(_name(pod), each["name"]) for each in containers]
            texts = [text for text in found if text is not None]
            return "".join(texts) if texts else None
        return None

    def _container_log(self, pod: str, name: str) -> str | None:
        """None if it has not started, or its node is gone."""
        read = self._core.read_namespaced_pod_log
        try:
            text: str = read(pod, self.namespace, container=name, _request_timeout=_TIMEOUT)
        except ApiException:
            return None
        return text

    def outputs(self, run: Run) -> Any:
        """As the driver said them at its end, or from the store where they are longer."""
        job = self._needed(run)
        progress = states.progress(job)
        if "outputs" in progress:
            return progress["outputs"]
        if progress.get("status") != SUCCEEDED:
            return None
        text = self._stored(job, f"{records.run_path(run.pipeline, run.run_id)}/outcome.json")
        return None if text is None else json.loads(text)["outputs"]

    def cancel(self, run: Run) -> None:
        """Ask the driver to end it: `finally` regions run."""
        change = {"metadata": {"annotations": {"levada.dev/cancel": "cancelled by levada"}}}
        name = _name(self._needed(run))
        self._asked(lambda: self._jobs.patch_namespaced_job(name, self.namespace, change))

    def retry(self, run: Run) -> Run:
        """A new run, which takes over what succeeded in this one."""
        if not self.status(run).is_over:
            raise ClientError(f"the run {run.run_id} is not over", "cancel it, or wait for its end")
        return self._submit(run.pipeline, None, {"LEVADA_RETRY_OF": run.run_id})

    # ---------------------------------------------------------------- the store

    def _stored(self, job: dict[str, Any], path: str) -> str | None:
        """A file of the store, read by a pod, since nothing else may reach it."""
        spec = json.loads(json.dumps(job["spec"]["template"]["spec"]))
        (reader,) = spec["containers"]
        reader["command"] = ["python", "-m", "levada.driver.log", container.literal(path)]
        spec |= {"automountServiceAccountToken": False, "activeDeadlineSeconds": _READER_SECONDS}
        name = driver_jobs.hashed("read", f"{path} {time.time_ns()}", names.LABEL_LENGTH - 6)
        manifest = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": {"levada.dev/role": "reader"}},
            "spec": {
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": _READER_SECONDS,
                "template": {"metadata": {}, "spec": spec},
            },
        }
        self._asked(lambda: self._jobs.create_namespaced_job(self.namespace, manifest))
        try:
            return self._pod_log(name) if self._is_done(name) else None
        finally:
            self._asked(
                lambda: self._jobs.delete_namespaced_job(
                    name, self.namespace, propagation_policy="Background"
                )
            )

    def _is_done(self, name: str) -> bool:
        """Wait for a Job; whether it succeeded."""
        until = time.monotonic() + _READER_SECONDS
        while time.monotonic() < until:
            job = self._job(name) or {"status": {}}
            ended = states.end_of(job)
            if ended:
                return ended == SUCCEEDED
            time.sleep(0.3)
        raise ClientError(f"the pod of {name}, which reads the store, does not finish")

    # ---------------------------------------------------------------- asking

    def _job(self, name: str) -> dict[str, Any] | None:
        found = self._asked(
            lambda: _found(lambda: self._jobs.read_namespaced_job(name, self.namespace))
        )
        return None if found is None else self._plain(found)

    def _needed(self, run: Run) -> dict[str, Any]:
        found = self._job(run.run_id.rpartition("-")[0])
        if found is None or _run(run.pipeline, found).run_id != run.run_id:
            raise ClientError(
                f"the Job of the run {run.run_id} is gone", "its records are in the store"
            )
        return found

    def _listed(self, method: Callable[..., Any], selector: str) -> list[dict[str, Any]]:
        """As the server writes them: the library takes a minute to make objects of 5,000 pods."""
        asked = {"label_selector": selector, "_preload_content": False}
        found = self._asked(lambda: method(self.namespace, **asked))
        items: list[dict[str, Any]] = json.loads(found.data)["items"]
        return items

    def _plain(self, thing: Any) -> dict[str, Any]:
        plain: dict[str, Any] = self._api.sanitize_for_serialization(thing)
        return plain

    def _asked(self, request: Callable[[], Any]) -> Any:
        try:
            return request()
        except ApiException as error:
            raise ClientError(_said(error), _way_out(error)) from error
        except (HTTPError, OSError) as error:
            raise ClientError(
                f"{self._api.configuration.host} does not answer: {_short(error)}",
                "is it the right cluster? `kubectl config current-context` says which it is",
            ) from error


def _objects(compiled: Compiled) -> Iterator[dict[str, Any]]:
    """What is to be applied; what others name comes first."""
    for path in sorted(compiled.files, key=lambda path: "cronjob" in path):
        for document in yaml.safe_load_all(compiled.files[path]):
            if document["kind"] != "Kustomization":
                yield document


def _identity(cron_job: Mapping[str, Any]) -> tuple[Any, ...]:
    spec = cron_job["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    plans = [v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v]
    images = [each["image"] for each in pod["containers"]]
    return plans, images, spec["schedule"], spec.get("timeZone"), spec["suspend"]


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "unchanged" if _without_bookkeeping(before) == _without_bookkeeping(after) else "changed"


def _without_bookkeeping(thing: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {name: thing["metadata"].get(name) for name in kept}
    return {**thing, "metadata": metadata, "status": None}


def _found(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def _new_name(pipeline: str) -> str:
    now = datetime.now(tz=UTC).strftime("%Y%m%d-%H%M%S")
    end = f"-{now}-{os.urandom(2).hex()}"
    return names.label(pipeline, NAME_LENGTH)[: NAME_LENGTH - len(end)].rstrip("-") + end


def _run(pipeline: str, job: Mapping[str, Any]) -> Run:
    return Run(pipeline, f"{_name(job)}-{job['metadata']['uid'][:8]}")


def _of_run(job: Mapping[str, Any]) -> str:
    """What selects the Jobs and pods of a run."""
    return f"{driver_jobs.RUN}={job['metadata']['uid']}"


def _name(thing: Mapping[str, Any]) -> str:
    return str(thing["metadata"]["name"])


def _said(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return f"the API server said {error.status} {error.reason}"


def _way_out(error: ApiException) -> str:
    if error.status == 401:
        return "log in to the cluster again"
    if error.status == 403:
        return "ask for these rights in the namespace, or choose another by `namespace`"
    return ""


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
