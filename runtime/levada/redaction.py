"""Keep the values of secrets out of logs, records and stored diffs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

MASK = "***"
#: A shorter text is no secret: hiding it would only make everything else unreadable.
SHORTEST = 3
#: Nor is a shorter line of a secret, or a shorter part of what a step returns: the secret `dev` is
#: found in `{"stage": "dev"}`, but not in `developer`.
SHORTEST_PART = 6
#: Base64 characters of a secret amid other text; fewer could stand there by chance.
_SHORTEST_CORE = 10

#: What an exception has said, of the fields of an error.
_TOLD = ("message", "args", "traceback", "frames")

#: Tokens that are recognised by their form wherever they stand.
_TOKENS = (
    r"AKIA[0-9A-Z]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36,}",
    r"github_pat_[A-Za-z0-9_]{40,}",
    r"glpat-[A-Za-z0-9_-]{20,}",
    r"xox[abprs]-[A-Za-z0-9-]{10,}",
    r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)-----END [A-Z ]*PRIVATE KEY-----",
    r"(?<=://)[^/@\s:]+:[^/@\s]+(?=@)",
)


class Redactor:
    """Replaces secrets in a stream of bytes, also one that two chunks share."""

    __slots__ = ("_held", "_longest", "_secrets")

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [_bytes(secret) for secret in forms(secrets)]
        self._longest = max(map(len, self._secrets), default=0)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Give what can be shown by now; the start of what may be a secret is held back."""
        if not self._secrets:
            return chunk
        data = self._held + chunk
        tail = data[-(self._longest - 1) :]
        cut = len(data) - max(_begun(secret, tail) for secret in self._secrets)
        cut = self._before_secrets(data, cut)
        self._held = data[cut:]
        return self._replaced(data[:cut])

    def flush(self) -> bytes:
        """Give what was held back: the stream is over."""
        held, self._held = self._held, b""
        return self._replaced(held)

    def _before_secrets(self, data: bytes, cut: int) -> int:
        """Return the last place up to ``cut`` at which no secret is cut in two."""
        moved = True
        while moved:
            moved = False
            for secret in self._secrets:
                start = data.find(secret, max(0, cut - len(secret) + 1), cut + len(secret) - 1)
                if 0 <= start < cut:
                    cut, moved = start, True
        return cut

    def _replaced(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, MASK.encode())
        return data


def _begun(secret: bytes, tail: bytes) -> int:
    """Return how many of the last bytes are the start of a secret that may go on."""
    start = max(0, len(tail) - len(secret) + 1)
    while (start := tail.find(secret[:1], start)) >= 0:
        if secret.startswith(tail[start:]):
            return len(tail) - start
        start += 1
    return 0


def forms(secrets: Iterable[str]) -> list[str]:
    """Return the texts in which secrets may be written, longest first.

    Each secret whole and encoded (see :func:`encodings`), and its lines.
    """
    found: set[str] = set()
    for secret in secrets:
        if len(secret) < SHORTEST:
            continue
        found |= encodings(secret)
        lines = (line.strip() for line in secret.splitlines())
        found.update(line for line in lines if len(line) >= SHORTEST_PART)
    return sorted((form for form in found if len(form) >= SHORTEST), key=len, reverse=True)


def encodings(secret: str) -> set[str]:
    r"""Return a secret as it is, escaped, percent-encoded and in base64.

    >>> sorted(encodings("a b?"))
    ['YSBiPw', 'YSBiPw==', 'a b?', 'a%20b%3F', 'a%20b%3f', 'a+b%3F', 'a+b%3f']
    """
    escaped = {secret, *_escaped(secret)}
    escaped |= {twice for once in escaped for twice in _escaped(once)}  # JSON in JSON, its repr
    return escaped | _percent_encoded(secret) | _in_base64(_bytes(secret))


def _escaped(text: str) -> set[str]:
    """Return a text as JSON and as Python's repr write it, without the quotes around it."""
    import json

    return {
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
        repr(text + "'\"")[1:-4],  # with each ' escaped, as in a longer text that has both quotes
        repr(_bytes(text))[2:-1],
    }


def _percent_encoded(text: str) -> set[str]:
    """Return a text as `urllib.parse.quote` and `quote_plus` write it; importing that is slow."""
    found = set()
    for plain, space in (("_.-~", "%20"), ("_.-~/", "%20"), ("_.-~", "+"), ("_.-~/", "+")):
        quoted = [_quoted(byte, plain, space) for byte in _bytes(text)]
        found |= {"".join(quoted), "".join(q.lower() if q[0] == "%" else q for q in quoted)}
    return found


def _quoted(byte: int, plain: str, space: str) -> str:
    character = chr(byte)
    if character == " ":
        return space
    is_plain = byte < 128 and (character.isalnum() or character in plain)
    return character if is_plain else f"%{byte:02X}"


