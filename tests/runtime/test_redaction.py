"""Secrets stay out of what is written, however it is cut."""

import base64
import json
import re
import time
import urllib.parse
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada.redaction import (
    MASK,
    Redactor,
    encodings,
    find_secret,
    redact_error,
    redact_json,
    redact_text,
    redact_tokens,
)

SECRETS = ["hunter2", "aab", "line one\nline two"]


@given(
    text=st.lists(st.sampled_from([*SECRETS, "a", "aa", "hunter", "2", "\n", "-"])).map("".join),
    cuts=st.lists(st.integers(0, 80)),
)
def test_no_cut_lets_a_secret_through(text, cuts):
    redactor, data = Redactor(SECRETS), text.encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(places)]
    shown = b"".join(map(redactor.feed, chunks)) + redactor.flush()
    assert not any(secret.encode() in shown for secret in SECRETS)


def test_what_is_no_secret_comes_out_as_it_is_and_at_once():
    redactor = Redactor(["hunter2"])
    assert redactor.feed(b"hello") == b"hello"
    assert redactor.feed(b" hunt") == b" "
    assert redactor.feed(b"ing") == b"hunting"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a hunter2 b", "a *** b"),
        ({"hunter2": ["hunter2", 1, None]}, {"***": ["***", 1, None]}),
        ("line two only", "*** only"),
        ("it's 'line one\\nline two'", "it's '***'"),
    ],
)
def test_values(value, shown):
    assert redact_json(value, SECRETS) == shown


ENCODERS = {
    "quote": urllib.parse.quote,
    "quote all": partial(urllib.parse.quote, safe=""),
    "quote_plus": urllib.parse.quote_plus,
    "lower-case": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), urllib.parse.quote(text)
    ),
    "json": lambda text: json.dumps({"key": text}),
    "json as it is": lambda text: json.dumps({"key": text}, ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps({"key": text})),
    "repr": lambda text: repr({"key": text}),
    "repr of bytes": lambda text: repr(text.encode()),
    "repr with both quotes": lambda text: repr(f'it\'s "{text}"'),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    **{
        f"base64 amid text, {before}": lambda text, before=before: base64.b64encode(
            f"{'user'[:before]}:{text}, and more".encode()
        ).decode()
        for before in range(3)
    },
}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize(
    "secret",
    ["p@ss w0rd/+?", 'it\'s "mine" \\ yours', "gr\u00fc\u00df dich Gott", "two\nlines of it"],
)
def test_encoded_secrets_are_masked_also_between_two_writes(encode, secret):
    text = encode(secret)
    whole = redact_text(text, [secret])
    assert MASK in whole
    assert secret not in whole
    assert not any(part in text and part in whole for part in encodings(secret))
    data = text.encode()
    for place in range(len(data)):
        redactor = Redactor([secret])
        parts = [redactor.feed(data[:place]), redactor.feed(data[place:]), redactor.flush()]
        assert b"".join(parts).decode() == whole


def test_a_long_secret_costs_little():
    redactor = Redactor(["".join(f"line {number} of the key\n" for number in range(2000))])
    started = time.perf_counter()
    for number in range(200):
        redactor.feed(f"line {number} of the log\n".encode() * 100)
    assert time.perf_counter() - started < 10


def test_a_short_line_of_a_secret_is_no_secret():
    assert redact_text("{ 1: true }", ["{\n true\n}"]) == "{ 1: true }"


def test_of_an_error_only_what_it_says_is_masked():
    error = {"kind": "error", "type": "error", "message": "an error", "args": ["error"]}
    masked = redact_error({**error, "context": {**error, "context": None}}, ["error"])
    inner = {"kind": "error", "type": "error", "message": "an ***", "args": ["***"]}
    assert masked == {**inner, "context": {**inner, "context": None}}
    assert redact_error(None, ["error"]) is None


class Slotted:
    __slots__ = ("key",)

    def __init__(self, key):
        self.key = key


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("hunter2", ""),
        ("Bearer hunter2!", ""),
        (b"hunter2", ""),
        ([1, ("a", {"b": "hunter2"})], '[1][1]["b"]'),
        ({("hunter2", 1)}, "[0][0]"),
        ({"hunter2": {"x": b"aHVudGVyMg=="}}, ""),
        (SimpleNamespace(url="http://hunter2@host"), ".url"),
        (Slotted("hunter2"), ".key"),
        ({"x": "short"}, '["x"]'),
        (["shorter", 1, 2.5, None, "hunter", "in short"], None),
        (Path("hunter2"), None),
    ],
)
def test_a_secret_is_found_in_a_value(value, place):
    found = find_secret(value, {"TOKEN": "hunter2", "WORD": "short", "NONE": "1"})
    assert (None if found is None else found[1]) == place


def test_a_value_that_holds_itself_is_searched_once():
    value = ["hunter"]
    value.append(value)
    assert find_secret(value, {"TOKEN": "hunter2"}) is None


def test_very_short_values_are_no_secrets():
    assert redact_text("1 + 1", ["1", ""]) == "1 + 1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"key = AKIAIOSFODNN7EXAMPLE;", b"key = ***;"),
        (b"ghp_" + b"a" * 36, b"***"),
        (b"url https://user:pass@host/x", b"url https://***@host/x"),
        (
            b"-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest",
            b"***\nrest",
        ),
        (b"nothing: to see, here@there", b"nothing: to see, here@there"),
    ],
)
def test_tokens_are_known_by_their_form(text, shown):
    assert redact_tokens(text) == shown
