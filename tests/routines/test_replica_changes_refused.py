"""What speaks against a new replica, on real servers: a sentence each, and nothing is made."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dbtui.demo.servers import PgBouncer, PostgreSQL, ServerDirectory
from dbtui.errors import RefusedError, UsageError
from dbtui.model.connections import Secret
from dbtui.model.replicas import ReplicaWish
from tests.adapters.postgresql_sessions import add_login
from tests.fix_servers import unique_name
from tests.routines.replica_lab import profile_of
from tests.routines.replica_site import Site, sites


@pytest.fixture(scope="module")
def primary(server_directory: ServerDirectory) -> Iterator[PostgreSQL]:
    with PostgreSQL(server_directory, name=unique_name("pg")) as server:
        yield server


@pytest.fixture
def site(primary: PostgreSQL) -> Iterator[Site]:
    yield from sites(primary)


def refusal(site: Site, wish: ReplicaWish | None = None, **options: object) -> str:
    """The one sentence that speaks against a plan; nothing was made."""
    plan = site.plan(wish or site.wish(), **options)  # type: ignore[arg-type]
    assert site.left() == []
    assert len(plan.refusals) == 1, plan.refusals
    return plan.refusals[0]


def test_a_taken_port(site: Site) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert refusal(site, site.wish(port=port)) == (
            f"the port {port} is taken: another server listens there; name a free one"
        )


def test_a_slot_that_exists_and_one_that_cannot(site: Site) -> None:
    site.primary.execute("SELECT pg_create_physical_replication_slot('near', true)")
    assert refusal(site).startswith(f"slot near exists on 127.0.0.1:{site.primary.port}: give --slot another name")
    assert "lower-case letters, digits and _" in refusal(site, site.wish(slot="Near-1"))
    assert "printable ASCII" in refusal(site, site.wish(slot="ok", name="nähe"))
    assert "32 kB/s to 1 GB/s" in refusal(site, site.wish(slot="ok", most_bytes_per_second=10))


def test_a_directory_that_cannot_be(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    asked = replace(site.wish(), data_directory=str(tmp_path / "file"))
    assert "is no directory of its own" in refusal(site, asked)
    asked = replace(site.wish(), data_directory=str(tmp_path / "none" / "near"))
    assert refusal(site, asked) == f"there is no directory {tmp_path / 'none'}: create it"
    asked = replace(site.wish(), data_directory=str(site.primary.data))
    assert "is not empty (a PostgreSQL data directory" in refusal(site, asked)
    asked = replace(site.wish(), data_directory=str(site.primary.data / "near"))
    assert f"is inside of {site.primary.data}, which is the source's own" in refusal(site, asked)
    assert "would hand to a shell" in refusal(site, site.wish("$(id)", name="near", slot="near"))
    for text in ("", "/", "a\0b"):
        with pytest.raises(UsageError):
            site.plan(replace(site.wish(), data_directory=text))


def test_a_login_without_the_privilege_and_one_that_is_not_let_in(site: Site) -> None:
    login = add_login(site.primary)
    profile = profile_of("erp", site.primary, user=login, password="x")
    said = refusal(site, profile=profile)
    assert said == f'the login may not replicate: ALTER ROLE "{login}" REPLICATION; allows it'
    site.primary.execute(f'ALTER ROLE "{login}" REPLICATION')
    hba = site.primary.data / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text(f"host replication {login} all reject\n{before}")
    try:
        site.primary.execute("SELECT pg_reload_conf()")
        said = refusal(site, profile=profile)
        assert said.startswith("a connection for replication was tried and refused: ")
        assert said.endswith("pg_hba.conf needs a line for replication")
    finally:
        hba.write_text(before)
        site.primary.execute("SELECT pg_reload_conf()")
    plan = site.plan(site.wish(), profile=profile)
    assert not plan.refusals
    assert plan.needed_bytes is not None or "how large the source is" in plan.warnings[0]


def test_a_login_that_may_replicate_and_nothing_else_adds_one(site: Site) -> None:
    login = add_login(site.primary)
    site.primary.execute(f'ALTER ROLE "{login}" REPLICATION')
    profile = profile_of("erp", site.primary, user=login, password="x")
    wish = site.wish("plain")
    done = site.apply(site.plan(wish, profile=profile), profile=profile)
    assert done.pid is not None
    assert site.ask(wish.port, "SELECT pg_is_in_recovery()") == [(True,)]


def test_a_read_only_profile(site: Site) -> None:
    profile = replace(site.profile, read_only=True)
    assert refusal(site, profile=profile) == "profile erp is read-only: a slot has to be made"


def test_a_pooler_in_the_path(site: Site, server_directory: ServerDirectory) -> None:
    with PgBouncer(site.primary, server_directory, name=unique_name("bouncer")) as bouncer:
        profile = replace(
            site.profile,
            url=f"postgresql://{site.primary.superuser}@127.0.0.1:{bouncer.port}/postgres",
            password=Secret(site.primary.password),
        )
        assert "a pooler answers at" in refusal(site, profile=profile)


def test_too_low_a_level_and_too_few_senders_and_slots(new_postgresql: Callable[..., PostgreSQL]) -> None:
    settings = ["wal_level = minimal", "max_wal_senders = 0", "max_replication_slots = 0"]
    site = Site.of(new_postgresql(config=settings))
    refusals = "\n".join(site.plan(site.wish()).refusals)
    assert "wal_level is minimal, too low for a replica: ALTER SYSTEM SET wal_level = 'replica';" in refusals
    assert "max_wal_senders is 0 and 0 are in use: the copy needs 2" in refusals
    assert "max_replication_slots is 0 and all are taken" in refusals


def test_programs_of_another_version(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbtui.adapters.postgresql import replica_place

    monkeypatch.setattr(replica_place, "find_tools", lambda _name, _environ: ())
    assert "pg_basebackup 15 is not installed here (found: none)" in refusal(site)


def test_a_replica_that_was_copied_without_whole_pages_is_no_source(site: Site) -> None:
    wish = site.wish("above")
    site.add(wish)
    above = site.replica_profile("above", wish.port)
    plan = site.plan(site.wish("below"), profile=above)
    assert plan.refusals == (
        "full_page_writes is off at the primary: a replica cannot be copied from then; switch it on there",
    )
    with pytest.raises(RefusedError, match="full_page_writes is off"):
        site.apply(plan, profile=above)
    assert site.left() == ["above", "above.passfile"]
