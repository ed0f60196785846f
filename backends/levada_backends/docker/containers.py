"""Containers through the Docker engine's HTTP interface.

Source: docs.docker.com/reference/api/engine (version 1.41; containers: create, start, wait,
inspect, kill, logs, remove; images: create; info).
"""

from __future__ import annotations

import http.client
import io
import json
from typing import Any
from urllib.parse import quote

from levada_backends.images.engine import Engine
from levada_backends.images.image import ImageError

_STREAM_HEAD = 8  # bytes: the stream's number, three zeros, the size of what follows


class ContainerEngine(Engine):
    """An engine that runs containers. All methods raise ImageError if it does not answer."""

    def create(self, name: str, settings: dict[str, Any]) -> str:
        """Create a container; give its id. Raises ImageError also if it is refused."""
        status, body = self._post(f"/containers/create?name={quote(name)}", settings)
        if status == 404:
            raise ImageError(f"the Docker engine has no image {settings['Image']}")
        if status != 201:
            raise ImageError(f"the Docker engine refuses the container: {_message(body)}")
        return str(json.loads(body)["Id"])

    def start(self, container: str) -> None:
        """Start it. Raises ImageError also if that fails."""
        status, body = self._post(f"/containers/{container}/start")
        if status not in (204, 304):
            raise ImageError(f"the container cannot be started: {_message(body)}")

    def wait(self, container: str) -> int:
        """Wait for its end, however long; give its exit code."""
        connection = self._connect()
        try:
            connection.connect()
            connection.sock.settimeout(None)
            connection.request("POST", f"/containers/{container}/wait")
            return int(json.loads(connection.getresponse().read())["StatusCode"])
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise ImageError(
                f"the Docker engine at {self.host} was lost while the step ran: {error}"
            ) from error
        finally:
            connection.close()

    def was_out_of_memory(self, container: str) -> bool:
        """Whether the kernel ended a process of it for its limit of memory."""
        status, body = self._ask("GET", f"/containers/{container}/json")
        return status == 200 and bool(json.loads(body)["State"].get("OOMKilled"))

    def kill(self, container: str, signal: str) -> None:
        """Send its first process a signal; nothing happens if it has ended."""
        self._post(f"/containers/{container}/kill?signal={signal}")

    def output(self, container: str) -> tuple[str, str]:
        """Give what its first process wrote to stdout and to stderr."""
        path = f"/containers/{container}/logs?stdout=1&stderr=1&tail=200"
        status, body = self._ask("GET", path)
        streams = {1: b"", 2: b""}
        while status == 200 and len(body) >= _STREAM_HEAD:
            end = _STREAM_HEAD + int.from_bytes(body[4:_STREAM_HEAD], "big")
            streams[body[0]] = streams.get(body[0], b"") + body[_STREAM_HEAD:end]
            body = body[end:]
        return streams[1].decode("utf-8", "replace"), streams[2].decode("utf-8", "replace")

    def remove(self, container: str) -> None:
        """Remove it, and end it first if it runs; by its id or its name."""
        self._ask("DELETE", f"/containers/{container}?force=1&v=1")

    def pull(self, image: str) -> None:
        """Pull an image from its registry, without credentials. Raises ImageError."""
        status, body = self._post(f"/images/create?fromImage={quote(image, safe='')}")
        problems = [json.loads(line).get("error") for line in body.splitlines() if line.strip()]
        if status != 200 or any(problems):
            said = next(filter(None, problems), "") or _message(body)
            raise ImageError(
                f"the Docker engine has no image {image}, and cannot pull it: {said}",
                f"`docker pull {image}` (after `docker login`, if its registry wants one)",
            )

    def is_rootless(self) -> bool:
        """Whether root in a container is whoever runs the engine."""
        options = self._info().get("SecurityOptions") or ()
        return any("name=rootless" in option for option in options)

    def cores(self) -> int:
        """Return how many CPUs it has; 0 if it does not say."""
        return int(self._info().get("NCPU") or 0)

    def _info(self) -> dict[str, Any]:
        status, body = self._ask("GET", "/info")
        found: dict[str, Any] = json.loads(body) if status == 200 else {}
        return found

    def _post(self, path: str, content: dict[str, Any] | None = None) -> tuple[int, bytes]:
        data = b"" if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        return self._ask("POST", path, io.BytesIO(data), headers)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
