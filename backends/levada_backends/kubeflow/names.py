"""Names as Argo and KFP take them.

Task and component names become names of Argo's templates and tasks, which have letters, digits and
dashes (``workflowFieldNameFmt`` of argo-workflows). A task ``x`` also becomes ``x-driver``, an
iterator ``<component>-<task>-iterator`` (``backend/src/v2/compiler/argocompiler/dag.go`` of
Kubeflow).
"""

from __future__ import annotations

import re

from levada.hashing import sha256

#: KFP keeps a component in an annotation of Argo's workflow, `implementations-comp-<name>`, and the
#: key of one has 63 characters; so there is room for a number.
LONGEST = 40
#: What the names of KFP's own tasks end with.
_TAKEN_ENDS = ("-driver", "-iterations", "-iterator")


def plain(text: str) -> str:
    """The text in lower-case letters, digits and single dashes; never empty, never too long."""
    ascii_only = text if text.isascii() else _without_marks(text)
    name = re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")
    if name.endswith(_TAKEN_ENDS):
        name += "-step"
    if not name or not name[0].isalpha():
        name = f"n-{name}".rstrip("-")
    if len(name) > LONGEST:
        name = f"{name[: LONGEST - 9].rstrip('-')}-{sha256(text.encode()).hexdigest()[:8]}"
    return name


def _without_marks(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


class Names:
    """Names that are unique among those that were asked for."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, text: str) -> str:
        """A name for this text, with a number where another has it."""
        base = name = plain(text)
        count = 1
        while name in self._taken:
            count += 1
            name = f"{base}-{count}"
        self._taken.add(name)
        return name
