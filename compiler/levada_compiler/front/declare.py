"""Steps and pipelines as they are declared: signature, types, settings, documentation."""

from __future__ import annotations

import ast
import json
import posixpath

from levada.operations import TooLargeError

from ..program import forms
from ..program.ir import NamedOutput, Parameter, Setting, Step, Type
from ..slotted import dataclass, replace
from . import (
    constants,
    docstrings,
    enums,
    functions,
    instances,
    made_steps,
    nested_steps,
    settings,
    types,
)
from . import modules as m
from .not_constant import NotConstantError
from .parameter_types import FormReader, ParameterTypeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Final

    from levada.code_units import Unit

    from ..diagnostics.diagnostic import Span
    from ..diagnostics.reports import Reports

DECORATORS: Final = {
    f"{module}.{kind}": kind
    for module in ("levada", "levada.declarations")
    for kind in ("step", "pipeline")
}
DATACLASS_DECORATORS: Final = (
    "dataclasses.dataclass",
    "pydantic.dataclasses.dataclass",
    "attr.s",
    "attr.define",
    "attr.frozen",
    "attrs.define",
    "attrs.frozen",
)
NAMED_TUPLES: Final = ("typing.NamedTuple", "typing_extensions.NamedTuple")
MODELS: Final = ("pydantic.BaseModel",)
TYPED_DICTS: Final = ("typing.TypedDict", "typing_extensions.TypedDict")
_FIELD_BASES: Final = {
    **dict.fromkeys(NAMED_TUPLES, "namedtuple"),
    **dict.fromkeys(MODELS, "object"),
    **dict.fromkeys(TYPED_DICTS, "typeddict"),
}
FIELD_FUNCTIONS: Final = (
    *("dataclasses.field", "pydantic.Field", "pydantic.fields.Field"),
    *("attr.ib", "attr.field", "attrs.field"),
)
#: Methods that run when an instance is made.
_MAKING: Final = ("__post_init__", "__init__", "__new__", "__setattr__")
NEW_TYPES: Final = (m.External("typing.NewType"), m.External("typing_extensions.NewType"))
TYPE_ALIASES: Final = (m.External("typing.TypeAlias"), m.External("typing_extensions.TypeAlias"))


@dataclass(frozen=True, slots=True)
class Fields:
    """The named outputs of a type, or the keys of a ``typeddict``.

    ``kind`` is ``tuple``, ``namedtuple``, ``object`` or ``typeddict``.
    """

    kind: str
    types: dict[str, Type]


