"""Secrets stay out of what is written, however it is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada.redaction import Redactor, redact_json, redact_text, redact_tokens

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
