"""What a pipeline module becomes, and that Kubeflow's own messages and SDK take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from levada_backends.kubeflow.verify import Verifier

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


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every file that is compiled for Kubeflow anywhere in the tests."""
    folder = tmp_path_factory.mktemp("compiled")
    found = [golden(case) for case in CASES]
    for module, pipeline in OTHERS:
        found.append(folder / f"{module.parent.name}-{module.stem}.yaml")
        found[-1].write_text(emit_file(module, pipeline or None))
    return found


@pytest.mark.engine
def test_kubeflow_reads_every_file(kubeflow: Kubeflow, files: list[Path]) -> None:
    """All messages by which KFP reads it, and its SDK."""
    assert {path: said for path, said in kubeflow.problems(files).items() if said} == {}


@pytest.mark.engine
def test_kubeflow_compiles_every_file_to_argo(kubeflow: Kubeflow, files: list[Path]) -> None:
    """By its own compiler, as its API server calls it; and Argo takes what it gives."""
    specs = [next(iter(yaml.load_all(file.read_text(), yaml.CSafeLoader))) for file in files]
    asked = [required_parameters(spec) for spec in specs]
    made = kubeflow.compile(list(zip(files, asked, strict=True)))
    errors = (one.get("error") for one in made)
    assert {file.stem: said for file, said in zip(files, errors, strict=True) if said} == {}
    for spec, one in zip(specs, made, strict=True):
        templates = {template["name"] for template in one["workflow"]["spec"]["templates"]}
        components = spec["components"].items()
        assert {name for name, component in components if "dag" in component} <= templates


def required_parameters(spec: dict[str, Any]) -> dict[str, Any]:
    """Something of its type for each parameter without a default."""
    values = {"STRING": "", "BOOLEAN": True, "LIST": [], "STRUCT": {}}
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    return {
        name: values.get(definition["parameterType"], 1)
        for name, definition in declared.items()
        if "defaultValue" not in definition
    }


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


def test_nothing_is_collected_where_the_project_wants_it_so() -> None:
    text = emit_file(FOLDER / "cases" / "collected.py", "collected", {"collected": False})
    assert "never_empty" not in text
    assert "isArtifactList" not in text


@pytest.mark.engine
def test_a_task_is_given_as_much_as_fits_in_an_argument(kubeflow: Kubeflow, tmp_path: Path) -> None:
    """What one gives is read from the store where it might not."""
    module = tmp_path / "several.py"
    module.write_text(SEVERAL)
    file = tmp_path / "several.yaml"
    file.write_text(emit_file(module))
    assert kubeflow.problems([file]) == {str(file): ""}
    spec, _ = yaml.safe_load_all(file.read_text())
    tasks = spec["root"]["dag"]["tasks"]
    names = {name: len(task["inputs"]["parameters"]) - 1 for name, task in tasks.items()}
    assert (names["of-texts"], names["of-numbers"]) == (14, 40)
    assert len(tasks["of-texts"]["dependentTasks"]) == 40
    (comment,) = [each for each in file.read_text().splitlines() if "may not fit" in each]
    assert "`text_14, text_15, " in comment
    assert comment.endswith(
        "text_38, text_39` may not fit in the argument of a process, and is read from the store"
    )


NAMES = [f"{kind}_{number}" for kind in ("text", "number") for number in range(40)]
SEVERAL = f"""\
from levada import pipeline, step


@step
def text(n: int) -> str:
    return "x" * n


@step
def number(n: int) -> int | None:
    return n


@step
def of_texts({", ".join(f"{name}: str" for name in NAMES[:40])}) -> None: ...


@step
def of_numbers({", ".join(f"{name}: int | None" for name in NAMES[40:])}) -> None: ...


@pipeline
def several():
    of_texts({", ".join(f"{name}=text({number})" for number, name in enumerate(NAMES[:40]))})
    of_numbers({", ".join(f"{name}=number({number})" for number, name in enumerate(NAMES[40:]))})
"""


def test_pods_have_the_labels_of_the_project(kubeflow: Kubeflow, tmp_path: Path) -> None:
    own = {"labels": {"team": "science"}, "annotations": {"sidecar.istio.io/inject": "false"}}
    file = tmp_path / "labelled.yaml"
    file.write_text(emit_file(FOLDER / "cases" / "branch.py", "branch", dict(own)))
    _, platform = yaml.safe_load_all(file.read_text())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert all(executor["podMetadata"] == own for executor in executors.values())
    assert kubeflow.problems([file]) == {str(file): ""}


def test_a_step_that_is_called_as_its_loop_is_not_collected(tmp_path: Path) -> None:
    """KFP tells tasks on the way to an output apart by their names."""
    source = (FOLDER / "cases" / "fan_out.py").read_text()
    module = tmp_path / "named.py"
    module.write_text(source)
    assert "never_empty" in emit_file(module, "fan_out")
    module.write_text(source.replace("measure", "for__number"))
    assert "never_empty" not in emit_file(module, "fan_out")


def test_a_changed_step_is_a_changed_line_however_often_it_is_called(tmp_path: Path) -> None:
    """One of its container, one of the source's digest: the module is another."""
    texts = []
    for number in range(2):
        module = tmp_path / str(number) / "many.py"
        module.parent.mkdir()
        module.write_text(MANY.format(number=number))
        texts.append(emit_file(module).splitlines())
    assert len(set(texts[1]) - set(texts[0])) == 2
    assert len(texts[0]) == len(texts[1])


MANY = """\
from levada import pipeline, step


@step
def work(value: int) -> int:
    return value + {number}


@step
def collect(values: list[int]) -> int:
    return sum(values)


@pipeline
def many():
    return collect([work(n) for n in range(50)])
"""


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
