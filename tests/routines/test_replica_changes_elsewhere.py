"""Sources that are laid out otherwise: tablespaces, a configuration elsewhere, another version, a slow checkpoint."""

from collections.abc import Callable, Iterator

import pytest

from dbtui.demo.servers import PostgreSQL, ServerDirectory
from dbtui.errors import Cancelled
from dbtui.model.events import Event, Progressed, StepStarted
from dbtui.routines.context import RoutineContext
from tests.adapters.postgresql_nasty import newest_tools
from tests.fix_servers import unique_name, wait_until
from tests.routines.replica_site import Site, sites


@pytest.fixture
def site(new_postgresql: Callable[..., PostgreSQL]) -> Iterator[Site]:
    yield from sites(new_postgresql())


def test_tablespaces_are_copied_beside_and_removed_with_the_rest(site: Site, server_directory: ServerDirectory) -> None:
    place = server_directory.add_subdirectory(unique_name("space"), site.primary.account)
    site.primary.execute(f"CREATE TABLESPACE fast LOCATION '{place}'")
    site.primary.execute("CREATE TABLE marks TABLESPACE fast AS SELECT 4711 AS mark")
    wish = site.wish("near")
    plan = site.plan(wish)
    beside = site.place / "near.tablespaces"
    assert not plan.refusals
    assert any("the source has tablespaces (fast)" in each for each in plan.warnings)
    assert any(str(beside) in each for each in plan.steps)

    def cancel(context: RoutineContext, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "start":
            context.cancellation.request("test")

    with pytest.raises(Cancelled):
        site.apply(plan, on_event=cancel)
    assert (site.left(), site.slots()) == ([], [])
    site.apply(plan)
    assert site.ask(wish.port, "SELECT mark FROM marks") == [(4711,)]
    assert site.left() == ["near", "near.passfile", "near.tablespaces"]
    (link,) = (site.place / "near" / "pg_tblspc").iterdir()
    assert link.resolve().is_relative_to(beside)
    assert any(place.iterdir())  # the source's is as it was


def test_a_configuration_that_is_kept_elsewhere(site: Site) -> None:
    server = site.primary
    server.stop()
    elsewhere = server.home / "etc"
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        (server.data / name).rename(elsewhere / name)
    with (elsewhere / "postgresql.conf").open("a") as settings:
        settings.write(f"data_directory = '{server.data}'\nhba_file = '{elsewhere}/pg_hba.conf'\n")
        settings.write(f"ident_file = '{elsewhere}/pg_ident.conf'\nmax_connections = 123\n")
    command = server.command()
    command[2] = str(elsewhere)
    server.command = lambda: command  # type: ignore[method-assign]
    server.start()
    wish = site.wish("near")
    plan = site.plan(wish)
    assert any("keeps its configuration outside its data directory" in each for each in plan.warnings), plan.warnings
    site.apply(plan)
    shown = site.ask(wish.port, "SELECT current_setting('data_directory'), current_setting('max_connections')")
    assert shown == [(str(site.place / "near"), "123")]
    assert site.ask(wish.port, "SELECT current_setting('hba_file')") == [(str(site.place / "near" / "pg_hba.conf"),)]


def test_another_version(server_directory: ServerDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    with PostgreSQL(server_directory, name=unique_name("pg"), binaries=newest_tools()) as server:
        monkeypatch.setenv("DBTUI_PG_BIN", str(server.binaries))
        for site in sites(server):
            wish = site.wish("near")
            site.add(wish)
            version = site.ask(wish.port, "SELECT current_setting('server_version_num')::int / 10000")
            assert version == [(18,)]
            assert site.slots() == ["near"]


def test_a_slow_checkpoint_is_named_and_given_up_at_once(site: Site) -> None:
    site.primary.execute("CREATE TABLE pages AS SELECT repeat('x', 2000) AS filler FROM generate_series(1, 20000)")
    plan = site.plan(site.wish("near", is_fast_checkpoint=False))
    assert any("the copy begins when the next checkpoint is complete" in each for each in plan.warnings)

    def cancel(context: RoutineContext, event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "wait for a checkpoint":
            assert "the server spreads it over time, up to 270 s; nothing is copied until then" in event.detail
            wait_until(lambda: site.primary.execute("SELECT phase FROM pg_stat_progress_basebackup") == [
                ("waiting for checkpoint to finish",)])  # fmt: skip
            context.cancellation.request("test")

    with pytest.raises(Cancelled):
        site.apply(plan, on_event=cancel)
    assert "copy" not in site.told.steps
    assert (site.left(), site.slots()) == ([], [])
    wait_until(lambda: not site.primary.execute("SELECT 1 FROM pg_stat_progress_basebackup"))


def test_the_log_of_a_copy_is_the_copys_own_name(site: Site) -> None:
    """Commits may wait for who is called as the replica will be: the copy is not."""
    site.primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'near'")
    site.primary.execute("SELECT pg_reload_conf()")
    wait_until(lambda: site.primary.execute("SHOW synchronous_standby_names") == [("near",)])
    plan = site.plan(site.wish("near", most_bytes_per_second=8 << 20))
    assert any("synchronous_standby_names is 'near': commits may wait" in each for each in plan.warnings)
    seen: set[tuple[object, ...]] = set()

    def look(_context: RoutineContext, event: Event) -> None:
        if isinstance(event, Progressed) and event.unit == "bytes":
            seen.update(site.primary.execute("SELECT application_name, sync_state FROM pg_stat_replication"))

    site.apply(plan, on_event=look)
    assert seen == {("pg_basebackup near", "async")}
    (stream,) = site.primary.execute("SELECT application_name, sync_state FROM pg_stat_replication")
    assert stream == ("near", "sync")
    site.primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
    site.primary.execute("SELECT pg_reload_conf()")


def test_the_replica_is_as_strict_as_the_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCHANNELBINDING", "disable")
    monkeypatch.setenv("PGGSSENCMODE", "disable")
    steps = "\n".join(site.plan(site.wish("near")).steps)
    assert steps.count("channel_binding=disable") == steps.count("gssencmode=disable") == 2
    assert "sslmode" not in steps  # libpq's own default
