"""The environment variables by which the store of a URL is reached."""

from __future__ import annotations

#: By the scheme: those that say where the service is and who asks, and those that are secrets.
_PLACES = {
    "s3": (
        *("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"),
        *("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
        *("AWS_ALLOW_HTTP", "AWS_SKIP_SIGNATURE", "AWS_EC2_METADATA_DISABLED"),
        *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"),
    "az": (
        *(
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_STORAGE_ACCOUNT",
            "AZURE_STORAGE_ENDPOINT",
            "AZURE_ENDPOINT",
        ),
        *("AZURE_ALLOW_HTTP", "AZURE_STORAGE_CLIENT_ID", "AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
        *("AZURE_STORAGE_TENANT_ID", "AZURE_STORAGE_USE_EMULATOR", "AZURE_SKIP_SIGNATURE"),
    ),
}
_SECRETS = {
    "s3": ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    "gs": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
    "az": (
        *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN"),
        *("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_TOKEN"),
        *("AZURE_STORAGE_CLIENT_SECRET", "AZURE_CLIENT_SECRET"),
    ),
}


def of(url: str) -> tuple[str, ...]:
    """All variables that matter for the store of a URL."""
    scheme = url.partition("://")[0]
    return (*_PLACES.get(scheme, ()), *_SECRETS.get(scheme, ()))


def secrets_of(url: str) -> tuple[str, ...]:
    """Those whose values are credentials; nothing of them is shown."""
    return _SECRETS.get(url.partition("://")[0], ())
