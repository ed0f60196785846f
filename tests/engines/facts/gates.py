"""Under a skipped gate: which rules run, and what an edge from each gate around changes.

`near_*` hang on the inner branch only, `direct_*` on both gates, which choose them, too.
"""

from levada_facts import MANUAL, gate, step

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

DIRECT = ["direct_done", "direct_none_failed"]

with DAG("gates", params={"fail": [], "take": ""}, **MANUAL):
    outer = gate("outer", lambda params: ["inner", *DIRECT] if "i" in params["take"] else ["a"])
    inner = gate("inner", lambda params: ["b" if "b" in params["take"] else "c", *DIRECT])
    a, b, c = step("a"), step("b"), step("c")
    outer >> [a, inner]
    inner >> [b, c]
    [b, c] >> step("near_done", "all_done")
    [b, c] >> step("near_none_failed", "none_failed")
    for name, rule in zip(DIRECT, ("all_done", "none_failed"), strict=True):
        [outer, inner, b, c] >> step(name, rule)
    merge = step("inner_merge", "none_failed_min_one_success")
    [b, c] >> merge
    [a, merge] >> step("merge", "none_failed_min_one_success")
