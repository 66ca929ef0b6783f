"""The throwaway world: private servers, filled databases, and the configuration that makes dbtui see them."""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dbtui.demo import erp, shop
from dbtui.demo.added import AddedReplicas
from dbtui.demo.app import fill_app
from dbtui.demo.servers import (
    MariaDB,
    PgBouncer,
    PostgreSQL,
    PostgreSQLReplica,
    ServerDirectory,
    WebApplication,
    start_together,
)
from dbtui.demo.visitors import Visitors
from dbtui.errors import ToolError

# Nothing of the person's own configuration and databases is seen from within the world.
STRANGERS = ("PG", "MYSQL", "MARIADB", "DBTUI_", "XDG_")
# So that statements can be captured: what is logged is switched on when that is asked for.
LOGGING = ("logging_collector = on", "log_directory = 'log'", "log_rotation_size = 64MB")
REPLICA, SLOT = "erp-replica", "erp_replica"


@dataclass
class World:
    """What was started and filled. A server that this machine has not is None, and `absent` says why."""

    directory: ServerDirectory
    home: Path
    now: datetime
    postgresql: PostgreSQL | None = None
    replica: PostgreSQLReplica | None = None
    mariadb: MariaDB | None = None
    pgbouncer: PgBouncer | None = None
    web: WebApplication | None = None
    rows: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)

    @property
    def sqlite(self) -> Path:
        """The SQLite file."""
        return self.home / "app.sqlite"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.home / "config.toml"

    @property
    def backup_dir(self) -> Path:
        """Where its backups are."""
        return self.home / "backups"

    @property
    def servers(self) -> list[PostgreSQL | MariaDB | PgBouncer]:
        """The servers that run."""
        return [server for server in (self.postgresql, self.mariadb, self.pgbouncer) if server]


@contextmanager
def open_world(say: Callable[[str], None], scale: float = 1.0) -> Iterator[World]:
    """Start and fill everything; it is gone when the block ends, or this process does.

    `say` is told each step in a line; `scale` multiplies the rows. Raises ToolError when a server does not start.
    """
    with ExitStack() as stack:
        directory = stack.enter_context(ServerDirectory.create())
        world = World(directory, directory.add_subdirectory("world", None), datetime.now(UTC))
        _create_servers(world)
        for server in world.servers:
            stack.callback(server.stop)
        say("starting " + ", ".join(server.kind for server in world.servers) if world.servers else "no servers here")
        start_together(*world.servers)
        _fill(world, scale, stack)
        for name, count in world.rows.items():
            say(f"filled {name}: {count:,} rows".replace(",", " "))
        if world.web:
            say(f"a web application over erp, for load tests: {world.web.url()}")
            say(f"its page {world.web.url('/orders')} asks too often; {world.web.url('/cure')} ends that")
        _write_configuration(world)
        yield world


def enter_environment(world: World) -> None:
    """Make this process see the world and nothing else: its configuration, no database of the person's own."""
    for name in [name for name in os.environ if name.startswith(STRANGERS) or name == "DATABASE_URL"]:
        del os.environ[name]
    os.environ["DBTUI_CONFIG"] = str(world.config)
    if world.postgresql:
        os.environ["DBTUI_PG_BIN"] = str(world.postgresql.binaries)
    for variable, folder in (("XDG_STATE_HOME", "state"), ("XDG_CACHE_HOME", "cache"), ("XDG_DATA_HOME", "data")):
        os.environ[variable] = str(world.home / folder)


def _create_servers(world: World) -> None:
    try:
        world.postgresql = PostgreSQL(world.directory, config=LOGGING)
    except ToolError as error:
        world.absent.append(str(error))
    if MariaDB.is_installed():
        world.mariadb = MariaDB(world.directory, options=("--performance-schema=ON",))
    else:
        world.absent.append("MariaDB is not installed; the package is mariadb-server")
    if not PgBouncer.is_installed():
        world.absent.append("PgBouncer is not installed; the package is pgbouncer")
    elif world.postgresql:
        world.pgbouncer = PgBouncer(world.postgresql)
        for login in (erp.LOGIN, erp.WEB_LOGIN, PgBouncer.stats_user):
            world.pgbouncer.users[login] = world.password


