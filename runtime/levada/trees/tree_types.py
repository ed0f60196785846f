"""Shapes of trees: values as JSON with tags. Only type checkers import this module."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypeAlias

    #: A value as JSON. What JSON lacks is an object with one key, its tag: ``{"$tuple": [1, 2]}``.
    Tree: TypeAlias = "bool | int | float | str | Sequence[Tree] | Mapping[str, Tree] | None"
    #: What a tag holds, in the form that the tag's reader knows. It may be malformed: it is read
    #: as it comes, and what its reader then raises says so.
    Content: TypeAlias = "Any"
