"""What all tests share: the fixtures of the engines."""

pytest_plugins = ["tests.engines.fixtures", "tests.cluster.fixtures"]
