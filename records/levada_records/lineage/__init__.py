"""What an artifact was made from and what was made from it, across runs, pipelines and engines.

::

    with open_index(store) as index:
        lineage = Tracer(store, index).of_digest("sha256:6c301cda718f").follow()
"""

from __future__ import annotations

from .documents import lineage_json
from .mermaid import mermaid
from .openlineage import openlineage
from .trace import Lineage, Tracer, UnknownArtifact

__all__ = ["Lineage", "Tracer", "UnknownArtifact", "lineage_json", "mermaid", "openlineage"]
