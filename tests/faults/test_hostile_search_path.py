"""A database whose owner has others look for functions and operators where he has put his own.

What he has put there would run as whoever looks, and that may be the superuser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dbtui.config import parse_url
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.model.connections import ConnectionProfile
from dbtui.routines.partitions import collect_partitions
from tests.adapters.postgresql_targets import opened
from tests.fix_servers import unique_name
from tests.routines.partition_lab import Lab

TRAPS = (
    "pg_backend_pid()", "pg_is_in_recovery()", "current_setting(text)", "set_config(text, text, boolean)",
    "clock_timestamp()", "now()", "pg_has_role(oid, text)", "quote_ident(text)", "hashtextextended(text, bigint)",
    "pg_try_advisory_lock(bigint)", "current_schemas(boolean)", "strpos(text, text)", "starts_with(text, text)",
)  # fmt: skip


@dataclass
class GuestLab(Lab):
    """Logs in as a superuser who is not at home here."""

    guest: str = ""

    @property
    def profile(self) -> ConnectionProfile:
        return replace(parse_url(self.guest, "erp"), backup_dir=str(self.folder / "backups"))


def set_traps(lab: Lab, database: str, role: str) -> None:
    lab.run("CREATE SCHEMA mine")
    lab.run("CREATE TABLE mine.caught (what text)")
    for trap in TRAPS:
        name = trap.partition("(")[0]
        arguments = ", ".join(
            f"a{number} {each}" for number, each in enumerate(trap[len(name) + 1 : -1].split(", ")) if each
        )
        lab.run(f"CREATE FUNCTION mine.{name}({arguments}) RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
                f" INSERT INTO mine.caught VALUES ('{name}'); RETURN '{name}'; END $$")  # fmt: skip
    for kind in ("text", "oid", "name"):
        lab.run(f"CREATE FUNCTION mine.same(a {kind}, b {kind}) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE 'caught: an operator'; END $$")  # fmt: skip
        lab.run(f"CREATE OPERATOR mine.= (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = mine.same)")
    lab.run(f'ALTER ROLE {role} IN DATABASE "{database}" SET search_path = mine, public, pg_catalog')


@pytest.fixture
def lab(postgresql_server: PostgreSQL, postgresql_database: str, tmp_path: Path) -> Iterator[GuestLab]:
    database, role = postgresql_database.rpartition("/")[2], unique_name("guest")
    made = GuestLab(postgresql_database, tmp_path, guest=postgresql_server.url(database, role, "secret"))
    made.create()
    made.run(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'secret'")
    set_traps(made, database, role)
    yield made
    made.run(f"DROP ROLE {role}")


def test_nothing_of_his_runs_while_partitions_are_looked_at_planned_and_changed(lab: GuestLab) -> None:
    with opened(lab.guest) as target:
        assert (target.info.role, target.is_pooled) == ("primary", False)
    assert len(lab.drive(collect_partitions(lab.context(), lab.profile)).tables) == 1
    assert lab.apply(lab.plan()).left == 0
    assert lab.run("SELECT * FROM mine.caught") == []


def test_nor_through_a_pooler(lab: GuestLab, postgresql_server: PostgreSQL) -> None:
    database = lab.url.rpartition("/")[2]
    with PgBouncer(postgresql_server, name=unique_name("bouncer"), settings={"pool_mode": "transaction"}) as bouncer:
        through = replace(lab, guest=bouncer.url(database))
        lab.run(f'ALTER DATABASE "{database}" SET search_path = mine, public, pg_catalog')
        with opened(through.guest) as target:
            assert (target.info.role, target.is_pooled) == ("primary", True)
        assert len(lab.drive(collect_partitions(lab.context(), through.profile)).tables) == 1
    lab.run(f'SET search_path = pg_catalog; ALTER DATABASE "{database}" RESET ALL')
    assert lab.run("SELECT * FROM mine.caught") == []
