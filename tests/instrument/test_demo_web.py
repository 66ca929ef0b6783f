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


ORDERS = """\
CREATE TABLE organisations (id int PRIMARY KEY, name text);
CREATE TABLE users (id int PRIMARY KEY, full_name text NOT NULL);
CREATE TABLE inventory_items (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, organisation_id int, user_id int REFERENCES users, ordered_at timestamptz);
CREATE TABLE order_lines (order_id int REFERENCES orders, line_number int, item_id int REFERENCES inventory_items,
                          quantity int, unit_price numeric, PRIMARY KEY (order_id, line_number));
INSERT INTO organisations SELECT n, 'org ' || n FROM generate_series(1, 5) n;
INSERT INTO users SELECT n, 'user ' || n FROM generate_series(1, 40) n;
INSERT INTO inventory_items SELECT n, 'item ' || n FROM generate_series(1, 90) n;
INSERT INTO orders SELECT n, n % 5 + 1, n % 40 + 1, '2026-01-01'::timestamptz + n * interval '1 h'
  FROM generate_series(1, 200) n;
INSERT INTO order_lines SELECT o, l, (o * 7 + l) % 90 + 1, l, 9.5
  FROM generate_series(1, 200) o, generate_series(1, 3) l
"""


def test_a_page_that_asks_too_often_until_it_is_cured(
    server_directory: ServerDirectory, postgresql_server: PostgreSQL
) -> None:
    """The same twenty orders with their sixty lines: dozens of statements, then one for each table."""
    database = unique_name("orders")
    postgresql_server.execute(f"CREATE DATABASE {database}")
    postgresql_server.execute(ORDERS, database=database)
    postgresql_server.execute("CREATE EXTENSION pg_stat_statements", database=database)

    def count_statements(web: WebApplication) -> int:
        postgresql_server.execute("SELECT pg_stat_statements_reset()", database=database)
        status, answer = get(web, "/orders")
        assert (status, len(answer["orders"])) == (200, 20)
        assert all(len(each["items"]) == 3 and each["total"] == 57 and each["by"] for each in answer["orders"])
        ((calls,),) = postgresql_server.execute(
            "SELECT sum(calls) FROM pg_stat_statements WHERE query ILIKE 'select%%order%%'"
            " OR query ILIKE 'select%%item%%' OR query ILIKE 'select%%users%%'",
            database=database,
        )
        return int(calls)

    url = postgresql_server.url(database)
    with WebApplication(url, server_directory, name=unique_name("web")) as web:
        assert count_statements(web) > 40
        assert get(web, "/cure") == (200, {"cured": True})
        assert count_statements(web) <= 4
        assert get(web, "/relapse") == (200, {"cured": False})
        assert count_statements(web) > 40
