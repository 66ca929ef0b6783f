"""Private servers that end with the program that started them: for the demo and for the tests."""

from dbtui.adapters.throwaway.directories import ServerDirectory, sweep_directories
from dbtui.demo.servers.base import Server, start_together
from dbtui.demo.servers.mysql import MariaDB
from dbtui.demo.servers.pgbouncer import PgBouncer
from dbtui.demo.servers.postgresql import PostgreSQL, PostgreSQLReplica
from dbtui.demo.servers.web import WebApplication

__all__ = [
    "MariaDB",
    "PgBouncer",
    "PostgreSQL",
    "PostgreSQLReplica",
    "Server",
    "ServerDirectory",
    "WebApplication",
    "start_together",
    "sweep_directories",
]
