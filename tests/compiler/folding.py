"""Constants of a module, evaluated by the compiler's folder."""

from __future__ import annotations

import ast

from levada.code import Code
from levada.operations import TooLargeError
from levada.project import Project
from levada_compiler.diagnostics.reports import Reports
from levada_compiler.front.constants import Folder
from levada_compiler.front.modules import Modules
from levada_compiler.front.not_constant import NotConstantError
from levada_compiler.front.source import Source


class Constants:
    """Evaluates expressions at the end of a module with this text."""

    def __init__(self, text: str) -> None:
        project = Project("/nowhere", ["/nowhere"])
        self._modules = Modules(project, Code(project), Reports())
        source = Source("constants.py", text)
        self._module = self._modules.add("/nowhere/constants.py", source, ast.parse(text))

    def fold(self, text: str) -> object:
        """Return the value. Raises NotConstantError."""
        return Folder(self._modules, self._module).fold(ast.parse(text, mode="eval").body)

    def value(self, text: str) -> object:
        """Return the value, or raise what the operation raised."""
        try:
            return self.fold(text)
        except NotConstantError as error:
            cause: BaseException = error
            while isinstance(cause, NotConstantError) and cause.__cause__ is not None:
                cause = cause.__cause__
            if isinstance(cause, NotConstantError) and cause.rule == "constant-too-large":
                cause = TooLargeError(cause.why)
            raise cause from None
