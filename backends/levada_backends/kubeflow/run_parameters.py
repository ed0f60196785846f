"""The parameters of a run as KFP takes them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from levada_compiler.client import ClientError, refuse_large

from .escaping import as_json, is_replaced
from .parameters import inexact

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes of all parameters: the drivers of tasks get them within an argument of 128 KiB.
LARGEST = 96 * 1024
#: The request of a component in a compiled file: in a block, or where that cannot be in quotes.
_REQUEST = re.compile(
    r"""^( *)- (?:\|-\n(\1  {"do": .*\n(?:\1  .*\n)*)|("{\\"do\\": .*")$)""", re.MULTILINE
)


def as_given(text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run of a compiled file: what KFP has no type for is JSON in a string.

    Raises ClientError for what would arrive as something else.
    """
    kinds = _declared(text)
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        kind = kinds.get(name, "json")
        if kind == "json":
            found[name] = as_json(json.dumps(value, ensure_ascii=False))
        else:
            _refuse_replaced(name, value)
            _refuse_inexact(name, value)
            found[name] = float(value) if kind == "float" else value
    refuse_large(found, LARGEST, "KFP hands them to a process as an argument of 128 KiB")
    return found


def _declared(text: str) -> dict[str, str]:
    """What the runtime makes of each parameter, as the first tasks of a compiled file are told."""
    for _, block, quoted in _REQUEST.findall(text):
        request = json.loads(block or json.loads(quoted))
        kinds: dict[str, str] = request.get("kubeflow", {}).get("parameters", {})
        if kinds:
            return kinds
    return {}


def _refuse_replaced(name: str, value: Any) -> None:
    if is_replaced(json.dumps(value, ensure_ascii=False)):
        raise ClientError(
            f"Argo or Kubernetes would replace what `{name}` has: `{{{{`, `$(`, `$$`, or `$é`",
            f"annotate it as `{name}: str | None`: then it is given as JSON, with an escape",
        )


def _refuse_inexact(name: str, value: Any) -> None:
    for number in inexact(value):
        raise ClientError(
            f"KFP would change {number}, which is given for `{name}`: its numbers are doubles",
            "annotate it with `| None`: then it is given as JSON in a string",
        )
