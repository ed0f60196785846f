"""The driver: runs a plan in a cluster, Jobs of the attempts (``python -m levada.driver``).

It keeps nothing to itself, so that it may be killed at any moment, run twice or be cut off:

- What it decides depends on the plan, on the records in the store, and on the *journal*
  (``journal``): the ends of attempts, the passing of delays and a cancellation, in the order in
  which they were taken note of. A driver that starts again, and a second one beside it, read the
  journal first and so come to where the first one is; of two that write the same entry one wins.
- The Job of an attempt has a name that follows from the run and the attempt (``jobs``). Whoever
  finds it there already takes it for its own. Attempts of a large fan-out share Indexed Jobs: which
  attempts these are is an entry of the journal, which comes before the Job.
- ``run.json`` holds the plan and the Jobs' templates by digest: a plan that is applied meanwhile is
  for later runs.

The interpreter counts attempts, not the Job: its delays are those of the pipeline, it knows from
the record whether another attempt makes sense, and each attempt keeps its pod for those who look.
"""
