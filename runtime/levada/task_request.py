"""The request of a task: one JSON object that says what a process of Levada is to do.

``python -m levada REQUEST`` takes it with expressions, which it evaluates. In its computed form
(:class:`levada.request.StepRequest`) the inputs of a step are trees instead; an attempt in a
container or a pod gets it so. A field has the same name and form in both. All fields are in
docs/contracts.md, section 7.

It is checked by hand: a schema library or argparse would take longer than the rest of the start.
"""

from __future__ import annotations

import json

from levada.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias, TypedDict

    from levada.record_types import ContainerPart, EnginePart, EnvironmentPart, GitPart
    from levada.trees.tree_types import Tree

    class StepJson(TypedDict, total=False):
        """Which step a task runs; what is not known here is found in the project."""

        module: str
        function: str
        code: str | None
        imports: list[str] | None
        outputs: list[str]
        settings: dict[str, Any]
        container: ContainerPart | None
        source_roots: list[str]
        file: str
        read_at: int

    #: One loop around the task: ``for`` is "VARIABLE in EXPRESSION", the others are conditions.
    LoopJson = TypedDict(
        "LoopJson",
        {"for": str, "where": list[str], "if": list[str], "named": list[str]},
        total=False,
    )

    class TaskJson(TypedDict, total=False):
        """A request. The last fields are only of its computed form."""

        do: str
        pipeline: str
        run_id: str
        node: str
        map_index: list[int] | None
        attempt: int
        attempts: int
        caught: bool
        step: StepJson
        sources: dict[str, str]
        inputs: dict[str, Tree]
        values: dict[str, str]
        loops: list[LoopJson]
        checks: list[str]
        expression: str
        outputs: dict[str, str]
        returns: str
        classes: list[str]
        arguments: list[str]
        handled: str | None
        params: dict[str, object]
        paths: list[str]
        project: str
        store: str
        result: str
        engine: EnginePart
        pipeline_file: str | None
        source: str | None
        secrets: list[str]
        stage: bool
        look_up: bool
        ends_pod: bool
        fail_items: bool

        parameters: dict[str, Tree]
        git: GitPart | None
        environment: EnvironmentPart | None
        warnings: list[str]
        looked_up: dict[str, Any] | None
        spool: str | None
        label: str | None

    #: Whether a value has the form of a field, and that form in words.
    Form: TypeAlias = tuple[Callable[[object], bool], str]

#: Digits of a number in a variable; Python refuses texts of thousands.
_MOST_DIGITS = 18
#: What a request can ask for.
TASKS = ("step", "decide", "items", "outputs", "check", "raise")


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_object_of_strings(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())


