"""How the Airflow under test is configured: as a user's is, only quicker."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Tasks at a time. They are mostly Airflow's own start-up, which is bound by the processor.
PARALLELISM = max(4, 2 * (os.cpu_count() or 1))

# Who may do everything; nobody else may do anything.
USERNAME = "levada"
PASSWORD = "no secret"

# With it connections are kept. Without one, processes that start together each make their own, and
# cannot read what another one wrote.
_FERNET_KEY = base64.urlsafe_b64encode(b"no secret".ljust(32)).decode()

# What makes Airflow look again at once. A file is parsed anew when its time of change is newer
# than its last parse, whatever the interval says; the interval only keeps it from doing so for
# nothing.
_BOTH = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__FERNET_KEY": _FERNET_KEY,
    "CORE__PARALLELISM": str(PARALLELISM),
    "CORE__MAX_ACTIVE_RUNS_PER_DAG": "100",
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": "100",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__MP_START_METHOD": "fork",
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
    "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "SCHEDULER__USE_JOB_SCHEDULE": "True",
    "API__MAXIMUM_PAGE_LIMIT": "1000",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
}

_2 = {
    "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
    "SCHEDULER__DAG_DIR_LIST_INTERVAL": "1",
    "SCHEDULER__PARSING_PROCESSES": "1",
    "API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
    "API__ENABLE_XCOM_DESERIALIZE_SUPPORT": "True",
    "WEBSERVER__WORKERS": "1",
    "WEBSERVER__WORKER_REFRESH_INTERVAL": "0",
    "WEBSERVER__SECRET_KEY": "no-secret",
}

_3 = {
    "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "API_AUTH__JWT_SECRET": "no secret, but long enough for HMAC-SHA512: " + "0123456789" * 2,
    "API__SECRET_KEY": "no-secret",
    # A supervisor that misses the end of its task by a moment sleeps for this long, in seconds.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


def settings(version: str, home: Path, database: str, port: int) -> dict[str, str]:
    """The variables that make an Airflow of this version, in this folder, with this database."""
    own = dict(_3 if version == "3" else _2)
    own["CORE__DAGS_FOLDER"] = str(home / "dags")
    own["DATABASE__SQL_ALCHEMY_CONN"] = database
    own["LOGGING__BASE_LOG_FOLDER"] = str(home / "logs")
    if version == "3":
        own["CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] = str(home / "passwords.json")
        own["API__HOST"] = "127.0.0.1"
        own["API__PORT"] = str(port)
        own["API__BASE_URL"] = f"http://127.0.0.1:{port}"
        own["CORE__EXECUTION_API_SERVER_URL"] = f"http://127.0.0.1:{port}/execution/"
        own["DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = _bundles(home)
    else:
        own["WEBSERVER__WEB_SERVER_HOST"] = "127.0.0.1"
        own["WEBSERVER__WEB_SERVER_PORT"] = str(port)
        own["WEBSERVER__CONFIG_FILE"] = str(home / "webserver_config.py")
    variables = {f"AIRFLOW__{name}": value for name, value in (_BOTH | own).items()}
    return {"AIRFLOW_HOME": str(home), **variables}


def write_files(version: str, home: Path) -> None:
    """The folders and files that the settings name."""
    (home / "dags").mkdir(parents=True)
    (home / "logs").mkdir()
    if version == "2":
        (home / "webserver_config.py").write_text("")
    else:
        (home / "passwords.json").write_text(json.dumps({USERNAME: PASSWORD}))


def _bundles(home: Path) -> str:
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    options = {"path": str(home / "dags"), "refresh_interval": 1}
    return json.dumps([{"name": "dags-folder", "classpath": local, "kwargs": options}])
