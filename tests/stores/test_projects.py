"""A bucket that a project names is the store of all its targets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PIPELINE = """\
from levada import pipeline, step

@step(image="registry.example.com/steps:1")
def one() -> int:
    return 1

@pipeline
def flow():
    return one()
"""
TARGETS = ("airflow", "kubeflow", "kubernetes")


def _compiled(folder: Path, settings: str) -> tuple[str, str]:
    """What is compiled for all targets, in one text; and what is said."""
    (folder / "pyproject.toml").write_text(f'[project]\nname = "p"\nversion = "1"\n{settings}')
    (folder / "flow.py").write_text(_PIPELINE)
    targets = [word for name in TARGETS for word in ("--target", name)]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "levada"), "compile", "flow.py", *targets, "-o", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    files = sorted(each for each in (folder / "out").rglob("*") if each.is_file())
    return "\n".join(each.read_text() for each in files), done.stderr


def test_a_bucket_is_the_store_of_all(tmp_path: Path) -> None:
    made, said = _compiled(tmp_path, '[tool.levada]\nstore = "s3://team/levada"\n')
    assert made.count("s3://team/levada") >= 4, said
    assert "persistentVolumeClaim" not in made
    assert "pvcMount" not in made


def test_a_folder_is_that_of_this_machine(tmp_path: Path) -> None:
    made, _ = _compiled(tmp_path, '[tool.levada]\nstore = "/srv/levada"\n')
    assert "/srv/levada" not in made
    assert "persistentVolumeClaim" in made


def test_what_a_target_says_comes_first(tmp_path: Path) -> None:
    settings = '[tool.levada]\nstore = "s3://team/levada"\n'
    settings += '[tool.levada.targets.kubernetes]\nstore = "gs://other/levada"\n'
    settings += '[tool.levada.targets.kubeflow]\nstore_claim = "claim"\n'
    made, _ = _compiled(tmp_path, settings)
    assert "gs://other/levada" in made
    assert "pvcMount" in made
    assert made.count("s3://team/levada") == 1  # of Airflow


def test_how_it_is_reached(tmp_path: Path) -> None:
    """No key is in a file: pods get them from a Secret."""
    store = 'store_environment = { AWS_REGION = "eu-1" }\n'
    store += 'store_secrets = { AWS_SECRET_ACCESS_KEY = "levada-s3/key" }\n'
    settings = '[tool.levada]\nstore = "s3://team/levada"\n'
    settings += f"[tool.levada.targets.kubernetes]\n{store}"
    settings += 'account_annotations = { "eks.amazonaws.com/role-arn" = "arn:aws:iam::1:role/a" }\n'
    settings += f"[tool.levada.targets.kubeflow]\n{store}"
    made, said = _compiled(tmp_path, settings)
    assert made.count("eu-1") >= 3, said
    assert "secretKeyRef" in made
    assert "secretAsEnv" in made
    assert made.count("arn:aws:iam::1:role/a") == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('[tool.levada]\nstore = "hdfs://a/b"\n', "no store for hdfs:// is installed"),
        ('[tool.levada]\nstore = "s3://"\n', "names no place in a bucket"),
        ('[tool.levada]\nstore = "memory://a"\n', "a store of one process"),
        ('[tool.levada.targets.kubernetes]\nstore = "hdfs://a"\n', "no store for hdfs://"),
        ('[tool.levada.targets.kubeflow]\nstore = "gs://"\n', "names no place in a bucket"),
        ('[tool.levada.targets.airflow]\nstore = "abc://x"\n', "no store for abc://"),
        (
            '[tool.levada.targets.kubernetes]\nstore = "s3://a"\nstore_secrets = { A = "key" }\n',
            'no "secret/key"',
        ),
        (
            '[tool.levada.targets.kubernetes]\nstore = "s3://a"\n'
            'store_environment = { "A B" = "" }\n',
            "no name of a variable",
        ),
    ],
)
def test_what_no_store_can_be(tmp_path: Path, settings: str, said: str) -> None:
    made, errors = _compiled(tmp_path, settings)
    assert said in errors
    assert made == ""
