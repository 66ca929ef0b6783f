"""A webhook is told by an HTTP POST of JSON. Its URL is a secret: no error and no word of this module repeats it."""

import base64
import contextlib
import http.client
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from dbtui.adapters.cancellation import Cancellation
from dbtui.errors import ConfigError, RemoteError

TRIES = 3
_PAUSES_SECONDS = (0.5, 1.0)
_MOST_REDIRECTS = 3
_FOLLOWED = (301, 302, 307, 308)
_PORTS = {"http": 80, "https": 443}
_LOOK_SECONDS = 0.05


def post_json(
    url: str, body: bytes, seconds: float, cancellation: Cancellation, pauses: tuple[float, ...] = _PAUSES_SECONDS
) -> None:
    """Post `body`; when the server is away, or fails (5xx, 429), again, up to three times within `seconds` in all.

    The certificate of an https server is verified. A redirect is followed, with the report, to the same server alone.
    Raises ConfigError for what is no http(s) URL, RemoteError, Cancelled. Whatever the server does it returns in time:
    the work is done by a thread that is left to itself when the time is over.
    """
    parts = _parse(url)
    ended: list[BaseException | None] = []
    done = threading.Event()
    ends = time.monotonic() + seconds

    def work() -> None:
        try:
            _post_again(parts, body, ends, pauses, done)
            ended.append(None)
        except Exception as error:  # told by whoever waits
            ended.append(error)
        done.set()

    threading.Thread(target=work, name="webhook", daemon=True).start()
    while not done.wait(_LOOK_SECONDS):
        if cancellation.requested or time.monotonic() >= ends:
            done.set()
            cancellation.check()
            raise RemoteError(f"the webhook did not answer within {seconds:g} s")
    if ended and ended[0] is not None:
        raise ended[0]


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        is_right = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or not url.strip().isprintable() or " " in url.strip():
        raise ConfigError(
            "the webhook's URL is no http:// or https:// URL", "mend what webhook_env or its command says"
        )
    return parts


def _post_again(
    parts: SplitResult, body: bytes, ends: float, pauses: tuple[float, ...], over: threading.Event
) -> None:  # fmt: skip
    for count in range(TRIES):
        problem = _post_once(parts, body, ends)
        if problem is None:
            return
        if not problem.is_passing or count == TRIES - 1 or over.wait(pauses[min(count, len(pauses) - 1)]):
            raise RemoteError(f"{problem.text}{f', {count + 1} times' if count else ''}")


class _Problem:
    """Why a post told nobody, and whether it may pass."""

    def __init__(self, text: str, *, is_passing: bool) -> None:
        self.text = text
        self.is_passing = is_passing


def _post_once(parts: SplitResult, body: bytes, ends: float) -> _Problem | None:
    here = parts
    for _ in range(_MOST_REDIRECTS + 1):
        left = ends - time.monotonic()
        if left <= 0:
            return _Problem("the webhook did not answer in time", is_passing=False)
        try:
            with _opener().open(_request(here, body), timeout=left) as answer:
                answer.read(1)
            return None
        except urllib.error.HTTPError as error:
            with error:
                target = error.headers.get("Location", "") if error.code in _FOLLOWED else ""
            if not target:
                passing = error.code >= 500 or error.code == 429
                return _Problem(f"the webhook answered with {error.code}", is_passing=passing)
            there = _same_server(here, target)
            if there is None:
                return _Problem("the webhook answered with a redirect to another server, which is not followed",
                                is_passing=False)  # fmt: skip
            here = there
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _Problem(f"the webhook cannot be reached: {_reason(error)}", is_passing=True)
    return _Problem("the webhook answered with too many redirects", is_passing=False)


def _same_server(here: SplitResult, target: str) -> SplitResult | None:
    """Where a redirect leads, if that is on the very same server."""

    def server(parts: SplitResult) -> tuple[str, str | None, int | None]:
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)

    with contextlib.suppress(ValueError):
        there = urlsplit(urljoin(urlunsplit(here), target))
        if server(here) == server(there):
            return there._replace(netloc=here.netloc)
    return None


def _request(parts: SplitResult, body: bytes) -> urllib.request.Request:
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    request = urllib.request.Request(bare, data=body, method="POST")  # noqa: S310 - the scheme was looked at
    request.add_header("Content-Type", "application/json")
    request.add_header("User-Agent", "dbtui")
    if "@" in parts.netloc:
        login = unquote(parts.netloc.rpartition("@")[0])
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    return request


def _opener() -> urllib.request.OpenerDirector:
    """What opens an address without following redirects: urllib would follow them anywhere, without the report."""
    opener = urllib.request.OpenerDirector()
    secure: Callable[..., Any] = urllib.request.HTTPSHandler
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        secure(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _reason(error: BaseException) -> str:
    """What was wrong in words that hold no URL."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, TimeoutError):
        return "it did not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "it does not speak HTTP" if isinstance(cause, http.client.HTTPException) else type(cause).__name__
