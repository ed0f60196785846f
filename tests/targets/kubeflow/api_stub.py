"""The part of KFP's API (v2beta1) that the client uses, with a memory and nothing behind it.

The real `kfp` client talks to this over HTTP; what is shown is that Levada asks the right things of
that client, not that a server agrees.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

BASE = "/apis/v2beta1"
#: What the API answers where there is no log, with a status of 200.
NO_LOG = {"error_message": "Failed to read logs", "error_details": "Failed to read logs"}


class Api:
    """What was asked for, by collection and id."""

    def __init__(self) -> None:
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}  #: by what is asked for
        self.ui_logs: dict[str, str] = {}  #: those that the server of the UI has, by pod
        self.calls: list[str] = []
        self._made: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.refuses = 0
        self.page: str | None = None  #: what is answered to everything

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        """The answer to a request; None if there is nothing there."""
        self.calls.append(f"{method} {path}")
        parts = path.removeprefix(BASE).strip("/").split("/")
        if path.startswith("/apis/v1alpha1/runs/"):
            return self.logs.get(path.split("/")[-2], NO_LOG)
        if path == "/k8s/pod/logs":
            return self.ui_logs.get(query["podname"])
        if "runs" in parts[0]:
            return self._of_runs(method, parts, body)
        match (method, parts):
            case "GET", ["pipelines"]:
                return {"pipelines": self._named(self.pipelines, query)}
            case "POST", ["pipelines"]:
                return self._add(self.pipelines, "pipeline_id", json.loads(body))
            case "POST", ["pipelines", "upload_version"]:
                return self._upload(query, body)
            case "GET", ["pipelines", pipeline, "versions"]:
                found = [v for v in self.versions.values() if v["pipeline_id"] == pipeline]
                return {"pipeline_versions": found}
            case "GET", ["pipelines", _, "versions", version]:
                return self.versions.get(version)
            case "GET", ["experiments"]:
                return {"experiments": self._named(self.experiments, query)}
            case "POST", ["experiments"]:
                return self._add(self.experiments, "experiment_id", json.loads(body))
        return {"multi_user": False} if parts == ["healthz"] else None

    def _of_runs(self, method: str, parts: list[str], body: bytes) -> Any:
        match (method, parts):
            case "POST", ["runs"]:
                made = self._add(self.runs, "run_id", json.loads(body))
                return made | {"state": "PENDING", "created_at": "2026-01-01T00:00:00Z"}
            case "GET", ["runs"]:
                return {"runs": list(self.runs.values())}
            case "GET", ["runs", run]:
                return self.runs.get(run)
            case "POST", ["runs", action]:
                run, _, what = action.partition(":")
                self.runs[run]["state"] = {"terminate": "CANCELING", "retry": "RUNNING"}[what]
                return {}
            case "GET", ["recurringruns"]:
                return {"recurringRuns": list(self.recurring.values())}
            case "POST", ["recurringruns"]:
                made = self._add(self.recurring, "recurring_run_id", json.loads(body))
                made["status"] = "ENABLED"
                return made
            case "POST", ["recurringruns", action]:
                recurring, _, what = action.partition(":")
                self.recurring[recurring]["status"] = f"{what.upper()}D"
                return {}
            case "DELETE", ["recurringruns", recurring]:
                return self.recurring.pop(recurring) and {}
        return None

    def _add(self, into: dict[str, Any], key: str, content: dict[str, Any]) -> dict[str, Any]:
        content[key] = f"{key}-{self._made[key]}"
        self._made[key] += 1
        into[content[key]] = content
        return content

    def _named(self, among: dict[str, Any], query: dict[str, str]) -> list[dict[str, Any]]:
        (predicate,) = json.loads(query["filter"])["predicates"]
        wanted = predicate["stringValue"]
        return [each for each in among.values() if each["display_name"] == wanted]

    def _upload(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        """Take the file out of the form that it is sent in."""
        text = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0].decode()
        documents = list(yaml.safe_load_all(text))
        spec = {"pipeline_spec": documents[0], "platform_spec": (documents[1:] or [{}])[0]}
        content = {"display_name": query["name"], "description": query.get("description", "")}
        content |= {"pipeline_id": query["pipelineid"], "pipeline_spec": spec}
        return self._add(self.versions, "pipeline_version_id", content)


@contextmanager
def serve(api: Api) -> Iterator[str]:
    """Serve it on the loopback; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            api.tokens.add(self.headers.get("Authorization") or "")
            status, found = api.refuses, {"error_message": "no"}
            if not status:
                found = api.answer(self.command, url.path, query, body)
                status = 404 if found is None else 200
            text = found if isinstance(found, str) else json.dumps(found or {})
            data = text.encode()
            if api.page is not None:
                status, data = api.refuses or 200, api.page.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing: a test fails by what it asserts."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
