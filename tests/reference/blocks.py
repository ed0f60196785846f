"""The parts of the docs and of the type stub that follow from definitions, as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from levada import operations
from levada.operations import methods
from levada.settings import CALL, PIPELINE, SETTINGS, STEP, Setting, settings_of
from levada_compiler import targets
from levada_compiler.options import Option
from levada_compiler.target import Capability

TARGETS = ("airflow", "kubeflow", "kubernetes")


def stub() -> str:
    """Write the settings of steps, calls and pipelines as classes for type checkers."""
    assert settings_of(STEP).keys() <= settings_of(CALL).keys()
    own = {name: each for name, each in SETTINGS.items() if not each.inherited}
    classes = (
        ("_Inherited", "TypedDict", {n: s for n, s in SETTINGS.items() if s.inherited}),
        ("_StepSettings", "_Inherited", {n: s for n, s in own.items() if STEP in s.on}),
        ("_CallSettings", "_StepSettings", {n: s for n, s in own.items() if _is_of_calls(s)}),
        ("_PipelineSettings", "_Inherited", {n: s for n, s in own.items() if PIPELINE in s.on}),
    )
    return "\n\n".join(_typed(*each) for each in classes)


def _is_of_calls(setting: Setting) -> bool:
    return CALL in setting.on and STEP not in setting.on


def _typed(name: str, base: str, settings: dict[str, Setting]) -> str:
    if not settings:
        return f"class {name}({base}, total=False): ..."
    lines = [f"class {name}({base}, total=False):"]
    for key, setting in settings.items():
        lines += [f"    # {setting.doc}", f"    {key}: {setting.kind.annotation}"]
    return "\n".join(lines)


def settings_table() -> str:
    """Write each setting: on what, how, its JSON meaning, its default, what it is for."""
    rows = [
        (
            f"`{name}`",
            _holders(each),
            f"`{name}={each.example}`",
            f"`{_schema(each.kind.schema)}`",
            "" if each.default in (None, [], {}) else f"`{json.dumps(each.default)}`",
            each.doc,
        )
        for name, each in SETTINGS.items()
    ]
    return _table(("setting", "on", "written as", "JSON", "default", "is for"), rows)


def settings_list() -> str:
    """Write each setting in two lines that a terminal shows well."""
    lines = (f"- `{name}={each.example}`\n  {each.doc}" for name, each in SETTINGS.items())
    return "\n".join(lines)


def _holders(setting: Setting) -> str:
    if setting.inherited:
        return "step, call; pipeline for all its steps"
    return ", ".join(holder for holder in (STEP, CALL, PIPELINE) if holder in setting.on)


def _schema(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if kinds == ["array"]:
        return f"[{_schema(schema['items'])}, …]"
    if kinds == ["object"] and isinstance(schema.get("additionalProperties"), dict):
        return f"{{name: {_schema(schema['additionalProperties'])}}}"
    if kinds == ["object"] and "properties" in schema:
        return f"{{{', '.join(schema['properties'])}}}"
    return " or ".join(kinds)


def answers_table() -> str:
    """Write what each target does with each setting."""
    answers = {name: targets.load(name).capabilities.settings for name in TARGETS}
    by_name = {name: {each.name: each for each in given} for name, given in answers.items()}
    rows = [
        (f"`{setting}`", *(_answer(by_name[name][setting]) for name in TARGETS))
        for setting, each in SETTINGS.items()
        if each.for_targets
    ]
    return _table(("setting", *TARGETS), rows)


def _answer(item: Capability) -> str:
    if item.supported:
        return item.note
    return f"**ignored**, a warning: {item.note}" if item.ignored else f"**refused**: {item.note}"


def options_table(target: str) -> str:
    """Write the options of a target."""
    table = targets.load(target).capabilities.options
    assert table is not None
    rows = [
        (f"`{name}`", f"`{name} = {each.example}`", _default(each), each.doc)
        for name, each in table.definitions().items()
    ]
    return _table(("option", "written as", "default", "is for"), rows)


def _default(option: Option[Any]) -> str:
    text = option.otherwise
    return f"`{text}`" if re.fullmatch(r'".*"|[\d.]+|true|false', text) else text


def functions_table() -> str:
    """Write the functions and constants that a pipeline can compute with, by their modules."""
    by_module: dict[str, list[str]] = {}
    for qualified in operations.QUALIFIED:
        module, _, name = qualified.partition(".")
        if module == "os":
            module, name = "os.path", name.removeprefix("path.")
        if module != "posixpath":  # os.path, where the names are from there
            by_module.setdefault(module, []).append(name)
    rows = [(f"`{module}`", _names(names)) for module, names in sorted(by_module.items())]
    return _table(("module", "functions and constants"), rows)


def methods_table() -> str:
    """Write the methods and attributes of plain values, by their types."""
    hidden = ("bool", "exception")  # those of `int`; the page describes exceptions with `except`
    kinds = dict.fromkeys((*operations.METHODS, *methods.ATTRIBUTES))
    rows = [
        (
            {"scalar": "numbers of NumPy", "enum": "members of enumerations"}.get(
                kind, f"`{kind}`"
            ),
            _names(operations.METHODS.get(kind, ())),
            _names(methods.ATTRIBUTES.get(kind, ())),
        )
        for kind in kinds
        if kind not in hidden
    ]
    return _table(("type", "methods", "attributes"), rows)


def _names(names: Iterable[str]) -> str:
    return f"`{' '.join(sorted(names))}`" if names else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
