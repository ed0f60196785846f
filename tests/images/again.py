"""Run attempts of a step again from what is in the current folder: `python -m … < requests`.

Prints the digest of what each returned and of the step's code, as JSON.
"""

from __future__ import annotations

import json
import sys

from levada import runner
from levada.code import Code
from levada.project import Project
from levada.request import StepRequest

job = json.load(sys.stdin)
project = Project(".", job["search"])
found = []
for request in job["requests"]:
    record = runner.run(StepRequest.from_json(request))
    found.append([record["status"], (record["returns"] or {}).get("digest"), record["error"]])
digest = Code(project).step(job["file"], job["function"], job["files"]).digest
json.dump({"attempts": found, "code": digest}, sys.__stdout__)
