"""Steps that run a program of someone else's image: ``name = container(image, …)``."""

from __future__ import annotations

import ast
import json
import keyword

from levada.programs import CONVERTED, digest
from levada.settings import NOT_OF_CONTAINERS

from ..program.ir import Container, NamedOutput, Parameter, Setting, Step, Type
from . import constants, made_steps, settings, types
from .not_constant import NotConstantError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from ..diagnostics.diagnostic import Span
    from . import modules as m
    from .declare import Declarations

_RULE: Final = "invalid-container"
_OWN: Final = ("command", "args", "inputs", "outputs", "name")
#: Types by the words in which a run is told of them.
_OUTPUT_TYPES: Final = frozenset(CONVERTED)
_INPUT_TYPES: Final = _OUTPUT_TYPES | {"None", "tuple", "union", "literal"}
_KNOWN: Final = "a program is given and gives files (`Path`), texts (`str`) and JSON values"


def read(declarations: Declarations, making: m.Making) -> Step:
    """The step that ``name = container(image, …)`` declares; what is wrong with it is reported."""
    return _Reader(declarations, making).step()


def code(container: Container) -> str:
    """The digest of what the step runs, but for its image and its environment variables."""
    return digest(container.as_json())


class _Reader:
    """Reads one call of ``container``."""

    def __init__(self, declarations: Declarations, making: m.Making) -> None:
        self._declarations = declarations
        self._reports = declarations.reports
        self._making = making
        self._module = making.module
        self._folder = settings.folder(declarations.modules, making.module)
        self._folder.limit = making.node.lineno
        self._given = {each.arg: each for each in making.call.keywords if each.arg}

    def step(self) -> Step:
        making, project = self._making, self._declarations.modules.project
        made_steps.check_name(self._reports, making)
        image = self._image()
        parameters = tuple(
            Parameter(name, kind, None, "", self._module.span(node), "keyword-only")
            for name, kind, node in self._typed("inputs", _INPUT_TYPES)
        )
        outputs = tuple(
            NamedOutput(name, kind) for name, kind, _ in self._typed("outputs", _OUTPUT_TYPES)
        )
        read = (*self._settings(), *image)
        key = f"{self._module.name}:{making.name}"
        if len(outputs) > 1:
            self._declarations.name_outputs(key, outputs)
        return Step(
            key=key,
            module=self._module.name,
            function=making.name,
            source_root=project.relative(project.source_root(self._module.path)),
            description="",
            parameters=parameters,
            returns=_returned(key, outputs),
            outputs=outputs if len(outputs) > 1 else (),
            settings=tuple(sorted(read, key=lambda setting: setting.name)),
            code="",
            imports=(),
            span=self._module.span(making.node),
            container=Container(self._words("command"), self._words("args"), outputs),
        )

    # ---------------------------------------------------------------- the parts

    def _image(self) -> tuple[Setting, ...]:
        call = self._making.call
        if not call.args:
            self._error(
                self._module.span(call),
                "the image is missing",
                'write it first: `container("name:tag", …)`',
            )
            return ()
        for extra in call.args[1:]:
            self._error(
                self._module.span(extra),
                "only the image is given by position",
                "write `command=[…]`, `args=[…]`",
            )
        value = self._constant(call.args[0])
        span = self._module.span(call.args[0])
        if value is None:
            return ()
        if not isinstance(value, str) or not value or any(map(str.isspace, value)):
            shown = json.dumps(value) if isinstance(value, str) else f"`{type(value).__name__}`"
            self._error(
                span,
                f'an image is a text such as "name:tag", not {shown}',
                "name an image that exists",
            )
            return ()
        return (Setting("image", json.dumps(value, ensure_ascii=False), span),)

    def _words(self, name: str) -> tuple[str, ...] | None:
        """``command`` or ``args``: a list of texts; None where it is not given."""
        given = self._given.get(name)
        value = None if given is None else self._constant(given.value)
        if given is None or value is None:
            return None
        words = list(value) if isinstance(value, list | tuple) else [None]
        if not all(isinstance(word, str) for word in words):
            self._error(
                self._module.span(given),
                f"`{name}` is a list of texts",
                f'write one for each word: `{name}=["wc", "-l"]`; for a shell: `["sh", "-c", "…"]`',
            )
            return None
        if not words and name == "command":
            self._error(
                self._module.span(given),
                "`command` is empty",
                "remove it: the image's own entry point then runs",
            )
            return None
        return tuple(map(str, words))

    def _typed(self, name: str, allowed: frozenset[str]) -> list[tuple[str, Type, ast.expr]]:
        """``inputs`` or ``outputs``: names with their types, and where each stands."""
        given = self._given.get(name)
        if given is None:
            return []
        if not isinstance(given.value, ast.Dict):
            self._error(
                self._module.span(given.value),
                f"`{name}` is a dict of names and types, written out",
                f'write `{name}={{"data": Path}}`',
            )
            return []
        found: list[tuple[str, Type, ast.expr]] = []
        for key, value in zip(given.value.keys, given.value.values, strict=True):
            named = self._name(name, key, value, {each for each, _, _ in found})
            kind = self._declarations.annotation(self._module, value)
            if named is not None and self._check_type(named, kind, value, allowed):
                found.append((named, kind, key or value))
        return found

    def _name(self, part: str, key: ast.expr | None, value: ast.expr, seen: set[str]) -> str | None:
        name = key.value if isinstance(key, ast.Constant) else None
        span = self._module.span(key or value)
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            self._error(
                span,
                f"a name in `{part}` is a Python identifier, written out",
                "it is the name of the argument or the output, and of its file",
            )
            return None
        if name in seen:
            self._error(span, f"`{name}` is twice in `{part}`", "rename one of them")
            return None
        return name

    def _check_type(self, name: str, kind: Type, node: ast.expr, allowed: frozenset[str]) -> bool:
        members = kind.arguments if kind.name == "union" else (kind,)
        wrong = [each for each in members if each.name not in allowed]
        if kind.name in allowed and not wrong:
            return True
        self._error(
            self._module.span(node),
            f"`{name}` cannot be `{types.text((wrong or [kind])[0])}`: {_KNOWN}",
            "write it to a file in a step, and hand over its `Path`"
            if allowed is _INPUT_TYPES
            else "take it as a `Path`, and read it in a step",
        )
        return False

    def _settings(self) -> tuple[Setting, ...]:
        call = self._making.call
        for name in NOT_OF_CONTAINERS:
            if name in self._given:
                self._reports.error(
                    "unknown-setting",
                    self._module.span(self._given[name]),
                    f"a container step has no setting `{name}`",
                    help="the image is the first argument"
                    if name == "image"
                    else "it is for steps whose image Levada makes: remove it",
                )
        left_out = (*_OWN, *NOT_OF_CONTAINERS)
        keywords = [each for each in call.keywords if each.arg not in left_out]
        plain = ast.Call(call.func, [], keywords)
        return settings.read(plain, self._folder, settings.STEP, self._reports)

    # ---------------------------------------------------------------- reports

    def _constant(self, node: ast.expr) -> object | None:
        """The value of a constant; None after a diagnostic, or where it is None."""
        try:
            return self._folder.fold(node)
        except NotConstantError as error:
            place = (error.module or self._module).span(error.node)
            constants.report(self._reports, error, place)
            return None

    def _error(self, span: Span, message: str, way_out: str) -> None:
        self._reports.error(_RULE, span, message, help=way_out)


def _returned(key: str, outputs: tuple[NamedOutput, ...]) -> Type:
    """The type of what a call gives: nothing, the one output, or all of them by their names."""
    if not outputs:
        return types.NONE
    return outputs[0].type if len(outputs) == 1 else Type(key)
