"""try / except / finally within an if, from trigger rules alone."""

from levada_facts import MANUAL, gate, mark, step

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG

REGION = ["a", "body_ok", "handler", "caught", "final", "end"]

with DAG("guard", params={"fail": [], "take": "try"}, **MANUAL):
    taken = gate("taken", lambda params: REGION if params["take"] == "try" else ["other"])
    a, b = step("a"), step("b")
    body_ok = mark("body_ok", "none_failed")
    handler, handler_2 = step("handler", "one_failed"), step("handler_2")
    caught = mark("caught", "all_success")
    guarded = mark("guarded", "one_success")  # no edge from a gate: it would be the one success
    final = step("final", "all_done")
    end = mark("end", "all_success")
    after, other = step("after"), step("other")
    merge = step("merge", "none_failed_min_one_success")
    finished = mark("finished", "none_failed")

    taken >> [a, body_ok, handler, caught, final, end, other]
    a >> b
    [a, b] >> body_ok
    [a, b] >> handler >> handler_2 >> caught
    [body_ok, caught] >> guarded
    [body_ok, caught] >> final
    [guarded, final] >> end >> after
    [after, other] >> merge >> finished
