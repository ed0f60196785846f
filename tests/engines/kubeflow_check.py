"""Read compiled files as KFP would: in its own environment, by `tests.engines.kubeflow`.

Standard input is a JSON list of files; the last line of standard output says what is wrong with
each. `PipelineSpec` does not look into `deploymentSpec` and the platform documents, so these are
read by their own messages.
"""

from __future__ import annotations

import json
import sys

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


if __name__ == "__main__":
    found = {path: problem(path) for path in json.load(sys.stdin)}
    print(json.dumps(found))
