"""User's text on its way through Kubeflow: three layers replace what they take for their own.

The driver and the launcher replace ``{{$…}}``, Argo ``{{…}}``, Kubernetes ``$(…)`` and ``$$``; the
last also reads the character after any ``$`` as one byte. So ``$``, and ``{`` before another one,
are written as ``%`` and two hexadecimal digits, which ``levada.kubeflow`` reads back.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPECIAL = re.compile(r"\{(?=\{)|\$|%(?=7B|24|25)")
_BRACE = re.compile(r"\{(?=\{)")
_REPLACED = re.compile(r"\{\{|\$(?:[($]|[^\x00-\x7f])")


def is_replaced(text: str) -> bool:
    """Whether one of them would change the text, or refuse it."""
    return _REPLACED.search(text) is not None


def as_json(text: str) -> str:
    """JSON text that nothing is replaced in: its strings have escapes for that."""
    return _BRACE.sub(r"\\u007b", text).replace("$", "\\u0024")


def shown(text: str) -> str:
    """A text for people only, without anything that would be replaced: nobody reads it back."""
    return _BRACE.sub("{ ", text).replace("$", "\N{FULLWIDTH DOLLAR SIGN}")


def escape(value: Any) -> Any:
    """A JSON value without anything in its texts that KFP, Argo or Kubernetes would replace."""
    if isinstance(value, str):
        return _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", value)
    if isinstance(value, dict):
        return {escape(name): escape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [escape(item) for item in value]
    return value
