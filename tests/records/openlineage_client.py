"""Reads events as the client of OpenLineage has them: run by a Python that has it installed.

It prints nothing if each line of stdin is an event that the client's own classes take, and each
facet one of the version that its ``_schemaURL`` says.
"""

import importlib
import json
import pkgutil
import sys

from openlineage.client import generated
from openlineage.client.generated import base


def classes():
    """The classes of the client by the address of their schema."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for value in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(value, type) and hasattr(value, "_get_schema"):
                found[value._get_schema()] = value
    return found


KNOWN = classes()


def facets(given):
    return {name: facet(each) for name, each in given.items()}


def facet(given):
    fields = {name: value for name, value in given.items() if not name.startswith("_")}
    made = KNOWN[given["_schemaURL"]](**fields, producer=given["_producer"])
    assert made._schemaURL == given["_schemaURL"]
    return made


def dataset(kind, given, own):
    return kind(
        namespace=given["namespace"],
        name=given["name"],
        facets=facets(given["facets"]),
        **{own: facets(given[own])} if own in given else {},
    )


for line in sys.stdin:
    event = json.loads(line)
    run, job = event["run"], event["job"]
    made = base.RunEvent(
        eventType=base.EventType(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=base.Run(runId=run["runId"], facets=facets(run["facets"])),
        job=base.Job(job["namespace"], job["name"], facets(job["facets"])),
        inputs=[dataset(base.InputDataset, each, "inputFacets") for each in event["inputs"]],
        outputs=[dataset(base.OutputDataset, each, "outputFacets") for each in event["outputs"]],
    )
    assert made.schemaURL == event["schemaURL"]
