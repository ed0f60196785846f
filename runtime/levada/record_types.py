"""Shapes of the documents of a run. Only type checkers import this module.

``record.json``, ``run.json``, ``outcome.json`` and their parts; ``levada/schemas`` has the JSON
schemas. Times in text are ISO 8601 in UTC with microseconds; digests are ``sha256:<hex>``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NotRequired, Required, TypeAlias, TypedDict

    from levada.cache_types import CacheHit, CachePart, ObservedNames
    from levada.trees.tree_types import Tree

    Status: TypeAlias = Literal["succeeded", "failed", "cancelled"]
    ErrorKind: TypeAlias = Literal["error", "timeout", "killed", "cancelled"]
    #: The iteration of each loop around a node, outermost first; None outside of loops.
    MapIndex: TypeAlias = "list[int] | None"

    class OfItem(TypedDict):
        """What is said of a node in a loop only."""

        label: NotRequired[str]  #: the item, for people: ``lr=0.1, depth=4``

    class PreviewJson(TypedDict):
        """What people are shown of a stored value (`levada.previews`)."""

        digest: str
        size: int  #: bytes
        kind: str  #: ``table``, ``array``, ``image``, ``text``, …

    class ArtifactJson(TypedDict):
        """A stored value (`levada.artifact.Artifact`)."""

        digest: str
        size: int  #: bytes
        format: str
        materializer: str
        type: str  #: ``module:qualname``
        meta: dict[str, Any]  #: what its materializer needs to load it
        preview: NotRequired[PreviewJson]  #: in records and cache entries, not in trees

    class ErrorFrame(TypedDict):
        """A line of a traceback in the user's code."""

        file: str  #: relative to the folder of the project that holds it
        line: int | None
        function: str
        code: str | None

    class ErrorPart(TypedDict):
        """Why an attempt failed."""

        type: str
        module: str
        bases: NotRequired[list[str]]  #: its class and that class's bases, qualified, itself first
        message: str
        args: NotRequired[list[object] | None]  #: None where they are not plain JSON, or are large
        traceback: list[str]
        frames: list[ErrorFrame]
        permanent: bool  #: another attempt would end in the same way
        kind: ErrorKind

    class RunPlace(OfItem):
        """Where a run failed."""

        node: str | None  #: None outside of all nodes
        map_index: MapIndex
        record: NotRequired[str | None]  #: path of the record in the store
        context: RunError | None  #: the failure during whose handling this one came up

    class RunError(ErrorPart, RunPlace):
        """Why a run failed: the error of the failure that counts."""

    class ProcessPart(TypedDict):
        """The process of the local engine (`levada.run_process`)."""

        pid: int
        host: str
        started: str | None  #: tells it from a later process of this pid

    class EnginePart(TypedDict, total=False):
        """What runs a run. Engines add ids of their own, as text."""

        name: str  #: ``local``, ``airflow``, ``kubeflow`` or ``kubernetes``
        executor: str  #: of ``levada run --executor``
        trigger: str
        user: str
        environment: str  #: that it is deployed to (``--env``)
        logical_date: str
        data_interval_start: str
        data_interval_end: str
        namespace: str  #: of Kubernetes; so are the next ones
        job: str
        uid: str
        jobs: str  #: digest of what the target says of the Jobs
        retry_of: str  #: the run that this one tries again
        rerun_of: str  #: the run that `levada rerun` started this one from
        process: ProcessPart  #: of the local engine, in `run.json` only

    class CodePart(TypedDict):
        """Which code an attempt ran."""

        digest: str | None
        file: str | None
        line: int | None

    class ContainerPart(TypedDict):
        """What the image of a container step runs; the image is in the settings."""

        command: list[str] | None
        args: list[str] | None
        outputs: dict[str, str]  #: forms by name
        inputs: NotRequired[dict[str, str]]

    class EnvironmentPart(TypedDict):
        """What an attempt ran in."""

        digest: str
        python: str  #: ``3.12.1``; empty of a container step
        implementation: str
        platform: str
        packages: dict[str, str | None]  #: versions by name; None for what is not installed
        image: str | None

    class RunEnvironment(TypedDict):
        """What a run was started in."""

        python: str
        platform: str
        packages: NotRequired[dict[str, str]]

    class GitBlob(TypedDict):
        """The diff of a repository, as a blob."""

        digest: str
        size: int  #: bytes that are kept
        truncated: bool
        masked: NotRequired[bool]  #: whether a secret in it is masked; older runs do not say

    class GitFile(TypedDict):
        """A file of a repository whose content no diff shows."""

        path: str
        size: int | None  #: bytes; None where it cannot be read
        digest: str | None  #: None where the content is not stored
        masked: NotRequired[bool]  #: of a stored content, as of the diff
        executable: NotRequired[bool]  #: only of a stored content, and only True

    class GitSubmodule(TypedDict):
        """A submodule, and in which way it is not as it was committed."""

        path: str
        commit: bool
        modified: bool
        untracked: bool

    class GitName(TypedDict):
        """A changed file that is left out of the diff because of its name."""

        path: str

    class GitPart(TypedDict):
        """The repository of the project."""

        commit: str | None
        branch: str | None
        dirty: bool | None  #: None where git refuses to say
        remote: str | None
        diff: GitBlob | None
        untracked: list[GitFile]
        submodules: NotRequired[list[GitSubmodule]]
        binary: NotRequired[list[GitFile]]
        left_out: NotRequired[list[GitName]]
        problem: NotRequired[str]
        folder: NotRequired[str]  #: the project's, in the repository; not there at its top

    class InputEntry(TypedDict):
        """What an attempt was given for a parameter: ``tree`` or ``artifact``."""

        source: str | None  #: the expression
        digest: str
        type: str
        tree: NotRequired[Tree]
        artifact: NotRequired[ArtifactJson]

    class OutputEntry(TypedDict):
        """A named output: ``tree`` or ``artifact``, and what is shown of it."""

        tree: NotRequired[Tree]
        artifact: NotRequired[ArtifactJson]
        display: object

    class MetricValue(TypedDict):
        """One value of a metric."""

        name: str
        value: float | str  #: ``"NaN"`` and the like as text
        step: int | None
        time: str

    class MetricEntry(MetricValue):
        """What a record says of a metric: its last value, and of several the others in short."""

        count: NotRequired[int]
        min: NotRequired[float]  #: of the values that are numbers
        max: NotRequired[float]
        series: NotRequired[str]  #: the digest of a blob with all `Series`, by name

    class Series(TypedDict):
        """All values of a metric, in the order in which they were logged."""

        step: list[int | None]
        time: list[str]
        value: list[float | str]

    class ResourcesUsed(TypedDict, total=False):
        """What an attempt used; what the platform does not say is left out."""

        peak_memory_bytes: int
        cpu_user_seconds: float
        cpu_system_seconds: float
        read_bytes: int
        written_bytes: int
        container_peak_memory_bytes: int
        container_oom_kills: int

    class SystemEntry(TypedDict):
        """What a record says of one figure of the system, sampled while the step ran."""

        last: float
        min: float
        max: float
        count: int  #: of the samples that are kept
        series: NotRequired[str]  #: the digest of a blob with all `Series`, by name

    class RunResources(TypedDict, total=False):
        """What a run used: the peak of its largest attempt, the CPU time of all."""

        peak_memory_bytes: int
        cpu_seconds: float

    class PartsOfSome(TypedDict, total=False):
        """What a record has of some attempts only."""

        container: ContainerPart  #: of a container step
        system: dict[str, SystemEntry]  #: of a step of more than a second, by name

    class Record(PartsOfSome, OfItem):
        """What one attempt of one step did: ``levada.record/1``."""

        schema: str
        pipeline: str
        run_id: str
        node: str
        map_index: MapIndex
        attempt: int  #: from 1
        step: str  #: ``module:function``
        status: Status
        start: NotRequired[str | None]  #: ``fresh`` or ``fork``; None where no process ran
        started: str
        finished: str
        seconds: float
        code: CodePart
        environment: EnvironmentPart
        git: GitPart | None
        parameters: dict[str, object]  #: of the run, for display
        inputs: dict[str, InputEntry]
        returns: ArtifactJson | None
        outputs: dict[str, OutputEntry]
        metrics: list[MetricEntry]
        params: dict[str, object]
        artifacts: dict[str, ArtifactJson]
        resources: ResourcesUsed
        cache: CachePart | None
        observed: NotRequired[ObservedNames | None]
        error: ErrorPart | None
        engine: EnginePart
        allow_pickle: list[str]  #: the names of what holds a pickle
        warnings: list[str]

    class RecordEnd(TypedDict):
        """What an engine needs of a record: as a pod says it, or as it is kept during a run."""

        status: Status
        returns: ArtifactJson | None
        error: ErrorPart | None
        cache: CacheHit | CachePart | None
        resources: ResourcesUsed
        seconds: NotRequired[float]
        finished: NotRequired[str]
        metrics: NotRequired[list[MetricEntry]]
        warnings: NotRequired[list[str]]

    class RunParameters(TypedDict):
        """The parameters of a run, as they are computed with and as they are shown."""

        trees: dict[str, Tree]
        display: dict[str, object]

    class RunDocument(TypedDict):
        """A run as it was started: ``levada.run/1``."""

        schema: str
        pipeline: str
        run_id: str
        parameters: RunParameters
        trigger: str
        user: str | None
        engine: EnginePart
        created: str
        source: str | None  #: digest of the source text
        plan: str | None  #: digest of the blob that has it
        git: GitPart | None
        environment: RunEnvironment
        sources: NotRequired[str | None]  #: digest of a blob (`levada.sources`)

    class AnnotationDocument(TypedDict):
        """Tags and a note that somebody gave a run: ``levada.annotation/1``."""

        schema: str
        pipeline: str
        run_id: str
        time: str
        user: str | None
        tags: dict[str, str | None]  #: None removes the tag
        note: str | None

    class ShortMetric(TypedDict):
        """A metric of a step in the index; of a loop, all iterations together."""

        last: float | str  #: of the last iteration; ``"NaN"`` and the like as text
        min: float | str
        max: float | str
        count: int

    class ShortError(TypedDict):
        """Why a run failed, in the index."""

        type: str
        message: str
        node: str | None
        map_index: MapIndex

    class RunCounts(TypedDict):
        """How much a run was."""

        steps: int  #: calls that were reached, each iteration of a loop by itself
        cached: int
        failed: int
        skipped: int
        attempts: int
        inputs: int  #: of all steps, also those whose digests are left out
        outputs: int
        unread: NotRequired[int]  #: records that the entry does not count

    class IndexEntry(TypedDict, total=False):
        """An entry of the index's log: ``levada.index/1``. Which fields it has, its kind says."""

        schema: Required[str]
        kind: Required[Literal["started", "ended", "tagged", "noted"]]
        pipeline: Required[str]
        run_id: Required[str]
        started: str
        engine: str
        engine_ids: dict[str, object]
        environment: str | None
        trigger: str
        user: str | None
        params: dict[str, object]
        commit: str | None
        branch: str | None
        dirty: bool | None
        plan: str | None
        source: str | None
        status: Status
        finished: str
        seconds: float
        metrics: dict[str, ShortMetric]
        code: dict[str, str]
        inputs: dict[str, str]
        outputs: dict[str, str]
        counts: RunCounts
        error: ShortError | None
        peak_memory: int | None
        cpu_seconds: float | None
        tags: dict[str, str | None]
        note: str

    class StepEnd(OfItem):
        """What one call of a run came to, in one iteration."""

        node: str
        map_index: MapIndex
        attempts: int
        status: str  #: of a record, or ``skipped``
        cached: bool
        seconds: float
        record: str | None  #: path in the store

    class OutcomeDocument(TypedDict):
        """How a run ended: ``levada.outcome/2``."""

        schema: str
        pipeline: str
        run_id: str
        status: Status
        finished: str
        seconds: float
        outputs: list[Tree]
        names: list[str]
        kind: str  #: ``none``, ``value``, ``tuple``, ``dict`` or ``module:Class``
        steps: list[StepEnd]
        error: RunError | None
        resources: RunResources
