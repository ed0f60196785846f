"""The pages behind the rule ids: ``rules/<id>.md`` of the diagnostics and beside each target."""

from __future__ import annotations

import re
from pathlib import Path

from . import targets

#: A sentence ends with a dot before a capital; names and numbers have dots within them.
_SENTENCE = re.compile(r".*?[.](?=\s+[A-Z`]|$)")


def find(rule: str) -> str | None:
    """The page of a rule, or None."""
    for folder in _folders():
        page = folder / f"{rule}.md"
        if rule.replace("-", "").isalnum() and page.is_file():
            return page.read_text(encoding="utf-8")
    return None


def listing() -> dict[str, str]:
    """All rules with their one-line summaries, sorted by id."""
    pages = {page.stem: page for folder in _folders() for page in sorted(folder.glob("*.md"))}
    pages.pop("README", None)
    return {rule: summary(pages[rule].read_text(encoding="utf-8")) for rule in sorted(pages)}


def summary(page: str) -> str:
    """The first sentence of a page's text, in one line."""
    paragraphs = (paragraph.strip() for paragraph in page.split("\n\n"))
    first = next((text for text in paragraphs if text and not text.startswith(("#", "```"))), "")
    text = " ".join(first.split())
    sentence = _SENTENCE.match(text)
    return sentence[0] if sentence else text


def _folders() -> list[Path]:
    own = Path(__file__).parent / "diagnostics" / "rules"
    return [folder for folder in [own, *_shared(), *targets.rule_folders()] if folder.is_dir()]


def _shared() -> list[Path]:
    """The folders beside what several targets share, found without importing it."""
    from importlib.util import find_spec

    spec = find_spec(targets.OWN_PACKAGE)
    places = (spec.submodule_search_locations if spec else None) or []
    return [rules for place in places for rules in sorted(Path(place).glob("*/rules"))]
