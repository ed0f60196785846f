"""A connection to Kubeflow Pipelines' API by its own client, imported when something is asked."""

from __future__ import annotations

import contextlib
import json
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from levada_compiler.client import ClientError, not_installed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

#: Where KFP is, and its runs are, if nothing else is said.
DEFAULT_NAMESPACE = "kubeflow"
_NOT_FOUND = 404
#: What a server, or what stands before it, answers while it is restarted or has too much to do.
_BUSY = frozenset((429, 502, 503, 504))
#: Seconds before asking again, where a server that has answered before does not.
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0)
_NOT_KFP = "answers something that is not from the API of Kubeflow Pipelines"
_LOGIN = (
    "check `host`; if there is a page to log in before it, name a token's variable as `token_env`"
)


class NoAnswerError(ClientError):
    """The server does not answer, or is too busy to."""


class Connection:
    """Asks a host for what is in a namespace; errors are given in words."""

    def __init__(
        self, host: str, namespace: str, token: str | None, certificates: str | None
    ) -> None:
        """The token is that of a user, the certificates the path of a file with signers."""
        self._host = host
        self._namespace = namespace
        self._token = token
        self._certificates = certificates
        self._made: Any = None

    @property
    def client(self) -> Any:
        """``kfp.Client``."""
        if self._made is None:
            make = _imported("kfp").Client
            self._made = self.ask(
                lambda: _connected(
                    make,
                    host=self._host,
                    namespace=self._namespace or DEFAULT_NAMESPACE,
                    existing_token=self._token,
                    ssl_ca_cert=self._certificates,
                )
            )
        return self._made

    @property
    def models(self) -> Any:
        """What its messages are made of."""
        return _imported("kfp_server_api")

    def ask(self, question: Callable[[], T], not_found: str = "") -> T:
        """The answer of the API. What `kfp` prints is dropped. Raises ClientError."""
        import io
        import logging
        import warnings

        refused = self.models.ApiException
        unreachable = _imported("urllib3").exceptions.HTTPError
        before = logging.root.manager.disable
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                logging.disable()
                return question()
        except refused as error:
            if error.status == _NOT_FOUND and not_found:
                raise ClientError(f"{not_found} at {self._host}") from None
            kind = NoAnswerError if error.status in _BUSY else ClientError
            raise kind(_api_message(self._host, error), _way_out(error.status)) from None
        except ValueError as error:  # what kfp has to say itself
            raise ClientError(f"{self._host}: {error}") from None
        except (AttributeError, TypeError) as error:  # what it takes apart has another shape
            raise ClientError(f"{self._host} {_NOT_KFP} ({error})", _LOGIN) from None
        except (unreachable, OSError) as error:
            raise NoAnswerError(
                f"{self._host} does not answer: {error}", "check `host`, and that it can be reached"
            ) from None
        finally:
            logging.disable(before)

    def read(self, question: Callable[[], T], not_found: str = "") -> T:
        """The same of what changes nothing: a server that answered before is waited for."""
        for pause in _PAUSES:
            try:
                return self.ask(question, not_found)
            except NoAnswerError:
                if self._made is None:
                    raise
                time.sleep(pause)
        return self.ask(question, not_found)

    def listed(self, name: str, page: Callable[[str], Any]) -> Iterator[Any]:
        """What has this name in all pages, each asked for by its token."""
        token = ""
        while True:
            answer = self.ask(lambda token=token: page(token))  # type: ignore[misc]
            yield from getattr(answer, name) or []
            token = answer.next_page_token
            if not token:
                return


def _imported(name: str) -> Any:
    """`kfp`, or a package that it brings. Raises ClientError if it is not here."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise not_installed(error, "kubeflow", "kubeflow") from error


def _connected(make: Any, **options: Any) -> Any:
    """A client that has asked once for the server's health: `kfp` would ask five times.

    To `kfp` each text is an answer, that of a page to log in as well.
    """

    class Connected(make):  # type: ignore[misc]
        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:  # noqa: ARG002
            service = self._healthz_api
            answer = service.api_client.call_api(
                "/apis/v2beta1/healthz",
                "GET",
                response_type="object",
                auth_settings=["Bearer"],
                _return_http_data_only=True,
            )
            if not isinstance(answer, dict):
                raise ClientError(f"{options['host']} {_NOT_KFP}", _LOGIN)
            return service.healthz_service_get_healthz()

    return Connected(**options)


def _api_message(host: str, error: Any) -> str:
    """What the server says, without the headers and the stack that it sends along."""
    try:
        said = json.loads(error.body)
        text = said.get("error_message") or said.get("message") or said.get("error") or ""
    except (TypeError, ValueError, AttributeError):
        text = ""
    return f"{host} answered {error.status} {error.reason or ''}: {text}".rstrip(": ")


def _way_out(status: int) -> str:
    if status in (401, 403):
        return "name the variable with a token of yours as `token_env`, and check `namespace`"
    return ""
