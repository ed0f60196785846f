"""Shapes of a plan, which the engine reads: ``levada.plan/2``. Only type checkers import this.

`levada_compiler.program.plan` writes plans. Expressions are texts that `levada.expressions` reads.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

    from levada.record_types import ContainerPart

    #: A JSON schema: keywords with values of any JSON type.
    Schema: TypeAlias = "dict[str, Any]"

    class RetrySetting(TypedDict, total=False):
        """How often a step is tried again, and after how long."""

        count: int  #: attempts after the first
        delay: float  #: seconds before the second attempt
        backoff: float  #: what the delay is multiplied by after each attempt
        max_delay: float | None  #: seconds

    class ResourceLimits(TypedDict, total=False):
        """What a step needs; amounts are numbers or quantities such as ``"4Gi"``."""

        cpu: float | str  #: cores
        memory: float | str  #: bytes
        gpu: int
        gpu_type: str
        disk: float | str  #: bytes

    class VolumeSetting(TypedDict):
        """A claim or folder that a container sees."""

        claim: str
        path: str
        read_only: bool

    class Settings(TypedDict, total=False):
        """The settings that the engine and the runtime read, of a call or a pipeline.

        `levada.settings` defines all of them; those that only targets read are not here.
        """

        retry: RetrySetting
        timeout: float  #: seconds
        cache: bool | float  #: a number is the age in seconds up to which a result is used
        environment: dict[str, str]
        resources: ResourceLimits
        requirements: list[str]
        secrets: dict[str, str]  #: references by variable
        files: list[str]  #: patterns
        volumes: list[VolumeSetting]
        image: str
        allow_pickle: bool
        allow_secret_output: bool
        check_types: bool
        on_failure: str  #: ``module:function``
        max_parallel: int

    class PlanParameter(TypedDict):
        """A parameter of the pipeline."""

        name: str
        type: str
        schema: Schema
        description: str
        default: object
        required: bool

    class PlanStep(TypedDict):
        """A function, or a program of an image, that calls run."""

        module: str
        function: str
        source_root: str
        code: str | None  #: digest
        imports: list[str]  #: modules of other distributions that it reaches
        outputs: list[str]
        returns: str
        settings: Settings
        file: NotRequired[str]
        container: NotRequired[ContainerPart]

    class PlanNode(TypedDict):
        """What every node has."""

        id: str
        after: list[str]  #: ids of nodes that have to be over

    class CallNode(PlanNode):
        """A call of a step."""

        kind: Literal["call"]
        step: str  #: key in ``steps``
        inputs: dict[str, str]
        settings: Settings

    class ValueNode(PlanNode):
        """A named value; its expression is in ``definitions``."""

        kind: Literal["value"]
        raises: bool  #: whether evaluating it can fail

    class FailNode(PlanNode):
        """A ``raise``."""

        kind: Literal["fail"]
        classes: list[str]  #: the exception's class and its bases, qualified
        arguments: list[str]
        guard: str | None  #: of a bare ``raise``, whose error is raised again

    class BranchNode(PlanNode):
        """An ``if``."""

        kind: Literal["branch"]
        condition: str
        then: list[Node]
        otherwise: list[Node]

    class LoopNode(PlanNode):
        """A ``for``."""

        kind: Literal["loop"]
        target: str
        items: str
        where: list[str]  #: conditions of items
        named: NotRequired[list[str]]  #: what the source calls variables: ``depth_2 as depth``
        max_parallel: NotRequired[int]
        body: list[Node]

    class GuardNode(PlanNode):
        """A ``try``."""

        kind: Literal["guard"]
        body: list[Node]
        handler: list[Node] | None  #: None without an ``except``
        final: list[Node]
        checks: list[str]

    class GroupNode(PlanNode):
        """A pipeline that is called by this one."""

        kind: Literal["group"]
        pipeline: str
        body: list[Node]

    Node: TypeAlias = (
        "CallNode | ValueNode | FailNode | BranchNode | LoopNode | GuardNode | GroupNode"
    )

    class PlanResult(TypedDict):
        """What a pipeline returns."""

        values: list[str]
        names: list[str]
        kind: str  #: ``none``, ``value``, ``tuple``, ``dict`` or ``module:Class``
        after: list[str]

    class Plan(TypedDict):
        """A pipeline as the engine runs it."""

        schema: str
        pipeline: str
        description: str
        file: str
        source: str | None  #: digest of the source text
        search: list[str]  #: folders that modules are imported from, relative to the project
        compiler: str
        settings: Settings
        parameters: list[PlanParameter]
        steps: dict[str, PlanStep]
        definitions: NotRequired[dict[str, str]]  #: expressions that names stand for
        body: list[Node]
        result: PlanResult
