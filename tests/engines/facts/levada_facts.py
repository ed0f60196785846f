"""What the DAGs of this folder share. A task fails if the run's conf names it in `fail`."""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import BranchPythonOperator, PythonOperator

MANUAL = {"schedule": None, "start_date": datetime(2024, 1, 1), "catchup": False}


def _work(name, params):
    if name in params["fail"]:
        raise ValueError(name)
    return name


def step(name, rule="all_success"):
    """A task that returns its name, or fails."""
    return PythonOperator(task_id=name, python_callable=_work, op_args=[name], trigger_rule=rule)


def gate(name, choose):
    """A branch: `choose(params)` gives the ids of the tasks to go on with."""
    return BranchPythonOperator(task_id=name, python_callable=lambda params: choose(params))


def mark(name, rule):
    """A task that the scheduler itself marks."""
    return EmptyOperator(task_id=name, trigger_rule=rule)
