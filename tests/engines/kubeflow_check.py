"""Read compiled files as KFP would: in its own environment, by `tests.engines.kubeflow`.

Standard input is a JSON list of files, or of executor outputs; the last line of standard output
says what is wrong with each. `PipelineSpec` does not look into `deploymentSpec` and the platform
documents, so these are read by their own messages.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2


def problem(path: str) -> str:
    """What is wrong with a file; nothing if it is right."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        text = file.read()
    try:
        pipeline, *platforms = yaml.safe_load_all(text)
        json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
        deployment = pipeline["deploymentSpec"]
        json_format.ParseDict(deployment, pipeline_spec_pb2.PipelineDeploymentConfig())
        for platform in platforms:
            json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
            executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
            for executor in executors.values():
                message = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
                json_format.ParseDict(executor, message)
        components.load_component_from_text(text)
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return ""


def output_problem(output: dict[str, Any]) -> str:
    """What is wrong with an executor output, as the launcher reads it; nothing if it is right."""
    try:
        text = json.dumps(output, allow_nan=False)
        json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps([problem(a) if isinstance(a, str) else output_problem(a) for a in asked]))
