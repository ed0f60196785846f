"""Outside of a run: what a step logs is printed, and its context is empty."""

import math

import pytest
from levada import context, log_artifact, log_metric, log_params


def test_metrics_and_params_are_printed(capsys):
    log_metric("auc", 0.9)
    log_metric("loss", 1, step=3)
    log_params({"depth": 3}, kind="gini")
    log_artifact("weights", [1])
    assert capsys.readouterr().err.splitlines() == [
        "metric auc = 0.9",
        "metric loss = 1 (step 3)",
        "param depth = 3",
        "param kind = 'gini'",
    ]


def test_the_context_is_empty():
    here = context()
    assert (here.run_id, here.node, here.map_index, here.parameters) == (None, None, None, {})
    assert "parameters={}" in repr(here)
    with pytest.raises(AttributeError, match="a context has no 'run'"):
        here.run  # noqa: B018


def test_numbers_of_other_libraries_are_metrics(capsys):
    numpy = pytest.importorskip("numpy")
    log_metric("a", numpy.float32(0.5))
    log_metric("b", numpy.int64(3))
    log_metric("c", math.nan)
    assert capsys.readouterr().err.split() == "metric a = 0.5 metric b = 3.0 metric c = nan".split()  # noqa: SIM905


@pytest.mark.parametrize(
    "log",
    [
        lambda: log_metric("a", "1"),
        lambda: log_metric("a", True),
        lambda: log_metric("a", None),
        lambda: log_metric("a", 1j),
        lambda: log_metric("", 1),
        lambda: log_metric(3, 1),
        lambda: log_metric("a", 1, step=1.5),
        lambda: log_params({1: 2}),
        lambda: log_artifact(None, 1),
    ],
)
def test_what_is_no_metric_parameter_or_artifact(log):
    with pytest.raises(TypeError):
        log()
