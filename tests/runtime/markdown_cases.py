"""Cases in Markdown: a heading, and the code blocks below it."""

import re
from pathlib import Path

import pytest


def read_cases(path: Path) -> list[object]:
    """Give one pytest parameter set for each ``##`` heading: its code blocks, in order."""
    sections = re.split(r"^## (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [
        pytest.param(*re.findall(r"```\w+\n(.*?)\n```", body, flags=re.DOTALL), id=title)
        for title, body in zip(sections[::2], sections[1::2], strict=True)
    ]
