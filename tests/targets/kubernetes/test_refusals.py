"""What the compiler takes, a real API server takes as well: whatever is set, and however oddly.

Each example sets one or two things to what is at the edge of Kubernetes' rules or beyond.
LEVADA_REFUSALS says how many examples there are.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from levada_backends.kubernetes import TARGET
from levada_backends.kubernetes.manifests import Manifests
from levada_backends.kubernetes.options import Options
from levada_compiler.compilation import compile_file
from levada_compiler.diagnostics.diagnostic import Severity
from levada_compiler.target_checks import check

from tests.cluster.cluster import ApiServer

from .test_manifests import create, rendered

pytestmark = pytest.mark.engine
EXAMPLES = int(os.environ.get("LEVADA_REFUSALS", "60"))
LONG = ("a" * 63, "a" * 64, "a" * 253, "a" * 254)
PARTS = ("", "a", "A", "a-b", "a.b", "a_b", "-a", "a-", "a..b", "é", "a b", "..", "$(A)", *LONG)
NAMES = st.sampled_from(PARTS)
KEYS = st.one_of(NAMES, st.tuples(NAMES, NAMES).map("/".join), st.just("requests.a/gpu"))
AMOUNTS = st.one_of(
    st.sampled_from([0, -1, 0.1, 1e-9, 10**20, 2**63, "1m", "8Ei", "9e30", "1e400", ".5", "1K"]),
    st.from_regex(r"[+-]?\d{0,4}(\.\d{0,3})?(m|k|M|E|Ki|Mi|Gi|Ei|e\d{1,2})?", fullmatch=True),
)
PATHS = st.one_of(
    st.sampled_from(["/", "//", "/tmp", "/tmp/", "/a:b", "/a/../b", "/etc/levada", "data", "/é"]),
    NAMES.map("/{}".format),
)
SECONDS = st.one_of(st.sampled_from([0.1, 1, 2**31 - 1, 2**31, "90s", "68y", "24000d"]))
FIELD = st.sampled_from(
    ["*", "?", "0", "7", "60", "*/5", "*/0", "1-5", "5-1", "1,2", "MON", "JAN", "L", "1#2", "5/2"]
)
CRONS = st.one_of(
    st.sampled_from(["@daily", "@every 5m", "@reboot", "TZ=UTC 0 6 * * *", "", "0 6 * *"]),
    st.lists(FIELD, min_size=5, max_size=5).map(" ".join),
)
ZONES = st.sampled_from(["UTC", "utc", "Local", "", "GMT+2", "Etc/GMT+2", "Mars/Phobos", "../UTC"])
TOLERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "key": KEYS,
        "operator": st.sampled_from(["", "Equal", "Exists", "Lt", "In"]),
        "value": NAMES,
        "effect": st.sampled_from(["", "NoSchedule", "NoExecute", "Never"]),
        "tolerationSeconds": st.sampled_from([0, -5, 10, 2**63, 1.5]),
    },
)
PODS = {
    "resources": st.tuples(st.sampled_from(["cpu", "memory", "disk", "gpu"]), AMOUNTS).map(
        lambda drawn: f"Resources({drawn[0]}={drawn[1]!r})"
    ),
    "resources ": KEYS.map("Resources(gpu=1, gpu_type={!r})".format),
    "environment": KEYS.map("{{{!r}: 'x'}}".format),
    "secrets": KEYS.map("{{'T': {!r}}}".format),
    "volumes": st.lists(st.tuples(NAMES, PATHS), min_size=1, max_size=2).map(
        lambda drawn: f"[{', '.join(f'Volume{each!r}' for each in drawn)}]"
    ),
    "node_selector": st.tuples(KEYS, KEYS).map("{0[0]!r}: {0[1]!r}".format).map("{{{}}}".format),
    "tolerations": TOLERATIONS.map("[{}]".format),
    "timeout": SECONDS.map(repr),
    "queue": KEYS.map(repr),
    "image": KEYS.map(repr),
}
PIPELINES = {
    "schedule": CRONS.map(repr),
    "timezone": ZONES.map(repr),
    "owner": st.sampled_from(["é\n# x", "a" * 70_000, "'\"\\"]).map(repr),
    "max_parallel": st.sampled_from([0, 1, 2**31]).map(repr),
}
OPTIONS = {
    "store_claim": NAMES,
    "secret": NAMES,
    "priority_class": NAMES,
    "queue": KEYS,
    "driver_image": KEYS,
    "image_pull_secrets": st.lists(NAMES, max_size=2),
    "keep": SECONDS,
    "starting_deadline": SECONDS,
    "timeout": SECONDS,
    "history": st.sampled_from([0, 2**31 - 1, 2**31]),
    "user": st.sampled_from([0, 1, 2**31 - 1, 2**31, False]),
}


def some(settings: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """None, one or two of them."""
    chosen = st.lists(st.sampled_from(sorted(settings)), max_size=2, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({n: settings[n] for n in names}))


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(
    some(PODS),
    some(PIPELINES),
    some(OPTIONS),
    st.sampled_from(["nightly", "_", "é", "x" * 64, "a__b"]),
)
def test_what_is_taken_is_taken(
    api_server: ApiServer,
    pod: dict[str, str],
    pipeline: dict[str, str],
    options: dict[str, Any],
    name: str,
) -> None:
    made = compiled(source(pod, pipeline, name), {"image": "example/steps:1", **options})
    if made is None:
        return
    files = made.files()
    del files["kustomization.yaml"]
    driver = {**made.cron_job()["spec"]["jobTemplate"], "apiVersion": "batch/v1", "kind": "Job"}
    driver["metadata"]["name"] = "by-hand"
    objects = [one for several in files.values() for one in several]
    done = create(api_server, [*objects, driver, *rendered(made.data)], "default", check=False)
    assert done.returncode == 0, done.stderr


def source(pod: dict[str, str], pipeline: dict[str, str], name: str) -> str:
    arguments = ", ".join(f"{key.strip()}={text}" for key, text in pod.items())
    of_pipeline = ", ".join(f"{key}={text}" for key, text in pipeline.items())
    return f"""\
from levada import Resources, Volume, pipeline, step


@step({arguments})
def work(size: int) -> int:
    return size


@pipeline({of_pipeline})
def {name}(size: int = 1):
    work(size)
"""


def compiled(text: str, options: dict[str, Any]) -> Manifests | None:
    """None if the compiler refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "nightly.py")
        module.write_text(text)
        program = compile_file(module).program
    if program is None:
        return None
    diagnostics = check(TARGET, program, options)
    if any(each.severity is Severity.ERROR for each in diagnostics):
        return None
    found = Options(options)
    assert not list(found.problems())
    return Manifests(program, found, "0")