def _in_base64(secret: bytes) -> set[str]:
    """Return a secret in base64, alone and as the middle of something longer.

    Amid other text (`user:password`) it begins at one of three places in a group of 3 bytes. The
    characters at its ends also depend on its neighbours, and are left out.
    """
    from binascii import b2a_base64

    alone = b2a_base64(secret, newline=False).decode()
    found = {alone, alone.rstrip("=")}
    for before in range(3):
        bits = (before + len(secret)) * 8
        text = b2a_base64(bytes(before) + secret, newline=False).decode()
        core = text[-(-before * 8 // 6) : bits // 6]
        if len(core) >= _SHORTEST_CORE:
            found.add(core)
    return found | {form.replace("+", "-").replace("/", "_") for form in found}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets in a text."""
    for secret in forms(secrets):
        text = text.replace(secret, MASK)
    return text


def redact_json(value: T, secrets: Iterable[str]) -> T:
    """Replace secrets in every string of a JSON value, keys included, digests left out."""
    secrets = forms(secrets)
    hidden: T = _redacted(value, secrets) if secrets else value
    return hidden


def redact_error(error: T, secrets: Iterable[str]) -> T:
    """Replace secrets in an `ErrorPart` or None, but for the words that Levada reads."""
    secrets = forms(secrets)
    hidden: T = error if error is None or not secrets else _redacted_error(error, secrets)
    return hidden


def _redacted_error(error: Any, secrets: list[str]) -> Any:
    shown = error | {name: _redacted(error.get(name), secrets) for name in _TOLD if name in error}
    if error.get("context"):
        shown["context"] = _redacted_error(error["context"], secrets)
    return shown


def _redacted(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, list):
        return [_redacted(item, secrets) for item in value]
    if isinstance(value, dict):
        return {
            _redacted(key, secrets): item if _is_digest(key, item) else _redacted(item, secrets)
            for key, item in value.items()
        }
    return value


def _is_digest(key: str, item: object) -> bool:
    """Whether it is a digest, in which a short secret may stand by chance."""
    return key == "digest" and isinstance(item, str) and item.startswith("sha256:")


def redact_tokens(data: bytes) -> bytes:
    """Replace tokens and passwords that are recognised by their form."""
    import re

    return re.sub("|".join(_TOKENS).encode(), MASK.encode(), data)


def secret_variables(names: Iterable[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of these names that are set and not empty."""
    return {name: variables[name] for name in names if variables.get(name)}


def find_secret(value: object, secrets: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first secret that stands in a string or bytes of a value, at any depth.

    It is told by its variable and the place within the value. A secret shorter than
    `SHORTEST_PART` has to be all of the string. ``secrets`` are values by variable. Files, arrays
    and frames are not searched.

    >>> find_secret({"auth": "Bearer hunter2"}, {"TOKEN": "hunter2"})
    ('TOKEN', '["auth"]')
    """
    sought = [
        (name, form, _bytes(form))
        for name, secret in secrets.items()
        if len(secret) >= SHORTEST
        for form in encodings(secret)
    ]
    seen: set[int] = set()
    left: list[tuple[object, str]] = [(value, "")] if sought else []
    while left:
        each, place = left.pop()
        if isinstance(each, (str, bytes, bytearray)):
            hits = (name for name, form, data in sought if _stands_in(each, form, data))
            name = next(hits, None)
            if name is not None:
                return name, redact_text(place, secrets.values())
        elif id(each) not in seen and (held := _held(each)):
            seen.add(id(each))
            left += [(item, place + step) for step, item in reversed(held)]
    return None


def secrets_in_parameters(
    parameters: Mapping[str, object], secrets: Mapping[str, str]
) -> list[str]:
    """Return a sentence for each parameter of a run that holds a secret's value.

    Parameters are kept in the store in clear, and engines show them.
    """
    problems = []
    for name, value in parameters.items():
        if found := find_secret(value, secrets):
            variable, place = found
            at = f" at {place}" if place else ""
            problems.append(
                f"the parameter `{name}` holds the value of the secret {variable}{at}, and would be"
                " kept in the store in clear: read the secret in the steps that need it instead"
                " (secrets={…}), or do not declare as a secret what is none"
            )
    return problems


def _stands_in(text: str | bytes | bytearray, form: str, encoded: bytes) -> bool:
    if isinstance(text, str):
        return form in text if len(form) >= SHORTEST_PART else form == text
    return encoded in text if len(form) >= SHORTEST_PART else encoded == text


def _held(value: object) -> list[tuple[str, object]]:
    """Return what a container or an instance of a class in Python holds, each with its place."""
    if value is None or isinstance(value, (bool, int, float, type)):
        return []
    if isinstance(value, dict):
        keys = [("", key) for key in value]
        return keys + [(f"[{_key(key)}]", item) for key, item in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(f".{name}", item) for name, item in zip(value._fields, value, strict=False)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [(f"[{number}]", item) for number, item in enumerate(value)]
    if any(hasattr(value, name) for name in ("__array__", "__dataframe__", "__fspath__")):
        return []
    fields: dict[str, object] = dict(getattr(value, "__dict__", None) or {})
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                fields[name] = getattr(value, name)
    return [(f".{name}", item) for name, item in fields.items()]


def _key(key: object) -> str:
    return f'"{key}"' if isinstance(key, str) else repr(key)
