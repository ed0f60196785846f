"""What all tests share: the fixtures of the engines, and how properties are tried."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no fault of what is tested.
settings.register_profile("levada", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("levada")

pytest_plugins = [
    "tests.engines.fixtures",
    "tests.engines.object_stores.fixtures",
    "tests.cluster.fixtures",
]

#: What takes long is collected where it is asked for: `make conformance-kubeflow-server`, or by
#: LEVADA_EVERY_INPUT=1 what others show too.
collect_ignore = []
if not os.environ.get("LEVADA_KUBEFLOW_SERVER"):
    collect_ignore += ["conformance/test_kubeflow_server.py", "targets/kubeflow/test_server.py"]
if not os.environ.get("LEVADA_EVERY_INPUT"):
    collect_ignore += [
        "conformance/test_airflow_docker_bucket.py",
        "conformance/test_airflow_pods_bucket.py",
    ]


@pytest.fixture
def heard_hangups() -> Iterator[None]:
    """Have processes that the test starts hear SIGHUP, also where nohup started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
