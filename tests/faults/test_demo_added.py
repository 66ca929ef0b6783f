"""A replica that somebody adds to the demo's server ends, and goes, with the demo."""

from collections.abc import Callable

from dbtui.adapters.throwaway import watchdog
from dbtui.demo.added import AddedReplicas
from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from tests.fix_servers import unique_name, wait_until


def test_what_is_added_ends_with_the_world_and_others_do_not(new_postgresql: Callable[..., PostgreSQL]) -> None:
    """Its own replica and another server stay; what was added is written down for the watchdog, and removed."""
    primary, other = new_postgresql(), new_postgresql()
    own = primary.add_replica(unique_name("own"))
    added = PostgreSQLReplica(primary, name=unique_name("added"))
    note = added.data.with_name(f"{added.data.name}.passfile")
    try:
        with AddedReplicas(primary):
            added.start()
            note.write_text("")
            assert added.process is not None
            identity = watchdog.format_identity(added.process.pid)
            servers = primary.directory.path / watchdog.SERVERS_FILE
            # once by whoever started it here, once by who has found it
            wait_until(lambda: servers.read_text().count(identity) == 2)
        added.process.wait(20)
        assert not added.data.exists()
        assert not note.exists()
        assert own.execute("SELECT pg_is_in_recovery()") == [(True,)]
        assert other.execute("SELECT pg_is_in_recovery()") == [(False,)]
    finally:
        added.stop()