def _is_number(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_plain_object(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return isinstance(value, dict)


def _is_text(value: object) -> bool:
    """Whether it is a string that paths and variables can hold."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


STRING: Form = (lambda value: isinstance(value, str), "a string")
STRINGS: Form = (_is_strings, "a list of strings")
#: Of what becomes a path or the name of a variable.
NAME: Form = (_is_text, "a string without surrogates and NUL")
NAMES: Form = (
    lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "a list of strings without surrogates and NUL",
)
OBJECT: Form = (lambda value: isinstance(value, dict), "an object")
OBJECT_OF_STRINGS: Form = (_is_object_of_strings, "an object whose values are strings")
FLAG: Form = (lambda value: isinstance(value, bool), "true or false")
NUMBER: Form = (_is_number, "a whole number")
COUNT: Form = (lambda value: _is_number(value, 1), "a number from 1")

STEP_FIELDS: dict[str, Form] = {
    "module": STRING,
    "function": STRING,
    "code": STRING,
    "imports": STRINGS,
    "outputs": STRINGS,
    "settings": OBJECT,
    "container": OBJECT,
    "source_roots": STRINGS,
    "file": STRING,
    "read_at": NUMBER,
}
#: Settings of a step that this process acts on. Others are not checked here.
SETTINGS_FIELDS: dict[str, Form] = {
    "cache": (lambda value: isinstance(value, (bool, int, float)), "true, false or seconds"),
    "secrets": (
        lambda value: isinstance(value, (list, dict)) and all(map(_is_text, value)),
        "a list of names of variables, or an object with them",
    ),
    "environment": OBJECT_OF_STRINGS,
    "timeout": (
        lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0,
        "a number of seconds above 0",
    ),
    **dict.fromkeys(("allow_pickle", "allow_secret_output", "check_types"), FLAG),
    **dict.fromkeys(("requirements", "files"), STRINGS),
    "image": STRING,
}
#: Those that a target passes on; ``image`` it passes on for container steps only.
FOR_THE_COMMAND = tuple(name for name in SETTINGS_FIELDS if name != "image")
LOOP_FIELDS: dict[str, Form] = {
    "for": (
        lambda value: isinstance(value, str) and bool(value.partition(" in ")[2].strip()),
        '"VARIABLE in EXPRESSION"',
    ),
    "where": STRINGS,
    "if": STRINGS,
    "named": STRINGS,
}
FIELDS: dict[str, Form] = {
    "do": (lambda value: value in TASKS, f"one of {', '.join(TASKS)}"),
    "pipeline": NAME,
    "run_id": NAME,
    "node": NAME,
    "map_index": (
        lambda value: isinstance(value, list) and all(map(_is_number, value)),
        "a list of whole numbers, one for each loop",
    ),
    **dict.fromkeys(("attempt", "attempts"), COUNT),
    "caught": FLAG,
    "step": OBJECT,
    "sources": OBJECT_OF_STRINGS,
    "inputs": OBJECT,
    "values": OBJECT_OF_STRINGS,
    "loops": (
        lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
        "a list of objects",
    ),
    "checks": STRINGS,
    "expression": STRING,
    "outputs": OBJECT_OF_STRINGS,
    "returns": STRING,
    "classes": STRINGS,
    "arguments": STRINGS,
    "handled": STRING,
    "params": OBJECT,
    "paths": NAMES,
    "project": NAME,
    "pipeline_file": NAME,
    "store": NAME,
    "result": NAME,
    "engine": (_is_plain_object, "an object without NaN and infinities"),
    "source": STRING,
    "secrets": NAMES,
    **dict.fromkeys(("stage", "look_up", "ends_pod", "fail_items"), FLAG),
    "parameters": OBJECT,
    "git": OBJECT,
    "environment": OBJECT,
    "warnings": STRINGS,
    "looked_up": OBJECT,
    "spool": NAME,
    "label": STRING,
}
#: Fields that only the computed form has.
COMPUTED = ("parameters", "git", "environment", "warnings", "looked_up", "spool", "label")
#: Fields without which a task cannot be done.
_NEEDED = {
    "step": ("pipeline", "run_id", "node", "step"),
    "decide": ("pipeline", "run_id", "node", "expression"),
    "items": ("pipeline", "run_id", "node", "loops"),
    "outputs": ("pipeline", "run_id"),
    "check": ("pipeline", "run_id", "node"),
    "raise": ("pipeline", "run_id", "node"),
}
#: What an engine may give in a variable instead, and how its text is read.
_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "run_id": ("LEVADA_RUN_ID", str),
    "map_index": ("LEVADA_MAP_INDEX", lambda text: index_path(text, "LEVADA_MAP_INDEX")),
    "attempt": ("LEVADA_TRY", lambda text: _whole_number(text, "LEVADA_TRY")),
    "attempts": ("LEVADA_TRIES", lambda text: _whole_number(text, "LEVADA_TRIES")),
    "params": ("LEVADA_PARAMS", lambda text: json_object(text, "LEVADA_PARAMS")),
    "store": ("LEVADA_STORE", str),
    "project": ("LEVADA_PROJECT", str),
    "engine": ("LEVADA_ENGINE", lambda text: json_object(text, "LEVADA_ENGINE")),
    "source": ("LEVADA_SOURCE", str),
    "pipeline_file": ("LEVADA_PIPELINE_FILE", str),
    "secrets": ("LEVADA_SECRETS", lambda text: [word for word in text.split(",") if word]),
}
USAGE = """\
usage: python -m levada REQUEST

REQUEST is a JSON object, @FILE for a file that has it, or - for the standard input. It runs a step:

{
  "pipeline": "churn",
  "run_id": "r1",
  "node": "train",
  "map_index": [2],
  "attempt": 1,
  "step": {
    "module": "pipeline",
    "function": "train",
    "code": "sha256:0123456789ab",
    "outputs": ["model", "auc"],
    "settings": {"timeout": 3600}
  },
  "sources": {"data": "prepare", "depth": "d"},
  "values": {"limits": "params.limits or [4, 8]"},
  "loops": [{"for": "d in limits", "where": ["d > 2"]}],
  "paths": ["."],
  "project": "/project",
  "pipeline_file": "flows/train.py",
  "store": "s3://bucket/levada",
  "params": {"limits": [4, 8, 16]},
  "result": "/tmp/result.json"
}

or does what "do" says:

  "do": "decide"    the truth of "expression"
  "do": "items"     the items of "loops", each with its index and its label
  "do": "outputs"   what the pipeline returns: "outputs" has an expression for each name
  "do": "check"     evaluate the values that "checks" names
  "do": "raise"     fail with an exception: "classes" and "arguments", or the one "handled"

An engine may set LEVADA_RUN_ID, LEVADA_MAP_INDEX, LEVADA_TRY (the attempt), LEVADA_TRIES (the
number of the last one, "attempts"), LEVADA_PARAMS, LEVADA_STORE, LEVADA_PROJECT, LEVADA_ENGINE,
LEVADA_SOURCE, LEVADA_PIPELINE_FILE or LEVADA_SECRETS: they hold what the request does not say.
"""


class Loop:
    """A loop around a task: ``for TARGET in ITEMS``, and its conditions.

    Items that fail a condition of ``where`` are not counted; of those that fail one of ``only``
    (in the request it is called ``if``) the number is left out. ``named`` says what people call
    variables of it, where that is another name: ``depth_2 as depth``.
    """

    __slots__ = ("items", "named", "only", "target", "where")

    def __init__(self, given: LoopJson) -> None:
        """Take a loop of a request that was checked."""
        self.target, _, self.items = given["for"].partition(" in ")
        self.where = given.get("where") or []
        self.only = given.get("if") or []
        self.named = given.get("named") or []

    @property
    def clauses(self) -> tuple[str, str, list[str]]:
        """The target, the items and the conditions of items."""
        return self.target, self.items, self.where


class TaskRequest:
    """What a task is to do, with expressions: a request for ``python -m levada``.

    ``do`` is one of TASKS; ``step`` says which function or program a step is. ``sources`` maps
    inputs of the step to expressions, ``inputs`` to trees where an engine has these already.
    ``values`` are the names that stand for expressions in expressions; those in ``checks`` are
    evaluated first, since they may raise. ``outputs`` are expressions of what the pipeline returns.

    ``attempts`` is the number of the last attempt that the engine makes, None if that is not known.
    ``is_caught`` is True if the pipeline handles a failure of the task: it does not end the run.
    ``pipeline_file`` is the pipeline's file, relative to the project. ``params`` are the run's
    parameters as JSON values, None if they are not said. With ``fail_items`` an error in an
    expression of ``items`` is the failure of that item alone. ``secrets`` are the variables of the
    secrets of all steps. With ``stage`` a container step's inputs are only handed to its program;
    with ``look_up`` besides, only if the cache does not have its outputs. With ``ends_pod`` an
    attempt that the cache answers ends with an exit code of its own, after which a pod starts no
    other container.
    """

    def __init__(self, given: TaskJson, variables: Mapping[str, str]) -> None:
        """Take a request, and from variables what it does not say. Raises UsageError."""
        given = {**given, **_from_variables(given, variables)}
        check(given)
        computed = [name for name in COMPUTED if given.get(name) is not None]
        if computed:
            raise UsageError(f"the field `{computed[0]}` is only of requests with computed inputs")
        self.do = given.get("do") or "step"
        self.pipeline = given.get("pipeline") or ""
        self.run_id = given.get("run_id") or ""
        self.node = given.get("node") or ""
        self.map_index = tuple(given.get("map_index") or ())
        self.attempt = given.get("attempt") or 1
        self.attempts = given.get("attempts")
        self.is_caught = bool(given.get("caught"))
        self.step: StepJson = given.get("step") or {}
        self.sources = given.get("sources") or {}
        self.inputs = given.get("inputs") or {}
        self.values = given.get("values") or {}
        self.loops = [Loop(each) for each in given.get("loops") or ()]
        self.checks = given.get("checks") or []
        self.expression = given.get("expression") or ""
        self.outputs = given.get("outputs") or {}
        self.returns = given.get("returns") or "value"
        self.classes = given.get("classes") or []
        self.arguments = given.get("arguments") or []
        self.handled = given.get("handled")
        self.params = given.get("params")
        self.paths = given.get("paths") or []
        self.project = given.get("project") or "."
        self.pipeline_file = given.get("pipeline_file")
        self.store = given.get("store")
        self.result = given.get("result")
        self.engine = given.get("engine") or {}
        self.source = given.get("source")
        self.secrets = given.get("secrets") or []
        self.stage = bool(given.get("stage"))
        self.look_up = bool(given.get("look_up"))
        self.ends_pod = bool(given.get("ends_pod"))
        self.fail_items = bool(given.get("fail_items"))
        self._check_needed(given)

    def _check_needed(self, given: TaskJson) -> None:
        for name in _NEEDED[self.do]:
            if not given.get(name):
                variable = _VARIABLES.get(name, ("",))[0]
                hint = f" (or set {variable})" if variable else ""
                raise UsageError(f'the field `{name}` is missing: "{self.do}" wants it{hint}')
        if self.do == "step":
            for name in ("module", "function"):
                if not self.step.get(name):
                    raise UsageError(f'the field `step.{name}` is missing: "step" wants it')
            if self.step.get("container") is not None and not (self.step.get("settings") or {}).get(
                "image"
            ):
                raise UsageError("the field `step.settings.image` is missing: a program has one")
        unknown = [name for name in self.checks if name not in self.values]
        if unknown:
            raise UsageError(f"`checks` names `{unknown[0]}`, which is not in `values`")
        if self.do == "raise" and not self.handled and not self.classes:
            raise UsageError('"raise" wants the field `classes` or `handled`')
        count, most = len(self.map_index), len(self.loops)
        if self.do == "items":
            if count >= most:
                raise UsageError(
                    f"the field `map_index` has {count} numbers, so there is no loop of {most} left"
                )
        elif self.do != "outputs" and most and count != most:
            raise UsageError(
                f"the field `map_index` wants {most} number{'s' if most > 1 else ''},"
                f" one for each of `loops`, not {count}"
            )


def read(word: str, variables: Mapping[str, str]) -> TaskRequest:
    """Read the one argument of ``python -m levada``. Raises UsageError."""
    given: Any = json_object(_text(word), "the request")
    return TaskRequest(given, variables)


def check(given: Mapping[str, Any]) -> None:
    """Raise UsageError unless all fields are known and of their form; null is as if left out."""
    check_fields(given, FIELDS)
    step = given.get("step") or {}
    check_fields(step, STEP_FIELDS, "step.")
    settings = step.get("settings") or {}
    known = {name: value for name, value in settings.items() if name in SETTINGS_FIELDS}
    check_fields(known, SETTINGS_FIELDS, "step.settings.")
    for number, loop in enumerate(given.get("loops") or ()):
        check_fields(loop, LOOP_FIELDS, f"loops[{number}].")
        if "for" not in loop:
            raise UsageError(f"the field `loops[{number}].for` is missing")


def check_fields(given: Mapping[str, object], forms: Mapping[str, Form], place: str = "") -> None:
    """Raise UsageError for a field that is unknown or not of its form.

    ``place`` stands before the names of fields in messages.
    """
    for name, value in given.items():
        if name not in forms:
            known = ", ".join(f"`{each}`" for each in forms)
            raise UsageError(f"there is no field `{place}{name}`; there are {known}")
        fits, wanted = forms[name]
        if value is not None and not fits(value):
            shown = json.dumps(value, default=repr)[:80]
            raise UsageError(f"the field `{place}{name}` wants {wanted}, not {shown}")


def json_object(text: str, name: str) -> dict[str, Any]:
    """Read a JSON object. Raises UsageError, which calls it ``name``."""
    try:
        found = json.loads(text, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise UsageError(f"{name} is nested too deep") from None
    except ValueError as error:
        raise UsageError(f"{name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{name} wants a JSON object, not {text[:80]}")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has two fields `{double}`")
    return found


def index_path(text: str, name: str) -> list[int]:
    """Read an index path such as ``2`` or ``0.1``; ``-1`` and no text are no index.

    Raises UsageError, which calls it ``name``.
    """
    text = text.strip()
    if text in ("", "-1", "None"):
        return []
    parts = text.split(".")
    if not all(map(_is_digits, parts)):
        raise UsageError(f'{name} wants numbers such as "2" or "0.1", not {text[:80]!r}')
    return [int(part) for part in parts]


def _whole_number(text: str, name: str) -> int:
    if not _is_digits(text) or int(text) < 1:
        raise UsageError(f"{name} wants a number from 1, not {text[:80]!r}")
    return int(text)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _from_variables(given: TaskJson, variables: Mapping[str, str]) -> TaskJson:
    """Return the fields that the request does not have and an engine's variables do."""
    found: Any = {
        name: read_text(variables[variable])
        for name, (variable, read_text) in _VARIABLES.items()
        if given.get(name) is None and variables.get(variable)
    }
    fields: TaskJson = found
    return fields


def _text(word: str) -> str:
    """Return the text of a request that is an argument, in a file or comes from stdin."""
    if word == "-":
        import sys

        return sys.stdin.read()
    if not word.startswith("@"):
        return word
    try:
        with open(word[1:], encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"the request cannot be read from {word[1:]}: {error}") from None
