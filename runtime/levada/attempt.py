"""The attempt in this process: what the step logs, and the record that is made of it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from functools import partial
from time import time_ns

from levada import cache, records, relay, tracking, values
from levada.artifact import Artifact
from levada.errors import SecretOutputError
from levada.metric_series import MetricSeries
from levada.redaction import find_secret, redact_error, redact_json, redact_text
from levada.store import temporary_path
from levada.stores import variables
from levada.trees.canonical import artifact_of, canonical, leaf_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from levada.cache_types import ObservedNames
    from levada.log_upload import LogUpload
    from levada.previews import Previews
    from levada.record_types import (
        ArtifactJson,
        CodePart,
        InputEntry,
        MetricEntry,
        MetricValue,
        OfItem,
        OutputEntry,
        PartsOfSome,
        Record,
        ResourcesUsed,
        Status,
        SystemEntry,
    )
    from levada.relay import Relay
    from levada.request import StepRequest
    from levada.store import Store
    from levada.trees.tree_types import Tree

_DICTIONARY_LIMIT = 100_000  # characters of a shown parameter


class Attempt:
    """Collects what belongs into the record of one attempt; also the step's tracker.

    With a ``relay`` it is the tracker of another process, which hands over what is logged.
    """

    def __init__(self, request: StepRequest, store: Store, relay: Relay | None = None) -> None:
        self.request = request
        self.store = store
        #: values by variable
        self.secrets = request.secrets_here
        self.started = time_ns()
        self.metrics: list[MetricEntry] = []  #: set where they are known from elsewhere
        self.series = MetricSeries()
        self._names: dict[str, str] = {}  #: of metrics, masked
        self.params: dict[str, object] = {}
        self.artifacts: dict[str, ArtifactJson] = {}
        self.returns: Artifact | None = None
        self.outputs: dict[str, OutputEntry] = {}
        self.error: Any = None  #: `ErrorPart` or None; the step command has it as a plain dict
        self.start: str | None = None  #: how its process began: "fresh" or "fork"
        self.line: int | None = None  #: where the step's function starts, once it is imported
        self.resources: ResourcesUsed = {}
        self.system: dict[str, SystemEntry] = {}
        self.looked_up: cache.Lookup | None = None
        self.observed: ObservedNames | None = None  #: what the step read, if it succeeded
        fields: dict[str, object] = {**cache.context_of(request)}
        fields["parameters"] = partial(_decoded, request.parameters, store)
        fields["map_index"] = tuple(request.map_index) if request.map_index else None
        self.context = tracking.Context(self._note_read, **fields)
        self._owner = 0 if relay is not None else os.getpid()
        self._relay = relay
        self.files = ""  #: the folder of this machine that files are written in while it runs
        self._upload: LogUpload | None = None

    # ---------------------------------------------------------------- the step's tracker

    def metric(self, name: str, value: float, step: int | None) -> None:
        """Keep one value of a metric."""
        entry = {"name": name, "value": value, "step": step, "time": records.timestamp()}
        self._keep("metric", entry)

    def parameters(self, values_by_name: Mapping[str, object]) -> None:
        """Keep named settings of the attempt, as JSON or else as their repr."""
        self._keep("params", {name: _shown(value) for name, value in values_by_name.items()})

    def artifact(self, name: str, value: object) -> None:
        """Store a value under a name. Raises SecretOutputError if it holds a secret's value."""
        self.check_secrets(value, f"the artifact `{name}`")
        previews = self.previews()
        saved = values.save(value, self.store, self.request.allow_pickle, previews=previews)
        self.note_previews(previews)
        self._keep("artifact", {"name": name, "artifact": saved.as_json()})

    def previews(self) -> Previews | None:
        """Return what makes the previews of one value that is stored; None if they are off."""
        from levada import previews

        return previews.Previews(self.store, self.secrets.values()) if previews.are_on() else None

    def note_previews(self, previews: Previews | None) -> None:
        """Say in the record which previews could not be made."""
        if previews is not None and previews.warnings:
            self.request.warnings = [*self.request.warnings, *previews.warnings]

    def check_secrets(self, value: object, what: str) -> None:
        """Raise SecretOutputError if a value that is to be stored holds a secret's value."""
        if not self.secrets or self.request.settings.get("allow_secret_output"):
            return
        found = find_secret(value, self.secrets)
        if found is not None:
            variable, place = found
            at = f" at {place}" if place else ""
            if variable in variables.secrets_of(self.request.store):
                raise SecretOutputError(
                    f"{what} of {self.request.key} holds the value of {variable}{at}, by which the"
                    " store is reached: it would be kept in the store in clear. Return something"
                    " else, or write @step(allow_secret_output=True)"
                )
            raise SecretOutputError(
                f"{what} of {self.request.key} holds the value of the secret {variable}{at}: it"
                " would be kept in the store in clear. Read the secret in each step that needs it"
                f" (secrets={{…}}), or write @step(allow_secret_output=True)"
            )

    def _note_read(self, name: str) -> None:
        if os.getpid() != self._owner:
            self._keep("read", {"name": name})

    def _keep(self, kind: str, entry: Mapping[str, object]) -> None:
        if os.getpid() == self._owner:
            self._take(kind, entry)
        elif self._relay is not None:
            self._relay.send(kind, _finite(entry))

    def _take(self, kind: str, entry: Any) -> None:
        if kind == "metric":
            value: MetricValue = _finite(entry)
            value["name"] = self._masked(value["name"])
            self.series.add(value)
        elif kind == "params":
            self.params.update(entry)
        elif kind == "read":
            tracking.note_read(self.context, entry["name"])
        else:
            self.artifacts[entry["name"]] = entry["artifact"]

    def _masked(self, name: str) -> str:
        """The name of a metric without a secret in it; what else is logged is a number."""
        if not self.secrets:
            return name
        if name not in self._names:
            self._names[name] = redact_text(name, self.secrets.values())
        return self._names[name]

    def begin_files(self) -> str:
        """Make the folder of this machine that the log is written in; return it.

        It is the attempt's in the store, or a spool from which the log is uploaded.
        """
        log = self.store.local_path(f"{self.request.folder}/log")
        self.files = self._begin_upload() if log is None else os.path.dirname(log)
        self.series.open(self.files)
        return self.files

    def _begin_upload(self) -> str:
        """Make the spool, and start what uploads from it; return the spool."""
        from levada.log_upload import LogUpload

        request, is_own = self.request, not self.request.spool
        if is_own:
            # No engine waits for this process: if it is killed, this alone says that it began.
            self.store.write_once(f"{request.folder}/{records.STARTED}", b"")
        spool = request.spool or temporary_path()
        self._upload = LogUpload(self.store, request.folder, spool, is_own=is_own)
        self._upload.start()
        return spool

    def finish_metrics(self) -> None:
        """Sum the metrics up, for the record. Raises StoreError."""
        try:
            self.metrics = self.series.entries(self.store)
        finally:
            self.series.close(self.files)

    def finish_log(self) -> None:
        """Store the log where it was not written to the store itself; after the record.

        It may be large, and who has told this process to end may not wait. Raises StoreError.
        """
        if self._upload is not None:
            self._upload.finish()

    def open_relay(self) -> Relay:
        """Make and return what the processes that the step starts hand things over by."""
        self._relay = relay.Relay(self.files)
        with suppress(OSError):  # the disk is full: the record will say so, if anything does
            self._relay.open(self.request)
        return self._relay

    def begin_tracking(self) -> None:
        """Take what this process and the processes that it starts log from now on."""
        if self._relay is not None:
            os.environ[tracking.ATTEMPT] = self._relay.path
        tracking.begin(self)

    def end_tracking(self) -> None:
        """Take no more of what this process logs."""
        tracking.end()
        os.environ.pop(tracking.ATTEMPT, None)

    def close_relay(self) -> list[tuple[str, str, str | None]]:
        """Take what other processes have logged, and return what they have observed."""
        handed = [] if self._relay is None else list(self._relay.close())
        for kind, entry in handed:
            if kind != relay.OBSERVED:
                self._take(kind, entry)
        return [entry for kind, entry in handed if kind == relay.OBSERVED]

    # ---------------------------------------------------------------- the record

    def write(self, status: Status) -> Any:
        """Write the `Record` and give it. Raises StoreError."""
        record = self.record(status)
        records.write_record(self.store, record)
        return record

    def record(self, status: Status) -> Record:
        """Make the record, secrets masked wherever the step or its caller can have put them."""
        request = self.request
        finished = max(time_ns(), self.started)  # somebody may have set the clock back
        given: Any = request  # parts of the record, in JSON from an engine
        label: OfItem = {"label": request.label} if request.label else {}
        own: PartsOfSome = {} if request.container is None else {"container": given.container}
        if self.system:
            own["system"] = self.system
        record: Record = {
            "schema": records.RECORD_SCHEMA,
            "pipeline": request.pipeline,
            "run_id": request.run_id,
            "node": request.node,
            "map_index": request.map_index,
            **label,
            "attempt": request.attempt,
            "step": request.key,
            "status": status,
            "start": self.start,
            "started": records.timestamp(self.started),
            "finished": records.timestamp(finished),
            "seconds": round((finished - self.started) / 1e9, 6),
            "code": self._code(),
            "environment": cache.environment_of(request),
            **own,
            "git": given.git,
            "parameters": _display(request.parameters),
            "inputs": {name: self._input(name, tree) for name, tree in request.inputs.items()},
            "returns": None if self.returns is None else self.returns.as_json(),
            "outputs": self.outputs,
            "metrics": self.metrics,
            "params": self.params,
            "artifacts": self.artifacts,
            "resources": self.resources,
            "cache": None if self.looked_up is None else self.looked_up.as_json(),
            "observed": self.observed,
            "error": self.error,
            "engine": given.engine,
            "allow_pickle": self._pickled(),
            "warnings": self.warnings,
        }
        if self.secrets:
            _mask(record, list(self.secrets.values()))
        return record

    @property
    def warnings(self) -> list[str]:
        """What the record warns of: what the request said, and what the cache found damaged."""
        return [*self.request.warnings, *(self.looked_up.warnings if self.looked_up else ())]

    def _code(self) -> CodePart:
        step = self.request.step
        return {"digest": step.get("code"), "file": step.get("file"), "line": self.line}

    def outputs_for_cache(self, record: Record) -> dict[str, OutputEntry]:
        """Return the named outputs of a record with their values as they are, not masked.

        A value that holds a secret is stored as an artifact, so that the document has none.
        """
        found: dict[str, OutputEntry] = {}
        for name, shown in record["outputs"].items():
            own = self.outputs[name]
            if "tree" in own and own != shown:
                data, kind = canonical(own["tree"]), values.tree_type(own["tree"])
                artifact = values.store_tree(data, kind, self.store)
                found[name] = {"artifact": artifact.as_json(), "display": shown["display"]}
            else:
                found[name] = {**own, "display": shown["display"]}
        return found

    def _input(self, name: str, tree: Tree) -> InputEntry:
        source = self.request.sources.get(name)
        leaf = artifact_of(tree)
        digest = values.digest(tree)
        if leaf is not None:
            artifact = leaf.as_json()
            return {"source": source, "digest": digest, "type": leaf.type, "artifact": artifact}
        data = canonical(tree)
        kind = values.tree_type(tree)
        if len(data) <= values.INLINE:
            return {"source": source, "digest": digest, "type": kind, "tree": tree}
        stored = values.store_tree(data, kind, self.store).as_json()
        return {"source": source, "digest": digest, "type": kind, "artifact": stored}

    def _pickled(self) -> list[str]:
        held = {name: entry.get("artifact") for name, entry in self.outputs.items()}
        held |= {**self.artifacts, "return": self.returns.as_json() if self.returns else None}
        artifacts = {name: Artifact.from_json(data) for name, data in held.items() if data}
        return sorted(name for name, artifact in artifacts.items() if artifact.is_pickled)


