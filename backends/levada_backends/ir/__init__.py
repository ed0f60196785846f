"""The program itself as JSON: for tools, for reviews, and for backends in other languages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from levada_compiler.options import OptionTable
from levada_compiler.program import ir_json
from levada_compiler.target import Capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from levada_compiler.diagnostics.diagnostic import Diagnostic
    from levada_compiler.program.ir import Program


class IrTarget:
    """Writes ``<pipeline>.ir.json``, schema ``levada.ir/2``."""

    name = "ir"
    description = "the program as JSON (levada.ir/2), for tools and other backends"

    @property
    def capabilities(self) -> Capabilities:
        """Everything: nothing is lowered."""
        return Capabilities.everything("as it is", OptionTable)

    def check(self, program: Program, options: Mapping[str, object]) -> tuple[Diagnostic, ...]:  # noqa: ARG002
        """Nothing can be wrong here that was not wrong before."""
        return ()

    def emit(self, program: Program, options: Mapping[str, object]) -> dict[str, str]:  # noqa: ARG002
        """One file."""
        return {f"{program.name}.ir.json": ir_json.dump(program)}


TARGET = IrTarget()
