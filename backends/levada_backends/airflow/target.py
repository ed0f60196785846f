"""The Airflow target."""

from __future__ import annotations

from .capabilities import CAPABILITIES
from .check import check
from .render import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.diagnostics.diagnostic import Diagnostic
    from levada_compiler.program.ir import Program
    from levada_compiler.target import Capabilities


class AirflowTarget:
    """Writes ``<pipeline>.py``, a DAG file for Airflow 2.11 and 3.x.

    With ``lib = "module"`` it imports its operators from ``levada_airflow_<digest>.py``.
    """

    name = "airflow"
    description = "a DAG file for Airflow 2.11 and 3.x; steps are processes, containers or pods"
    client = "levada_backends.airflow.client:AirflowClient"
    capabilities: Capabilities = CAPABILITIES

    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:
        """What Airflow cannot do, or would refuse."""
        return check(program, options)

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:
        """The DAG file, after the module that it imports where there is one."""
        return render(program, options)


TARGET = AirflowTarget()
