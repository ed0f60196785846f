"""What is installed: whose a module is, told from the files that installers leave."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from levada import distributions
from levada.distributions import Environment, folder_of_url

RECORDS = {
    "acme_steps-1.0": "acme/steps/__init__.py,sha256=x,1\nacme/steps/flows.py,,\nacme_cli.py,,\n"
    "acme/steps/__pycache__/flows.cpython-311.pyc,,\n../../../bin/acme.py,,\n",
    "acme.base-2.0": "acme/base.py,,\n",
    "Other-3": "other.py,,\n",
}
FILES = ["acme/steps/__init__.py", "acme/steps/flows.py", "acme_cli.py", "acme/base.py", "other.py"]
#: What has no RECORD, as Debian installs it, and what has no source.
FILES += ["loose/__init__.py", "loose/part.py", "alone.py", "fast.cpython-311-x86_64.so"]
FILES += ["hidden/__init__.pyc"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name, record in RECORDS.items():
        (tmp_path / f"{name}.dist-info").mkdir()
        (tmp_path / f"{name}.dist-info" / "RECORD").write_text(record)
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


def owner(site: Path, file: str) -> str | None:
    found = Environment([str(site)]).owner(str(site / file))
    return found and found.name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("acme/steps/flows.py", "acme-steps"),
        ("acme/base.py", "acme-base"),
        ("acme_cli.py", "acme-steps"),
        ("other.py", "other"),
        ("loose/part.py", None),
        ("../elsewhere.py", None),
    ],
)
def test_whose_a_file_is(file: str, name: str | None, site: Path) -> None:
    assert owner(site, file) == name


@pytest.mark.parametrize(
    ("dotted", "source", "is_there"),
    [
        ("acme.steps", "acme/steps/__init__.py", True),
        ("acme.steps.flows", "acme/steps/flows.py", True),
        ("acme", None, True),
        ("acme.nothing", None, False),
        ("fast", None, True),
        ("hidden", None, True),
        ("nothing", None, False),
    ],
)
def test_which_modules_are_there(
    dotted: str, source: str | None, is_there: bool, site: Path
) -> None:
    environment = Environment([str(site)])
    assert environment.locate(dotted) == (source and str(site / source))
    assert environment.has(dotted) is is_there


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("acme/steps/flows.py", "acme_cli.py", True),
        ("acme/steps/flows.py", "acme/base.py", False),
        ("loose/__init__.py", "loose/part.py", True),
        ("loose/part.py", "alone.py", False),
        ("other.py", "alone.py", False),
    ],
)
def test_what_is_of_one_distribution(one: str, other: str, is_same: bool, site: Path) -> None:
    environment = Environment([str(site)])
    assert environment.share_distribution(str(site / one), str(site / other)) is is_same


@pytest.mark.parametrize(
    ("file", "sources"),
    [
        ("acme/base.py", ["acme/base.py"]),
        ("acme_cli.py", ["acme/steps/__init__.py", "acme/steps/flows.py", "acme_cli.py"]),
        ("loose/part.py", ["loose/__init__.py", "loose/part.py"]),
        ("alone.py", ["alone.py"]),
    ],
)
def test_the_sources_of_a_distribution(file: str, sources: list[str], site: Path) -> None:
    assert Environment([str(site)]).sources(str(site / file)) == sources


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///a/b", "/a/b"),
        ("file:///a%20b/%C3%A9?#egg=x", "/a b/é?"),
        ("file://localhost/a/../b", "/b"),
        ("file:/a/100%/b", "/a/100%/b"),
        ("https://host/a", None),
    ],
)
def test_the_folder_of_a_url(url: str, folder: str | None) -> None:
    assert folder_of_url(url) == folder


@pytest.mark.parametrize(
    ("origin", "editable", "commit"),
    [
        ({"url": "file:///a/b", "dir_info": {"editable": True}}, "/a/b", ""),
        ({"url": "file:///a/b", "dir_info": {}}, None, ""),
        ({"url": "https://h/r", "vcs_info": {"vcs": "git", "commit_id": "12ab"}}, None, "12ab"),
        ("broken", None, ""),
        (None, None, ""),
    ],
)
def test_where_a_distribution_comes_from(
    origin: object, editable: str | None, commit: str, site: Path
) -> None:
    text = origin if isinstance(origin, str) else json.dumps(origin)
    if origin is not None:
        (site / "Other-3.dist-info" / "direct_url.json").write_text(text)
    found = Environment([str(site)]).distributions["other"]
    assert (found.editable, found.commit) == (editable, commit)


def test_the_environment_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``VIRTUAL_ENV``, else ``.venv`` at the root or at that of the workspace, else this Python."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    whole, member, active = tmp_path / "whole", tmp_path / "whole" / "member", tmp_path / "active"
    roots = (str(member), str(whole))
    assert distributions.of_project(*roots).folders == distributions.of_interpreter().folders
    assert any(folder in sys.path for folder in distributions.of_interpreter().folders)
    for place in (whole / ".venv", member / ".venv", active):
        site = place / "lib" / "python3.12" / "site-packages"
        site.mkdir(parents=True)
        if place == active:
            monkeypatch.setenv("VIRTUAL_ENV", str(place))
        assert distributions.of_project(*roots).folders == (str(site),)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "gone"))
    assert distributions.of_project(*roots).folders[0].startswith(str(member))
