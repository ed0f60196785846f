"""Kinds of options whose values have to be what Kubernetes takes."""

from __future__ import annotations

from levada_compiler.options import MAPPING, TEXT, Kind

from . import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def _named(problem_of: Callable[[str], str], what: str, example: str) -> Kind[str]:
    def read(name: str, value: object) -> str:
        found = TEXT.read(name, value)
        if problem := problem_of(found):
            raise ValueError(f"{name} is `{found}`, which is no {what}: {problem}")
        return found

    return Kind(read, "str", TEXT.schema, example)


def _object_names(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list of names, not {value!r}")
    return tuple(OBJECT_NAME.read(f"an item of {name}", each) for each in value)


def _accepted(labels: bool) -> Callable[[str, object], dict[str, str]]:
    """Return what reads labels, or else annotations."""

    def read(name: str, value: object) -> dict[str, str]:
        table = MAPPING.read(name, value)
        problem = names.metadata_problem(table, {}) if labels else names.metadata_problem({}, table)
        if problem:
            raise ValueError(f"{name} has what Kubernetes would refuse: {problem}")
        return table

    return read


def _variables(name: str, value: object) -> dict[str, str]:
    table = MAPPING.read(name, value)
    for variable in table:
        if not (variable.isascii() and variable.isidentifier()):
            raise ValueError(f"{name} has `{variable}`, which is no name of a variable")
    return table


def _references(name: str, value: object) -> dict[str, str]:
    table = _variables(name, value)
    for variable, reference in table.items():
        secret, _, key = reference.partition("/")
        if not key or names.subdomain_problem(secret):
            problem = f'{name} has `{variable} = "{reference}"`, which is no "secret/key"'
            raise ValueError(problem)
    return table


#: Variables with their values, and variables with the Secret and the key that has the value.
VARIABLES = Kind(_variables, "Mapping[str, str]", MAPPING.schema, '{ AWS_REGION = "eu-central-1" }')
REFERENCES = Kind(
    _references, "Mapping[str, str]", MAPPING.schema, '{ AWS_ACCESS_KEY_ID = "levada-s3/id" }'
)
#: A name in Kubernetes, and one of the strict kind: of a namespace, or of a pod's volume.
OBJECT_NAME = _named(names.subdomain_problem, "name in Kubernetes", '"name"')
STRICT_NAME = _named(names.label_problem, "name in Kubernetes", '"name"')
LABEL_VALUE = _named(names.value_problem, "value of a label", '"name"')
IMAGE = _named(names.image_problem, "image", '"registry.example.com/team/steps:1"')
OBJECT_NAMES: Kind[Any] = Kind(_object_names, "Sequence[str]", {"type": "array"}, '["name"]')
LABELS = Kind(_accepted(labels=True), "Mapping[str, str]", MAPPING.schema, '{ team = "ml" }')
ANNOTATIONS = Kind(
    _accepted(labels=False),
    "Mapping[str, str]",
    MAPPING.schema,
    '{ "sidecar.istio.io/inject" = "false" }',
)
