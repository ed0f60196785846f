"""A whole Kubeflow Pipelines on a Kubernetes of the tests' own.

    python -m tests.engines.kubeflow_server install|start|stop

Argo's controller, KFP's API server, its agent and the controller of recurring runs, its driver and
launcher are built from Go modules (`kubeflow_programs`), MariaDB is Debian's, ML Metadata's store
and an S3 server come from PyPI. The servers run beside the node, in the namespaces of the cluster;
what a pipeline starts runs in pods.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cluster as kubernetes
from tests.cluster import images, place
from tests.cluster.cluster import Cluster
from tests.cluster.place import Place

from . import environments
from . import kubeflow_manifests as manifests
from . import kubeflow_programs as programs

INSTALL = "python -m tests.engines.kubeflow_server install"
LOCK = environments.REQUIREMENTS / "kubeflow-server.txt"
_HERE = Path(__file__).parent
_ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
_AGENT_TOKEN = "/run/secrets/kubeflow/tokens/persistenceagent-sa-token"


@dataclass(frozen=True)
class Server:
    """A running one; `store` is the folder that is Levada's store in it."""

    url: str
    kubeconfig: Path
    registry: str
    store: Path


def is_installed() -> bool:
    """Whether it can be started."""
    return (
        kubernetes.is_installed()
        and programs.is_installed(programs.SERVER)
        and environments.is_installed(environments.location("kubeflow-server", LOCK))
        and shutil.which("mariadbd", path="/usr/sbin:/usr/bin") is not None
    )


def install() -> None:
    """Build and fetch what is missing."""
    kubernetes.install()
    programs.install(programs.SERVER)
    environments.install("kubeflow-server", LOCK)
    if shutil.which("mariadbd", path="/usr/sbin:/usr/bin") is None:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"]
        subprocess.run(["apt-get", "update", "--quiet"], check=True, env=env)
        subprocess.run([*command, "mariadb-server-core"], check=True, env=env)


@contextlib.contextmanager
def start() -> Iterator[Server]:
    """Start all of it; nothing is left after the context."""
    with place.make() as here:
        cluster = kubernetes.start_in(here)
        store = here.folder / "store"
        store.mkdir(mode=0o777)
        store.chmod(0o777)
        cluster.apply(*manifests.kinds(), *manifests.objects(str(store)))
        for address, _ in manifests.SERVICES.values():
            here.run("ip", "address", "add", f"{address}/32", "dev", "lo")
        _give_account(here, cluster)
        _start_stores(here)
        _start_kubeflow(here, _images(here, cluster))
        url = f"http://{here.node}:8888"
        server = Server(url, cluster.kubeconfig, cluster.registry, store)
        here.wait("Kubeflow's API answers", lambda: _answers(f"{server.url}/apis/v2beta1/healthz"))
        _start_controllers(here)
        yield server


