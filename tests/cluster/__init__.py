"""A real one-node Kubernetes for tests, on this machine only; README.md says what it is made of."""
