"""Who we are to a registry: what ``docker login`` left, or a credential helper says.

Source: docs.docker.com/reference/cli/docker/login ("Credential stores", "Credential helpers"), and
the protocol of docker-credential-helpers: ``get`` with the server on standard input.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from levada_compiler.slotted import dataclass

from .image import ImageError

_DOCKER_HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HELPER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password, or an identity token (then there is no user)."""

    user: str
    secret: str

    @property
    def is_token(self) -> bool:
        """Whether the secret is an identity token, for OAuth 2."""
        return self.user == ""

    def basic(self) -> str:
        """Give the value of an ``Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()

    def __repr__(self) -> str:
        """Keep the secret out of tracebacks and logs."""
        return f"Credentials({self.user!r}, '***')"


def config_file() -> Path:
    """Give Docker's configuration file, ``$DOCKER_CONFIG/config.json`` or that of the user."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def find(host: str) -> Credentials | None:
    """Give the credentials for a registry's host (with its port), None if there are none.

    Raises ImageError where Docker's configuration or a helper is broken.
    """
    config = _read_config()
    server = _DOCKER_HUB if host in _HUB_HOSTS else host
    helper = config.get("credHelpers", {}).get(host) or config.get("credsStore")
    if helper and (found := _ask_helper(str(helper), server)) is not None:
        return found
    for name, entry in config.get("auths", {}).items():
        if _host(name) == _host(server) and (found := _from_entry(name, entry)) is not None:
            return found
    return None


def _read_config() -> dict[str, Any]:
    path = config_file()
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be read: {error}", "mend it, or log in anew") from error
    return config if isinstance(config, dict) else {}


def _ask_helper(helper: str, server: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=server,
            capture_output=True,
            text=True,
            check=False,
            timeout=_HELPER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(
            f"the credential helper {program} does not work: {error}",
            f"install it, or take it out of {config_file()}",
        ) from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        if "not found" in said.lower():  # the protocol's word for "none here"
            return None
        raise ImageError(f"{program} gives no credentials for {server}: {said}")
    answer = json.loads(done.stdout)
    user = str(answer.get("Username", ""))
    return Credentials("" if user == "<token>" else user, str(answer.get("Secret", "")))


def _from_entry(name: str, entry: dict[str, Any]) -> Credentials | None:
    if token := entry.get("identitytoken"):
        return Credentials("", str(token))
    if not (packed := entry.get("auth")):
        user = entry.get("username")
        return Credentials(str(user), str(entry.get("password", ""))) if user else None
    try:
        user, _, secret = base64.b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise ImageError(
            f"the credentials for {name} in {config_file()} cannot be read", "log in anew"
        ) from error
    return Credentials(user, secret)


def _host(server: str) -> str:
    """Give the host of ``https://host/v1/`` and the like: Docker has written all of them."""
    host = server.partition("://")[2] or server
    host = host.partition("/")[0]
    return "docker.io" if host in _HUB_HOSTS else host