def _give_account(here: Place, cluster: Cluster) -> None:
    """Programs beside the node find the API server as if they were in pods of the account."""
    token = cluster.kubectl(
        *("create", "token", manifests.ACCOUNT, f"--namespace={manifests.NAMESPACE}"),
        "--duration=24h",
    ).stdout
    authority = (here.folder / "keys" / "authority.crt").read_text()
    files = {
        f"{_ACCOUNT}/token": token,
        f"{_ACCOUNT}/ca.crt": authority,
        f"{_ACCOUNT}/namespace": manifests.NAMESPACE,
        _AGENT_TOKEN: token,
    }
    for path, text in files.items():
        here.run("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1"', "sh", path, stdin=text)


def _start_stores(here: Place) -> None:
    """MariaDB (without users, hence without tables of its own), the S3 server and ML Metadata."""
    data = here.folder / "mariadb"
    plain = ("--no-defaults", f"--datadir={data}", "--user=root")
    data.mkdir()
    here.start(
        "mariadb",
        *("/usr/sbin/mariadbd", *plain, f"--socket={data}/socket", "--bind-address=127.0.0.1"),
        *("--skip-grant-tables", "--innodb-flush-log-at-trx-commit=0", "--sql-mode="),
        *("--character-set-server=utf8mb3", "--collation-server=utf8mb3_general_ci"),
    )
    binaries = environments.location("kubeflow-server", LOCK) / "bin"
    here.start("s3", str(binaries / "moto_server"), "-H", "0.0.0.0", "-p", "9000")
    here.start(
        "metadata",
        *(str(binaries / "python"), str(_HERE / "kubeflow_metadata.py")),
        *(str(here.folder / "metadata.db"), "8080"),
    )
    for port in (3306, 9000, 8080):
        here.wait(f"port {port} is open", lambda port=port: _is_open(here, port))


def _images(here: Place, cluster: Cluster) -> dict[str, str]:
    """The images of the programs that run in pods."""
    made = {}
    for name in ("driver", "launcher-v2", "argoexec"):
        archive = here.folder / f"{name}.tar"
        content = programs.SERVER.location(name).read_bytes()
        images.write(archive, f"levada.local/{name}:1", {f"bin/{name}": content}, user="0:0")
        made[name] = cluster.containerd.import_image(archive, f"levada.local/{name}")
        archive.unlink()
    return made


def _start_kubeflow(here: Place, made: dict[str, str]) -> None:
    config = here.folder / "kubeflow"
    config.mkdir()
    (config / "config.json").write_text(json.dumps(_CONFIG))
    (config / "samples.json").write_text("[]")
    _start(
        *(here, "apiserver", f"--config={config}", f"--sampleconfig={config}/samples.json"),
        V2_DRIVER_IMAGE=made["driver"],
        V2_LAUNCHER_IMAGE=made["launcher-v2"],
        ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_HOST="127.0.0.1",  # where nobody answers
        ML_PIPELINE_VISUALIZATIONSERVER_SERVICE_PORT="8889",
    )
    namespace = manifests.NAMESPACE
    _start(
        *(here, "workflow-controller", "--namespaced", f"--managed-namespace={namespace}"),
        f"--executor-image={made['argoexec']}",
        "--executor-image-pull-policy=IfNotPresent",
        LEADER_ELECTION_DISABLE="true",
        DEFAULT_REQUEUE_TIME="2s",
        ARGO_POD_NAME="workflow-controller",
    )


def _start_controllers(here: Place) -> None:
    namespace = f"--namespace={manifests.NAMESPACE}"
    _start(here, "persistence-agent", namespace, "--mlPipelineAPIServerName=127.0.0.1")
    _start(here, "scheduled-workflow", namespace)


def _start(here: Place, program: str, *arguments: str, **variables: str) -> None:
    in_pod = {
        "KUBERNETES_SERVICE_HOST": place.SERVICE,
        "KUBERNETES_SERVICE_PORT": "443",
        "POD_NAMESPACE": manifests.NAMESPACE,
        "ARGO_NAMESPACE": manifests.NAMESPACE,
    }
    given = [f"{name}={value}" for name, value in (in_pod | variables).items()]
    here.start(program, "env", *given, str(programs.SERVER.location(program)), *arguments)


_CONFIG = {
    "DBConfig": {
        "MySQLConfig": {
            "Host": "127.0.0.1",
            "Port": "3306",
            "User": "root",
            "DBName": "mlpipeline",
            "GroupConcatMaxLen": "4194304",
        },
        "ConMaxLifeTime": "120s",
    },
    "ObjectStoreConfig": {
        "Host": "127.0.0.1",
        "Port": "9000",
        "Region": "us-east-1",
        "AccessKey": manifests.SECRET["accesskey"],
        "SecretAccessKey": manifests.SECRET["secretkey"],
        "BucketName": "mlpipeline",
        "PipelinePath": "pipelines",
    },
    "DBDriverName": "mysql",
    "InitConnectionTimeout": "2m",
    "DEFAULTPIPELINERUNNERSERVICEACCOUNT": manifests.ACCOUNT,
    "CacheEnabled": "true",
    "CRON_SCHEDULE_TIMEZONE": "UTC",
}


def _is_open(here: Place, port: int) -> bool:
    """Whether something in the namespaces listens there, by the kernel's tables."""
    listening = here.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
    return f":{port:04X} " in listening


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main() -> None:
    """Run one command."""
    commands = {"install": install, "start": _start_and_stay, "stop": _stop}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python -m tests.engines.kubeflow_server {'|'.join(commands)}")
    commands[sys.argv[1]]()


def _start_and_stay() -> None:
    """In the foreground, until SIGTERM or Ctrl-C; `stop` sends the one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with start() as server:
        state = {"pid": os.getpid()} | {name: str(value) for name, value in vars(server).items()}
        _state().write_text(json.dumps(state, indent=2))
        print(json.dumps(state, indent=2), flush=True)
        try:
            signal.pause()
        finally:
            _state().unlink(missing_ok=True)


def _stop() -> None:
    if _state().exists():
        os.kill(json.loads(_state().read_text())["pid"], signal.SIGTERM)
    while _state().exists():
        time.sleep(0.1)


def attach() -> Server | None:
    """The one that `start` left running."""
    if not _state().exists():
        return None
    state = json.loads(_state().read_text())
    return Server(state["url"], Path(state["kubeconfig"]), state["registry"], Path(state["store"]))


def _state() -> Path:
    return environments.root() / f"kubeflow-server-{programs.SERVER.folder().name}.json"


if __name__ == "__main__":
    main()
