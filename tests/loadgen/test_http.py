"""HTTP clients against a server whose latency and manners are known."""

import ssl
import time
from functools import partial
from pathlib import Path

import pytest
import uvloop

from dbtui.analysis.load_urls import parse_http_url
from dbtui.analysis.loadtest import assess_stages
from dbtui.loadgen.http import HttpClient, HttpSettings
from dbtui.loadgen.reporting import Record
from dbtui.loadgen.running import Load
from dbtui.model.loadtest import (
    GeneratorPlan,
    GeneratorSaid,
    GeneratorSecrets,
    HttpTarget,
    LoadKind,
    LoadRequest,
    LoadSecond,
    LoadStage,
    StageResult,
)
from tests.fix_tls import Authority
from tests.fix_web import WebServer


def stage(seconds: float = 0.3, concurrency: int = 2, rate: float | None = None, name: str = "all") -> LoadStage:
    return LoadStage(name=name, seconds=seconds, concurrency=concurrency, rate=rate)


def load(
    url: str, *stages: LoadStage, secrets: GeneratorSecrets | None = None, **options: object
) -> tuple[list[LoadSecond], tuple[StageResult, ...]]:
    """Run clients in this process; return the seconds and the stages."""
    parsed = parse_http_url(url)
    request = LoadRequest(kind=LoadKind.HTTP, target=url, stages=stages, **options)  # type: ignore[arg-type]
    target = HttpTarget(
        address="127.0.0.1", port=parsed.port, host=parsed.host, resource=parsed.resource, is_tls=parsed.is_tls
    )
    plan = GeneratorPlan(request=request, begins=time.monotonic() + 0.02, http=target)
    seconds: list[LoadSecond] = []

    def keep(said: GeneratorSaid) -> None:
        assert said.second is not None
        seconds.append(said.second)

    async def run() -> None:
        settings = HttpSettings(plan, target, secrets or GeneratorSecrets())
        await Load(plan, Record(request.slo_seconds, keep), partial(HttpClient, settings=settings)).run()

    uvloop.run(run())
    return seconds, assess_stages(request, seconds)


def test_percentiles_are_those_of_a_known_latency(web_server: WebServer) -> None:
    _, (result,) = load(web_server.url("/slow?ms=40"), stage(0.6, 5), slo_seconds=1.0)
    assert result.p50_seconds is not None
    assert result.p99_seconds is not None
    assert 0.040 <= result.p50_seconds < 0.075
    assert result.p50_seconds <= result.p99_seconds < 0.4
    assert result.completed == result.latencies.count == result.good
    assert 40 <= result.completed <= 80  # 5 clients, 600 ms, 40 ms each
    assert not result.errors


def test_a_stall_hides_in_the_closed_model(web_server: WebServer) -> None:
    web_server.stall_at = 150
    _, (closed,) = load(web_server.url("/ok"), stage(1.4, 1))
    assert closed.max_seconds is not None
    assert closed.p99_seconds is not None
    assert closed.max_seconds > 0.85  # it was there, but only one request saw it
    assert closed.p99_seconds < 0.2


def test_a_stall_shows_in_the_open_model(web_server: WebServer) -> None:
    web_server.stall_at = 20
    _, (opened,) = load(web_server.url("/ok"), stage(1.6, 300, rate=200))
    assert opened.p99_seconds is not None
    assert 0.85 < opened.p99_seconds < 1.3
    assert opened.p50_seconds is not None
    assert opened.p50_seconds > 0.2  # more than half were due while it stood still
    assert opened.completed == 320


def test_what_cannot_be_started_in_time_keeps_its_intended_start(web_server: WebServer) -> None:
    _, (result,) = load(web_server.url("/slow?ms=100"), stage(1.0, 2, rate=100))
    assert result.p99_seconds is not None
    assert result.p99_seconds > 0.7  # two at a time, 20 a second: the queue grows
    assert result.completed + result.dropped == 100
    assert result.dropped > 60


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/status?code=503", "status 503"),
        ("/status?code=404", "status 404"),
        ("/close", "closed"),
        ("/half", "closed"),
        ("/reset", "reset"),
        ("/hang", "timeout"),
        ("/garbage", "garbage"),
        ("/headers", "headers too large"),
        ("/body", "body too large"),
        ("/interims", "headers too large"),
    ],
)
def test_errors_are_counted_by_kind(path: str, kind: str, web_server: WebServer) -> None:
    _, (result,) = load(web_server.url(path), stage(0.35), timeout_seconds=0.15, most_body_bytes=1 << 20)
    assert {name for name, _ in result.errors} <= {kind, "unfinished"}
    assert dict(result.errors)[kind] >= 2
    assert result.good == 0
    if kind == "timeout":
        assert result.p50_seconds is not None
        assert result.p50_seconds >= 0.15


