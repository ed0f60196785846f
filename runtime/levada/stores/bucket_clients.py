"""Clients of obstore for the bucket of a URL, with the identity that this machine has.

What each cloud's own tools read is read: environment variables, files, and the services that a
machine, pod or task asks for its identity. Nothing of it is in the store's URL.
https://developmentseed.org/obstore/latest/authentication/
"""

from __future__ import annotations

import os

from levada.store import StoreError, UnknownStore

from . import variables
from .bucket_errors import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from obstore.store import ObjectStore

#: Seconds to connect, and between two parts of an answer.
_CONNECT, _READ = 10, 60
#: Retries of a request that changes nothing if it is done twice, and the seconds they may take.
_RETRIES, _RETRIED_FOR = 8, 120
#: The variables that name an endpoint, which may be on plain HTTP.
_ENDPOINTS = (
    *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "STORAGE_EMULATOR_HOST"),
    *("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
)
_CERTIFICATES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")
#: The environment variables any of which says how to get credentials of AWS.
_AWS_IDENTITY = (
    *("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
)
#: What in a file of the AWS tools says who this is.
_AWS_KEYS = ("aws_access_key_id", "role_arn", "credential_process", "login_session")
_AZURE_IDENTITY = (
    *variables.secrets_of("az://"),
    *("AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "MSI_ENDPOINT"),
)
#: What variables that clients read begin with.
_READ_BY_CLIENTS = ("AWS_", "AZURE_", "GOOGLE_", "STORAGE_", "SSL_", "HTTP", "http", "NO_", "no_")
_in_memory: dict[str, ObjectStore] = {}
_made: dict[tuple[object, ...], ObjectStore] = {}
#: The process that has made the first request. The threads that answers come by are its own.
_process = 0


def check_installed(url: str) -> None:
    """Raise StoreError if obstore is not installed. It is not imported: that takes 10 ms."""
    from importlib.util import find_spec

    if find_spec("obstore") is None:
        scheme, _, place = url.partition("://")
        raise _no_client(scheme, place.partition("/")[0], "is not installed")


def _no_client(scheme: str, bucket: str, why: str) -> UnknownStore:
    advice = f"pip install 'levada[{_EXTRAS[scheme]}]'"
    if "LEVADA_IMAGE" in os.environ or "KUBERNETES_SERVICE_HOST" in os.environ:
        advice = (
            "write the store's URL into pyproject.toml, for `levada build` to put it into images"
        )
    return UnknownStore(f"{scheme}://{bucket} needs the package obstore, which {why}: {advice}")


def claim(url: str) -> None:
    """Say that this process is about to make a request.

    Raises StoreError if it was forked from one that has: it would wait for good.
    """
    global _process
    if _process not in (0, os.getpid()):
        raise StoreError(
            f"the store {url} cannot be used here: this process was forked from one that had used"
            " a bucket; start workers by spawn (multiprocessing.set_start_method)"
        )
    _process = os.getpid()


def client(scheme: str, bucket: str, prefix: str, *, retries: bool) -> ObjectStore:
    """Give the client of a bucket, whose paths are below ``prefix``; no request is made.

    Without ``retries`` each request is sent once. Making one takes 10 ms, so it is kept as long as
    the variables are the same. Raises StoreError.
    """
    read = [each for each in os.environ.items() if each[0].startswith(_READ_BY_CLIENTS)]
    key = (scheme, bucket, prefix, retries, tuple(sorted(read)))
    if key not in _made:
        _made[key] = _new_client(scheme, bucket, prefix, retries=retries)
    return _made[key]


def _new_client(scheme: str, bucket: str, prefix: str, *, retries: bool) -> ObjectStore:
    try:
        from obstore.exceptions import BaseError
    except ImportError as error:
        raise _no_client(scheme, bucket, f"cannot be imported ({error})") from error
    try:
        return _MAKERS[scheme](bucket, prefix or None, _options(retries=retries))
    except (BaseError, ValueError, OSError) as error:
        said = " ".join(words(error).split())
        raise StoreError(f"the store {scheme}://{bucket} cannot be opened: {said}") from None


def _options(*, retries: bool) -> dict[str, Any]:
    from datetime import timedelta

    endpoints = [os.environ.get(name, "") for name in _ENDPOINTS]
    for name, endpoint in zip(_ENDPOINTS, endpoints, strict=True):
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise StoreError(f"{name} is no URL: it begins with http:// or https://")
    client_options: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=_CONNECT),
        "read_timeout": timedelta(seconds=_READ),
        "timeout": timedelta(days=1),  # of a whole answer, however large
        "allow_http": any(each.startswith("http://") for each in endpoints),
    }
    certificates = next((os.environ[n] for n in _CERTIFICATES if os.environ.get(n)), None)
    if certificates is not None:
        with open(certificates, "rb") as file:
            client_options["root_certificate"] = file.read()
    return {
        "client_options": client_options,
        "retry_config": {
            "max_retries": _RETRIES if retries else 0,
            "retry_timeout": timedelta(seconds=_RETRIED_FOR),
        },
    }


