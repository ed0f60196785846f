"""Cases in a real Airflow whose two workers share nothing but a bucket.

Tasks of one Airflow are made those of two workers by their Python: it gives every other task a home
and a folder for temporary files of its own, and so its own copies of blobs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import plain
from tests.conformance.case import IN_BUCKET, Case, all_cases
from tests.conformance.engines import airflow as engine
from tests.conformance.trace import differences
from tests.engines import airflow
from tests.engines.airflow import Airflow, Run
from tests.engines.fixtures import require_airflow
from tests.engines.object_stores.fixtures import use
from tests.engines.object_stores.servers import Bucket

pytestmark = pytest.mark.engine
CASES = [case for case in all_cases() if case.id in IN_BUCKET]
_WORKER = """\
#!/bin/sh
worker={folder}/worker-$(( $$ % 2 ))
mkdir -p "$worker/tmp"
export HOME="$worker" TMPDIR="$worker/tmp" LEVADA_BLOB_CACHE="$worker/blobs"
exec {python} "$@"
"""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the Python of the workers, and with what each has for itself."""
    folder = tmp_path_factory.mktemp("workers")
    python = folder / "python"
    python.write_text(_WORKER.format(folder=folder, python=sys.executable))
    python.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def server(versitygw: Bucket, workers: Path) -> Iterator[tuple[Airflow, str]]:
    """An Airflow with its store in a bucket, and the URL of that."""
    require_airflow("3")
    url = versitygw.at("airflow").url
    variables = {**versitygw.environment, "LEVADA_STORE": url}
    variables["LEVADA_PYTHON"] = str(workers / "python")
    with airflow.start("3", variables) as started, pytest.MonkeyPatch.context() as patch:
        use(versitygw, patch)
        patch.setenv("LEVADA_BLOB_CACHE", str(workers / "of-the-test"))
        yield started, url


@pytest.fixture(scope="module")
def runs(server: tuple[Airflow, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All cases at once."""
    return engine.start_all(server[0], CASES, tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_airflow_in_a_bucket(
    server: tuple[Airflow, str], runs: dict[str, Run], case: Case, tmp_path: Path
) -> None:
    """Outputs, the steps that ran and on what, and how the run ended."""
    expected = plain.run(case, tmp_path)
    found = engine.trace(server[0], case, runs[case.id], server[1])
    said = differences(expected, found, case)
    assert said == [], "\n".join([*said, runs[case.id].refresh().describe()])


def test_both_workers_had_tasks(runs: dict[str, Run], workers: Path) -> None:
    assert runs
    kept = [len(list((workers / name).rglob("blobs/sha256/*/*"))) for name in _NAMES]
    assert all(kept), f"blobs on the workers: {kept}"
    assert not list(workers.rglob("record.json"))


_NAMES = ("worker-0", "worker-1")
