"""Pods: what every target that runs steps in pods of Kubernetes has to get right.

``quantity`` and ``names`` are Kubernetes' own formats; ``container`` makes the parts of a pod that
follow from a step's settings; ``check`` refuses what an API server would refuse.
"""
