"""A lineage as OpenLineage run events, for Marquez, DataHub and others that read them.

Each step is a job ``pipeline.step`` in the namespace of the store, each attempt a run of it whose
parent is the run of the pipeline. A dataset is what a step gives, ``pipeline.step[.output]``; its
version is the digest. Specification: https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

import json
import re

from levada import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from levada.record_types import ArtifactJson, ErrorPart, GitPart
    from levada.store import Store

    from levada_records.runs import Run

    from .run_links import LinkedStep, StepKey
    from .trace import Lineage

PRODUCER = "https://pypi.org/project/levada"
_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
#: The versions of the facets that are written.
_FACETS = {
    "dataSource": "1-0-1/DatasourceDatasetFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "executionParameters": "1-0-0/ExecutionParametersRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "parent": "1-2-0/ParentRunFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "sourceCodeLocation": "1-1-0/SourceCodeLocationJobFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
}
_ENDS = {"succeeded": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT"}
#: ``git@host:owner/name.git`` and ``https://host/owner/name.git``.
_REMOTE = re.compile(r"(?:https?://(?:[^@/]*@)?|(?:ssh://)?[^@/]+@)([^:/]+)[:/](.+?)(?:\.git)?/?")


def openlineage(lineage: Lineage) -> Iterator[str]:
    """Yield the events of a lineage in the order of their times, each as a line of JSON."""
    events: list[dict[str, Any]] = []
    for run in lineage.runs:
        events += _run_events(run)
    for key, step in lineage.steps.items():
        run = next(each for each in lineage.runs if (each.pipeline, each.run_id) == key[:2])
        events += _step_events(run, key, step, lineage)
    for event in sorted(events, key=lambda event: str(event["eventTime"])):
        yield json.dumps(event, ensure_ascii=False)


def _run_events(run: Run) -> list[dict[str, Any]]:
    document, outcome = run.document, run.outcome
    if document is None:
        return []
    about: dict[str, Any] = {
        "run": {
            "runId": _run_uuid(run),
            "facets": {
                "processing_engine": _engine(document["engine"].get("name")),
                "executionParameters": _parameters(document["parameters"]["display"]),
            },
        },
        "job": _job(run.store, run.pipeline, "PIPELINE"),
        "inputs": [],
        "outputs": [],
    }
    events = [_event("START", document["created"], about)]
    if outcome is not None:
        error = outcome["error"]
        ended = about if error is None else _failed(about, error)
        events.append(_event(_ENDS[outcome["status"]], outcome["finished"], ended))
    return events


def _step_events(
    run: Run, key: StepKey, step: LinkedStep, lineage: Lineage
) -> list[dict[str, Any]]:
    record = step.record
    if record is None:
        return []
    pipeline, run_id, node, index = key
    attempt = records.attempt_path(pipeline, run_id, node, index, record["attempt"])
    parent = {
        "run": {"runId": _run_uuid(run)},
        "job": {"namespace": run.store.url, "name": pipeline},
    }
    about: dict[str, Any] = {
        "run": {
            "runId": _uuid(run.store, attempt),
            "facets": {
                "parent": _facet("parent", **parent),
                "processing_engine": _engine(record["engine"].get("name")),
                "executionParameters": _parameters(record["params"]),
            },
        },
        "job": _job(run.store, f"{pipeline}.{node}", "STEP"),
        "inputs": _inputs(run.store, step, lineage),
        "outputs": [
            _dataset(run.store, _name(key, name), artifact, is_output=True)
            for name, artifact in step.outputs.items()
        ],
    }
    document = run.document
    git = record["git"] or (document["git"] if document is not None else None)
    location = _location(git, record["code"]["file"])
    if location is not None:
        about["job"]["facets"]["sourceCodeLocation"] = location
    error = record["error"]
    ended = about if error is None else _failed(about, error)
    began = {**about, "outputs": []}
    return [
        _event("START", record["started"], began),
        _event(_ENDS[record["status"]], record["finished"], ended),
    ]


def _event(kind: str, time: str, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": time,
        "producer": PRODUCER,
        "schemaURL": _EVENT,
        **about,
    }


def _failed(about: dict[str, Any], error: ErrorPart) -> dict[str, Any]:
    message = _facet(
        "errorMessage",
        message=f"{error['type']}: {error['message']}",
        programmingLanguage="Python",
        stackTrace="\n".join(error["traceback"]),
    )
    run = about["run"]
    return {**about, "run": {**run, "facets": {**run["facets"], "errorMessage": message}}}


def _facet(facet: str, /, **fields: object) -> dict[str, Any]:
    version = _FACETS[facet]
    kind = version.partition("/")[2]
    url = f"https://openlineage.io/spec/facets/{version}.json#/$defs/{kind}"
    return {"_producer": PRODUCER, "_schemaURL": url, **fields}


def _engine(name: str | None) -> dict[str, Any]:
    from levada import __version__

    return _facet("processing_engine", version=__version__, name=f"levada on {name or 'local'}")


def _parameters(values: Any) -> dict[str, Any]:
    listed = [
        {"key": name, "name": name, "value": json.dumps(value, ensure_ascii=False)}
        for name, value in values.items()
    ]
    return _facet("executionParameters", parameters=listed)


def _job(store: Store, name: str, kind: str) -> dict[str, Any]:
    facet = _facet("jobType", processingType="BATCH", integration="LEVADA", jobType=kind)
    return {"namespace": store.url, "name": name, "facets": {"jobType": facet}}


def _inputs(store: Store, step: LinkedStep, lineage: Lineage) -> list[dict[str, Any]]:
    """Return the datasets that a step took: by the names of what gave them, if that is known."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for link in step.links:
        names = _given_names(link.makers, lineage)
        for artifact in link.artifacts:
            name = names.get(artifact["digest"], artifact["digest"])
            found[name, artifact["digest"]] = _dataset(store, name, artifact, is_output=False)
    return list(found.values())


