"""Webhooks: told once, or again where that helps, in bounded time, and never with their URL in a word of ours."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.webhooks import post_json
from dbtui.errors import Cancelled, ConfigError, DbtuiError, RemoteError
from tests.fix_tls import Authority
from tests.fix_web import WebServer
from tests.hook_site import HookSite, open_site

SECRET = "s3cr3t"


@pytest.fixture
def site() -> Iterator[HookSite]:
    with open_site() as made:
        yield made


def post(url: str, seconds: float = 5.0, cancellation: Cancellation | None = None) -> None:
    try:
        post_json(url, b'{"a":1}', seconds, cancellation or Cancellation(), (0.01, 0.02))
    except DbtuiError as error:
        assert SECRET not in str(error)
        raise


def test_it_is_told_once(site: HookSite) -> None:
    post(site.url())
    (taken,) = site.taken
    assert (taken.path, taken.body) == ("/hook/s3cr3t", b'{"a":1}')
    assert taken.headers["Content-Type"] == "application/json"


def test_a_login_in_the_url_is_a_header(site: HookSite) -> None:
    post(site.url().replace("//", "//me:s3cr3t%40@"))
    assert site.taken[0].headers["Authorization"] == "Basic bWU6czNjcjN0QA=="
    assert "@" not in site.taken[0].headers["Host"]


@pytest.mark.parametrize(("answers", "requests"), [([500], 2), ([503, 429], 3), ([204], 1), ([201], 1)])
def test_what_may_pass_is_tried_again(site: HookSite, answers: list[int], requests: int) -> None:
    site.answers = answers
    post(site.url())
    assert len(site.taken) == requests


@pytest.mark.parametrize(("answers", "requests"), [([500] * 5, 3), ([404], 1), ([401], 1), ([410], 1), ([303], 1)])
def test_after_three_times_or_a_refusal_it_is_a_failure(site: HookSite, answers: list[int], requests: int) -> None:
    site.answers = list(answers)
    with pytest.raises(RemoteError, match=f"answered with {answers[0]}"):
        post(site.url())
    assert len(site.taken) == requests


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_to_the_same_server_is_followed_with_the_report(site: HookSite, code: int) -> None:
    site.answers, site.location = [code], "/moved"
    post(site.url())
    assert [taken.path for taken in site.taken] == ["/hook/s3cr3t", "/moved"]
    assert site.taken[1].body == b'{"a":1}'


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_to_another_server_is_not_followed(site: HookSite, code: int) -> None:
    with open_site() as other:
        site.answers, site.location = [code], other.url("/stolen")
        with pytest.raises(RemoteError, match="redirect to another server"):
            post(site.url())
        assert other.taken == []
        site.answers, site.location = [code], "http://[broken"
        with pytest.raises(RemoteError):
            post(site.url())
    assert len(site.taken) == 2


def test_redirects_end(site: HookSite) -> None:
    site.answers, site.location = [307] * 20, "/again"
    with pytest.raises(RemoteError, match="too many redirects"):
        post(site.url())
    assert len(site.taken) == 4


@pytest.mark.parametrize("path", ["/hang", "/slow?ms=60000", "/headers", "/garbage", "/close", "/reset", "/interims"])
def test_whatever_a_server_does_it_ends_in_time(web_server: WebServer, path: str) -> None:
    began = time.monotonic()
    with pytest.raises(RemoteError, match="webhook"):
        post(web_server.url(path), 0.4)
    assert time.monotonic() - began < 30


def test_an_endless_answer_is_not_waited_for(web_server: WebServer) -> None:
    post(web_server.url("/body"))


def test_a_server_that_is_away_is_asked_three_times() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RemoteError, match="cannot be reached: Connection refused, 3 times"):
        post(f"http://127.0.0.1:{port}/{SECRET}")


def test_it_ends_when_somebody_asks(web_server: WebServer) -> None:
    cancellation = Cancellation()
    asking = threading.Timer(0.1, cancellation.request, ["Ctrl-C"])
    asking.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        post(web_server.url("/hang"), 30, cancellation)
    assert time.monotonic() - began < 30
    asking.join()


@pytest.mark.parametrize(
    "url",
    ["", SECRET, f"ftp://h/{SECRET}", f"file:///{SECRET}", "http://", f"http:///{SECRET}", f"http://h:x/{SECRET}",
     f"http://h:0/{SECRET}", f"http://h/{SECRET} x", f"http://h/{SECRET}\nx", f"http://[h/{SECRET}"],
)  # fmt: skip
def test_what_is_no_url_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(ConfigError, match="no http:// or https:// URL"):
        post(url)


def test_the_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "tls", "authority")
    with open_site(authority.sign("hooks", "hooks", "IP:127.0.0.1")) as site:
        with pytest.raises(RemoteError, match="certificate is not trusted"):
            post(site.url())
        assert site.taken == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        post(site.url())
        assert len(site.taken) == 1
