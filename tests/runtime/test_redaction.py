"""Secrets stay out of what is written, however it is cut."""

import base64
import html
import json
import random
import re
import shlex
import string
import textwrap
import time
import urllib.parse
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from levada import failures
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


@given(
    secrets=st.lists(st.text("abn\\ \n\r", min_size=3, max_size=12), min_size=1, max_size=4),
    text=st.text("abn\\ \n\r", max_size=80),
    sizes=st.lists(st.integers(1, 9), min_size=1),
)
def test_chunks_give_the_same_as_the_whole(secrets, text, sizes):
    redactor, data, parts = Redactor(secrets), text.encode(), []
    for size in cycle(sizes):
        if not data:
            break
        parts.append(redactor.feed(data[:size]))
        data = data[size:]
    parts.append(redactor.flush())
    assert b"".join(parts).decode() == redact_text(text, secrets)


@pytest.mark.parametrize("secret", ["aab" * 30 + "c", "a" * 100 + "b", "ab" * 9, "x" * 70])
@given(
    text=st.lists(st.sampled_from(["aab" * 30, "a" * 99, "ab" * 8, "x" * 69, "a", "b", "c", "x"])),
    size=st.integers(1, 99),
)
def test_a_secret_that_repeats_itself_is_found_in_any_chunks(secret, text, size):
    redactor, data = Redactor([secret]), "".join(text).encode()
    parts = [redactor.feed(data[at : at + size]) for at in range(0, len(data), size)]
    shown = b"".join([*parts, redactor.flush()]).decode()
    assert shown == redact_text("".join(text), [secret])
    assert secret not in shown


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n    ", " \n"])
def test_a_secret_is_found_across_line_ends(end):
    secret = "correct-horse-battery-staple"
    for form in (secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode()):
        for place in range(1, len(form)):
            text = f"a {form[:place]}{end}{form[place:]} b"
            assert redact_text(text, [secret]) == f"a {MASK} b"
    wrapped = textwrap.fill("correct horse battery staple", 9)
    assert redact_text(f"<{wrapped}>", ["correct horse battery staple"]) == f"<{MASK}>"


@pytest.mark.parametrize(
    "unseen", ["\x1b[36m", "\x1b[0;1m", "\x1b[K", "\0", "\b", "\u200b", "\ufeff"]
)
def test_a_secret_is_found_with_what_a_terminal_does_not_show_in_it(unseen):
    secret = "correct-horse-battery-staple"
    for place in range(1, len(secret)):
        text = f"a {secret[:place]}{unseen}{secret[place:]} b"
        assert redact_text(text, [secret]) == f"a {MASK} b"
        for size in range(1, 9):
            redactor, data = Redactor([secret]), text.encode()
            parts = [redactor.feed(data[at : at + size]) for at in range(0, len(data), size)]
            assert b"".join([*parts, redactor.flush()]) == b"a *** b"
    shown = f"\x1b[1m{secret}\x1b[0m"
    assert redact_text(shown, [secret]) == f"\x1b[1m{MASK}\x1b[0m"


def test_a_secret_is_found_across_escaped_line_ends():
    secret = "correct-horse-battery-staple and more"
    wrapped = "\n    ".join(textwrap.wrap(secret, 10))
    for text in (repr(wrapped), json.dumps({"a": wrapped}), json.dumps(json.dumps([wrapped]))):
        assert "orse" not in redact_text(text, [secret])
        for size in range(1, 9):
            redactor, data = Redactor([secret]), text.encode()
            parts = [redactor.feed(data[at : at + size]) for at in range(0, len(data), size)]
            shown = b"".join([*parts, redactor.flush()]).decode()
            assert shown == redact_text(text, [secret])
    assert redact_text("C:\\none-of-it", ["none-of-it"]) == "C:\\n***"
    assert redact_text("one\\of\\next", ["one\\of\\"]) == "***\\next"


def test_a_secret_of_lines_is_found_with_other_line_ends():
    secret = "-----BEGIN\nMIIB\nabcd\n-----END\n"
    for text in (secret, secret.strip(), secret.replace("\n", "\r\n"), repr(secret.strip())[1:-1]):
        assert MASK in redact_text(text, [secret])
        assert "MIIB" not in redact_text(text, [secret])


def test_words_are_no_secret_only_because_they_make_one_without_the_space():
    assert redact_text("the pass word", ["password"]) == "the pass word"
    assert redact_text("ab\ncd", ["abcd"]) == "ab\ncd"


def test_what_a_line_ends_with_is_held_until_the_stream_pauses():
    redactor = Redactor(["hunter2"])
    assert redactor.feed(b"a bath\n") == b"a bat"
    assert redactor.settle() == b"h\n"
    assert redactor.feed(b"hunter") == b""
    assert redactor.settle() == b""
    assert redactor.feed(b"2") == b"***"


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


