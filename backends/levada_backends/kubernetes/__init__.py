"""Kubernetes Jobs: a CronJob whose driver makes one Job of each attempt of a step."""

from .target import TARGET

__all__ = ["TARGET"]
