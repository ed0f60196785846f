"""Reads cases from Markdown: a section each, its code blocks by their info strings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Case:
    """A section: its title, and its blocks as (info string, text)."""

    file: str
    title: str
    blocks: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def id(self) -> str:
        return f"{self.file}: {self.title}"

    def block(self, info: str) -> str | None:
        return next((text for name, text in self.blocks if name == info), None)

    def files(self) -> dict[str, str]:
        """Blocks whose info string is a language and a path."""
        named = (info.split(" ", 1) for info, _ in self.blocks)
        texts = (text for _, text in self.blocks)
        return {name[1]: text for name, text in zip(named, texts, strict=True) if len(name) == 2}


def cases(folder: Path) -> list[Case]:
    """All sections (``## title``) of all Markdown files of a folder."""
    return [case for path in sorted(folder.glob("*.md")) for case in _sections(path)]


def _sections(path: Path) -> list[Case]:
    text = path.read_text(encoding="utf-8")
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        blocks = tuple((m[2].strip(), m[3]) for m in _BLOCK.finditer(body))
        found.append(Case(path.stem, title.strip(), blocks))
    return found
