"""Who a process is to a bucket, and what is said where that cannot be told; no server is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from levada.store import StoreError, open_store
from levada.stores import bucket as bucket_module
from levada.stores import bucket_clients


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no variables and no files of any cloud."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(bucket_module, "_PAUSES", (0.0,))
    monkeypatch.setattr(bucket_clients, "_made", {})


def _said(url: str = "s3://bucket/levada") -> str:
    with pytest.raises(StoreError) as raised:
        open_store(url).read("a")
    return str(raised.value)


def test_an_endpoint_without_a_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    assert "AWS_ENDPOINT_URL is no URL" in _said()


def test_a_password_in_an_endpoint_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:open-sesame@127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key")
    said = _said()
    assert "look whether the service can be reached" in said
    assert "open-sesame" not in said


@pytest.mark.parametrize(
    ("text", "is_asked"),
    [
        ("[default]\nregion = eu-1\n", False),
        ("[default]\naws_access_key_id = a\naws_secret_access_key = b\n", True),
        ("[sso-session a]\nsso_start_url = https://a\n", True),
        ("[profile a]\nrole_arn = arn:aws:iam::1:role/a\n", True),
    ],
)
def test_a_file_that_says_who_this_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_asked: bool
) -> None:
    """It is read by boto3; one that says only a region leaves the role of the machine."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text(text)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    assert ("aws configure export-credentials" in _said()) is is_asked


def test_azure_needs_an_account() -> None:
    assert "AZURE_STORAGE_ACCOUNT_NAME" in _said("az://container/levada")


@pytest.mark.parametrize("url", ["gs://bucket/levada", "az://container/levada"])
def test_a_key_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "no base64!")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    said = _said(url)
    assert "cannot be opened" in said
    assert "\n" not in said
    assert "Debug" not in said
