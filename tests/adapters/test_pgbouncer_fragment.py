"""The fragment of pgbouncer.ini that is recommended, given to a real PgBouncer."""

import psycopg2

from dbtui.analysis.pools import assess_fleet, format_pgbouncer_ini
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.demo.servers.base import HOST
from dbtui.model.ladders import FleetFacts, FleetReport
from tests.fix_servers import unique_name


class AdvisedPgBouncer(PgBouncer):
    """A PgBouncer whose settings are the fragment, and of its own only where it listens and who may log in."""

    report: FleetReport

    def _format_settings(self) -> str:
        own = super()._format_settings().partition("[pgbouncer]\n")[2]
        advised = ("pool_mode", "default_pool_size", "max_client_conn", "ignore_startup_parameters")
        kept = [line for line in own.splitlines() if not line.startswith(advised)]
        return format_pgbouncer_ini(self.report) + "\n".join(kept) + "\n"


def test_pgbouncer_takes_the_fragment_as_it_is(postgresql_server: PostgreSQL) -> None:
    name = unique_name("erp prod")
    postgresql_server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    facts = FleetFacts(processes=8, server_slots=97, host=HOST, port=postgresql_server.port, database=name)
    pooler = AdvisedPgBouncer(postgresql_server, name=unique_name("advised"))
    pooler.report = assess_fleet(facts)
    with pooler:
        client = psycopg2.connect(pooler.url(name))
        with client.cursor() as cursor:
            cursor.execute("SELECT current_database()")
            assert cursor.fetchone() == (name,)
        client.close()
        console = psycopg2.connect(pooler.console_url())
        console.autocommit = True
        with console.cursor() as cursor:
            cursor.execute("SHOW CONFIG")
            config = {row[0]: row[1] for row in cursor.fetchall()}
        console.close()
    for setting in pooler.report.pooler_settings:
        assert config[setting.name] == setting.value
    postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