def _s3(bucket: str, prefix: str | None, options: dict[str, Any]) -> ObjectStore:
    from obstore.store import S3Store

    if not any(os.environ.get(name) for name in _AWS_IDENTITY) and _has_aws_profile():
        options["credential_provider"] = _profile_credentials(bucket)
    config = {"checksum_algorithm": "sha256"}
    return S3Store(bucket, prefix=prefix, config=config, **options)  # type: ignore[arg-type]


def _has_aws_profile() -> bool:
    """Whether files of the AWS tools say who this is: a key, single sign-on or a role.

    One that says only which region to use does not.
    """
    if os.environ.get("AWS_PROFILE"):
        return True
    named = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config",
    )
    return any(_says_who(os.path.expanduser(each)) for each in named)


def _says_who(file: str) -> bool:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            names = {line.partition("=")[0].strip() for line in opened.read(1 << 20).splitlines()}
    except OSError:
        return False
    return any(name.startswith("sso_") or name in _AWS_KEYS for name in names)


def _profile_credentials(bucket: str) -> Any:
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        profile = os.environ.get("AWS_PROFILE") or "default"
        raise StoreError(
            f"the store s3://{bucket} is to be used with the AWS profile {profile}, which boto3"
            " reads, and it is not installed: install boto3, or run"
            f' eval "$(aws configure export-credentials --profile {profile} --format env)"'
        ) from None
    return Boto3CredentialProvider(boto3.Session())


def _gcs(bucket: str, prefix: str | None, options: dict[str, Any]) -> ObjectStore:
    from obstore.store import GCSStore

    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    config: dict[str, Any] = {}
    if emulator:
        config = {"base_url": emulator, "skip_signature": True}
    return GCSStore(bucket, prefix=prefix, config=config, **options)  # type: ignore[arg-type]


def _azure(container: str, prefix: str | None, options: dict[str, Any]) -> ObjectStore:
    from shutil import which

    from obstore.store import AzureStore

    if not any(os.environ.get(n) for n in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")):
        raise StoreError(
            f"the store az://{container} is a container of an account: name that in the variable"
            " AZURE_STORAGE_ACCOUNT_NAME"
        )
    config: dict[str, Any] = {}
    if not any(os.environ.get(name) for name in _AZURE_IDENTITY) and which("az"):
        config = {"use_azure_cli": True}
    return AzureStore(container, prefix=prefix, config=config, **options)  # type: ignore[arg-type]


def _memory(name: str, prefix: str | None, _options: dict[str, Any]) -> ObjectStore:
    from obstore.store import MemoryStore

    key = f"{name}/{prefix or ''}"
    return _in_memory.setdefault(key, MemoryStore())


_MAKERS = {"s3": _s3, "gs": _gcs, "az": _azure, "memory": _memory}
_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure", "memory": "s3"}