def _mask(record: Record, secrets: list[str]) -> None:
    """Replace secrets in all fields of a record whose text is not Levada's own."""
    record["error"] = redact_error(record["error"], secrets)
    if "label" in record:
        record["label"] = redact_text(record["label"], secrets)
    record["parameters"] = redact_json(record["parameters"], secrets)
    # The names of inputs and outputs are those in the source, by which programs find them.
    record["inputs"] = {n: redact_json(each, secrets) for n, each in record["inputs"].items()}
    record["outputs"] = {n: redact_json(each, secrets) for n, each in record["outputs"].items()}
    record["metrics"] = redact_json(record["metrics"], secrets)
    record["params"] = redact_json(record["params"], secrets)
    record["artifacts"] = redact_json(record["artifacts"], secrets)
    record["engine"] = redact_json(record["engine"], secrets)
    record["observed"] = redact_json(record.get("observed"), secrets)
    record["warnings"] = redact_json(record["warnings"], secrets)


def output_entry(found: Artifact | Tree, store: Store) -> OutputEntry:
    """Describe one named output (see `values.save_with_fields`): what it is, and what to show."""
    if isinstance(found, Artifact):
        return {"artifact": found.as_json(), "display": shown_artifact(found, store)}
    return {"tree": found, "display": values.display(found, store)}


