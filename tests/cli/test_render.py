"""``cases/render/*.md``: sources and diagnostics, and what each form makes of them.

Besides the fields of a JSON diagnostic, ``at`` is ``line:column-line:column``; escapes in the
sources (``\\u202e``, ``\\x00``, ``\\t``) are resolved where the section says ``escaped``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levada_compiler.diagnostics.diagnostic import Diagnostic, Label, Severity, Span
from levada_compiler.render import FORMATS, render
from levada_compiler.render.cells import width

from .markdown import Case, cases

CASES = cases(Path(__file__).parent / "cases" / "render")


def span(at: str, file: str) -> Span:
    named, _, place = at.rpartition(" ")
    numbers = [int(number) for number in re.findall(r"\d+", place)]
    return Span(named or file, *numbers)


def diagnostic(form: dict[str, object], file: str) -> Diagnostic:
    labels = form.get("labels", {})
    assert isinstance(labels, dict)
    return Diagnostic(
        str(form.get("id", "some-rule")),
        str(form.get("message", "something is wrong")),
        span(str(form["at"]), file),
        Severity(form.get("severity", "error")),
        str(form.get("label", "")),
        tuple(Label(span(at, file), text) for at, text in labels.items()),
        str(form.get("help", "")),
        tuple(str(form["edit"]).split("\n")) if "edit" in form else (),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_render(case: Case) -> None:
    sources = case.files()
    if "escaped" in case.title:
        sources = {
            file: text.encode("raw_unicode_escape").decode("unicode_escape")
            for file, text in sources.items()
        }
    first = next(iter(sources), "missing.py")
    forms = json.loads(case.block("json") or "[]")
    diagnostics = [diagnostic(form, first) for form in forms]
    checked = [form for form in (*FORMATS, "colour") if case.block(f"text={form}")]
    assert checked
    for form in checked:
        colour = form == "colour"
        given = render(diagnostics, sources, "full" if colour else form, colour=colour)
        assert given.replace("\x1b", "␛").rstrip("\n") == (case.block(f"text={form}") or "").rstrip(
            "\n"
        )


NUMBER = st.integers(-2, 12)
SPANS = st.builds(Span, st.sampled_from(["a.py", "b.py", "c.py"]), NUMBER, NUMBER, NUMBER, NUMBER)
DIAGNOSTICS = st.builds(
    Diagnostic,
    st.sampled_from(["one-rule", "other-rule"]),
    st.text(),
    SPANS,
    st.sampled_from(Severity),
    st.text(),
    st.lists(st.builds(Label, SPANS, st.text()), max_size=4).map(tuple),
    st.text(),
    st.lists(st.text(), max_size=2).map(tuple),
)
SOURCE = st.text(st.sampled_from("ab \t\n\r\x0c日😀\u202e\x00\u0301x=()") | st.characters())


@settings(max_examples=60)
@given(st.lists(DIAGNOSTICS, max_size=3), SOURCE, SOURCE)
def test_no_span_and_no_text_breaks_a_renderer(
    diagnostics: list[Diagnostic], one: str, other: str
) -> None:
    for form in FORMATS:
        text = render(diagnostics, {"a.py": one, "b.py": other}, form, colour=False)
        assert text == "" or text.endswith("\n")
        if form in ("full", "concise"):
            assert all(char.isprintable() or char in "\n\u200d\u3000" for char in text)


def test_sarif_has_what_its_schema_requires() -> None:
    place = Span("dir/a b.py", 3, 5, 3, 9)
    found = Diagnostic("some-rule", "no", place, labels=(Label(place, "why"),), help="do")
    log = json.loads(render([found, found], {"dir/a b.py": "x\ny\nz = 1\n"}, "sarif"))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["some-rule"]
    one, other = run["results"]
    assert one["ruleId"] == "some-rule"
    assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"]
    location = one["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "dir/a%20b.py"
    assert location["region"] == {
        "startLine": 3,
        "startColumn": 5,
        "endLine": 3,
        "endColumn": 9,
    }
    assert one["partialFingerprints"] != other["partialFingerprints"]


def test_a_fingerprint_stays_when_lines_move() -> None:
    def fingerprint(line: int, text: str) -> object:
        found = Diagnostic("some-rule", "no", Span("a.py", line, 1, line, 2))
        log = json.loads(render([found], {"a.py": text}, "sarif"))
        return log["runs"][0]["results"][0]["partialFingerprints"]

    assert fingerprint(1, "bad\n") == fingerprint(3, "\n\nbad\n")
    assert fingerprint(1, "bad\n") != fingerprint(1, "worse\n")


def test_widths() -> None:
    assert [width(text) for text in ("ab", "日本", "e\u0301", "😀", "👍🏽", "👩\u200d👧")] == [
        2,
        4,
        1,
        2,
        2,
        2,
    ]
