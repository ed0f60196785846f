"""Each kind of broken file that KFP's own messages take is refused; `broken.json` has them.

An entry changes the compiled example: `at` a place it puts `set` (or so many characters, `fill`),
or takes away what is there; `rename` and `copy` are for keys. `says` is in what we say of it, `kfp`
in what KFP's compiler or Argo's validation says, where one refuses it. The others get as far as a
pod, or run with a meaning that is not theirs.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from levada_backends.kubeflow.verify import Verifier

from tests.engines.kubeflow import Kubeflow
from tests.targets.kubeflow.emission import emit_file

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[2] / "examples" / "churn" / "pipeline.py"
BROKEN = json.loads((HERE / "broken.json").read_text())


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """A compiled pipeline with a loop, a branch and an exit task."""
    document: dict[str, Any] = next(iter(yaml.safe_load_all(emit_file(EXAMPLE))))
    assert list(Verifier(document).problems()) == []
    return document


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken["what"])
def test_it_is_refused(example: dict[str, Any], broken: dict[str, Any]) -> None:
    changed = copy.deepcopy(example)
    change(changed, broken)
    said = [problem.message for problem in Verifier(changed).problems()]
    assert any(broken["says"] in message for message in said), said


@pytest.mark.engine
def test_kubeflow_refuses_those_that_it_looks_at(kubeflow: Kubeflow, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(emit_file(EXAMPLE)))
    asked: list[tuple[Path, dict[str, Any]]] = []
    for number, broken in enumerate(BROKEN):
        changed = copy.deepcopy(documents)
        change(changed[0], broken)
        asked.append((tmp_path / f"{number}.yaml", {}))
        asked[-1][0].write_text(yaml.safe_dump_all(changed))
    for broken, said in zip(BROKEN, kubeflow.compile(asked), strict=True):
        assert ("error" in said) == ("kfp" in broken), (broken["what"], said.get("error"))
        assert broken.get("kfp", "") in said.get("error", ""), broken["what"]


def change(document: dict[str, Any], broken: dict[str, Any]) -> None:
    """Do what an entry says."""
    *path, last = broken.get("at") or broken.get("rename") or broken["copy"]
    place: Any = document
    for key in path:
        place = place[key]
    if "set" in broken:
        place[last] = broken["set"]
    elif "fill" in broken:
        text = "x" * broken["fill"]
        place[last] = [text] if isinstance(place.get(last), list) else text
    elif "copy" in broken:
        place[broken["to"]] = place[last]
    else:
        taken = place.pop(last)
        if "rename" in broken:
            place[broken["to"]] = taken
