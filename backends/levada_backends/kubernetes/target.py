"""The Kubernetes target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from levada_compiler.origin import made_from

from .. import block_yaml
from .capabilities import CAPABILITIES
from .check import check
from .manifests import Manifests
from .options import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.diagnostics.diagnostic import Diagnostic
    from levada_compiler.program.ir import Program
    from levada_compiler.target import Capabilities


class KubernetesTarget:
    """Writes a folder ``<pipeline>/`` for ``kubectl apply -k``."""

    name = "kubernetes"
    description = "a folder for `kubectl apply -k`: a CronJob whose runs make a Job of each step"
    capabilities: Capabilities = CAPABILITIES
    client = "levada_backends.kubernetes.client:KubernetesClient"

    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
        """What Kubernetes cannot do, or an API server would refuse."""
        return check(program, options)

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:
        """The manifests, by path."""
        found = Options(options)
        head = f"# {made_from(program, found.compiler)}; do not edit: compile it again.\n"
        manifests = Manifests(program, found, found.compiler)
        return {
            f"{manifests.name}/{file}": head + block_yaml.dump(*documents)
            for file, documents in manifests.files().items()
        }


TARGET = KubernetesTarget()
