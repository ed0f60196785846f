"""What a task of Kubeflow gives, as KFP has it: a step's record as artifacts and parameters.

KFP keeps an artifact's metadata in ML Metadata, shows it, and gives all of it to each task that
takes the artifact, within one argument of a process.
"""

from __future__ import annotations

import json
import math
import os
import sys

from levada import values
from levada.artifact import Artifact
from levada.attempt import shown_artifact
from levada.redaction import redact_json, redact_text
from levada.trees.canonical import ARTIFACT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

#: How the texts in KFP's own scheme of paths are kept in the container (``LocalPathForURI``).
_FOLDERS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}
#: Artifacts whose content KFP's UI shows, and which therefore have to be where KFP wants them.
_SHOWN = {"system.HTML", "system.Markdown"}
_IN_METADATA = {"system.ClassificationMetrics"}
_LARGEST_PARAMETER = 4096  # bytes of a value that goes the way of KFP's parameters
_LARGEST_NUMBER = 64  # the same of what is no text: an integer may have any number of digits
_LONGEST = 2000  # characters of a value in an artifact's metadata
#: Bytes of all plots of an artifact as JSON: a task that takes two of them still fits in 128 KiB.
_LARGEST_PLOTS = 48 * 1024
#: Names of what KFP itself keeps with an artifact. Its UI shows none without a name, and each task
#: that takes it reads the other (``RecordArtifact`` in ``backend/src/v2/metadata/client.go``).
_TAKEN = ("display_name", "store_session_info")
_LARGEST_INTEGER = 2**53  # KFP's numbers are doubles


class Report:
    """A record as the artifacts that the task has declared.

    ``secrets`` are masked in what KFP shows, the metadata, and not in its parameters, which are
    inputs of other tasks: these come from the store, as the record is masked too.
    """

    def __init__(
        self,
        given: dict[str, Any],
        record: dict[str, Any],
        store: Any,
        secrets: Collection[str] = (),
    ) -> None:
        declared = given.get("outputs", {}).get("artifacts", {})
        self.parameter_names = parameter_names(given)
        self._declared = {n: each["artifacts"][0] for n, each in declared.items()}
        self._record = record
        self._store = store
        self._secrets = secrets

    @property
    def names(self) -> list[str]:
        """The artifacts that KFP wants."""
        return list(self._declared)

    def _outputs(self) -> dict[str, Any]:
        record = self._record
        named = {artifact_name(name): each for name, each in record["outputs"].items()}
        return {"output": {"artifact": record["returns"], "display": None}} | named

    def parameters(self, shares: dict[str, int]) -> dict[str, str]:
        """The small ones as JSON that nothing is replaced in; nothing says: read the store."""
        names = {"output": "", **{artifact_name(name): name for name in self._record["outputs"]}}
        found = {name: self._text(names[name]) for name in self.parameter_names}
        for name, share in shares.items():
            if len(json.dumps(found[name])) + 2 > share:  # with a comma and a space
                found[name] = ""
        return found

    def _text(self, output: str) -> str:
        """An output, or without a name the value, as JSON; nothing if it is too large."""
        tree: Any = Artifact.from_json(self._record["returns"])
        if output:
            tree = values.output(tree, output, self._store)
        if isinstance(tree, Artifact):
            if not tree.is_tree or tree.size > _LARGEST_PARAMETER:
                return ""
            tree = values.tree_of(tree, self._store)
        text = json.dumps(tree)
        most = _LARGEST_PARAMETER if isinstance(tree, str) else _LARGEST_NUMBER
        return unreplaced(text) if len(text) <= most else ""

    def artifacts(self) -> dict[str, Any]:
        """All of them: each output, and the metrics."""
        outputs = self._outputs()
        found = {}
        for name in self.names:
            if name in outputs:
                found[name] = self._output(name, outputs[name])
            elif self._kind(name) == "system.Metrics":
                found[name] = self._entry(name, self._metrics())
            else:
                found[name] = self._entry(name, self._logged())
        return found

    def entry(self, name: str, shown: Any) -> dict[str, Any]:
        """An artifact with a value to be shown."""
        uri = shown.get("uri") if isinstance(shown, dict) else None
        where = {"uri": uri} if isinstance(uri, str) else {}
        return self._entry(name, {**where, **_metadata(shown)})

    def _output(self, name: str, output: dict[str, Any]) -> dict[str, Any]:
        artifact = output.get("artifact") or self._record["returns"]
        shown = output.get("display")
        if shown is None:
            shown = shown_artifact(Artifact.from_json(artifact), self._store)
        own = {"uri": self._store.blob_uri(artifact["digest"])}
        own |= {"digest": artifact["digest"], "type": artifact["type"]}
        metadata = own | _metadata(shown)
        whole = self._whole(output) if self._kind(name) in (*_SHOWN, *_IN_METADATA) else None
        if self._kind(name) in _SHOWN and isinstance(whole, str):
            self._write_shown(self._declared[name]["uri"], redact_text(whole, self._secrets))
        elif self._kind(name) in _IN_METADATA and isinstance(whole, dict):
            metadata = _fitting(_plotted(whole), name) | metadata
        return self._entry(name, metadata)

    def _whole(self, output: dict[str, Any]) -> Any:
        """Give an output as JSON, however large; None if it has a format of its own."""
        artifact = output.get("artifact")
        if artifact is None:
            return output["display"]
        is_tree = Artifact.from_json(artifact).is_tree
        return values.display({ARTIFACT: artifact}, self._store) if is_tree else None

    def _write_shown(self, uri: str, text: str) -> None:
        path = next((to + uri[len(at) :] for at, to in _FOLDERS.items() if uri.startswith(at)), uri)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)

    def _kind(self, name: str) -> str:
        return str(self._declared[name].get("type", {}).get("schemaTitle", ""))

    def _logged(self) -> dict[str, Any]:
        """What was logged as artifacts: KFP wants to know outputs before, so these are one."""
        logged = self._record["artifacts"].items()
        return {name: self._said_of(Artifact.from_json(each)) for name, each in logged}

    def _said_of(self, artifact: Artifact) -> dict[str, Any]:
        own = {"uri": self._store.blob_uri(artifact.digest), "type": artifact.type}
        return {**own, **_metadata(shown_artifact(artifact, self._store))}

    def _metrics(self) -> dict[str, Any]:
        """The last value of each metric."""
        values = {each["name"]: each["value"] for each in self._record["metrics"]}
        return {name: value for name, value in values.items() if _is_number(value)}

    def _entry(self, name: str, metadata: dict[str, Any]) -> dict[str, Any]:
        """An artifact where KFP wants it, which need not be there.

        Where it is in the store is among its metadata: the launcher of a task that takes it fails
        on a URI that is of no bucket, and fetches all that is in another one
        (``fetchNonDefaultBuckets`` in ``backend/src/v2/component/launcher_v2.go``).
        """
        own = self._declared[name]
        content = {"name": own.get("name", name), "uri": own.get("uri", "")}
        shown = redact_json(_renamed(metadata, name), self._secrets)
        return {"artifacts": [{**content, "metadata": _shown(shown)}]}


