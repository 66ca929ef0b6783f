"""The demo's web application: a real process, through a real pooler, with its pool published."""

import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dbtui.demo.servers import PgBouncer, PostgreSQL, ServerDirectory
from dbtui.demo.servers.web import WebApplication
from tests.fix_servers import unique_name
from tests.instrument.reading import ask, ask_pool, wait_until


@pytest.fixture
def web(server_directory: ServerDirectory, pgbouncer_database: str) -> Iterator[WebApplication]:
    """Two connections, and half a second to wait for one."""
    settings = {"DB_POOL_SIZE": "1", "DB_MAX_OVERFLOW": "1", "DB_POOL_TIMEOUT": "0.5"}
    name = unique_name("web")
    with WebApplication(pgbouncer_database, server_directory, name=name, settings=settings) as server:
        yield server


def get(web: WebApplication, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(web.url(path), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def socket_of(web: WebApplication) -> Path:
    (path,) = Path("/").glob(web.app_pools.removeprefix("unix:///"))
    return path


def test_it_answers_and_tells_of_its_pool(web: WebApplication, pgbouncer: PgBouncer) -> None:
    assert get(web, "/fast") == (200, {"id": 1, "name": "nobody"})
    assert get(web, "/slow?ms=1") == (200, {"seconds": 0.001})
    assert get(web, "/report?ms=1") == (200, {"orders": {"none": 0}})
    assert get(web, "/health") == (200, {"status": "ok"})
    assert get(web, "/elsewhere")[0] == 404
    for wrong in ("/slow?ms=-1", "/slow?ms=x", "/report?ms=60001"):
        assert get(web, wrong)[0] == 400
    document = ask(socket_of(web))
    assert document["service"] == "erp-api"
    assert web.process
    assert document["pid"] == web.process.pid
    (pool,) = document["pools"]
    assert (pool["size"], pool["max_overflow"], pool["timeout"]) == (1, 1, 0.5)
    assert pool["url"].startswith(f"postgresql://127.0.0.1:{pgbouncer.port}/")


def test_a_full_pool_is_seen_and_answered(web: WebApplication, postgresql_server: PostgreSQL) -> None:
    path = socket_of(web)
    threads = [threading.Thread(target=get, args=(web, f"/{what}?ms=2500")) for what in ("slow", "report")]
    for thread in threads:
        thread.start()
    wait_until(lambda: ask_pool(path)["checked_out"] == 2)
    states = "SELECT state FROM pg_stat_activity WHERE application_name LIKE 'erp-api:%%' AND state <> 'idle'"
    wait_until(lambda: sorted(row[0] for row in postgresql_server.execute(states)) == ["active", "idle in transaction"])
    asking = threading.Thread(target=get, args=(web, "/fast"))
    asking.start()
    wait_until(lambda: ask_pool(path)["pending"] == 1)
    assert get(web, "/fast") == (503, {"error": "no connection became free in time"})
    for thread in (*threads, asking):
        thread.join()
    pool = ask_pool(path)
    assert (pool["timeouts"], pool["pending"], pool["checked_out"]) == (2, 0, 0)


def test_its_password_is_not_in_its_arguments_and_its_end_is_clean(web: WebApplication) -> None:
    assert web.process
    words = Path(f"/proc/{web.process.pid}/cmdline").read_bytes()
    secret = web.database_url.partition("://")[2].partition("@")[0].partition(":")[2]
    assert secret
    assert os.fsencode(secret) not in words
    path = socket_of(web)
    process = web.process
    process.terminate()
    assert process.wait(20) == 0
    assert not path.exists()
    assert secret not in web.log.read_text()


def test_what_keeps_it_from_starting_is_one_sentence(server_directory: ServerDirectory) -> None:
    settings = {"DB_POOL_SIZE": "many"}
    web = WebApplication("sqlite:///a.db", server_directory, name=unique_name("web"), settings=settings)
    web.launch()
    assert web.process
    assert web.process.wait(30) == 1
    said = web.log.read_text()
    assert said.startswith("the web application did not start: DB_POOL_SIZE is 'many'")
    assert said.count("\n") == 1
