"""What all tests share: the fixtures of the engines."""

import os

pytest_plugins = ["tests.engines.fixtures", "tests.cluster.fixtures"]

#: What takes long is collected where it is asked for: `make conformance-kubeflow-server`.
collect_ignore = (
    []
    if os.environ.get("LEVADA_KUBEFLOW_SERVER")
    else ["conformance/test_kubeflow_server.py", "targets/kubeflow/test_server.py"]
)