def shown_artifact(artifact: Artifact, store: Store) -> object:
    """Give a small value as JSON; what is larger, or no JSON, as its address."""
    if artifact.is_tree and artifact.size <= values.INLINE:
        return values.display(leaf_of(artifact.as_json()), store)
    return {
        "uri": store.blob_uri(artifact.digest),
        "digest": artifact.digest,
        "type": artifact.type,
        "size": artifact.size,
    }


def _decoded(trees: dict[str, Tree], store: Store) -> dict[str, object]:
    return {name: values.decode(tree, store) for name, tree in trees.items()}


def _display(trees: dict[str, Tree]) -> dict[str, object]:
    return {name: values.display(tree) for name, tree in trees.items()}


def _shown(value: object) -> object:
    try:
        shown = values.display(values.encode(value))
        if len(json.dumps(shown)) <= _DICTIONARY_LIMIT:
            return shown
    except Exception:  # noqa: BLE001  whatever it is, showing it must not fail the step
        return repr(value)[:_DICTIONARY_LIMIT]
    return repr(value)[:_DICTIONARY_LIMIT]


def _finite(entry: Any) -> Any:
    """JSON has no NaN and no infinity: as text, as everywhere in records."""
    if isinstance(entry.get("value"), float):
        return {**entry, "value": values.display(values.encode(entry["value"]))}
    return entry