def _given_names(makers: list[StepKey], lineage: Lineage) -> dict[str, str]:
    """Return the names of the datasets that some steps gave, by digest."""
    return {
        artifact["digest"]: _name(maker, name)
        for maker in makers
        if maker in lineage.steps
        for name, artifact in lineage.steps[maker].outputs.items()
    }


def _name(key: StepKey, output: str) -> str:
    pipeline, _, node, index = key
    item = f"[{'.'.join(map(str, index))}]" if index else ""
    return f"{pipeline}.{node}{item}" + (f".{output}" if output else "")


def _dataset(store: Store, name: str, artifact: ArtifactJson, *, is_output: bool) -> dict[str, Any]:
    digest = artifact["digest"]
    found: dict[str, Any] = {
        "namespace": store.url,
        "name": name,
        "facets": {
            "version": _facet("version", datasetVersion=digest),
            "dataSource": _facet("dataSource", name=store.url, uri=store.blob_uri(digest)),
        },
    }
    if is_output:
        statistics = _facet("outputStatistics", size=artifact["size"])
        found["outputFacets"] = {"outputStatistics": statistics}
    return found


def _location(git: GitPart | None, file: str | None) -> dict[str, Any] | None:
    """Return where the code is; None if its repository has no address on the web."""
    remote = _REMOTE.fullmatch(git["remote"] or "") if git is not None else None
    if git is None or remote is None or not git["commit"]:
        return None
    repository = f"https://{remote[1]}/{remote[2]}"
    path = f"{git['folder']}/{file}" if "folder" in git else file
    fields = {
        "type": "git",
        "url": f"{repository}/blob/{git['commit']}/{path}" if path else repository,
        "repoUrl": repository,
        "path": path,
        "version": git["commit"],
        "branch": git["branch"],
    }
    return _facet("sourceCodeLocation", **{k: v for k, v in fields.items() if v is not None})


def _run_uuid(run: Run) -> str:
    return _uuid(run.store, records.run_path(run.pipeline, run.run_id))


def _uuid(store: Store, path: str) -> str:
    """Return the same id each time for a place in a store."""
    from uuid import NAMESPACE_URL, uuid5

    return str(uuid5(NAMESPACE_URL, f"{store.url}/{path}"))
