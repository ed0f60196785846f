"""How one step is run: exit codes, retries, parameters as JSON in the environment."""

import json
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from levada_facts import MANUAL

try:
    from airflow.sdk import DAG
    from airflow.sdk.exceptions import AirflowFailException
except ImportError:
    from airflow import DAG
    from airflow.exceptions import AirflowFailException


class Step(BashOperator):
    """Fails for good on exit code 65."""

    def execute(self, context):  # noqa: ARG002
        process = self.subprocess_hook.run_command(["bash", "-c", self.bash_command])
        if process.exit_code == 65:
            raise AirflowFailException("permanent")
        if process.exit_code:
            raise RuntimeError(process.exit_code)


RETRY = {"retries": 1, "retry_delay": timedelta(0)}

with DAG("steps", params={"value": None, "order": {"b": 1, "a": 2}}, **MANUAL):
    Step(task_id="permanent", bash_command="exit 65", **RETRY)
    Step(task_id="again", bash_command="exit $(( {{ ti.try_number }} == 1 ))", **RETRY)
    Step(task_id="exhausted", bash_command="exit 1", **RETRY)
    BashOperator(
        task_id="value",
        bash_command='printf %s "$PARAMS"',
        env={"PARAMS": "{{ params | tojson }}"},
        output_processor=lambda line: json.loads(line)["value"],
    )
    BashOperator(
        task_id="order",
        bash_command='printf %s "$PARAMS $SORTED"',
        env={
            "PARAMS": "{{ macros.json.dumps(params['order']) }}",
            "SORTED": "{{ params['order'] | tojson }}",
        },
    )
    BashOperator(
        task_id="moment",
        bash_command="echo '{{ dag_run.logical_date is none }} {{ logical_date is defined }}'",
    )
    BashOperator(task_id="python", bash_command="echo $LEVADA_PYTHON")
    BashOperator(task_id="file", bash_command="echo it.sh")
