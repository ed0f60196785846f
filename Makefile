# `make demo` and `make test` need Python 3.11 or newer, git and a package index; nothing else.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3.14 python3,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
BIN := .venv/bin
# Bytecode is compiled ahead, as pip does it: without, every command compiles what it imports.
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python
COMPILE := $(BIN)/python -m compileall -q runtime compiler backends records cli
ENGINES := $(BIN)/python -m pytest --durations=25 --maxfail=10
STORE := .levada

.PHONY: demo test test-alone test-engines engines conformance-kubeflow-server lint reference lock bench clean

demo: .venv/.demo  ## Compile the example for Airflow, then run it here on real data.
	$(BIN)/levada compile examples/churn/pipeline.py --target airflow -o build/dags
	$(BIN)/levada run examples/churn/pipeline.py --store $(STORE)

test: test-alone test-engines  ## The whole suite, with the generated DAGs in real Airflows.

test-alone: .venv/.dev  ## The tests that need no engine, in as many processes as there are cores.
	$(BIN)/python -m pytest -m "not engine" -n auto --timeout 600

# Both mostly wait for what they have started. What the first one prints comes at the end.
test-engines: .venv/.dev engines  ## The tests that need an engine: Airflow's beside all others.
	@log=$$(mktemp); airflow=; trap 'kill $$airflow 2>/dev/null; rm -f $$log' EXIT; \
	$(ENGINES) -m "engine and airflow" >$$log 2>&1 & airflow=$$!; \
	$(ENGINES) -m "engine and not airflow"; others=$$?; \
	wait $$airflow; status=$$?; cat $$log; exit $$((others | status))

engines: .venv/.dev  ## Install the engines that tests use, outside the tree (LEVADA_ENGINES).
	$(BIN)/python -m tests.engines.airflow install
	$(BIN)/python -m tests.engines.docker install
	$(BIN)/python -m tests.engines.kubeflow install
	$(BIN)/python -m tests.engines.object_stores install
	$(BIN)/python -m tests.engines.postgres install
	$(BIN)/python -m tests.cluster install

# Not of `test`: a task is two pods and takes some ten seconds.
conformance-kubeflow-server: .venv/.dev  ## All cases on a real Kubeflow Pipelines.
	$(BIN)/python -m tests.engines.kubeflow install
	$(BIN)/python -m tests.engines.kubeflow_server install
	LEVADA_KUBEFLOW_SERVER=1 $(BIN)/python -m pytest \
		tests/conformance/test_kubeflow_server.py tests/targets/kubeflow/test_server.py \
		tests/containers/test_kubeflow_server_programs.py

lint: .venv/.dev  ## Lint, format, types, layers.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

reference: .venv/.dev  ## Write what the docs and the type stub say of settings and options.
	LEVADA_UPDATE_REFERENCE=1 $(BIN)/python -m pytest -q tests/reference

lock: .venv/.uv  ## Resolve the development requirements anew.
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--upgrade --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--upgrade --group examples pyproject.toml -c requirements/dev.txt -o requirements/examples.txt

bench: .venv/.dev  ## Levada beside what one would pick instead.
	$(BIN)/python -m benchmarks

.venv/.uv: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Levada needs Python 3.11 or newer on the PATH" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@touch $@

.venv/.demo: .venv/.uv requirements/examples.txt
	$(INSTALL) --require-hashes -r requirements/examples.txt
	$(INSTALL) --no-deps -e .
	$(COMPILE)
	@touch $@

.venv/.dev: .venv/.uv requirements/dev.txt
	$(INSTALL) --require-hashes -r requirements/dev.txt
	$(INSTALL) --no-deps -e .
	$(COMPILE)
	@touch $@

clean:
	rm -rf .venv build $(STORE)
