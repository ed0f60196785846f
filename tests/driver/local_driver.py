"""A driver as a process of this machine, for what a cluster takes too long for: to be killed often.

It reaches the API server with the token of the driver's own account, and the store where this
machine has it.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from .deployment import ClusterRun


class LocalDriver:
    """Starts drivers of a run whose own Job is suspended."""

    def __init__(self, run: ClusterRun, folder: Path) -> None:
        self._run = run
        self._folder = folder
        account = run.deployment.made.name + "-driver"
        token = run.space.kubectl("create", "token", account, "--duration=1h").stdout
        for name, text in {
            "account/token": token,
            "account/ca.crt": self._authority(),
            **{f"plan/{key}": text for key, text in run.deployment.made.data.items()},
        }.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def _authority(self) -> str:
        return base64.b64decode(self._cluster()["certificate-authority-data"]).decode()

    def _cluster(self) -> dict[str, str]:
        content = self._run.space.cluster.kubectl("config", "view", "--raw").stdout
        found: dict[str, str] = yaml.safe_load(content)["clusters"][0]["cluster"]
        if "certificate-authority" in found:
            text = Path(found["certificate-authority"]).read_bytes()
            found["certificate-authority-data"] = base64.b64encode(text).decode()
        return found

    def start(
        self, parameters: dict[str, Any], module: str = "levada.driver", **variables: str
    ) -> subprocess.Popen[str]:
        """Start one more, with more variables in its environment."""
        address = urllib.parse.urlparse(self._cluster()["server"])
        return subprocess.Popen(
            [sys.executable, "-m", module, str(self._folder / "plan")],
            env={
                "KUBERNETES_SERVICE_HOST": str(address.hostname),
                "KUBERNETES_SERVICE_PORT": str(address.port or 443),
                "LEVADA_SERVICE_ACCOUNT": str(self._folder / "account"),
                "LEVADA_NAMESPACE": self._run.space.name,
                "LEVADA_JOB": self._run.name,
                "LEVADA_PIPELINE": self._run.deployment.made.plan["pipeline"],
                "LEVADA_STORE": str(self._run.space.store),
                "LEVADA_PARAMS": json.dumps(parameters),
                "PYTHONDONTWRITEBYTECODE": "1",
                **variables,
            },
            cwd="/",
            umask=0,  # the pods have another user, and write to its folders
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
