"""Who we are to a package index: what uv takes for it, so that our own downloads work as its do.

Sources, in this order: the URLs of indexes in the environment, in uv's settings, in requirements
files, and of the requirements themselves; ``UV_INDEX_<NAME>_USERNAME`` and ``…_PASSWORD``; netrc
(``$NETRC``, else ``~/.netrc``); the program ``keyring`` where uv's ``keyring-provider`` is
``subprocess`` and a user is known. Credentials are sent to the server that they are for, and are
kept nowhere: a lock has URLs without them.
"""

from __future__ import annotations

import netrc
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from . import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .places import Index

_VARIABLES = (
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
    "UV_FIND_LINKS",
)
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)([^\s\"'<>`]+)", re.IGNORECASE)
#: Names of a query's parameters that say who asks: of registries, S3, Google's storage and Azure's.
_SECRET_PARAMETER = re.compile(
    r"token|key|secret|passw|pwd|auth|cred|sig(nature)?$|^(user|username|login|policy|expires|x-.*)$"
    r"|^s[eprtv]$|^sp?r$|^sktid$|^skoid$",
    re.IGNORECASE,
)
_KEYRING_SECONDS = 60
_asked: dict[tuple[str, str], str | None] = {}


def without_credentials(text: str) -> str:
    """Return a text whose URLs have no password, no user of one and no secret parameter.

    >>> without_credentials("a @ https://me:word@host/a.whl?token=x&v=1#sha256=2")
    'a @ https://host/a.whl?v=1#sha256=2'
    >>> without_credentials("git+ssh://git@host/a.git")
    'git+ssh://git@host/a.git'
    """
    return _URL.sub(lambda found: found[1] + _bare(found[1].lower(), found[2]), text)


def _bare(scheme: str, rest: str) -> str:
    end = next((at for at, char in enumerate(rest) if char in "/?#"), len(rest))
    at = rest.rfind("@", 0, end)
    user, place = (rest[:at], rest[at + 1 :]) if at >= 0 else ("", rest)
    if user and "ssh://" in scheme:  # the account of the server, as `git`
        place = f"{user.partition(':')[0]}@{place}"
    address, fragment_mark, fragment = place.partition("#")
    address, _, query = address.partition("?")
    kept = [part for part in query.split("&") if part and not _is_secret(part)]
    return address + (f"?{'&'.join(kept)}" if kept else "") + fragment_mark + fragment


def _is_secret(part: str) -> bool:
    return bool(_SECRET_PARAMETER.search(part.partition("=")[0]))


def find(url: str) -> tuple[str, str] | None:
    """Give the user and the password for a URL, if any are known for its server."""
    user = ""
    for index in _known(url):
        login = index.login()
        if login is not None and login[1]:
            return login
        user = user or (login[0] if login else "")
        password = _of_keyring(index, user) if user else None
        if password is not None:
            return user, password
    return _of_netrc(url) or ((user, "") if user else None)


def with_parameters(url: str) -> str:
    """Give a URL with the secret parameters that an index on its server has."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in query}
    for index in _known(url):
        for name, value in parse_qsl(urlsplit(index.url).query):
            if _is_secret(name) and name not in names:
                names.add(name)
                query.append((name, value))
    return urlunsplit(parts._replace(query=urlencode(query))) if query else url


def _known(url: str) -> Iterator[Index]:
    server = _server(url)
    words = (word for name in _VARIABLES for word in os.environ.get(name, "").split())
    indexes = (*map(named, words), *places.indexes())
    return (index for index in indexes if _server(index.url) == server)


def named(word: str) -> Index:
    """Give the index of ``URL`` or ``name=URL``, as variables of uv have it."""
    name, _, url = word.partition("=") if re.match(r"[^:/?]+=", word) else ("", "", word)
    return places.Index(name, url)


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)


def _of_netrc(url: str) -> tuple[str, str] | None:
    try:
        # With a path, who may read the file is not checked: uv does not either.
        file = os.environ.get("NETRC") or str(Path.home() / ".netrc")
        entry = netrc.netrc(file).authenticators(urlsplit(url).hostname or "")
    except (OSError, RuntimeError, UnicodeDecodeError, netrc.NetrcParseError):
        return None
    return (entry[0], entry[2] or "") if entry else None


def _of_keyring(index: Index, user: str) -> str | None:
    """Ask the program `keyring` for an index's password, by its URL and then by its host."""
    provider = os.environ.get("UV_KEYRING_PROVIDER") or places.keyring_provider()
    if provider != "subprocess":
        return None
    host = urlsplit(index.address).netloc
    for service in (index.address, host):
        if (service, user) not in _asked:
            _asked[service, user] = _keyring(service, user)
        if (password := _asked[service, user]) is not None:
            return password
    return None


def _keyring(service: str, user: str) -> str | None:
    try:
        done = subprocess.run(
            ["keyring", "get", service, user],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_KEYRING_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip("\r\n") or None if done.returncode == 0 else None
