"""Container steps: a program of someone else's image, with its inputs and outputs as files.

The program finds each input at ``/levada/in/<name>`` and writes each output to
``/levada/out/<name>``. A ``Path`` is the file or folder itself, a ``str`` its text, ``bytes`` the
bytes; anything else is JSON. The image needs neither Python nor Levada nor a shell.

A step is described by its *part*: ``command``, ``args`` and ``outputs`` (the types of the outputs
by their names), as the plan has it.
"""

from __future__ import annotations

import json
import os

from levada.artifact import MaterializerError
from levada.errors import ProgramError, ReturnError
from levada.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from levada.record_types import EnvironmentPart
    from levada.request import StepRequest

#: Where the program finds its files.
FOLDER = "/levada"
#: Set where the program has run already, as in a pod: the folder in which its files are.
RAN_IN = "LEVADA_PROGRAM_FOLDER"
#: Set there if the program failed: how.
FAILED_WITH = "LEVADA_PROGRAM_ERROR"
_VERSION = "levada.container/1"


def digest(part: Mapping[str, object]) -> str:
    """Give the digest of what a container step runs, but for its image and its variables.

    It is what the digest of its code is for any other step.
    """
    return _digest_of([_VERSION, part])


def environment(image: str, found: str | None = None) -> EnvironmentPart:
    """Give the environment part of a record for a step that runs a program of ``image``.

    ``found`` is the digest of the image. Where it is not known and the reference does not have it,
    the reference stands for it in the digest of the environment.
    """
    from levada.environment import platform

    _, at, named = image.partition("@")
    digest = named if at else found
    return {
        "digest": _digest_of({"image": digest or image}),
        "python": "",
        "implementation": "",
        "platform": platform(),
        "packages": {},
        "image": image if at or digest is None else f"{image}@{digest}",
    }


def environment_here(image: str) -> EnvironmentPart:
    """Give the environment part of a record of a step on this machine, or in this pod."""
    if RAN_IN in os.environ:
        return environment(image)
    from levada import docker_program

    return environment(image, docker_program.known_digest(image))


def container_name(request: StepRequest) -> str:
    """Give the name of the container of an attempt: another attempt has another one."""
    return f"levada-{_digest_of([request.store, request.folder])[7:23]}"


