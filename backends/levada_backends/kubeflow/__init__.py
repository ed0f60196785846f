"""Kubeflow Pipelines 2: one readable PipelineSpec from a pipeline."""

from .target import TARGET

__all__ = ["TARGET"]