def twice(before, inner, text):
    """A login in base64 in a text in base64, as Kubernetes has them in a Secret."""
    once = base64.b64encode(f"{'user'[:inner]}:{text}, and more".encode()).decode()
    return base64.b64encode(f"{'user'[:before]}:{once}; and more".encode()).decode()


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
    "ascii": lambda text: ascii({"key": text}),
    "repr of bytes": lambda text: repr(text.encode()),
    "repr with both quotes": lambda text: repr(f'it\'s "{text}"'),
    "json of Go": lambda text: json.dumps(text).translate(
        {38: "\\u0026", 60: "\\u003c", 62: "\\u003e"}
    ),
    "json of PHP": lambda text: json.dumps({"key": text}).replace("/", "\\/"),
    "json of PHP in its json": lambda text: json.dumps(
        json.dumps({"key": text}).replace("/", "\\/")
    ).replace("/", "\\/"),
    "shlex": lambda text: shlex.quote(f"{text} it's"),
    "shell, escaped quotes": lambda text: "'" + text.replace("'", "'\\''") + "'",
    "printf %q": lambda text: re.sub(r"([^\w@%+=:,./-])", r"\\\1", text),
    "shell, double quotes": lambda text: '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"',
    "quote twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe="")),
    "quote_plus twice": lambda text: urllib.parse.quote_plus(urllib.parse.quote_plus(text)),
    "html": html.escape,
    "html but quotes": partial(html.escape, quote=False),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 in lines, escaped": lambda text: repr(base64.encodebytes(text.encode())),
    "base64 in a URL": lambda text: urllib.parse.quote_plus(base64.b64encode(text.encode())),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    **{
        f"base64 amid text, {before}": lambda text, before=before: base64.b64encode(
            f"{'user'[:before]}:{text}, and more".encode()
        ).decode()
        for before in range(3)
    },
    **{
        f"base64 amid base64 amid text, {before}, {inner}": partial(twice, before, inner)
        for before in range(3)
        for inner in range(3)
    },
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 twice, for URLs": lambda text: base64.urlsafe_b64encode(
        base64.urlsafe_b64encode(text.encode())
    ).decode(),
}


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize(
    "secret",
    [
        "p@ss w0rd/+?",
        'it\'s "mine" \\ yours',
        "gr\u00fc\u00df dich Gott",
        "two\nlines of it",
        "<a> & 'b'",
        "a longer text & " * 8,
    ],
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


def test_a_long_secret_is_found_whole_and_by_its_lines():
    lines = [f"line {number} of the key" for number in range(2000)]
    redactor = Redactor(["\n".join(lines)])
    shown = redactor.feed(("\n".join(lines) + "\nrest\n" + lines[7] + "\n" + lines[3]).encode())
    assert shown + redactor.flush() == b"***\nrest\n***\n***"


def test_a_short_line_of_a_secret_is_no_secret():
    assert redact_text("{ 1: true }", ["{\n true\n}"]) == "{ 1: true }"


def test_of_an_error_only_what_it_says_is_masked():
    error = {"kind": "error", "type": "error", "message": "an error", "args": ["error"]}
    masked = redact_error({**error, "context": {**error, "context": None}}, ["error"])
    inner = {"kind": "error", "type": "error", "message": "an ***", "args": ["***"]}
    assert masked == {**inner, "context": {**inner, "context": None}}
    assert redact_error(None, ["error"]) is None


def error_of(kind):
    described = failures.describe(kind("text"), [])
    return {name: described[name] for name in ("type", "module", "bases")}


def test_the_name_of_a_class_that_was_made_with_a_secret_is_masked():
    made = error_of(type("Errorhunter2", (ValueError,), {"__module__": "made_up.hunter2"}))
    shown = redact_error(made, SECRETS)
    assert (shown["type"], shown["module"]) == ("Error***", "made_up.***")
    assert shown["bases"][:2] == ["made_up.***.Error***", "builtins.ValueError"]
    assert "hunter2" in made["type"]


def test_a_class_of_a_module_that_is_not_loaded_is_not_masked(tmp_path, monkeypatch):
    (tmp_path / "not_loaded.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    error = {"type": "DeviceError", "module": "not_loaded", "bases": ["not_loaded.DeviceError"]}
    assert redact_error(error, ["Device"]) == error


class HunterError(ValueError):
    """What `except HunterError` names."""


def test_the_name_of_a_class_that_except_can_name_is_not_masked():
    for kind in (HunterError, ValueError, json.JSONDecodeError):
        error = error_of(kind if kind is not json.JSONDecodeError else partial(kind, doc="", pos=0))
        assert redact_error(error, ["Hunter", "Value", "json", "Decode"]) == error


@pytest.mark.parametrize("more", ["", "/+%'\"\\ &<é"])
def test_a_large_log_is_searched_for_many_secrets_in_linear_time(more):
    """10 MB and 20 secrets of 40 characters take less than 1 s on a machine with nothing else."""
    letters = random.Random(1)
    secrets = ["".join(letters.choices(string.ascii_letters + more, k=40)) for _ in range(20)]
    chunk = b"".join(b"12:00 step %d of training: loss=%f\n" % (n, n / 7) for n in range(1600))

    def seconds(chunks):
        redactor, began = Redactor(secrets), time.process_time()
        for _ in range(chunks):
            redactor.feed(chunk)
        redactor.flush()
        return time.process_time() - began

    seconds(1)
    assert seconds(160) < 5
    assert seconds(160) < 4 * seconds(80) + 0.5


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
