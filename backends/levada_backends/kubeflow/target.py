"""The Kubeflow Pipelines target."""

from __future__ import annotations

from .capabilities import CAPABILITIES
from .check import check
from .options import Options
from .spec import Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.diagnostics.diagnostic import Diagnostic
    from levada_compiler.program.ir import Program
    from levada_compiler.target import Capabilities


class KubeflowTarget:
    """Writes ``<pipeline>.yaml``, a PipelineSpec (schema 2.1.0) with its part for Kubernetes."""

    name = "kubeflow"
    description = "a PipelineSpec for Kubeflow Pipelines 2; each step is a pod"
    capabilities: Capabilities = CAPABILITIES
    client = "levada_backends.kubeflow.client:KubeflowClient"

    def __init__(self) -> None:
        self._made: tuple[Program, Options, Spec] | None = None

    def _spec(self, program: Program, options: Options) -> Spec:
        """Of a program that was checked there is one already."""
        if self._made is None or self._made[0] is not program or self._made[1] != options:
            self._made = (program, options, Spec(program, options))
        return self._made[2]

    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
        """What Kubeflow cannot do, or would refuse."""
        known = Options(options)
        return check(program, known, lambda: self._spec(program, known))

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:
        """The YAML file."""
        return {f"{program.name}.yaml": self._spec(program, Options(options)).text()}


TARGET = KubeflowTarget()
