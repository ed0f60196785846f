"""Kubeflow Pipelines' API, by its own client: versions, runs and recurring runs.

A pipeline is uploaded as a version whose name is the digest of its file, so that what is there
already is known by name and never uploaded twice. ``kfp`` is imported only when something is asked
of it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levada_compiler.client import (
    CANCELLED,
    FAILED,
    SUCCEEDED,
    Change,
    Client,
    ClientError,
    NotDeployedError,
    Run,
    RunState,
    poll,
    secret_option,
    text_option,
)

from .connection import DEFAULT_NAMESPACE, Connection
from .dags import RETURN
from .pod_log import PodLogs
from .recurring_runs import RecurringRuns
from .run_parameters import as_given
from .schedule import same_zone, with_seconds
from .step_logs import StepLogs
from .step_states import run_status, step_states

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from levada_compiler.client import Compiled, Request, StepState

_PAGE = 100


class KubeflowClient(Client):
    """A Kubeflow Pipelines, in one namespace."""

    def __init__(self, options: Mapping[str, object], root: str) -> None:
        """The options are those of :mod:`.options`."""
        self._host = text_option(options, "host").rstrip("/")
        if not self._host:
            raise ClientError(
                "the target `kubeflow` has no `host`, the address of KFP's API",
                'set `host = "https://…/pipeline"` in [tool.levada.targets.kubeflow]',
            )
        self._namespace = text_option(options, "namespace")
        self._experiment = text_option(options, "experiment")
        self._account = text_option(options, "service_account") or None
        self._zone = text_option(options, "schedule_timezone", "UTC")
        certificates = text_option(options, "certificates")
        self._kfp = Connection(
            self._host,
            self._namespace,
            secret_option(options, "token_env"),
            str(Path(root, certificates)) if certificates else None,
        )
        self._logs = StepLogs(PodLogs(self._kfp, self._namespace or DEFAULT_NAMESPACE))

    @property
    def address(self) -> str:
        """The host."""
        return self._host

    @property
    def folder(self) -> str | None:
        """None: the file is uploaded."""
        return None

    # ------------------------------------------------------------------ deploying

    def deploy(self, compiled: Compiled, *, dry_run: bool = False) -> Sequence[Change]:
        """Upload it as a version unless it is there, and make its recurring run."""
        pipeline = self._pipeline_id(compiled)
        version = self._version(pipeline, compiled) if pipeline else None
        place = f"{self._host} {compiled.pipeline} {_version_name(compiled)}"
        status = "unchanged" if version else "changed" if pipeline else "new"
        schedule = self._schedule(compiled)
        if not version and not dry_run:
            pipeline, version = self._upload(pipeline, compiled)
        changes = [Change(place, status)]
        return [*changes, *self._recurring(compiled, pipeline, version, schedule, dry_run=dry_run)]

    def _upload(self, pipeline: str | None, compiled: Compiled) -> tuple[str, str]:
        name = _version_name(compiled)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{compiled.pipeline}.yaml")
            file.write_text(_text(compiled), encoding="utf-8")
            if pipeline is None:
                model = self._kfp.models.V2beta1Pipeline(
                    display_name=compiled.pipeline, namespace=self._namespace or None
                )
                service = self._kfp.client._pipelines_api
                made = self._kfp.ask(lambda: service.pipeline_service_create_pipeline(model))
                pipeline = str(made.pipeline_id)
            version = self._kfp.ask(
                lambda: self._kfp.client.upload_pipeline_version(
                    str(file), name, pipeline_id=pipeline, description=f"source {compiled.source}"
                )
            )
        return pipeline, str(version.pipeline_version_id)

    def verify(self, compiled: Compiled) -> None:
        """Ask for the version of this digest."""
        self._found(compiled)

    def _found(self, compiled: Compiled) -> tuple[str, str]:
        pipeline = self._pipeline_id(compiled)
        version = self._version(pipeline, compiled) if pipeline else None
        if pipeline is None or version is None:
            what = "no such pipeline" if pipeline is None else "no version of it that is this one"
            raise NotDeployedError(
                f"`{compiled.pipeline}` is not deployed at {self._host}: there is {what}",
                "run `levada deploy` first",
            )
        return pipeline, version

    def _pipeline_id(self, compiled: Compiled) -> str | None:
        equals = {"operation": "EQUALS", "key": "display_name", "stringValue": compiled.pipeline}
        listed = self._kfp.listed(
            "pipelines",
            lambda token: self._kfp.client.list_pipelines(
                page_token=token,
                page_size=_PAGE,
                namespace=self._namespace or None,
                filter=json.dumps({"predicates": [equals]}),
            ),
        )
        found = (str(p.pipeline_id) for p in listed if p.display_name == compiled.pipeline)
        return next(found, None)

    def _version(self, pipeline: str, compiled: Compiled) -> str | None:
        name = _version_name(compiled)
        listed = self._kfp.listed(
            "pipeline_versions",
            lambda token: self._kfp.client.list_pipeline_versions(
                pipeline, page_token=token, page_size=_PAGE, sort_by="created_at desc"
            ),
        )
        found = (str(v.pipeline_version_id) for v in listed if v.display_name == name)
        return next(found, None)

    # ------------------------------------------------------------------ schedules

    def _schedule(self, compiled: Compiled) -> str:
        """The schedule as KFP has it; nothing without one."""
        settings = compiled.plan["settings"]
        schedule = settings.get("schedule")
        zone = settings.get("timezone") or "UTC"
        if schedule and not same_zone(zone, self._zone):
            raise ClientError(
                f"KFP runs a schedule by the time of {self._zone}, and that of"
                f" `{compiled.pipeline}` is by {zone}",
                f"give the schedule by {self._zone}; or say which zone the server has by"
                " `schedule_timezone` in [tool.levada.targets.kubeflow]",
            )
        return with_seconds(schedule) if schedule else ""

    def _recurring(
        self,
        compiled: Compiled,
        pipeline: str | None,
        version: str | None,
        schedule: str,
        *,
        dry_run: bool,
    ) -> Iterator[Change]:
        """Have the recurring run of this version, and none of others."""
        runs = RecurringRuns(self._kfp, self._namespace or None, compiled.pipeline)

        def make() -> None:
            experiment = self._experiment_id(compiled.pipeline)
            settings = compiled.plan["settings"]
            runs.make((str(pipeline), str(version)), experiment, schedule, settings, self._account)

        return runs.settle(version, schedule, make, dry_run=dry_run)

    # ------------------------------------------------------------------ runs

    def submit(self, compiled: Compiled, request: Request) -> Run:
        """Run the version that was deployed, with what was given."""
        if request.run_id is not None:
            raise ClientError(
                "KFP chooses the ids of its runs", "leave out `--run-id`: it is shown afterwards"
            )
        pipeline, version = self._found(compiled)
        parameters = as_given(_text(compiled), request.parameters)
        experiment = self._experiment_id(compiled.pipeline)
        name = f"{compiled.pipeline} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        made = self._kfp.ask(
            lambda: self._kfp.client.run_pipeline(
                experiment,
                name,
                params=parameters,
                pipeline_id=pipeline,
                version_id=version,
                service_account=self._account,
            )
        )
        return self._run(compiled.pipeline, str(made.run_id))

    def _experiment_id(self, pipeline: str) -> str:
        name = self._experiment or pipeline
        namespace = self._namespace or None
        made = self._kfp.ask(lambda: self._kfp.client.create_experiment(name, namespace=namespace))
        return str(made.experiment_id)

    def find(self, pipeline: str, run_id: str) -> Run:
        """The run of this id."""
        self._get(run_id)
        return self._run(pipeline, run_id)

    def _run(self, pipeline: str, run_id: str) -> Run:
        return Run(pipeline, run_id, f"{self._host}/#/runs/details/{run_id}")

    def _get(self, run_id: str) -> Any:
        found = self._kfp.read(
            lambda: self._kfp.client.get_run(run_id), f"there is no run `{run_id}`"
        )
        if not found.run_id:
            raise ClientError(f"there is no run `{run_id}` at {self._host}")
        return found

    def status(self, run: Run) -> RunState:
        """The state of the run and of what it has started."""
        found = self._get(run.run_id)
        status = run_status(found)
        error = found.error.message if found.error else ""
        config = found.runtime_config
        return RunState(
            run,
            status,
            step_states(found, self._spec(found), self._logs),
            started=_iso(found.created_at),
            finished=_iso(found.finished_at) if status in (SUCCEEDED, FAILED, CANCELLED) else "",
            reason=error or "",
            parameters=(config.parameters if config else None) or {},
        )

    def _spec(self, found: Any) -> Any:
        """The pipeline that a run is of."""
        if found.pipeline_spec:
            return found.pipeline_spec
        reference = found.pipeline_version_reference
        version = self._kfp.read(
            lambda: self._kfp.client.get_pipeline_version(
                reference.pipeline_id, reference.pipeline_version_id
            )
        )
        return version.pipeline_spec or {}

    def follow(self, run: Run) -> Iterator[RunState]:
        """Ask again and again: KFP's API has no watch."""
        return poll(lambda: self.status(run))

    def log(self, run: Run, step: StepState, attempt: int, first: int = 0) -> Sequence[str]:
        """What the step wrote, as far as KFP still has it."""
        return self._logs.lines(run.run_id, step, attempt)[first:]

    def failure(self, run: Run, step: StepState, attempt: int) -> str:
        """The exception that ended it."""
        return self._logs.why(run.run_id, step, attempt)

    def outputs(self, run: Run) -> Any:
        """What the last task says that it recorded."""
        steps = [step for step in self.status(run).steps if step.node == RETURN]
        return self._logs.returned(run.run_id, steps[-1]) if steps else None

    def cancel(self, run: Run) -> None:
        """Terminate it."""
        self._kfp.ask(lambda: self._kfp.client.terminate_run(run.run_id))

    def retry(self, run: Run) -> Run:
        """Run again what failed; the run keeps its id."""
        service = self._kfp.client._run_api
        self._kfp.ask(lambda: service.run_service_retry_run(run.run_id))
        return run


def _text(compiled: Compiled) -> str:
    (text,) = compiled.files.values()
    return text


def _version_name(compiled: Compiled) -> str:
    return f"levada-{hashlib.sha256(_text(compiled).encode()).hexdigest()[:16]}"


def _iso(time: Any) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z") if time else ""