def _fill(world: World, scale: float, stack: ExitStack) -> None:
    """Fill every database. The web application starts as soon as its own is full, and is awaited at the end."""
    if world.postgresql:
        erp.create_erp(world.postgresql, world.password)
        url = world.postgresql.url(erp.DATABASE, erp.LOGIN, world.password)
        world.rows["erp"] = erp.fill_erp(url, world.now, scale)
        world.replica = world.postgresql.begin_replica(REPLICA, slot=SLOT)
        front = world.pgbouncer or world.postgresql
        world.web = WebApplication(front.url(erp.DATABASE, erp.WEB_LOGIN, world.password), world.directory)
        stack.callback(world.web.stop)
        world.web.launch()
    if world.mariadb:
        shop.create_shop(world.mariadb, world.password)
        world.rows["shop"] = shop.fill_shop(world.mariadb, world.password, world.now, scale)
    world.rows["app"] = fill_app(world.sqlite, world.now, scale)
    if world.postgresql and world.replica:
        world.replica.launch()
        world.replica.wait_until_ready()
        stack.enter_context(AddedReplicas(world.postgresql))
    if world.web:
        world.web.wait_until_ready()
        stack.enter_context(Visitors(world.web.url()))


def _write_configuration(world: World) -> None:
    secret = world.home / "password"
    lines = [f"backup_dir = {_quote(world.backup_dir)}"]
    ask = f"password_command = {json.dumps(['cat', str(secret)])}"
    if world.postgresql:
        url = _without_password(world.postgresql.url(erp.DATABASE, erp.LOGIN, world.password), world.password)
        profile = [f"url = {_quote(url)}", ask, 'environment = "staging"', 'compress = "zstd"']
        if world.pgbouncer:
            console = _without_password(world.pgbouncer.console_url(), world.password)
            profile.append(f"pgbouncer_url = {_quote(console)}")
        if world.web:
            profile.append(f"app_pools = [{_quote(world.web.app_pools)}]")
        profile += [f"replicas = [{_quote(REPLICA)}]"] if world.replica else []
        lines += ["", "[profiles.erp]", *profile, "", '[profiles.erp.partitions."public.audit_logs"]']
        lines += ['interval = "1 month"', "premake = 3", 'retention = "12 months"']
    if world.replica:
        url = _without_password(world.replica.url(erp.DATABASE, erp.LOGIN, world.password), world.password)
        lines += ["", f"[profiles.{REPLICA}]", f"url = {_quote(url)}", ask, 'environment = "staging"']
    if world.pgbouncer:
        url = _without_password(world.pgbouncer.url(erp.DATABASE, erp.LOGIN, world.password), world.password)
        lines += ["", "[profiles.erp-pgbouncer]", f"url = {_quote(url)}", ask, 'environment = "staging"']
    if world.mariadb:
        url = _without_password(world.mariadb.url(shop.DATABASE, shop.LOGIN, world.password), world.password)
        lines += ["", "[profiles.shop]", f"url = {_quote(url)}", ask, 'environment = "development"']
    lines += ["", "[profiles.app]", f"url = {_quote(f'sqlite:///{world.sqlite}')}", 'environment = "development"']
    _write_private(secret, world.password + "\n")
    _write_private(world.config, "\n".join(lines) + "\n")
    world.backup_dir.mkdir(mode=0o700)


def _without_password(url: str, password: str) -> str:
    return url.replace(f":{password}@", "@")


def _quote(text: str | Path) -> str:
    """As a TOML basic string; JSON's is one."""
    return json.dumps(str(text), ensure_ascii=False)


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(text)
