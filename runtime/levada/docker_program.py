"""The program of a container step on this machine, through the ``docker`` command.

The command knows which engine is meant (``DOCKER_HOST``, contexts) and how to log in to registries.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from contextlib import suppress

from levada.errors import Cancelled, ProgramError, StepError
from levada.programs import FOLDER
from levada.settings import amount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: Seconds that a program has to end after SIGTERM.
_GRACE = 5


class Program:
    """A program of an image. ``settings`` are those of the step."""

    def __init__(self, image: str, part: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self._image = image
        self._part = part
        self._settings = settings

    def run(self, folder: str, name: str) -> None:
        """Run it to its end with ``folder`` at ``/levada``; what it prints is printed.

        ``name`` is that of its container.

        Raises ProgramError if it fails, StepError if it cannot be run here.
        """
        provide(self._image)
        try:
            _ask(self._creation(name, folder))
            code = _attended(["docker", "start", "--attach", name])
            self._check_end(name, code)
        except Cancelled:
            _quietly(["docker", "stop", "--time", str(_GRACE), name])
            raise
        finally:
            remove(name)

    def _creation(self, name: str, folder: str) -> list[str]:
        engine = json.loads(_ask(["docker", "info", "--format", "{{json .}}"]))
        variables = {"HOME": "/tmp", **self._settings.get("environment", {})}  # noqa: S108
        words = [
            *("docker", "create", "--name", name, "--label", "dev.levada.program=1"),
            *("--user", _user(engine), "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--mount", f"type=bind,source={folder},target={FOLDER}"),
            *_limits(self._settings.get("resources") or {}, engine["NCPU"]),
        ]
        for variable, value in variables.items():
            words += ["--env", f"{variable}={value}"]
        for variable in self._settings.get("secrets") or ():
            words += ["--env", variable]  # its value does not show in the list of processes
        command = self._part["command"] or []
        words += ["--entrypoint", command[0]] if command else []
        return [*words, self._image, *command[1:], *(self._part["args"] or ())]

    def _check_end(self, name: str, code: int) -> None:
        state = json.loads(_ask(["docker", "inspect", "--format", "{{json .State}}", name]))
        if state.get("Error"):
            raise StepError(f"the image {self._image} cannot run this: {state['Error']}")
        if state.get("OOMKilled"):
            limit = (self._settings.get("resources") or {}).get("memory")
            of = f"its limit of {limit} (resources.memory)" if limit else "the machine has"
            raise ProgramError(f"the program used more memory than {of} (exit code {code})")
        if state["ExitCode"]:
            raise ProgramError(f"the program ended with exit code {state['ExitCode']}")


def _limits(resources: Mapping[str, Any], cores: int) -> list[str]:
    """Return the options of ``docker create`` that limit what a container may use.

    ``cores`` is how many the engine has: it refuses a limit beyond that.
    """
    words = []
    if resources.get("cpu"):
        words += ["--cpus", f"{min(amount(resources['cpu']), cores):.9f}"]
    if resources.get("memory"):
        size = str(math.ceil(amount(resources["memory"])))
        # Without swap: otherwise the program could use as much again.
        words += ["--memory", size, "--memory-swap", size]
    if resources.get("gpu"):
        words += ["--gpus", str(resources["gpu"])]
    return words


def remove(name: str) -> None:
    """Remove a container, and end its program first if it runs."""
    _quietly(["docker", "rm", "--force", "--volumes", name])


def provide(image: str) -> None:
    """Have an image in the engine, pulled if need be. Raises ProgramError or StepError."""
    if known_digest(image) is not None:
        return
    _check_engine()
    done = subprocess.run(["docker", "pull", "--quiet", image], capture_output=True, text=True)
    if done.returncode:
        raise ProgramError(  # another attempt may find its registry again
            f"the Docker engine has no image {image}, and cannot pull it: {_last(done.stderr)}"
        )


def known_digest(image: str) -> str | None:
    """Give the digest of an image; None where it is not in the engine, or there is no engine."""
    if "@" in image:
        return image.partition("@")[2]
    try:
        done = subprocess.run(
            ["docker", "image", "inspect", "--format", "{{json .}}", image],
            capture_output=True,
            text=True,
        )
    except OSError:
        return None
    if done.returncode:
        return None
    found = json.loads(done.stdout)
    repository = _repository(image)
    for each in found.get("RepoDigests") or ():
        name, _, digest = each.partition("@")
        if name == repository:
            return str(digest)
    return str(found["Id"])


def _repository(image: str) -> str:
    head, colon, tag = image.rpartition(":")
    return head if colon and "/" not in tag else image


def _user(engine: Mapping[str, Any]) -> str:
    """Who the program is: whoever runs the step, so that the files are the step's own."""
    if "name=rootless" in (engine.get("SecurityOptions") or ()):
        return "0:0"  # that is whoever runs the engine
    return f"{os.getuid()}:{os.getgid()}"


def _check_engine() -> None:
    _ask(["docker", "version", "--format", "{{.Server.Version}}"])


def _ask(words: list[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError as error:
        raise StepError(
            "a container step needs the command `docker` here, with an engine that it can reach:"
            f" {error.strerror}"
        ) from None
    if done.returncode:
        raise StepError(f"a container step needs a Docker engine here: {_last(done.stderr)}")
    return done.stdout


def _attended(words: list[str]) -> int:
    """Run a command whose output is that of the step."""
    sys.stdout.flush()  # what was printed before stands before it
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait()
        except BaseException:
            process.kill()
            raise


def _quietly(words: list[str]) -> None:
    with suppress(OSError):
        subprocess.run(words, capture_output=True, check=False)


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
