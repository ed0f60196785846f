"""What an API server would refuse of a step's settings, at the place where they are written."""

from __future__ import annotations

import json
from posixpath import normpath

from levada_compiler.diagnostics.diagnostic import Diagnostic, Label, Severity
from levada_compiler.program.ir import Call, walk

from . import names, quantity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from levada_compiler.diagnostics.diagnostic import Span
    from levada_compiler.program.ir import Program, Setting, Step

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
#: What Kubernetes counts is 64 bits wide.
LARGEST = 2**63 - 1
#: How the variables begin by which a pod is told of its run.
_OWN = "LEVADA_"
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")


def settings_of_steps(program: Program) -> Iterator[Setting]:
    """Every setting of a step or of a call, as it is written."""
    for step in program.steps:
        yield from step.settings
    for node in walk(program.body):
        if isinstance(node, Call):
            yield from node.settings


class SettingsCheck:
    """Checks settings; ``secret`` is the Secret of references without one, ``taken`` the paths
    that are mounted already.
    """  # noqa: D205

    def __init__(self, secret: str | None = None, taken: Iterable[str] = ()) -> None:
        self._secret = secret
        self._taken = tuple(taken)

    def of(self, program: Program) -> Iterator[Diagnostic]:
        """All that is wrong with the settings of a program's steps."""
        for setting in (*program.settings, *settings_of_steps(program)):
            check = getattr(self, f"_{setting.name}", None)
            value = json.loads(setting.value)
            if check is not None and value:
                yield from check(value, setting.span)

    def _resources(self, value: dict[str, Any], span: Span) -> Iterator[Diagnostic]:
        for name in ("cpu", "memory", "disk"):
            if value.get(name) is not None:
                yield from _amount(name, value[name], span)
        if (value.get("gpu") or 0) > LARGEST:
            way_out = "write how many of them a node has"
            message = f"gpu is {value['gpu']}, more than Kubernetes can count"
            yield Diagnostic("pod-quantity", message, span, help=way_out)
        if value.get("gpu_type") is not None:
            yield from _gpu_type(value["gpu_type"], span)
            if not value.get("gpu"):
                message = "`gpu_type` asks for nothing without a number of them"
                way_out = "write `gpu=1` beside it, or leave it out"
                yield Diagnostic("pod-quantity", message, span, Severity.WARNING, help=way_out)

    def _environment(self, value: dict[str, str], span: Span) -> Iterator[Diagnostic]:
        for name in value:
            yield from _variable(name, span)

    def _secrets(self, value: dict[str, str], span: Span) -> Iterator[Diagnostic]:
        for variable, reference in value.items():
            yield from _variable(variable, span)
            if variable.startswith(_OWN):
                message = f"`{variable}` is a variable that Levada itself sets in a pod"
                way_out = f"choose a name that does not begin with `{_OWN}`"
                yield Diagnostic("pod-variable", message, span, help=way_out)
            name, slash, key = reference.partition("/")
            if not slash and self._secret is None:
                message = f"the secret `{reference}` is a key without the name of its Secret"
                way_out = (
                    f'write `"name/{reference}"`, or name one Secret for all references as `secret`'
                    " in the target's options"
                )
                yield Diagnostic("pod-secret", message, span, help=way_out)
                continue
            problem = names.subdomain_problem(name) if slash else ""
            if problem:
                yield _named("pod-secret", "Secret", name, problem, span)
            problem = names.config_key_problem(key if slash else name)
            if problem:
                yield _named("pod-secret", "key of a Secret", key if slash else name, problem, span)

    def _volumes(self, value: list[dict[str, Any]], span: Span) -> Iterator[Diagnostic]:
        paths = list(self._taken)
        for volume in value:
            problem = names.subdomain_problem(volume["claim"])
            if problem:
                yield _named("pod-volume", "PersistentVolumeClaim", volume["claim"], problem, span)
            yield from _mount(volume["path"], paths, span)
            paths.append(volume["path"])

    def _node_selector(self, value: dict[str, str], span: Span) -> Iterator[Diagnostic]:
        for key, text in value.items():
            if problem := names.key_problem(key):
                yield _named("pod-label", "key of a label", key, problem, span)
            if problem := names.value_problem(text):
                yield _named("pod-label", "value of a label", text, problem, span)

    def _tolerations(self, value: list[dict[str, Any]], span: Span) -> Iterator[Diagnostic]:
        for each in value:
            problem = toleration_problem(each)
            if problem:
                way_out = 'write `{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}`'
                message = f"Kubernetes would refuse this toleration: {problem}"
                yield Diagnostic("pod-toleration", message, span, help=way_out)


def no_image(rule: str, steps: Iterable[Step], way_out: str) -> Iterator[Diagnostic]:
    """Yield one error for all steps that have no image, with a label at each of them."""
    found = sorted(steps, key=lambda step: step.span)
    if not found:
        return
    first, *others = found
    what = f"{len(found)} steps have" if others else f"`{first.function}` has"
    yield Diagnostic(
        rule,
        f"{what} no image to run in",
        first.span,
        label="this step has none" if others else "",
        labels=tuple(Label(step.span, "nor has this") for step in others),
        help=way_out,
    )


