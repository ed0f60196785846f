"""Steps that say their secrets in every way; see `test_canary.py`."""

import base64
import html
import json
import logging
import os
import shlex
import subprocess
import sys
import textwrap
import urllib.parse
import warnings

from levada import log_artifact, log_metric, log_params, pipeline, step

SECRETS = {"TOKEN": "a/token", "KEY": "a/key", "SCHEMA": "a/schema"}


def texts() -> list[str]:
    found = []
    for name in ("TOKEN", "KEY"):
        text = os.environ[name]
        data = text.encode()
        found += [text, repr(text), json.dumps(text), json.dumps({"a": json.dumps(text)})]
        found += [urllib.parse.quote(text, safe=""), urllib.parse.quote_plus(text)]
        found += [urllib.parse.quote(urllib.parse.quote(text)), shlex.quote(f"it's {text}")]
        found += [json.dumps(text).replace("/", "\\/")]
        found += [base64.b64encode(base64.b64encode(b"user:"[:n] + data)).decode() for n in range(4)]
        found += [html.escape(text), data.hex(), data.hex().upper(), repr(data)]
        found += [base64.b64encode(b"user:"[:n] + data + b"!").decode() for n in range(4)]
        found += [base64.encodebytes(data * 2).decode(), repr(base64.encodebytes(data))]
        found += [textwrap.fill(text, 14), textwrap.indent(textwrap.fill(data.hex(), 20), "    ")]
        found += [text.replace("\n", "\r\n"), text[:7] + "\n" + text[7:]]
    return found


def say() -> None:
    for number, text in enumerate(texts()):
        print("said", text)
        print("said", text, file=sys.stderr)
        os.write(1, f"{number} ".encode())
        for at in range(0, len(text), 5):
            os.write(1, text[at : at + 5].encode())
        os.write(1, b"\n")
        logging.getLogger("canary").warning("logged %s", text)
        warnings.warn(f"warned {text}", stacklevel=1)
        log_metric(f"metric {text}", 1.0)
        log_params({f"name {text}": text, "nested": {"list": [text, {text: text}]}})
        log_artifact(f"artifact {text}", {"number": number})
    child = "import os, sys; print('child', os.environ['TOKEN']); sys.stderr.write(os.environ['KEY'])"
    subprocess.run([sys.executable, "-c", child], check=True)


@step(secrets=SECRETS)
def loud() -> int:
    say()
    return 1


@step
def listens() -> int:
    say()
    return 2


@step(secrets=SECRETS)
def fails() -> int:
    try:
        raise KeyError(os.environ["TOKEN"])
    except KeyError as error:
        error.add_note(f"note {os.environ['KEY']}")
        raise RuntimeError("\n".join(texts())) from error


@step(secrets=SECRETS)
def made() -> None:
    raise type(f"Made{os.environ['TOKEN']}", (ValueError,), {})(os.environ["KEY"])


@step(secrets=SECRETS)
def returns() -> dict:
    return {os.environ["TOKEN"]: [os.environ["KEY"]]}


@step(secrets=SECRETS, allow_secret_output=True)
def kept() -> str:
    return os.environ["TOKEN"]


@step
def length(text: str) -> int:
    return len(text)


@pipeline
def flow():
    one = loud()
    two = listens()
    try:
        fails()
    except Exception as error:
        length(str(error))
    try:
        made()
    except ValueError as error:
        length(str(error))
    text = kept()
    if text == "x":
        loud()
    length(f"{text} and more")
    returns()
    return one, two, text


@pipeline
def in_pods():
    """What pods can mask: each has the secrets of its own step, and their driver has none."""
    one = loud()
    try:
        fails()
    except Exception as error:
        length(str(error))
    try:
        made()
    except ValueError as error:
        length(str(error))
    if kept() == "x":
        loud()
    returns()
    return one
