"""User's text on its way through Kubeflow: three layers replace what they take for their own.

The driver and the launcher replace ``{{$…}}``, Argo ``{{…}}``, Kubernetes ``$(…)`` (and ``$$``).
What would start one of these is written as ``%`` and two hexadecimal digits; ``levada.kubeflow``
reads that back.
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"\{(?=\{)|\$(?=[($])|%(?=7B|24|25)")


def escape(text: str) -> str:
    """The text without anything that KFP, Argo or Kubernetes would replace."""
    return _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", text)