def no_levada(rule: str, program: Program, image: str, table: str) -> Iterator[Diagnostic]:
    """Yield an error if there are container steps and no ``image`` that has Levada.

    Their own images have none, and something has to hand over inputs and take outputs.
    """
    found = sorted((step for step in program.steps if step.container), key=lambda step: step.span)
    if found and not image:
        yield Diagnostic(
            rule,
            f"`{found[0].function}` runs a program, and no image with Levada hands it its files",
            found[0].span,
            help=f"name one in {table}: `image`, as `levada build` makes it for any other pipeline",
        )


def _amount(name: str, value: float | str, span: Span) -> Iterator[Diagnostic]:
    way_out = 'write a number or a quantity: `cpu="500m"`, `memory="4Gi"`'
    try:
        amount = quantity.parse(value).value
    except quantity.QuantityError as error:
        yield Diagnostic("pod-quantity", f"{name}: {error}", span, help=way_out)
        return
    if amount < 0:
        message = f"{name} is {value}, less than nothing"
        yield Diagnostic("pod-quantity", message, span, help=way_out)
    elif name != "cpu" and amount.denominator != 1:
        message = f"{name} is {value}: not a whole number of bytes"
        way_out = f'write the unit in capitals: `{name}="{value}"` is in thousandths of a byte'
        if not str(value).endswith("m"):
            way_out = f'write a whole number of bytes, or a larger unit: `{name}="4Gi"`'
        yield Diagnostic("pod-quantity", message, span, help=way_out)


def _gpu_type(text: str, span: Span) -> Iterator[Diagnostic]:
    problem = _device_problem(text)
    if problem:
        way_out = 'write what the nodes offer, such as `gpu_type="nvidia.com/gpu"`'
        message = f"`{text}` is no resource of Kubernetes: {problem}"
        yield Diagnostic("pod-label", message, span, help=way_out)


def _device_problem(text: str) -> str:
    """As `IsExtendedResourceName` of k8s.io/kubernetes/pkg/apis/core/v1/helper has it.

    Quotas put `requests.` in front of the name.
    """
    if problem := names.key_problem(text) or names.key_problem(f"requests.{text}"):
        return problem
    if "/" not in text:
        return "a device has a prefix"
    return "it must not start with `requests.`" if text.startswith("requests.") else ""


def _variable(name: str, span: Span) -> Iterator[Diagnostic]:
    if problem := names.variable_problem(name):
        yield _named("pod-variable", "environment variable", name, problem, span)


def _mount(path: str, others: list[str], span: Span) -> Iterator[Diagnostic]:
    problem = ""
    if not path.startswith("/") or path == "/":
        problem = "it must be absolute, and not `/` itself"
    elif ":" in path:
        problem = "it must not have a `:`"
    elif ".." in path.split("/"):
        problem = "it must not have `..` in it"
    elif normpath(path) in map(normpath, others):
        problem = "something else is mounted there"
    if problem:
        message = f"a volume cannot be mounted at `{path}`: {problem}"
        way_out = "give each volume of a step a path of its own: `/data`"
        yield Diagnostic("pod-volume", message, span, help=way_out)


def toleration_problem(given: dict[str, Any]) -> str:
    """Why a toleration is refused, as k8s.io/kubernetes/pkg/apis/core/validation has it."""
    for name, value in given.items():
        if name not in _TOLERATION:
            return f"it has no `{name}`, only {', '.join(f'`{known}`' for known in _TOLERATION)}"
        if name != "tolerationSeconds" and not isinstance(value, str):
            return f"`{name}` is a string, not {value!r}"
    key, value = given.get("key", ""), given.get("value", "")
    operator, effect = given.get("operator") or "Equal", given.get("effect") or ""
    if key and (problem := names.key_problem(key)):
        return f"`key`: {problem}"
    if operator not in ("Equal", "Exists"):
        return f"`operator` is `Equal` or `Exists`, not `{operator}`"
    if not key and operator != "Exists":
        return "without a `key` its operator has to be `Exists`"
    if operator == "Exists" and value:
        return "with `Exists` it has no `value`"
    if problem := names.value_problem(value):
        return f"`value`: {problem}"
    if effect and effect not in _EFFECTS:
        return f"`effect` is one of {', '.join(f'`{known}`' for known in _EFFECTS)}"
    return _toleration_seconds_problem(given, effect)


def _toleration_seconds_problem(given: dict[str, Any], effect: str) -> str:
    seconds = given.get("tolerationSeconds")
    if seconds is None:
        return ""
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        return f"`tolerationSeconds` is a whole number, not {seconds!r}"
    if abs(seconds) > LARGEST:
        return f"`tolerationSeconds` is {seconds}, more than Kubernetes can count"
    return "" if effect == "NoExecute" else "`tolerationSeconds` needs the effect `NoExecute`"


def _named(rule: str, what: str, text: str, problem: str, span: Span) -> Diagnostic:
    message = f"`{text}` is no name of a {what}" if what[0].isupper() else f"`{text}` is no {what}"
    return Diagnostic(rule, message, span, label=problem, help=f"choose another: {problem}")
