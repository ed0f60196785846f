"""Airflow 2.11 and 3.x: one readable DAG file from a pipeline."""

from .target import TARGET

__all__ = ["TARGET"]
