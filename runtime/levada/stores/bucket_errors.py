"""What the errors of a bucket's service say, and a way out of each.

An error of obstore is text: what was asked, the HTTP status, and the service's answer. S3 and Azure
answer in XML with a code, Google Cloud in XML or JSON.
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://learn.microsoft.com/en-us/rest/api/storageservices/common-rest-api-error-codes
https://cloud.google.com/storage/docs/xml-api/reference-status
"""

from __future__ import annotations

import re

from levada.store import StoreError

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_JSON_MESSAGE = re.compile(r'"message":\s*"([^"]*)"')
_REGION = re.compile(r"expecting '([\w-]+)'|<Region>([\w-]+)</Region>")
_LONGEST = 300  # characters of an answer that is none of these

_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_REDIRECTED = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_UNKNOWN_KEY = frozenset(
    (
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "InvalidToken"),
        "XAdminUserNotFound",  # VersityGW, with status 404
    )
)
#: What services say with status 404 of an object; a HEAD has no code, nor has Google's JSON.
_NO_OBJECT = frozenset(
    {"", "NoSuchKey", "NoSuchVersion", "NoSuchUpload", "BlobNotFound", "ResourceNotFound"}
)
#: What is asked of a service for credentials where nothing else gives any.
_METADATA = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")


#: What is said where no answer came, but may the next time.
_UNANSWERED = re.compile(r"HTTP error|error sending request|connect|timed? ?out|body|broken pipe")


def words(error: BaseException) -> str:
    """What an error of obstore says, in a line, without what may be a key: users, queries."""
    text = str(error).partition("\nDebug source:")[0]
    text = re.sub(r"//[^/@\s]*@", "//", text)
    return re.sub(r"(https?://[^?\s]*)\?\S*", r"\1", text)


class Failure:
    """What is known of one failed request."""

    def __init__(self, error: BaseException) -> None:
        text = words(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        message = _MESSAGE.search(text) or _JSON_MESSAGE.search(text)
        self.text = text
        self.status = int(status.group(1)) if status else 0  #: 0 where there was no answer
        self.code = code.group(1) if code else ""
        self.message = message.group(1).strip() if message else ""

    @property
    def is_missing(self) -> bool:
        """Whether there is no such object in a bucket that is there."""
        return self.status == 404 and self.code in _NO_OBJECT

    @property
    def is_conflict(self) -> bool:
        """Whether another request to the same object was under way; nothing was written then."""
        return self.status == 409 and self.code in _CONFLICT

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later; whether it did what it should is unknown."""
        asked_for_credentials = any(host in self.text for host in _METADATA)
        if self.status == 0:  # A key file that cannot be read is no request that was sent.
            return bool(_UNANSWERED.search(self.text)) and not asked_for_credentials
        may_change = self.status in (408, 429) or self.status >= 500
        return self.is_conflict or (may_change and not asked_for_credentials)

    def in_words(self, url: str, tried: str) -> StoreError:
        """Say what was tried, what the service said and what to do."""
        return StoreError(f"the store {url} cannot {tried}: {self._said()}; {self._way_out(url)}")

    def _said(self) -> str:
        if self.code or self.message:
            return (
                f"{self.code}: {self.message}"
                if self.code and self.message
                else (self.code or self.message)
            )
        if self.status:
            return f"the service answered with status {self.status}"
        return " ".join(self.text.split())[:_LONGEST]

    def _way_out(self, url: str) -> str:
        scheme, _, rest = url.partition("://")
        bucket = rest.partition("/")[0]
        if any(host in self.text for host in _METADATA):
            return _no_credentials(scheme)
        if self.code in _NO_BUCKET or (self.status == 404 and scheme == "gs"):
            return f"create {bucket}, or correct the store's URL"
        if self.code in _EXPIRED:
            return "the credentials have expired: log in again, or renew the token"
        if self.code in _SKEWED:
            return "set the clock of this machine: it differs from the service's by too much"
        if self.code in _REDIRECTED or self.status == 301:
            found = _REGION.search(self.text)
            region = next((each for each in found.groups() if each), "") if found else ""
            return f"set AWS_REGION to {region or 'the region of the bucket'}"
        if self.code in _UNKNOWN_KEY or self.status == 401:
            return "the service does not know these credentials: correct them"
        if self.status == 403:
            return (
                f"give the identity that was used the right to read, write and list {bucket};"
                f" `levada store check {scheme}://{rest}` says what is missing"
            )
        if self.status in (429, 503) or self.code == "SlowDown":
            return "the service asks for fewer requests: try again later"
        if self.status == 404:
            return f"create {bucket}, or correct the endpoint or the store's URL"
        if self.status == 0:
            return "look whether the service can be reached from here"
        return f"`levada store check {url}` tries what a store must do"


def _no_credentials(scheme: str) -> str:
    if scheme == "gs":
        return (
            "there are no credentials: log in (`gcloud auth application-default login`), name a key"
            " file in GOOGLE_APPLICATION_CREDENTIALS, or use a service account of the machine"
        )
    if scheme == "az":
        return (
            "there are no credentials: log in (`az login`), set AZURE_STORAGE_ACCOUNT_KEY, or use"
            " a managed identity"
        )
    return (
        "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile"
        " in AWS_PROFILE, or give the machine or service account a role"
    )
