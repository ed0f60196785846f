"""Which distributions a step reaches, from folders as pip leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from levada import distributions, environment


@pytest.fixture
def site(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    install(tmp_path, "scikit_learn", "1.9", ["sklearn"], ["NumPy>=1", "scipy ; extra == 'all'"])
    install(tmp_path, "numpy", "2.0", ["numpy"])
    install(tmp_path, "google_cloud_storage", "3.0", ["google/cloud/storage"])
    install(tmp_path, "google_auth", "2.1", ["google/auth"])
    install(tmp_path, "PyYAML", "6.0", ["yaml"])
    install(tmp_path, "six", "1.17", [], files=["six.py"])
    return tmp_path


def install(site: Path, name: str, version: str, packages, requires=(), files=()) -> None:
    metadata = site / f"{name}-{version}.dist-info"
    metadata.mkdir()
    lines = [f"Requires-Dist: {text}" for text in requires]
    (metadata / "METADATA").write_text("\n".join(["Name: x", *lines, "", "Requires-Dist: prose"]))
    (metadata / "RECORD").write_text(
        "".join(f"{p}/__init__.py,,\n" for p in packages) + "".join(f"{f},,\n" for f in files)
    )
    for package in packages:
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").touch()


@pytest.mark.parametrize(
    ("imports", "requirements", "packages"),
    [
        ([], [], {}),
        (["json", "os.path"], [], {}),
        (["sklearn.linear_model"], [], {"scikit-learn": "1.9", "numpy": "2.0"}),
        (["yaml", "six"], [], {"pyyaml": "6.0", "six": "1.17"}),
        (["google.cloud.storage"], [], {"google-cloud-storage": "3.0"}),
        (["google.auth.transport"], [], {"google-auth": "2.1"}),
        ([], ["Scikit.Learn[x]>=1; python_version>'3'"], {"scikit-learn": "1.9", "numpy": "2.0"}),
        (["missing_one"], ["missing-two"], {"missing-one": None, "missing-two": None}),
    ],
)
@pytest.mark.usefixtures("site")
def test_what_a_step_reaches(imports, requirements, packages):
    assert environment.describe(imports, requirements)["packages"] == packages


def test_the_digest_changes_with_what_is_reached_only(site):
    def digest(*imports: str) -> str:
        distributions.installed.cache_clear()
        environment._described.cache_clear()
        return environment.describe(imports, [])["digest"]

    before, other = digest("sklearn"), digest("yaml")
    (site / "numpy-2.0.dist-info").rename(site / "numpy-2.1.dist-info")
    assert digest("sklearn") != before
    assert digest("yaml") == other


def test_the_first_on_the_path_counts(site, tmp_path, monkeypatch):
    front = tmp_path / "front"
    front.mkdir()
    install(front, "numpy", "3.0", ["numpy"])
    monkeypatch.setattr("sys.path", [str(front), str(site)])
    assert environment.installed_versions()["numpy"] == "3.0"


@pytest.mark.parametrize(
    ("origin", "record", "mark"),
    [
        ({"url": "file:///src/six", "dir_info": {}}, "six.py,sha256=a,1\n", "a44895a5a3bb"),
        (
            {"url": "file:///six-1.17.whl", "archive_info": {}},
            "six.py,sha256=b,1\n",
            "7236c405a6f6",
        ),
        ({"url": "file:///src/six", "dir_info": {"editable": True}}, "six.py,sha256=a,1\n", ""),
        (
            {"url": "https://g/six", "vcs_info": {"commit_id": "0123456789abcdef"}},
            "",
            "0123456789ab",
        ),
        ({"url": "https://files/six-1.17.whl", "archive_info": {}}, "", ""),
    ],
)
def test_what_was_not_installed_by_its_version(site, origin, record, mark):
    metadata = site / "six-1.17.dist-info"
    (metadata / "direct_url.json").write_text(json.dumps(origin))
    (metadata / "RECORD").write_text("six.py,,\n" + record)
    distributions.installed.cache_clear()
    environment._described.cache_clear()
    found = environment.describe(["six"], [])["packages"]["six"]
    assert found.partition("+")[0] == "1.17"
    assert found.partition("+")[2] == mark