def _digest_of(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"sha256:{sha256(text.encode()).hexdigest()}"


# ---------------------------------------------------------------------------- inputs


def stage(inputs: Mapping[str, object], folder: str) -> None:
    """Write the inputs of a program below ``folder``, and make the folder for its outputs.

    Raises MaterializerError for a value that has no such form.
    """
    for each in ("in", "out"):
        os.makedirs(os.path.join(folder, each), exist_ok=True)
    for name, value in inputs.items():
        try:
            _write(value, os.path.join(folder, "in", name))
        except (TypeError, ValueError, OSError) as error:
            raise MaterializerError(
                f"the input {name!r} cannot be handed to a program: {error}; it takes files and"
                " folders (Path), texts (str), bytes and JSON values"
            ) from error


def staged_at(folder: str) -> int | None:
    """Return when the inputs were written, in nanoseconds since 1970; None if there are none."""
    try:
        return os.stat(os.path.join(folder, "in")).st_mtime_ns
    except FileNotFoundError:
        return None


def _write(value: object, place: str) -> None:
    """Write a value. Raises TypeError or ValueError if it has no JSON form."""
    if isinstance(value, os.PathLike):
        _copy(os.fspath(value), place)
        return
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
    elif isinstance(value, bytes):
        data = value
    else:
        data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    with open(place, "wb") as file:
        file.write(data)


def _copy(source: str, place: str) -> None:
    """Copy a file or a folder: a program may change what it is given."""
    import shutil

    if os.path.isdir(source):
        shutil.copytree(source, place, symlinks=True)
    else:
        shutil.copy(source, place)


# ---------------------------------------------------------------------------- outputs


def collect(part: Mapping[str, Any], folder: str) -> dict[str, object]:
    """Read what the program has written below ``folder``, by the names of the outputs.

    Raises ProgramError for an output that is not there, ReturnError for one of another type.
    """
    return {name: _read(name, kind, folder) for name, kind in part["outputs"].items()}


def _read(name: str, kind: str, folder: str) -> object:
    place, shown = os.path.join(folder, "out", name), f"{FOLDER}/out/{name}"
    if not os.path.lexists(place):
        raise ProgramError(f"the program did not write the output {name!r}: there is no {shown}")
    if kind == "pathlib.Path":
        from pathlib import Path

        return Path(place)
    if not os.path.isfile(place):
        raise ReturnError(f"the output {name!r} is {kind}, but {shown} is not a file")
    with open(place, "rb") as file:
        data = file.read()
    try:
        return CONVERTED[kind](data)
    except ValueError as error:
        shown_data = data[:80].decode("utf-8", "backslashreplace")
        raise ReturnError(
            f"the output {name!r} in {shown} is not {kind}: {shown_data!r} ({error})"
        ) from None


def _json(*kinds: type) -> Callable[[bytes], Any]:
    def read(data: bytes) -> object:
        found = json.loads(data)
        if type(found) not in kinds:
            raise ValueError(f"this is JSON of another type, {type(found).__name__}")
        return found

    return read


def _any(data: bytes) -> object:
    return json.loads(data)


def _float(data: bytes) -> float:
    return float(_json(int, float)(data))


def _bytes(data: bytes) -> bytes:
    return data


#: How an output of each type is read from the bytes that the program wrote.
CONVERTED: dict[str, Callable[[bytes], object]] = {
    "pathlib.Path": _bytes,
    "str": bytes.decode,
    "bytes": _bytes,
    "int": _json(int),
    "float": _float,
    "bool": _json(bool),
    "list": _json(list),
    "dict": _json(dict),
    "any": _any,
}


def returned(outputs: Mapping[str, object]) -> object:
    """Give what a step with these outputs returns: nothing, the only one, or a tuple."""
    values = tuple(outputs.values())
    return None if not values else values[0] if len(values) == 1 else values


# ---------------------------------------------------------------------------- as plain Python


class Declared:
    """What ``container(image, …)`` declares, to be called as plain Python."""

    def __init__(
        self,
        image: str,
        command: Iterable[str] | None,
        args: Iterable[str] | None,
        inputs: Mapping[str, object] | None,
        outputs: Mapping[str, object] | None,
    ) -> None:
        """Raises TypeError or ValueError for what has no meaning."""
        if not isinstance(image, str) or not image or any(map(str.isspace, image)):
            raise ValueError(f'an image is a text such as "name:tag", not {image!r}')
        self.image = image
        self.inputs = list(_names("inputs", inputs))
        kinds = {name: _kind(name, kind) for name, kind in _names("outputs", outputs).items()}
        self.part = {
            "command": _words("command", command),
            "args": _words("args", args),
            "outputs": kinds,
        }

    def call(
        self, name: str, settings: Mapping[str, object], given: Mapping[str, object]
    ) -> object:
        """Run the program through the Docker engine of this machine; give its outputs."""
        for each in given:
            if each not in self.inputs:
                raise TypeError(f"{name}() got an unexpected keyword argument {each!r}")
        missing = [each for each in self.inputs if each not in given]
        if missing:
            raise TypeError(f"{name}() is missing the argument {missing[0]!r}")
        from levada.docker_program import Program
        from levada.materializers.paths import new_folder

        folder = new_folder()
        stage(given, folder)
        Program(self.image, self.part, settings).run(folder, f"levada-{os.urandom(8).hex()}")
        outputs = collect(self.part, folder)
        if len(outputs) < 2:
            return returned(outputs)
        from collections import namedtuple

        return namedtuple(name, outputs)(**outputs)  # noqa: PYI024


def _words(name: str, given: Iterable[str] | None) -> list[str] | None:
    if given is None:
        return None
    if not isinstance(given, list | tuple) or not all(isinstance(word, str) for word in given):
        raise TypeError(f"`{name}` is a list of texts, not {given!r}")
    if not given and name == "command":
        raise ValueError("`command` is empty: leave it out, and the image's entry point runs")
    return list(given)


def _names(part: str, given: Mapping[str, object] | None) -> Mapping[str, object]:
    for name in given or ():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"a name in `{part}` is a Python identifier, not {name!r}")
    return given or {}


def _kind(name: str, kind: object) -> str:
    """Name the type of an output as the compiler does."""
    origin = getattr(kind, "__origin__", kind)
    word = getattr(origin, "__name__", str(origin))
    word = {"Path": "pathlib.Path", "object": "any", "Any": "any"}.get(word, word)
    if word not in CONVERTED:
        raise TypeError(
            f"the output {name!r} cannot be {kind!r}: a program gives files (Path), texts (str),"
            " bytes and JSON values"
        )
    return word
