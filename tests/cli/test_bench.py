"""`dbtui bench`: what it prints, refuses and writes."""

import json
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.fix_web import WebServer

FAST = ("-d", "300ms", "-c", "2")


def test_stages_as_text_and_reports(web_server: WebServer, tmp_path: Path) -> None:
    ran = run("bench", "http", web_server.url("/slow?ms=10"), "--stages", "1,4", "-d", "300ms", "--slo", "200ms",
              "--report", "r.json", "--report", "r.md", cwd=tmp_path)  # fmt: skip
    assert ran.code == 0, ran.stderr
    header, first, second, *_ = ran.stdout.splitlines()
    assert header.split()[:4] == ["STAGE", "SECONDS", "RATE/S", "GOOD/S"]
    assert header.split()[-3:] == ["P99", "P99.9", "MAX"]
    assert first.startswith("1 client ")
    assert second.startswith("4 clients ")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["version"] == 1
    assert [stage["stage"] for stage in report["stages"]] == ["1 client", "4 clients"]
    counted = [sum(count for _, count in stage["latencies"]) for stage in report["stages"]]
    assert sum(counted) == sum(stage["completed"] for stage in report["stages"]) > 50
    assert 0.01 <= report["stages"][0]["p50_seconds"] < 0.1
    markdown = (tmp_path / "r.md").read_text()
    assert "| 4 clients |" in markdown
    assert "█" in markdown
    assert (tmp_path / "r.md").stat().st_mode & 0o777 == 0o600


def test_json_lines(web_server: WebServer, tmp_path: Path) -> None:
    ran = run("bench", "http", web_server.url("/status?code=503"), *FAST, "--json", cwd=tmp_path)
    assert ran.code == 1  # every answer was an error
    seconds = [event for event in ran.events if event["event"] == "second"]
    assert seconds[0]["errors"]["status 503"] == seconds[0]["completed"] > 0
    assert ran.result["outcome"] == "failed"
    assert ran.result["stages"][0]["errors"]["status 503"] > 0


def test_progress_is_plain_lines(web_server: WebServer, tmp_path: Path) -> None:
    ran = run("bench", "http", web_server.url("/ok"), *FAST, cwd=tmp_path)
    assert "2 clients" in ran.stderr
    assert "\x1b" not in ran.stderr


def test_quiet_says_nothing_but_the_figures(web_server: WebServer, tmp_path: Path) -> None:
    assert run("bench", "http", web_server.url("/ok"), *FAST, "--quiet", cwd=tmp_path).stderr == ""


def test_a_login_in_the_url_is_sent_and_never_shown(web_server: WebServer, tmp_path: Path) -> None:
    url = web_server.url("/ok?token=hush").replace("//", "//me:s3cret@")
    ran = run("bench", "http", url, *FAST, "--json", "--report", "r.md", cwd=tmp_path)
    assert ran.code == 0
    assert b"Authorization: Basic bWU6czNjcmV0" in web_server.requests[0]
    for shown in (ran.stdout, ran.stderr, (tmp_path / "r.md").read_text(), run("history", cwd=tmp_path).stdout):
        assert "s3cret" not in shown
        assert "hush" not in shown
        assert "bWU6" not in shown


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["http", "http://203.0.113.7/", "-d", "1s"], 6, "to confirm pass --yes 203.0.113.7"),
        (["http", "ftp://127.0.0.1/"], 2, "not a URL of a web server"),
        (["http", "http://127.0.0.1:99999/"], 2, "cannot be understood"),
        (["http", "http://127.0.0.1:1/", "-d", "1s"], 4, "cannot be reached"),
        (["http", "http://no.such.host.invalid/", "-d", "1s"], 4, "cannot be looked up"),
        (["http", "http://127.0.0.1/", "-d", "soon"], 2, "'soon' is not a time"),
        (["http", "http://127.0.0.1/", "--stages", "1,x"], 2, "not a list of numbers"),
        (["http", "http://127.0.0.1/", "--stages", "1,2", "--rate", "5"], 2, "use one of them"),
        (["http", "http://127.0.0.1/", "-c", "99999"], 2, "use 1 to 10000"),
        (["http", "http://127.0.0.1/", "--header", "no colon"], 2, "Name: value"),
        (["http", "http://127.0.0.1/", "--header", "Content-Length: 5"], 2, "not for you to set"),
        (["http", "http://127.0.0.1/", "--report", "x.txt"], 2, "end it with .json or .md"),
        (["http", "http://127.0.0.1/", "--report", "nowhere/x.md"], 2, "directory is not there"),
        (["http", "http://127.0.0.1/", "--method", "TRACE"], 2, "not a method"),
        (["http", "http://127.0.0.1/", "-d", "90000s"], 2, "at most a day"),
        (["sql", "sqlite:///x.db"], 2, "has no server to be loaded"),
        (["sql", "postgresql://a@127.0.0.1/b", "--pooled"], 2, "has no pgbouncer_url"),
        (["sql", "postgresql://a@127.0.0.1/b", "--statement", " "], 2, "empty"),
        (["read", "no-such-file"], 2, "cannot be read"),
        (["read", "/etc/hostname"], 2, "not the output of a load generator"),
    ],
    ids=lambda each: " ".join(each)[:50] if isinstance(each, list) else "",
)
def test_bad_input_is_one_sentence(words: list[str], code: int, part: str, tmp_path: Path) -> None:
    ran = run("bench", *words, cwd=tmp_path)
    assert ran.code == code, ran.stderr
    assert part in ran.sentence


def test_a_dry_run_sends_nothing(web_server: WebServer, tmp_path: Path) -> None:
    ran = run("bench", "http", web_server.url("/ok"), "-r", "5", "--dry-run", cwd=tmp_path)
    assert ran.code == 0
    assert "5/s: 10 s, open, at most 256 under way" in ran.stdout
    assert not web_server.requests


def test_a_wrong_host_typed_is_refused(tmp_path: Path) -> None:
    ran = run("bench", "http", "http://203.0.113.7/", "--yes", "203.0.113.8", cwd=tmp_path)
    assert ran.code == 6