def _fitting(plots: dict[str, Any], output: str) -> dict[str, Any]:
    """The plots of an output in as many bytes as there are: fewer points of a curve, else none."""
    sizes = {name: len(json.dumps(plot)) for name, plot in plots.items()}
    small = [size for size in sizes.values() if size <= _LARGEST_PLOTS // len(sizes)]
    share = (_LARGEST_PLOTS - sum(small)) // max(len(sizes) - len(small), 1)
    found = {name: _thinned(plot, sizes[name], share) for name, plot in plots.items()}
    for name, size in sizes.items():
        if found[name] is None:
            _say(f"`{name}` of `{output}` has {size:,} bytes, more than KFP takes: see the store")
        elif found[name] is not plots[name]:
            points = f"{len(plots[name]):,} points, of which KFP is given {len(found[name]):,}"
            _say(f"`{name}` of `{output}` has {points}: all are in the store")
    return {name: plot for name, plot in found.items() if plot is not None}


def _thinned(plot: Any, size: int, most: int) -> Any:
    """A plot in so many bytes; of a list every n-th item and the last, None if that is too few."""
    if size <= most:
        return plot
    step = -(-size // most)
    while isinstance(plot, list) and step < len(plot) - 1:
        found = [*plot[:-1:step], plot[-1]]
        if len(json.dumps(found)) <= most:
            return found
        step += 1
    return None


def _renamed(metadata: dict[str, Any], artifact: str) -> dict[str, Any]:
    """The metadata, where what has a name of KFP's own ends with an underscore."""
    found = {}
    for name, value in metadata.items():
        own = name
        while own in _TAKEN or (own != name and own in metadata):
            own += "_"
        if own != name:
            _say(f"`{name}` of `{artifact}` is `{own}` in KFP, which has that name for itself")
        found[own] = value
    return found


def _say(what: str) -> None:
    sys.stderr.write(what + "\n")


def parameter_names(given: dict[str, Any]) -> list[str]:
    """The output parameters that KFP wants."""
    return list(given.get("outputs", {}).get("parameters", {}))


def unreplaced(text: str) -> str:
    """JSON text without anything that KFP, Argo or Kubernetes would replace in it."""
    return text.replace("{{", "\\u007b{").replace("{{", "{\\u007b").replace("$", "\\u0024")


def _shown(value: Any) -> Any:
    """Metadata without what would be replaced: a task that takes the artifact is given it too."""
    if isinstance(value, str):
        text = value.replace("{{", "{ {").replace("{{", "{ {")
        text = text.replace("$", "\N{FULLWIDTH DOLLAR SIGN}")
        return text.encode(errors="replace").decode()  # half of a surrogate pair is refused
    if isinstance(value, dict):
        return {_shown(name): _shown(each) for name, each in value.items()}
    return [_shown(each) for each in value] if isinstance(value, list) else value


def artifact_name(name: str) -> str:
    """An output as KFP has it: those of a tuple have numbers, which are no names."""
    return f"output_{name}" if name.isdecimal() else name


def _metadata(shown: Any) -> dict[str, Any]:
    """A value as metadata: what is no number, text or truth is JSON."""
    if isinstance(shown, dict) and set(shown) == {"uri", "digest", "type", "size"}:
        return {"digest": shown["digest"], "type": shown["type"], "size": shown["size"]}
    if isinstance(shown, (bool, str)) or _is_number(shown):
        value = shown
    else:
        value = json.dumps(shown, ensure_ascii=False)
    return {"value": value[:_LONGEST] if isinstance(value, str) else value}


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return type(value) is int and abs(value) <= _LARGEST_INTEGER


def _plotted(value: Any) -> Any:
    """What KFP's UI plots, without the nulls that KFP refuses.

    A threshold has to be a number there, and the first one of a curve is infinite
    (``sklearn.metrics.roc_curve``).
    """
    if isinstance(value, dict):
        found = {name: _plotted(each) for name, each in value.items() if each is not None}
        if found.get("confidenceThreshold") == "Infinity":
            found["confidenceThreshold"] = sys.float_info.max
        return found
    if isinstance(value, list):
        return [_plotted(each) for each in value if each is not None]
    return value
