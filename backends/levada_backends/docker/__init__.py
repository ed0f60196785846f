"""Steps in containers: each attempt of a local run in one of its own, through a Docker engine."""
