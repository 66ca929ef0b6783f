"""The demo's web application as a private server: a process of its own, with a published pool."""

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import dbtui
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.demo.servers.base import HOST, Server, clean_environment

_POOL_VARIABLES = ("DB_POOL_SIZE", "DB_MAX_OVERFLOW", "DB_POOL_TIMEOUT")


class WebApplication(Server):
    """`python -m dbtui.demo.web` over the database at `database_url`, under this account.

    `settings` are more variables of its environment, such as DB_POOL_SIZE; this process's own are handed on.
    """

    kind = "web application"
    superuser = ""
    is_unprivileged = False  # its pool is to be read by this user

    def __init__(
        self,
        database_url: str,
        directory: ServerDirectory | None = None,
        *,
        name: str = "web",
        service: str = "erp-api",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory, name=name)
        self.database_url = database_url
        self.service = service
        self.settings = dict(settings or {})

    @property
    def app_pools(self) -> str:
        """Where its pool is published, as a profile's `app_pools` has it."""
        return f"unix://{self.home}/dbtui/*.sock"

    def url(self, path: str = "/fast") -> str:
        """A URL of the application."""
        return f"http://{HOST}:{self.port}{path}"

    def prepare(self) -> None:
        """Nothing is needed."""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "dbtui.demo.web", "--port", str(self.port), "--service", self.service]

    def environment(self) -> dict[str, str]:
        """The database's URL, which holds a password, goes this way and not by the command line."""
        return {
            **clean_environment(self.home),
            **{name: os.environ[name] for name in _POOL_VARIABLES if name in os.environ},
            "DATABASE_URL": self.database_url,
            "PYTHONPATH": str(Path(dbtui.__file__).parents[1]),
            "XDG_RUNTIME_DIR": str(self.home),
            **self.settings,
        }

    def is_ready(self) -> bool:
        """Whether it answers."""
        connection = HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()
