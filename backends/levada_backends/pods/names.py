"""Names, labels and their values as Kubernetes takes them, and how to make such names.

Sources: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and …/labels/;
the expressions are those of k8s.io/apimachinery/pkg/util/validation.
"""

from __future__ import annotations

import re

from levada.driver.jobs import hashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
#: Of all annotations of an object.
ANNOTATION_BYTES = 256 * 1024

# `re` compiles each when it is first used, which most are not in one compilation.
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VARIABLE = r"[-._a-zA-Z][-._a-zA-Z0-9]*"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = (
    rf"(?:(?:\[[0-9a-fA-F:]+\]|[\w.-]+)(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[\w+.-]+:[0-9a-fA-F]+)?"
)


def image_problem(text: str) -> str:
    """Why a text is no reference to an image; empty if it is one.

    https://pkg.go.dev/github.com/distribution/reference
    """
    if not re.fullmatch(_IMAGE, text, re.ASCII):
        return "it is `registry.example.com/team/name:tag` or `…@sha256:…`, the name in lower case"
    return ""


def label_problem(text: str, length: int = LABEL_LENGTH) -> str:
    """Why a text is no name of the strict kind (RFC 1123 label); empty if it is one."""
    if len(text) > length:
        return f"it has {len(text)} characters, more than {length}"
    if not re.fullmatch(_LABEL, text):
        return "it may have lower-case letters, digits and `-`, and starts and ends with the former"
    return ""


def subdomain_problem(text: str) -> str:
    """Why a text is no name of an object (RFC 1123 subdomain); empty if it is one."""
    if len(text) > SUBDOMAIN_LENGTH:
        return f"it has {len(text)} characters, more than {SUBDOMAIN_LENGTH}"
    if not re.fullmatch(_SUBDOMAIN, text):
        return (
            "it may have lower-case letters, digits, `-` and `.`; each part between dots starts"
            " and ends with a letter or a digit"
        )
    return ""


def key_problem(text: str) -> str:
    """Why a text is no key of a label, a taint or a resource: ``[prefix/]name``."""
    prefix, slash, name = text.rpartition("/")
    if slash and (problem := subdomain_problem(prefix)):
        return f"of its prefix: {problem}"
    if len(name) > LABEL_LENGTH:
        return f"its name has {len(name)} characters, more than {LABEL_LENGTH}"
    if not re.fullmatch(_QUALIFIED, name):
        return (
            "it is `[prefix/]name`, where the name has letters, digits, `-`, `_` and `.`, and"
            " starts and ends with a letter or a digit"
        )
    return ""


def value_problem(text: str) -> str:
    """Why a text is no value of a label; empty if it is one."""
    if len(text) > LABEL_LENGTH:
        return f"it has {len(text)} characters, more than {LABEL_LENGTH}"
    if text and not re.fullmatch(_QUALIFIED, text):
        return (
            "it may have letters, digits, `-`, `_` and `.`, and starts and ends with a letter or a"
            " digit"
        )
    return ""


def metadata_problem(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """Why Kubernetes takes no object with these; empty if it does."""
    for key, text in labels.items():
        if problem := key_problem(key) or value_problem(text):
            return f"the label `{key}`: {problem}"
    for key in annotations:
        if problem := key_problem(key):
            return f"the annotation `{key}`: {problem}"
    size = sum(len((key + text).encode(errors="replace")) for key, text in annotations.items())
    most = ANNOTATION_BYTES
    return f"annotations of {size:,} bytes, more than {most:,}" if size > most else ""


def variable_problem(text: str) -> str:
    """Why a text is no name of an environment variable of a container.

    Kubernetes before 1.34 has this strict form; what it takes is taken everywhere.
    """
    if not re.fullmatch(_VARIABLE, text):
        return "it may have letters, digits, `-`, `_` and `.`, and does not start with a digit"
    if text in (".", "..") or text.startswith(".."):
        return "it must not be `.` or start with `..`"
    return ""


def config_key_problem(text: str) -> str:
    """Why a text is no key of a Secret or a ConfigMap; empty if it is one."""
    if len(text) > SUBDOMAIN_LENGTH:
        return f"it has {len(text)} characters, more than {SUBDOMAIN_LENGTH}"
    if not re.fullmatch(_CONFIG_KEY, text):
        return "it may have letters, digits, `-`, `_` and `.`"
    if text == "." or text.startswith(".."):
        return "it must not be `.` or start with `..`"
    return ""


def label(text: str, length: int = LABEL_LENGTH) -> str:
    """A name of the strict kind for any text, at most ``length`` characters long.

    Each text has its own: `_` becomes `-` in a text without the latter, as Python's names are, and
    what has to change more has a hash at its end.
    """
    plain = text.replace("_", "-")
    if "-" not in text.strip("-") and not label_problem(plain, length):
        return plain
    return text if not label_problem(text, length) else hashed(text, text, length)


def label_value(text: str) -> str:
    """A value of a label for any text: itself where it can be."""
    return text if not value_problem(text) else hashed(text, text, LABEL_LENGTH)
