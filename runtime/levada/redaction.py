"""Keep the values of secrets out of logs, records and stored diffs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MASK = "***"
#: A shorter text is no secret: hiding it would only make everything else unreadable.
SHORTEST = 3

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

    __slots__ = ("_held", "_prefixes", "_secrets")

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [secret.encode("utf-8", "surrogateescape") for secret in forms(secrets)]
        self._prefixes = {s[:length] for s in self._secrets for length in range(1, len(s))}
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Give what can be shown by now; the start of what may be a secret is held back."""
        if not self._secrets:
            return chunk
        data = self._replaced(self._held + chunk)
        longest = max(len(secret) for secret in self._secrets) - 1
        for length in range(min(longest, len(data)), 0, -1):
            if data[-length:] in self._prefixes:
                self._held = data[-length:]
                return data[:-length]
        self._held = b""
        return data

    def flush(self) -> bytes:
        """Give what was held back: the stream is over."""
        held, self._held = self._held, b""
        return held

    def _replaced(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, MASK.encode())
        return data


def forms(secrets: Iterable[str]) -> list[str]:
    """Give the secrets as they may be written: whole, line by line, escaped; longest first."""
    found: set[str] = set()
    for secret in secrets:
        found.add(secret)
        found.update(line.strip() for line in secret.splitlines())
        found.add(repr(secret)[1:-1])
        found.add(secret.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
    return sorted((form for form in found if len(form) >= SHORTEST), key=len, reverse=True)


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets in a text."""
    for secret in forms(secrets):
        text = text.replace(secret, MASK)
    return text


def redact_json(value: Any, secrets: Iterable[str]) -> Any:
    """Replace secrets in every string of a JSON value, keys included, digests left out."""
    secrets = forms(secrets)
    if not secrets:
        return value
    return _redacted(value, secrets)


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


def _is_digest(key: str, item: Any) -> bool:
    """Whether it is a digest, in which a short secret may stand by chance."""
    return key == "digest" and isinstance(item, str) and item.startswith("sha256:")


def redact_tokens(data: bytes) -> bytes:
    """Replace tokens and passwords that are recognised by their form."""
    import re

    return re.sub("|".join(_TOKENS).encode(), MASK.encode(), data)


def secret_values(names: Iterable[str], variables: dict[str, str]) -> list[str]:
    """Give the values that these environment variables have, those that are set."""
    return [variables[name] for name in names if variables.get(name)]
