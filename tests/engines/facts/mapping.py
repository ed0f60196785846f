"""Lists: empty ones, what a consumer reads, products, and mapped groups that go wrong."""

import json

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from levada_facts import MANUAL

try:
    from airflow.sdk import DAG, task, task_group
except ImportError:
    from airflow import DAG
    from airflow.decorators import task, task_group


def show(name, value):
    """A task that returns what the template gave."""
    return BashOperator(
        task_id=name,
        bash_command='printf %s "$VALUE"',
        env={"VALUE": value},
        output_processor=json.loads,
        trigger_rule="none_failed",
    )


with DAG("mapping", params={"n": 0}, **MANUAL):
    items = PythonOperator(task_id="items", python_callable=lambda params: list(range(params["n"])))
    tens = PythonOperator.partial(
        task_id="tens",
        python_callable=lambda x: x * 10,
        map_index_template="item {{ task.op_args[0] }}",
    ).expand(op_args=items.output.map(lambda x: [x]))
    tens >> show("collected", "{{ (ti.xcom_pull('tens') or []) | list | tojson }}")
    tens >> PythonOperator(task_id="by_default_rule", python_callable=lambda: None)
    BashOperator.partial(task_id="unrendered", output_processor=json.loads).expand(
        env=items.output.map(lambda x: {"VALUE": json.dumps([x, "{{ 1 + 1 }}"])}),
        bash_command=['printf %s "$VALUE"'],
    )

    @task
    def pair(x, y):
        return [x, y]

    pair.override(task_id="product").expand(x=items.output, y=[5, 6])

    @task_group
    def outer(x):
        @task_group
        def inner(x, y):
            pair(x, y)

        inner.partial(x=x).expand(y=[5, 6])

    outer.expand(x=items.output)

    @task_group
    def branching(x):
        @task.branch
        def even_or_odd(x):
            return "branching.odd" if x % 2 else "branching.even"

        @task
        def even():
            return "even"

        @task
        def odd():
            return "odd"

        even_or_odd(x) >> [even(), odd()]

    branching.expand(x=items.output)
