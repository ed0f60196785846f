"""SARIF 2.1.0, the form that code-scanning services read.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from urllib.parse import quote

from levada_compiler import rule_pages

from .cells import source_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from levada_compiler.diagnostics.diagnostic import Diagnostic, Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str]) -> str:
    """One run with a result a diagnostic, and the rules that these results name."""
    rules = sorted({diagnostic.id for diagnostic in diagnostics})
    run = {
        "tool": {"driver": _driver(rules)},
        "columnKind": "unicodeCodePoints",
        "results": _results(diagnostics, rules, sources),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _driver(rules: Sequence[str]) -> dict[str, Any]:
    return {
        "name": "levada",
        "rules": [_rule(rule) for rule in rules],
    }


def _rule(rule: str) -> dict[str, Any]:
    page = rule_pages.find(rule) or f"# {rule}\n"
    return {
        "id": rule,
        "shortDescription": {"text": rule_pages.summary(page) or rule},
        "help": {"text": page, "markdown": page},
    }


def _results(
    diagnostics: Sequence[Diagnostic], rules: Sequence[str], sources: Mapping[str, str]
) -> list[dict[str, Any]]:
    index = {rule: place for place, rule in enumerate(rules)}
    seen: Counter[str] = Counter()
    results = []
    for diagnostic in diagnostics:
        print_of = _fingerprint(diagnostic, sources)
        seen[print_of] += 1
        results.append(_result(diagnostic, index[diagnostic.id], f"{print_of}:{seen[print_of]}"))
    return results


def _result(diagnostic: Diagnostic, rule_index: int, fingerprint: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.id,
        "ruleIndex": rule_index,
        "level": diagnostic.severity.value,
        "message": {"text": _text(diagnostic)},
        "locations": [_location(diagnostic.span)],
        "partialFingerprints": {"levada/v1": fingerprint},
    }
    if diagnostic.labels:
        result["relatedLocations"] = [
            _location(label.span) | {"message": {"text": label.text}} for label in diagnostic.labels
        ]
    return result


def _text(diagnostic: Diagnostic) -> str:
    parts = [diagnostic.message, diagnostic.label, diagnostic.help]
    return "\n".join(part for part in parts if part)


def _location(span: Span) -> dict[str, Any]:
    region = {
        "startLine": max(span.line, 1),
        "startColumn": max(span.column, 1),
        "endLine": max(span.end_line, 1),
        "endColumn": max(span.end_column, 1),
    }
    artifact = {"uri": quote(span.file.encode("utf-8", "surrogateescape"))}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def _fingerprint(diagnostic: Diagnostic, sources: Mapping[str, str]) -> str:
    """Rule, file and the text of the line: not its number, which moves when lines above do."""
    lines = source_lines(sources.get(diagnostic.span.file, ""))
    number = diagnostic.span.line
    line = lines[number - 1].strip() if 1 <= number <= len(lines) else ""
    text = "\0".join([diagnostic.id, diagnostic.span.file, line])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