def test_a_server_that_goes_away_is_refused_connections(web_server: WebServer) -> None:
    url = web_server.url("/ok")
    web_server.stop()
    _, (result,) = load(url, stage(0.3))
    assert dict(result.errors).keys() == {"refused"}
    assert 2 <= dict(result.errors)["refused"] < 40  # clients pause after a failure


@pytest.mark.parametrize("path", ["/ok", "/interim", "/chunked", "/until-end"])
def test_every_shape_of_a_good_answer_is_understood(path: str, web_server: WebServer) -> None:
    _, (result,) = load(web_server.url(path), stage(0.2))
    assert result.completed > 5
    assert not result.errors


@pytest.mark.parametrize(
    ("trusted", "host", "is_verified", "kind"),
    [
        ("ours", "localhost", True, ""),
        ("theirs", "localhost", True, "tls"),
        ("ours", "127.0.0.1", True, "tls"),
        ("theirs", "127.0.0.1", False, ""),
    ],
)
def test_certificates_are_checked(trusted: str, host: str, is_verified: bool, kind: str, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "theirs", "theirs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ours.sign("server", "localhost", "DNS:localhost"))
    server = WebServer(context)
    server.start()
    ca_file = str({"ours": ours, "theirs": theirs}[trusted].certificate)
    url = server.url("/ok").replace("http://127.0.0.1", f"https://{host}")
    _, (result,) = load(url, stage(0.3), ca_file=ca_file, is_verified=is_verified)
    server.stop()
    assert {name for name, _ in result.errors} == ({kind} if kind else set())
    assert bool(result.completed) is (not kind)


def test_redirects_are_not_followed(web_server: WebServer) -> None:
    _, (result,) = load(web_server.url("/status?code=302"), stage(0.1))
    assert result.completed
    assert not result.errors
    assert not [head for head in web_server.requests if b"elsewhere" in head]


def test_head_has_no_body(web_server: WebServer) -> None:
    _, (result,) = load(web_server.url("/half"), stage(0.15), method="HEAD")
    assert result.completed > 2


def test_the_request_is_what_was_asked_for(web_server: WebServer) -> None:
    secrets = GeneratorSecrets(headers=(("X-Key", "s3cret"), ("User-Agent", "mine")))
    load(web_server.url("/ok?a=1"), stage(0.05, 1), secrets=secrets)
    (first, *_) = web_server.requests
    lines = first.decode().split("\r\n")
    assert lines[0] == "GET /ok?a=1 HTTP/1.1"
    assert {"X-Key: s3cret", "User-Agent: mine", f"Host: 127.0.0.1:{web_server.port}"} <= set(lines)


def test_no_more_than_the_allowed_requests_are_sent(web_server: WebServer) -> None:
    began = time.monotonic()
    _, (result,) = load(web_server.url("/ok"), stage(20, 3), most=17)
    assert result.completed == len(web_server.requests) == 17
    assert time.monotonic() - began < 5


def test_stages_are_told_apart(web_server: WebServer) -> None:
    seconds, (few, many) = load(web_server.url("/slow?ms=20"), stage(0.4, 1, name="few"), stage(0.4, 6, name="many"))
    assert many.rate > few.rate * 3
    assert [second.stage for second in seconds if second.seconds] == ["few", "many"]
    assert few.latencies.count + many.latencies.count == len(web_server.requests)


def test_a_report_comes_each_second(web_server: WebServer) -> None:
    seconds, _ = load(web_server.url("/slow?ms=5"), stage(1.5, 1))
    timed = [second for second in seconds if second.seconds]
    assert [second.second for second in timed] == [0, 1]
    assert timed[0].seconds == pytest.approx(1.0, abs=0.1)
    assert timed[0].started >= timed[0].completed > 20
    assert 0 < timed[0].generator_cpu < 0.9
