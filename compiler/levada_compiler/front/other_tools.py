"""What settings are called in other tools, and how to write them here."""

from __future__ import annotations

import json

from levada.settings import SETTINGS, Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: For each way to write a setting here, what other tools call it.
_OTHERS: Final = {
    'resources=Resources(memory="4Gi")': "memory mem ram memory_limit memory_request mem_limit",
    "resources=Resources(cpu=2)": "cpu cpus cores num_cpus cpu_limit cpu_request",
    "resources=Resources(gpu=1)": "gpu gpus num_gpus gpu_limit accelerator_count accelerator_limit",
    'resources=Resources(gpu=1, gpu_type="nvidia.com/gpu")': "gpu_type accelerator accelerators "
    "accelerator_type",
    'resources=Resources(disk="10Gi")': "disk storage ephemeral_storage disk_size",
    "retry=3": "retries max_retries num_retries max_retry_count retry_count tries attempts "
    "max_attempts",
    'retry=Retry(3, delay="10s", backoff=2)': "retry_delay retry_delay_seconds retry_backoff "
    "retry_policy retry_strategy retry_exponential_backoff backoff backoff_duration "
    "backoff_factor max_retry_delay backoff_max_duration minutes_between_retries",
    'timeout="15m"': "execution_timeout timeout_seconds timeout_minutes time_limit max_runtime "
    "dagrun_timeout execution_timeout_seconds",
    "cache=False": "enable_cache enable_caching caching cached use_cache cache_policy "
    "cache_result_in_memory persist_result disable_cache cache_serialize",
    'image="ghcr.io/team/steps:1"': "base_image container_image docker_image container target_image"
    " image_uri",
    'requirements=["pandas>=2"]': "packages_to_install packages pip pip_packages pypi libraries "
    "pip_requirements dependencies required_packages conda install_requires",
    'environment={"NAME": "value"}': "env envs env_vars environment_vars environment_variables "
    "env_variables",
    'secrets={"TOKEN": "name/key"}': "secret secret_requests secret_env secret_variables",
    'volumes=[Volume("claim", "/path")]': "pvcs volume mounts volume_mounts persistent_volume",
    'node_selector={"disk": "ssd"}': "node_selectors node_labels nodeSelector node_pool",
    'tolerations=[{"key": "gpu", "operator": "Exists"}]': "toleration taints",
    "priority=10": "priority_weight priority_class priority_class_name",
    'pool="db"': "pool_slots concurrency_group",
    'produces=["s3://bucket/model"]': "outlets outputs_assets output_assets",
    'consumes=["s3://bucket/model"]': "inlets input_assets",
    'on_failure="module:function"': "on_failure_callback on_failure_hook on_failure_hooks "
    "failure_hook email_on_failure notify_on_failure",
    'on_sla_miss="module:function"': "sla_miss_callback",
    'schedule="0 6 * * *"': "cron cron_schedule schedule_interval interval cron_expression "
    "recurring timetable",
    'timezone="Europe/Lisbon"': "tz time_zone schedule_timezone",
    'start_date="2026-01-31"': "start start_time",
    'triggered_by=["s3://bucket/model"]': "datasets assets schedule_on trigger",
    "max_parallel=10": "max_active_tasks concurrency max_workers parallelism max_concurrency "
    "max_active_tis_per_dag",
    "max_active_runs=1": "max_concurrent_runs max_active_dag_runs max_concurrent_executions",
    'name="churn-daily"': "dag_id pipeline_name flow_name display_name dag_display_name",
    'tags=["nightly"]': "labels",
}
#: What is not a setting here at all.
_NO_SETTING: Final = {
    "write a docstring: it is shown as the description": "description doc_md doc",
    "write it in the pipeline: `if`, `try` and `finally` say what runs after a failure": (
        "trigger_rule depends_on_past wait_for_downstream"
    ),
    "pass on what the other step returns, or write `after(result)` in the pipeline": (
        "depends_on upstream wait_for upstream_tasks"
    ),
    "give the settings to the pipeline: its steps inherit `retry`, `timeout`, `cache`,"
    " `environment` and `executor`": "default_args",
    "make them parameters of the function": "params parameters",
    "call a step at the end of the pipeline: it runs only if everything before it succeeded": (
        "on_success on_success_callback on_completion"
    ),
    'a step is called like its function; `.options(name="…")` names one call': "task_id task_name",
}
_WRITTEN: Final = {name: way for way, names in _OTHERS.items() for name in names.split()}
_SAID: Final = {name: text for text, names in _NO_SETTING.items() for name in names.split()}


#: Whose values mean something else here.
_OTHER_UNITS: Final = ("timeout_minutes", "minutes_between_retries", "disable_cache")


def way_to_write(name: str, value: object) -> str | None:
    """Return how to write a setting of another tool here, as code; None if it is not known.

    With the value that it was given, if that means the same here: ``retries=5`` gives ``retry=5``,
    ``gpus=2`` gives ``resources=Resources(gpu=2)``.
    """
    way = _WRITTEN.get(name)
    if way is None or name in _OTHER_UNITS or not _is_plain(value):
        return way
    ours, _, example = way.partition("=")
    try:
        if ours != "resources":
            SETTINGS[ours].read(ours, value)
            return f"{ours}={_literal(value)}"
        field = example.removeprefix("Resources(").partition("=")[0]
        Resources(**{field: value})  # type: ignore[arg-type]  # it checks the type
    except (TypeError, ValueError):
        return way
    return f"resources=Resources({field}={_literal(value)})" if "," not in example else way


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, str | int | float)


def _literal(value: object) -> str:
    """Write a value as Python does, with the quotes that the docs have."""
    return repr(value) if isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def other_way(name: str) -> str | None:
    """Return what to do instead of a setting that has none here; None if it is not known."""
    return _SAID.get(name)
