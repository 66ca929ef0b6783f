"""The demo's world: what is in it, what it says when a server is missing here, and that it sees nothing else."""

import json
import os
import stat
import urllib.request
from pathlib import Path
from unittest import mock

import psycopg2
import pytest

from dbtui.config import load_settings
from dbtui.demo import world as worlds
from dbtui.demo.servers import MariaDB, PgBouncer
from dbtui.demo.world import enter_environment, open_world
from dbtui.errors import ToolError
from tests.instrument.reading import ask_pool


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_world_has_every_server_filled_and_a_configuration_without_secrets() -> None:
    said: list[str] = []
    with (
        mock.patch.dict(os.environ, {"DATABASE_URL": "sqlite:///mine", "PGHOST": "db1"}),
        open_world(said.append, 0.02) as world,
    ):
        enter_environment(world)
        settings = load_settings(os.environ)
        assert [profile.name for profile in settings.profiles] == ["erp", "erp-replica", "erp-pgbouncer", "shop", "app"]
        assert settings.warnings == ()
        assert [profile.warnings for profile in settings.profiles] == [()] * 5
        assert world.password not in world.config.read_text()
        assert "PGHOST" not in os.environ
        assert mode_of(world.config) == mode_of(world.sqlite) == mode_of(world.home / "password") == 0o600
        assert mode_of(world.home) == mode_of(world.backup_dir) == 0o700

        assert world.postgresql
        assert world.mariadb
        assert world.pgbouncer
        counted = world.postgresql.execute("SELECT count(*) FROM audit_logs", database="erp")[0][0]
        assert counted == 900
        through_pooler = psycopg2.connect(world.pgbouncer.url("erp", "dba", world.password))
        through_pooler.close()
        assert world.mariadb.execute("SELECT count(*) FROM products", database="shop") == [(30,)]
        assert world.absent == []

        assert world.web
        erp = settings.profile("erp")
        assert erp
        assert erp.pgbouncer_url
        assert erp.app_pools == (world.web.app_pools,)
        with urllib.request.urlopen(world.web.url(), timeout=10) as answer:
            assert json.load(answer)["name"]
        (path,) = Path("/").glob(erp.app_pools[0].removeprefix("unix:///"))
        assert ask_pool(path)["url"] == f"postgresql://127.0.0.1:{world.pgbouncer.port}/erp"
        assert "filled shop" in " ".join(said)
    assert not world.home.exists()


def test_the_erp_keeps_its_audit_log_by_trigger() -> None:
    with open_world(lambda _line: None, 0.02) as world:
        assert world.postgresql
        run = world.postgresql.execute
        before = run("SELECT count(*) FROM audit_logs", database="erp")[0][0]
        run("UPDATE inventory_items SET quantity = quantity + 1 WHERE id = 1", database="erp")
        assert run("SELECT count(*) FROM audit_logs", database="erp") == [(before + 1,)]
        assert run("SELECT next_invoice_number()", database="erp")[0][0].endswith("-100000")
        owners = run("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", database="erp")
        assert owners == [("erp_owner",)]


def test_a_server_that_is_not_here_is_said_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise ToolError("no PostgreSQL server was found")

    monkeypatch.setattr(worlds, "PostgreSQL", refuse)
    monkeypatch.setattr(MariaDB, "is_installed", staticmethod(lambda: False))
    monkeypatch.setattr(PgBouncer, "is_installed", staticmethod(lambda: False))
    said: list[str] = []
    with mock.patch.dict(os.environ), open_world(said.append, 0.02) as world:
        enter_environment(world)
        assert [profile.name for profile in load_settings(os.environ).profiles] == ["app"]
        assert len(world.absent) == 3
        assert "no servers here" in said[0]
