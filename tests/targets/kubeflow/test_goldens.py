"""What a pipeline module becomes, and that Kubeflow's own messages and SDK take it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from levada_backends.kubeflow.verify import Verifier

from tests.conformance.case import CASES as CONFORMANCE
from tests.conformance.case import all_cases
from tests.engines.kubeflow import Kubeflow
from tests.targets.kubeflow.emission import CASES, FOLDER, emit, emit_file, golden

EXAMPLES = Path(__file__).parents[3] / "examples"
OTHERS = [(case.module, case.pipeline) for case in all_cases() if case.number == 0]
OTHERS += [(path, "") for path in sorted(EXAMPLES.glob("*/pipeline.py"))]


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_its_golden(case: str) -> None:
    assert emit(case) == golden(case).read_text()


def test_there_is_no_golden_without_a_case() -> None:
    assert sorted(path.stem for path in (FOLDER / "goldens").glob("*.yaml")) == CASES


@pytest.mark.engine
def test_kubeflow_reads_every_file(kubeflow: Kubeflow, tmp_path: Path) -> None:
    """All messages by which KFP reads it, and its SDK."""
    files = [golden(case) for case in CASES]
    for module, pipeline in OTHERS:
        file = tmp_path / f"{module.parent.name}-{module.stem}.yaml"
        file.write_text(emit_file(module, pipeline or None))
        files.append(file)
    assert len(files) > len(CONFORMANCE.name)
    assert {path: said for path, said in kubeflow.problems(files).items() if said} == {}


@pytest.mark.engine
def test_kubeflow_would_say_so(kubeflow: Kubeflow, tmp_path: Path) -> None:
    """A misspelt field is found in each of the documents."""
    text = golden("settings").read_text()
    broken = []
    for number, (right, wrong) in enumerate(
        (("componentRef:", "component:"), ("resourceCpuLimit:", "cpus:"), ("pvcMount:", "pvc:"))
    ):
        broken.append(tmp_path / f"{number}.yaml")
        broken[-1].write_text(text.replace(right, wrong))
    assert all(kubeflow.problems(broken).values())


@pytest.mark.parametrize(
    ("module", "pipeline"), OTHERS, ids=lambda value: getattr(value, "stem", value)
)
def test_nothing_is_wrong_with_the_others(module: Path, pipeline: str) -> None:
    document = next(iter(yaml.safe_load_all(emit_file(module, pipeline or None))))
    assert list(Verifier(document).problems()) == []


def test_a_changed_argument_is_a_changed_line(tmp_path: Path) -> None:
    """A difference of a few lines, so that it can be reviewed."""
    source = (FOLDER / "cases" / "sequence.py").read_text()
    before, after = tmp_path / "before" / "p.py", tmp_path / "after" / "p.py"
    for path in (before, after):
        path.parent.mkdir()
        path.write_text(source)
    after.write_text(source.replace("retry=", "cache=False, retry=", 1))
    old, new = (emit_file(path, "sequence").splitlines() for path in (before, after))
    assert len(set(new) - set(old)) <= 3