@dataclass(frozen=True, slots=True)
class Default:
    """The default of a parameter: a constant, or the ``member`` of an enumeration.

    One that ``is_wrong`` has been reported.
    """

    value: object
    type: Type
    span: Span
    member: tuple[enums.Enumeration, str] | None = None
    is_wrong: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ClassField:
    """A field of a class of the project, declared in ``owner``.

    ``default`` is a tuple of its default, empty where that is not known; None if there is none.
    One that is not ``is_given`` is set by the class itself. ``problem`` says why it cannot be read
    from JSON, and ``way_out`` what to write.
    """

    owner: m.Class
    node: ast.AnnAssign
    name: str
    default: tuple[object] | tuple[()] | None
    is_given: bool = True
    problem: str = ""
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Constructor:
    """How an instance of a class of the project is made.

    ``kind`` is ``dataclass``, ``namedtuple``, ``pydantic`` or ``typeddict``; ``defaults`` are those
    of its fields that are known. With ``runs_code`` making one does more than to set its fields.
    """

    kind: str
    parameters: tuple[Parameter, ...]
    defaults: dict[str, object]
    runs_code: bool


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline function as declared. ``defaults`` are the values of absent arguments."""

    function: m.Function
    name: str
    parameters: tuple[Parameter, ...]
    defaults: dict[str, Default]
    settings: tuple[Setting, ...]
    description: str
    #: The parameters that no run can be given, only another pipeline.
    unreadable: tuple[tuple[Parameter, ParameterTypeError], ...] = ()


_HELD: Final = 4  #: the price of a value in a default, or of a member, in steps of a budget
_MOST_PARTS: Final = 1_000  #: of the type that an alias stands for; a larger one is any value


class Declarations:
    """Reads declarations once each."""

    def __init__(self, modules: m.Modules, reports: Reports) -> None:
        self.modules = modules
        self.reports = reports
        self.files: set[str] = set()  #: modules of the project that steps reach
        self._read_undeclared: set[ast.Constant] = set()
        self.data: set[str] = set()  #: what the steps' setting `files` matches
        self._kinds: dict[ast.AST, str | None] = {}
        self._steps: dict[ast.AST, tuple[m.Function, Step]] = {}
        self._nested: dict[ast.AST, m.Function | None] = {}
        self.provided: dict[str, Step] = {}  #: the called steps that are Levada's own, by key
        self._pipelines: dict[ast.AST, Pipeline] = {}
        self._fields: dict[str, Fields | None] = {}
        self._constructors: dict[ast.AST, Constructor | None] = {}
        self._class_fields_of: dict[ast.AST, list[ClassField]] = {}
        self._enumerations: dict[str, enums.Enumeration | None] = {}
        self._aliases: dict[ast.stmt, Type | None] = {}
        self._forms = FormReader(self)
        modules.instance = self.constant_instance
        modules.enum_member = self.constant_member

    # -- decorators

    def kind(self, function: m.Function) -> str | None:
        """``step``, ``pipeline``, or None for a plain function."""
        if function.making is not None:
            return "step"
        node = function.node
        if node not in self._kinds:
            found = [self.decorator_kind(function.module, item) for item in node.decorator_list]
            kinds = [kind for kind in found if kind]
            if len(set(kinds)) > 1:
                self._refuse_both(function)
            self._kinds[node] = kinds[0] if kinds else None
        return self._kinds[node]

    def _refuse_both(self, function: m.Function) -> None:
        self.reports.error(
            "invalid-decorator",
            name_span(function),
            f"`{function.node.name}` is declared as a step and as a pipeline",
            help="remove one of the decorators",
        )

    def decorator_kind(self, module: m.Module, decorator: ast.expr) -> str | None:
        """Which declaration a decorator is, if it is one."""
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        definition = self.modules.resolve(module, target)
        return DECORATORS.get(definition.name) if isinstance(definition, m.External) else None

    def _settings(self, function: m.Function, holder: str) -> tuple[Setting, ...]:
        if function.making is not None:
            return self._made_settings(function.making, holder)
        folder = settings.folder(self.modules, function.module)
        folder.limit = function.node.lineno
        for decorator in function.node.decorator_list:
            if self.decorator_kind(function.module, decorator) and isinstance(decorator, ast.Call):
                return settings.read(decorator, folder, holder, self.reports)
        return ()

    def _made_settings(self, making: m.Making, holder: str) -> tuple[Setting, ...]:
        """The settings of ``step(function, name=…, **settings)``; a name is none of them."""
        folder = settings.folder(self.modules, making.module)
        folder.limit = making.node.lineno
        keywords = [keyword for keyword in making.call.keywords if keyword.arg != "name"]
        call = ast.Call(making.call.func, making.call.args[1:], keywords)
        return settings.read(call, folder, holder, self.reports)

    # -- types

    def annotation(self, module: m.Module, node: ast.expr | None) -> Type:
        """The type that an annotation in ``module`` means."""
        return types.read(node, lambda dotted: self._resolve(module, dotted))

    def _resolve(self, module: m.Module, dotted: str) -> str | Type | None:
        definition = self.modules.find(module, dotted)
        if isinstance(definition, m.Constant):
            return self._alias(definition)
        if isinstance(definition, m.Class) and (found := self.enumeration(definition.key)):
            return found.type
        return self.modules.qualified(module, dotted)

    def _alias(self, constant: m.Constant) -> Type | None:
        """The type that an alias or a new type stands for; None for any other constant."""
        if constant.node not in self._aliases:
            self._aliases[constant.node] = None  # for an alias of itself
            written = self._aliased(constant)
            if written is not None:
                found = self.annotation(constant.module, written)
                # An alias that names another one twice doubles it, and the next one that again.
                is_large = types.size(found) > _MOST_PARTS
                self._aliases[constant.node] = types.ANY if is_large else found
        return self._aliases[constant.node]

    def _aliased(self, constant: m.Constant) -> ast.expr | None:
        match constant.value:
            case ast.Call(func=func, args=[_, base]):
                made = self.modules.resolve(constant.module, func)
                return base if made in NEW_TYPES else None
            case ast.Name() | ast.Attribute() | ast.Subscript() | ast.BinOp(op=ast.BitOr()):
                return constant.value
            case ast.Constant(value=str()) if isinstance(constant.node, ast.AnnAssign):
                marked = self.modules.resolve(constant.module, constant.node.annotation)
                return constant.value if marked in TYPE_ALIASES else None
        return None

    def enumeration(self, key: str) -> enums.Enumeration | None:
        """The enumeration of this key; None if there is none."""
        if key not in self._enumerations:
            definition = self.definition(key)
            found = enums.read(self.modules, definition) if definition else None
            self._enumerations[key] = found
        return self._enumerations[key]

    def enumerated(self, kind: Type) -> enums.Enumeration | None:
        """The enumeration that values of a type are members of, None aside."""
        members = [each for each in (kind.arguments or (kind,)) if each.name != "None"]
        if kind.name == "union" and len(members) != 1:
            return None
        own = members[0] if kind.name == "union" else kind
        found = self.enumeration(own.name) if ":" in own.name else None
        return found if found and not found.problem else None

    def fields(self, kind: Type) -> Fields | None:
        """The named outputs of a type, None if it has none that are known."""
        if kind.name == "tuple":
            if not kind.arguments or types.ELLIPSIS in kind.arguments:
                return None
            named = {str(index): item for index, item in enumerate(kind.arguments)}
            return Fields("tuple", named)
        if ":" not in kind.name:
            return None
        if kind.name not in self._fields:
            self._fields[kind.name] = None
            definition = self.definition(kind.name)
            self._fields[kind.name] = self._class_fields(definition) if definition else None
        return self._fields[kind.name]

    def name_outputs(self, name: str, outputs: tuple[NamedOutput, ...]) -> None:
        """Take a type of this name as a NamedTuple of the outputs of a container step."""
        named = {output.name: output.type for output in outputs}
        self._fields[name] = Fields("namedtuple", named)

    def bases(self, name: str) -> list[str] | None:
        """The qualified names of a project class's bases; None where one is not known."""
        definition = self.definition(name)
        if definition is None:
            return None
        found: list[str] = []
        for base in definition.node.bases:
            plain = base.value if isinstance(base, ast.Subscript) else base
            known = self.modules.qualified(definition.module, ast.unparse(plain))
            if known is None:
                return None
            found.append(known)
        return found

    def definition(self, key: str) -> m.Class | None:
        """The class of this key (``module:Class``) in a module that has been read."""
        module_name, _, name = key.partition(":")
        for module in self.modules.read():
            if module.name == module_name:
                found = self.modules.lookup(module, name)
                return found if isinstance(found, m.Class) else None
        return None

    def _class_fields(self, definition: m.Class) -> Fields | None:
        kind, fields = None, {}
        module = definition.module
        for base in definition.node.bases:
            found = self.modules.resolve(module, base)
            if isinstance(found, m.External) and found.name in _FIELD_BASES:
                kind = _FIELD_BASES[found.name]
            elif isinstance(found, m.Class) and found.node is not definition.node:
                inherited = self.fields(Type(found.key))
                if inherited is not None:
                    kind, fields = inherited.kind, dict(inherited.types)
        if any(self._is_dataclass(module, item) for item in definition.node.decorator_list):
            kind = "object"
        if kind is None:
            return None
        for item in definition.node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                fields[item.target.id] = self.annotation(module, item.annotation)
        return Fields(kind, fields)

    def _is_dataclass(self, module: m.Module, decorator: ast.expr) -> bool:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        found = self.modules.resolve(module, target)
        return isinstance(found, m.External) and found.name in DATACLASS_DECORATORS

    # -- steps

    def step(self, function: m.Function) -> Step:
        """The step that a function under ``@step`` declares."""
        if function.node not in self._steps:
            self._steps[function.node] = function, self._read_step(function)
        return self._steps[function.node][1]

    def nested_step(
        self, outer: m.FunctionNode | None, module: m.Module, node: m.FunctionNode
    ) -> m.Function | None:
        """The step that a declaration within a pipeline makes; None where no run could find it.

        That is reported once.
        """
        if node not in self._nested:
            self._nested[node] = nested_steps.read(self, outer, module, node)
        return self._nested[node]

    def _read_step(self, function: m.Function) -> Step:
        module, node = function.module, function.node
        making = function.making
        if making is not None and making.is_container:
            from . import containers

            return containers.read(self, making)
        if making is None:
            functions.check_function(self.reports, function, "step")
        else:
            made_steps.check(self.reports, self, making)
        home = making.module if making is not None else module
        doc = docstrings.read(node)
        read = self._settings(function, settings.STEP)
        returns = self.annotation(module, node.returns)
        return Step(
            key=function.key,
            module=home.name,
            function=function.path,
            source_root=self.modules.project.relative(self.modules.project.source_root(home.path)),
            description=doc.description,
            parameters=tuple(self._step_parameters(function, doc.parameters)),
            returns=returns,
            outputs=self._outputs(module, node.returns, returns),
            settings=read,
            code="",
            imports=(),
            span=name_span(function),
        )

    def called_steps(self, keys: set[str]) -> tuple[Step, ...]:
        """The steps of these keys with the digests of their code, sorted by key."""
        found = [
            self._with_code(function, step)
            for function, step in self._steps.values()
            if step.key in keys
        ]
        found += [step for key, step in self.provided.items() if key in keys]
        return tuple(sorted(found, key=lambda step: step.key))

    def _with_code(self, function: m.Function, step: Step) -> Step:
        if step.container is not None:
            from . import containers

            return replace(step, code=containers.code(step.container))
        files = next((json.loads(item.value) for item in step.settings if item.name == "files"), ())
        try:
            home = function.making.module if function.making is not None else function.module
            code = self.modules.code.step(home.path, step.function, files)
        except (LookupError, OSError, SyntaxError, ValueError) as error:
            self.reports.error(
                "step-code",
                name_span(function),
                f"the code of `{step.function}` cannot be read: {error}",
                help="every module of the project that a step imports must be valid Python",
            )
            return step
        self.files.update(code.files)
        declared = {name for item in files for name in self.modules.code.data_files(item)}
        self.data |= declared
        if not any(item.name == "image" for item in step.settings):  # which may have any file
            for unit in code.reads:
                self._check_reads(unit, declared)
        return replace(step, code=code.digest, imports=tuple(code.imports), logs=code.logs)

    def _check_reads(self, unit: Unit, declared: set[str]) -> None:
        """Warn about files of the project that a step opens by name and does not declare."""
        project = self.modules.project
        for node in unit.reads:
            name = posixpath.normpath(str(node.value))
            is_own = not name.startswith(("/", "..")) and name not in declared
            if not is_own or node in self._read_undeclared:
                continue
            module = self.modules.load(project.module_name(unit.path))
            if module is None or not project.has_file(name):
                continue
            self._read_undeclared.add(node)
            self.reports.warning(
                "undeclared-file",
                module.span(node),
                f"`{name}` is read here, but the step's `files` do not name it",
                help=f'add `files=["{name}"]` to the step: its image has only files that are named',
            )

    def _step_parameters(
        self, function: m.Function, descriptions: dict[str, str]
    ) -> Iterator[Parameter]:
        for argument, kind, default in arguments_of(function.node):
            yield Parameter(
                argument.arg,
                self.annotation(function.module, argument.annotation),
                None if default is None else "",
                descriptions.get(argument.arg, ""),
                function.module.span(argument),
                kind,
            )

    def _outputs(
        self, module: m.Module, annotation: ast.expr | None, returns: Type
    ) -> tuple[NamedOutput, ...]:
        fields = self.fields(returns)
        if fields is None or fields.kind == "typeddict":
            return ()
        names = list(fields.types)
        if fields.kind == "tuple" and annotation is not None:
            names = self._tuple_names(module, annotation, names)
        return tuple(
            NamedOutput(name, kind) for name, kind in zip(names, fields.types.values(), strict=True)
        )

    def _tuple_names(self, module: m.Module, annotation: ast.expr, names: list[str]) -> list[str]:
        """The names that ``Annotated[…, "name"]`` gives to the items of a tuple."""
        inner = types.unquoted(annotation)
        if not (isinstance(inner, ast.Subscript) and isinstance(inner.slice, ast.Tuple)):
            return names
        items = inner.slice.elts
        if len(items) != len(names):
            return names
        found = [
            self._annotated_name(module, item) or name
            for item, name in zip(items, names, strict=True)
        ]
        return found if len(set(found)) == len(found) else names

    def _annotated_name(self, module: m.Module, node: ast.expr) -> str | None:
        if not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple)):
            return None
        owner = ast.unparse(node.value)
        if (self.modules.qualified(module, owner) or "").rpartition(".")[2] != "Annotated":
            return None
        for extra in node.slice.elts[1:]:
            if isinstance(extra, ast.Constant) and isinstance(extra.value, str):
                return extra.value if extra.value.isidentifier() else None
        return None

    # -- plain functions and classes

    def plain_parameters(self, function: m.Function) -> tuple[Parameter, ...]:
        """The parameters of a function that is neither a step nor a pipeline."""
        return tuple(self._step_parameters(function, {}))

    def constructor(self, definition: m.Class) -> Constructor | None:
        """How an instance of a class is made; None where it is not made of its fields."""
        if definition.node not in self._constructors:
            self._constructors[definition.node] = self._constructor(definition)
        return self._constructors[definition.node]

    def _constructor(self, definition: m.Class) -> Constructor | None:
        kind = self._constructed_kind(definition)
        if kind is None:
            return None
        fields = [field for field in self.class_fields(definition) if field.is_given]
        parameters = tuple(
            Parameter(
                field.name,
                self.annotation(field.owner.module, field.node.annotation),
                None if field.default is None else "",
                "",
                field.owner.module.span(field.node),
                "keyword-only" if kind in ("pydantic", "typeddict") else "plain",
            )
            for field in fields
        )
        defaults = {field.name: field.default[0] for field in fields if field.default}
        return Constructor(kind, parameters, defaults, self._runs_code(definition, kind))

    def constant_instance(
        self, folder: constants.Folder, node: ast.Call, definition: m.Class
    ) -> instances.ConstantInstance | dict[str, object] | None:
        """The instance that a call of a class makes as a constant; None where it is no such class.

        Raises NotConstantError for arguments that are not those of its fields.
        """
        shape = self.constructor(definition)
        if shape is None or self.method_of(definition, ("__init__", "__new__")):
            return None
        named = [each.name for each in shape.parameters]
        slots = [each.name for each in shape.parameters if each.kind == "plain"]
        positional, keywords = folder.elements(node.args), folder.keywords(node)
        given = {**dict(zip(slots, positional, strict=False)), **keywords}
        name = definition.node.name
        unknown = [each for each in given if each not in named]
        missing = [p.name for p in shape.parameters if p.default is None and p.name not in given]
        if len(positional) > len(slots) or len(given) < len(positional) + len(keywords) or unknown:
            why = f"`{name}` takes the fields {', '.join(named) or '(none)'}, each once"
            raise NotConstantError(node, why, "constant-error", folder.module)
        if missing and shape.kind != "typeddict":
            why = f"`{name}` is made without {', '.join(f'`{each}`' for each in missing)}"
            raise NotConstantError(node, why, "constant-error", folder.module)
        fields = {**shape.defaults, **given}
        fields = {each: fields[each] for each in named if each in fields}
        if shape.kind == "typeddict":
            return fields
        kind = shape.kind if len(fields) == len(named) and not shape.runs_code else "made"
        left_out = tuple(each for each in fields if each not in given) if kind == "made" else ()
        return instances.ConstantInstance(definition.key, kind, fields, left_out)

    def constant_member(self, member: m.EnumMember) -> instances.ConstantMember | None:
        """The member of an enumeration as a constant; None where its value is not known."""
        found = self.enumeration(member.owner.key)
        if found is None:
            return None
        name = dict(found.aliases).get(member.name, member.name)
        value = dict(found.members).get(name)
        return None if value is None else instances.ConstantMember(found.key, name, value)

    def _constructed_kind(self, definition: m.Class) -> str | None:
        for base in definition.node.bases:
            found = self.modules.resolve(definition.module, base)
            if isinstance(found, m.External) and found.name in NAMED_TUPLES:
                return "namedtuple"
            if isinstance(found, m.External) and found.name in MODELS:
                return "pydantic"
            if isinstance(found, m.External) and found.name in TYPED_DICTS:
                return "typeddict"
            if isinstance(found, m.Class) and found.node is not definition.node:
                inherited = self._constructed_kind(found)
                if inherited is not None:
                    return inherited
        decorators = definition.node.decorator_list
        is_dataclass = any(self._is_dataclass(definition.module, item) for item in decorators)
        return "dataclass" if is_dataclass else None

    def _field_nodes(self, definition: m.Class) -> list[tuple[m.Class, ast.AnnAssign]]:
        """The fields of a class, those of its bases first; a later one of a name replaces it."""
        found: dict[str, tuple[m.Class, ast.AnnAssign]] = {}
        for base in definition.node.bases:
            inherited = self.modules.resolve(definition.module, base)
            if isinstance(inherited, m.Class) and inherited.node is not definition.node:
                for owner, node in self._field_nodes(inherited):
                    found[ast.unparse(node.target)] = (owner, node)
        for item in definition.node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                annotation = ast.unparse(item.annotation)
                if "ClassVar" not in annotation and "InitVar" not in annotation:
                    found[item.target.id] = (definition, item)
        return list(found.values())

    def class_fields(self, definition: m.Class) -> list[ClassField]:
        """The fields of a class that is made of them, in order."""
        if definition.node not in self._class_fields_of:
            self._class_fields_of[definition.node] = self._read_class_fields(definition)
        return self._class_fields_of[definition.node]

    def _read_class_fields(self, definition: m.Class) -> list[ClassField]:
        kind = self._constructed_kind(definition)
        found = []
        for owner, node in self._field_nodes(definition):
            name = ast.unparse(node.target)
            if kind == "pydantic" and (name.startswith("_") or name == "model_config"):
                continue
            default = self._field_default(owner, node)
            if kind == "typeddict" and self._may_be_absent(owner, node):
                default = ()
            options = self._field_options(owner, node.value)
            init = options.get("init")
            is_given = not (isinstance(init, ast.Constant) and init.value is False)
            problem, way_out = "", ""
            if options.keys() & {"alias", "validation_alias"}:
                problem, way_out = "has an alias", "name the field itself so"
            elif "InitVar" in ast.unparse(node.annotation):
                problem, way_out = "is an `InitVar`", "make it a field"
            found.append(ClassField(owner, node, name, default, is_given, problem, way_out))
        return found

    @staticmethod
    def _may_be_absent(owner: m.Class, node: ast.AnnAssign) -> bool:
        """Whether a key of a TypedDict may be left out."""
        annotation = ast.unparse(node.annotation)
        total = next((k.value for k in owner.node.keywords if k.arg == "total"), None)
        is_partial = isinstance(total, ast.Constant) and total.value is False
        return "NotRequired[" in annotation or (is_partial and "Required[" not in annotation)

    def _field_options(self, owner: m.Class, value: ast.expr | None) -> dict[str, ast.expr]:
        """What ``field(…)`` or ``Field(…)`` says of a field, by name."""
        if not isinstance(value, ast.Call):
            return {}
        called = self.modules.resolve(owner.module, value.func)
        name = called.name if isinstance(called, m.External) else ""
        if name not in FIELD_FUNCTIONS:
            return {}
        named = {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
        if name.startswith("pydantic") and value.args:
            named["default"] = value.args[0]
        return named

    def _field_default(
        self, owner: m.Class, node: ast.AnnAssign
    ) -> tuple[object] | tuple[()] | None:
        """A field's default as a tuple of one; an empty one if unknown, None if there is none."""
        value = node.value
        if value is None:
            return None
        called = value.func if isinstance(value, ast.Call) else None
        found = self.modules.resolve(owner.module, called) if called is not None else None
        if isinstance(found, m.External) and found.name in FIELD_FUNCTIONS:
            options = self._field_options(owner, value)
            factory = options.get("default_factory", options.get("factory"))
            if factory is not None:
                call = ast.copy_location(ast.Call(factory, [], []), factory)
                value = factory.body if isinstance(factory, ast.Lambda) else call
            elif "default" in options:
                value = options["default"]
                if isinstance(value, ast.Constant) and value.value is ...:
                    return None
            else:
                return None
        try:
            folder = constants.Folder(self.modules, owner.module)
            folder.keeps_definitions = True
            return (folder.fold(value),)
        except NotConstantError:
            return ()

    def method_of(self, definition: m.Class, names: Collection[str]) -> str:
        """The first of these methods that a class, or a base in the project, defines."""
        found: m.Class | None = definition
        while found is not None:
            for node in found.node.body:
                if isinstance(node, ast.FunctionDef) and node.name in names:
                    return node.name
            bases = [self.modules.resolve(found.module, base) for base in found.node.bases]
            inner = next((base for base in bases if isinstance(base, m.Class)), None)
            found = inner if inner is not found else None
        return ""

    def _runs_code(self, definition: m.Class, kind: str) -> bool:
        """Whether making an instance does more than to set its fields."""
        if kind == "pydantic" or self.method_of(definition, _MAKING):
            return True
        if any(not field.is_given for field in self.class_fields(definition)):
            return True
        decorators = [
            item.func if isinstance(item, ast.Call) else item
            for item in definition.node.decorator_list
            if self._is_dataclass(definition.module, item)
        ]
        plain = m.External("dataclasses.dataclass")
        return any(self.modules.resolve(definition.module, each) != plain for each in decorators)

    # -- pipelines

    def pipeline(self, function: m.Function) -> Pipeline:
        """The pipeline that a function under ``@pipeline`` declares. Raises TooLargeError."""
        if function.node not in self._pipelines:
            self._pipelines[function.node] = self._read_pipeline(function)
        return self._pipelines[function.node]

    def _read_pipeline(self, function: m.Function) -> Pipeline:
        functions.check_function(self.reports, function, "pipeline")
        functions.check_decorators(self.reports, self, function)
        doc = docstrings.read(function.node)
        parameters: list[Parameter] = []
        defaults: dict[str, Default] = {}
        unreadable: list[tuple[Parameter, ParameterTypeError]] = []
        for argument, kind, default in arguments_of(function.node):
            if kind in ("variadic", "keywords"):
                self._refuse_variadic(function, argument, kind)
                continue
            parameter = Parameter(
                argument.arg,
                self.annotation(function.module, argument.annotation),
                None,
                doc.parameters.get(argument.arg, ""),
                function.module.span(argument),
                kind,
            )
            try:
                parameter = self._with_form(function.module, parameter, argument.annotation)
            except ParameterTypeError as error:
                unreadable.append((parameter, error))
            if default is not None:
                value, text = self._default(function, parameter, default)
                defaults[argument.arg] = value
                parameter = replace(parameter, default=text, type=default_type(parameter, value))
                if argument.annotation is None and not value.is_wrong:
                    parameter = self._with_form(function.module, parameter, None)
            parameters.append(parameter)
            self._pay(parameter, defaults.get(argument.arg))
        read = self._settings(function, settings.PIPELINE)
        names = [json.loads(setting.value) for setting in read if setting.name == "name"]
        name = names[0] if names else function.node.name
        kept = tuple(setting for setting in read if setting.name != "name")
        return Pipeline(
            function,
            name,
            tuple(parameters),
            defaults,
            kept,
            doc.description,
            tuple(unreadable),
        )

    def _pay(self, parameter: Parameter, default: Default | None) -> None:
        """Draw what a parameter holds from the budget. Raises TooLargeError past it."""
        values = [parameter.type, *parameter.type.arguments]
        count = sum(len(each.values) for each in values)
        count += constants.size(default.value) if default is not None else 0
        try:
            self.modules.budget.spend(_HELD * count)
        except TooLargeError:
            self.reports.error(
                "pipeline-too-large",
                parameter.span,
                "the defaults and members of the parameters of this file's pipelines are too large",
                help="let a step read them, or move pipelines to another file",
            )
            raise

    def _with_form(
        self, module: m.Module, parameter: Parameter, annotation: ast.expr | None
    ) -> Parameter:
        """The parameter with what its values are in JSON; nothing where the type says as much.

        Raises ParameterTypeError.
        """
        form = self._forms.parameter(module, parameter.type, annotation)
        is_member = self.enumerated(parameter.type) and forms.unlimited(form) == form
        if is_member or form == forms.of_parameter(parameter):
            return parameter
        text = json.dumps(form, ensure_ascii=False, separators=(",", ":"))
        return replace(parameter, form=text)

    def report_unreadable(self, declared: Pipeline) -> None:
        """Report the parameters of the outermost pipeline that no run can be given."""
        for parameter, error in declared.unreadable:
            self.reports.error(
                "parameter-type",
                parameter.span,
                f"`{parameter.name}` cannot be given to a run: {error.why}",
                help=error.way_out,
            )

    def _refuse_variadic(self, function: m.Function, argument: ast.arg, kind: str) -> None:
        stars = "*" if kind == "variadic" else "**"
        self.reports.error(
            "pipeline-parameter",
            function.module.span(argument),
            f"a pipeline cannot have `{stars}{argument.arg}`: its parameters are fixed",
            help="name the parameters; give a list or a dict as one of them",
        )

    def _default(
        self, function: m.Function, parameter: Parameter, node: ast.expr
    ) -> tuple[Default, str]:
        """A default's value and JSON text. A default with a diagnostic is ``null``."""
        module = function.module
        span = module.span(node)
        member = self.modules.resolve(module, node)
        if isinstance(member, m.EnumMember) and (found := self.enumerated(parameter.type)):
            own = self.enumeration(member.owner.key) or found
            name = dict(own.aliases).get(member.name, member.name)
            if name in dict(own.members):
                made = Default(dict(own.members)[name], own.type, span, (own, name))
                self._check_default(parameter, made, span)
                return made, json.dumps(made.value, ensure_ascii=False)
        try:
            static = self._folded_default(function, node)
            text = json.dumps(
                instances.as_json(static),
                ensure_ascii=False,
                separators=(",", ":"),
                allow_nan=False,
            )
        except NotConstantError as error:
            constants.report(self.reports, error, (error.module or module).span(error.node))
            return Default(None, types.ANY, span, is_wrong=True), "null"
        except (TypeError, ValueError) as error:
            self.reports.error(
                "parameter-default",
                span,
                f"the default of `{parameter.name}` has no JSON form: {error}",
                help="use a value that can be written in JSON, or one of a class of fields",
            )
            return Default(None, types.ANY, span, is_wrong=True), "null"
        value = Default(static, types.of_constant(static), span)
        if not self._check_default(parameter, value, span):
            return value, text
        if parameter.form:
            self._check_form(parameter, json.loads(text), span)
        elif parameter.type.name == "any" and parameter.type.text:
            self._check_plain(parameter, static, span)
        return value, text

    def _check_plain(self, parameter: Parameter, static: object, span: Span) -> None:
        """Report a default that would come back as another value: nothing says its type."""
        if isinstance(static, types.JSON_VALUES):
            return
        name = types.text(types.of_constant(static))
        self.reports.error(
            "parameter-default",
            span,
            f"the default of `{parameter.name}` is a `{name}`, which JSON does not have",
            help=f"annotate `{parameter.name}` with its type: a run makes it of the JSON value",
        )

    def _folded_default(self, function: m.Function, node: ast.expr) -> object:
        """The value of a default. Raises NotConstantError."""
        folder = constants.Folder(self.modules, function.module)
        folder.limit = function.node.lineno
        folder.keeps_definitions = True
        found = folder.fold(node)
        if holds_definition(found):
            folder.keeps_definitions = False
            return folder.fold(node)
        return found

    def _check_default(self, parameter: Parameter, value: Default, span: Span) -> bool:
        if value.member is not None:
            is_right = types.assignable(value.type, parameter.type, self.bases)
        else:
            is_right = fits(self, value.value, value.type, parameter.type)
        if is_right:
            return True
        self.reports.error(
            "type-mismatch",
            span,
            f"the default of `{parameter.name}` is `{types.text(value.type)}`, "
            f"not `{types.text(parameter.type)}`",
            help="change the default or the annotation",
        )
        return False

    def _check_form(self, parameter: Parameter, default: object, span: Span) -> None:
        from levada.engine.parameters import violation

        schema = forms.schema(forms.of_parameter(parameter))
        if problem := violation(default, schema, parameter.name):
            self.reports.error(
                "parameter-default",
                span,
                f"the default of `{parameter.name}` does not fit: {problem}",
                help="change the default or the limits in the annotation",
            )


def default_type(parameter: Parameter, value: Default) -> Type:
    """The type of a parameter: as annotated, else that of its default."""
    if parameter.type.text or parameter.type.name != "any" or value.is_wrong:
        return parameter.type
    return types.ANY if value.type.name in ("None", "NoneType") else value.type


def fits(declarations: Declarations, value: object, kind: Type, wanted: Type) -> bool:
    """Return whether a constant may be given where ``wanted`` is expected."""
    if not isinstance(value, types.JSON_VALUES) or instances.holds_instance(value):
        return types.assignable(kind, wanted, declarations.bases)
    return types.accepts(value, wanted, declarations.bases)


def holds_definition(value: object) -> bool:
    """Return whether a value is a function or class of the project, or holds one."""
    if isinstance(value, list | tuple):
        return any(map(holds_definition, value))
    if isinstance(value, dict):
        return any(map(holds_definition, value.values()))
    return isinstance(value, m.Function | m.Class | m.External | m.Module)


def arguments_of(node: m.FunctionNode) -> Iterator[tuple[ast.arg, str, ast.expr | None]]:
    """The parameters of a function in order: argument, kind and default."""
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    for index, (argument, default) in enumerate(zip(plain, defaults, strict=True)):
        kind = "positional-only" if index < len(given.posonlyargs) else "plain"
        yield argument, kind, default
    if given.vararg:
        yield given.vararg, "variadic", None
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield argument, "keyword-only", default
    if given.kwarg:
        yield given.kwarg, "keywords", None


def name_span(function: m.Function) -> Span:
    """The range of a function's header line from `def` on, or of what makes a step of it."""
    if function.making is not None:
        return function.making.module.span(function.making.node)
    span = function.module.span(function.node)
    return function.module.source.line_span(span.line, span.column)
