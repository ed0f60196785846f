"""How the container of an attempt is set up: as strict as a cluster would have it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from levada.stores import variables

from levada_backends.pods import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class StepImage:
    """What a step runs in.

    ``reference`` is what the engine knows it by, ``described`` the same with its digest, ``id``
    the engine's own digest of it. ``is_own``: the user made it, and its layout is the user's.
    """

    reference: str
    described: str
    id: str
    is_own: bool = False


def describing(image: StepImage, packages: str) -> dict[str, Any]:
    """A container that says what its image has."""
    environment = {"LEVADA_PACKAGES": packages, "LEVADA_IMAGE": image.described}
    return {
        "Image": image.reference,
        "Cmd": ["python", "-m", "levada.contained", "describe"],
        "Entrypoint": [],
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "HostConfig": {**_STRICT, "NetworkMode": "none"},
    }


def running(
    image: StepImage,
    *,
    request: str,
    user: str,
    folders: Sequence[str],
    settings: Mapping[str, Any],
    labels: Mapping[str, str],
    cores: int,
    store: str,
    network: str | None = None,
) -> dict[str, Any]:
    """The container of an attempt.

    ``request`` is the path of its request, ``folders`` are what it may write to, mounted where
    they are on the host, ``cores`` the CPUs of the engine, ``store`` the URL of the store,
    ``network`` that of the container, by default the engine's own. Values of secrets, and of what
    says how a bucket is reached, go into its variables, and nowhere else.
    """
    names = [*(settings.get("secrets") or ()), *variables.of(store)]
    secrets = {name: os.environ[name] for name in names if name in os.environ}
    environment = {"HOME": "/tmp", "LEVADA_IMAGE": image.described, **secrets}  # noqa: S108
    return {
        "Image": image.reference,
        "Cmd": ["python", "-m", "levada.contained", "run", request],
        "Entrypoint": [],
        "User": user,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": dict(labels),
        "HostConfig": {
            **_STRICT,
            **_limits(settings.get("resources") or {}, cores),
            **({"NetworkMode": network} if network else {}),
            "Mounts": [{"Type": "bind", "Source": path, "Target": path} for path in folders],
        },
    }


_STRICT: dict[str, Any] = {
    "ReadonlyRootfs": True,
    "Tmpfs": {"/tmp": "exec"},  # noqa: S108
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
}


def too_many_cores(settings: Mapping[str, Any], cores: int) -> str:
    """Say that a step asks for more CPUs than the engine has; empty if it does not."""
    wanted = (settings.get("resources") or {}).get("cpu")
    if not wanted or not cores or _amount(wanted, 10**9) <= cores * 10**9:
        return ""
    has = f"{cores} CPU{'s' * (cores != 1)}"
    return f"the step may use {has}, all that the Docker engine has: resources.cpu is {wanted}"


def _limits(resources: Mapping[str, Any], cores: int) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if resources.get("cpu"):
        wanted = _amount(resources["cpu"], 10**9)
        # The engine refuses a limit beyond the CPUs that it has.
        limits["NanoCpus"] = min(wanted, cores * 10**9) if cores else wanted
    if resources.get("memory"):
        # Without swap: what is over the limit is over it here too.
        limits["Memory"] = limits["MemorySwap"] = _amount(resources["memory"])
    if resources.get("gpu"):
        request = {"Count": int(resources["gpu"]), "Capabilities": [["gpu"]]}
        limits["DeviceRequests"] = [request]
    return limits


def _amount(text: float | str, unit: int = 1) -> int:
    return math.ceil(quantity.parse(text).value * unit)
