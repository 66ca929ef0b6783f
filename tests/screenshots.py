"""Writes the pictures in screenshots/: the terminal UI on the demo's world, walked through by keys.

Run by script/screenshots. Fira Code is used where the system has it.
"""

import asyncio
import os
import re
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import resvg_py

from dbtui.config import load_settings
from dbtui.demo.backups import make_backups
from dbtui.demo.walker import Walker
from dbtui.demo.world import World, enter_environment, open_world
from dbtui.errors import ToolError
from dbtui.model.connections import Environment
from dbtui.tui.app import DbtuiApp
from dbtui.tui.start import make_runner
from dbtui.tui.widgets.inputs import Choice, TextInput

FOLDER = Path(__file__).parents[1] / "screenshots"
FONTS = Path("/usr/share/fonts/truetype/firacode")
LARGE, SMALL, WIDE = (120, 34), (80, 24), (160, 45)
_ACCIDENT = """
    DELETE FROM order_lines WHERE order_id % 5 <> 0;
    DROP INDEX orders_open_idx;
    ALTER TABLE users ADD COLUMN locale text NOT NULL DEFAULT 'en';
    DROP TABLE user_roles;
    CREATE TABLE user_groups (id bigint PRIMARY KEY, name text)
"""
_FONT_FACES = re.compile(r"@font-face\s*\{.*?\}", re.DOTALL)


class Camera:
    """Walks an app and takes pictures of it."""

    def __init__(self, walker: Walker, web: str = "") -> None:
        """`web`: where the demo's web application is."""
        self.walker, self.web = walker, web

    async def take(self, name: str) -> None:
        """Write screenshots/<name>.png."""
        await self.walker.pilot.pause(0.4)
        svg = _FONT_FACES.sub("", self.walker.app.export_screenshot(title="dbtui"))
        fonts = [str(FONTS)] if FONTS.is_dir() else []
        png = resvg_py.svg_to_bytes(svg_string=svg, zoom=1, monospace_family="Fira Code", font_dirs=fonts)
        path = FOLDER / f"{name}.png"
        path.write_bytes(bytes(png))
        sys.stdout.write(f"{path.name}\n")

    async def press(self, *keys: str) -> None:
        """Press keys."""
        await self.walker.press(*keys)


async def _walk(camera: Camera) -> None:
    walker, app = camera.walker, camera.walker.app
    await _see_sessions(camera)
    await camera.press("1", "g", "enter", "2")
    await walker.wait_for("the backups", lambda: bool(app.backups_pane.history.view.rows))
    await camera.press("b")
    await walker.push()
    await walker.wait_for_job(1)
    await camera.press("g", "V", "y")
    await walker.wait_for_job(2)
    await walker.wait_to_see("● restored")
    await camera.take("backups")
    await camera.press("enter")
    await walker.wait_to_see("orders")
    await camera.press("j", "space", "j", "space", "enter")
    await walker.wait_to_see("CREATE TABLE")
    await camera.take("contents")
    await camera.press("escape", "o")
    await walker.wait_to_see("first rows")
    await camera.take("rows")
    await camera.press("escape", "r")
    await walker.wait_for("the plan", lambda: not app.dialogs[-1].query_one("#accept").disabled)
    await camera.take("restore")
    await camera.press("escape", "escape", "b")
    await walker.wait_for("the plan", lambda: not app.dialogs[-1].query_one("#accept").disabled)
    await camera.take("backup")
    await camera.press("escape", "7")
    await camera.take("jobs")
    await camera.press("question_mark")
    await camera.take("help")
    await camera.press("question_mark", "colon", *"back")
    await camera.take("palette")
    await camera.press("escape", "2", "g")


async def _see_pools(camera: Camera, is_small: bool = False) -> None:
    """A load test of the demo's web application until its pool is full: while it runs, and its result."""
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "3")
    await walker.wait_to_see("nothing is saturated")
    await camera.press("t")
    await walker.wait_for("the dialog", lambda: bool(app.dialogs and app.dialogs[-1].query("#accept")))
    dialog = app.dialogs[-1]
    way = dialog.query_one("#way", Choice)
    way.focus()
    await camera.press(*("h",) * way.place)
    fields = {"stages": "5,10,40", "duration": "20s", "slo": "150ms", "url": camera.web}
    for name, text in fields.items():
        dialog.query_one(f"#{name}", TextInput).value = text
    await walker.wait_to_see("40 clients 20 s")
    await walker.wait_for("the plan", lambda: not dialog.query_one("#accept").disabled)
    if not is_small:
        await camera.take("load-test")
    await walker.push()
    await walker.wait_to_see("is the narrow one")
    await walker.pilot.pause(12)
    await camera.take("pools-80x24" if is_small else "pools")
    if is_small:
        await camera.press("c")
        await camera.take("pools-charts-80x24")
        await camera.press("escape")
    await walker.wait_to_see("AT ONCE")
    if not is_small:
        await camera.take("load-result")


async def _see_queries(camera: Camera) -> None:
    """A suspicion of the demo's naughty page, captured until it is found; the statements that take the time."""
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "5")
    await walker.wait_to_see("▲  suspect")
    await camera.take("queries-suspects")
    await camera.press("c")
    await walker.wait_for("the plan", lambda: not app.dialogs[-1].query_one("#accept").disabled)
    await camera.take("queries-capture")
    await camera.press("y")
    await walker.wait_to_see("settings are as before")
    await camera.press("g")
    await camera.take("queries")
    await camera.press("t", "x")
    await walker.wait_to_see("expected, not measured")
    await camera.take("top-queries")


async def _see_small_queries(camera: Camera) -> None:
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "5")
    await walker.wait_to_see("▲  suspect")
    await camera.press("enter")
    await camera.take("queries-80x24")


async def _see_small_pools(camera: Camera) -> None:
    await _see_pools(camera, is_small=True)


async def _see_partitions(camera: Camera, is_small: bool = False) -> None:
    """The audit log lacks a month, and two are past retention: its tree, and the plan that keeps it right."""
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "4")
    await walker.wait_to_see("public.audit_logs")
    await camera.press("enter")
    await walker.wait_to_see("coverage")
    await walker.wait_to_see("current")
    await camera.press("e")
    await walker.wait_to_see("measured")
    await camera.take("partitions-80x24" if is_small else "partitions")
    if not is_small:
        await camera.press("n")
        await walker.wait_to_see("plan for public.audit_logs")
        await camera.take("partitions-plan")


async def _see_small_partitions(camera: Camera) -> None:
    await _see_partitions(camera, is_small=True)


async def _see_replicas(camera: Camera, is_small: bool = False) -> None:
    """A replica whose replay is paused while the primary writes, a slot that nobody reads; adding another replica."""
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "6")
    await walker.wait_to_see("replay paused")
    await walker.pilot.pause(5 if is_small else 60)
    await camera.take("replicas-list-80x24" if is_small else "replicas-primary")
    await camera.press("j")
    if is_small:
        await camera.press("enter")
        await camera.take("replicas-80x24")
        return
    await camera.take("replicas")
    await camera.press("a")
    await walker.wait_for("the dialog", lambda: bool(app.dialogs and app.dialogs[-1].query("#directory")))
    app.dialogs[-1].query_one("#directory", TextInput).value = "/srv/erp-second"
    await walker.wait_for("the plan", lambda: not app.dialogs[-1].query_one("#accept").disabled)
    await camera.take("replicas-add")
    await camera.press("escape")


async def _see_small_replicas(camera: Camera) -> None:
    await _see_replicas(camera, is_small=True)


@contextmanager
def _paused_replica(world: World) -> Iterator[None]:
    """Replay of the demo's replica is paused while its primary writes; a slot that nobody reads keeps the log."""
    if world.postgresql is None or world.replica is None:
        raise ToolError("the pictures need PostgreSQL", "install it, or the extra `demo`")
    primary, ended = world.postgresql, threading.Event()
    primary.execute("SELECT pg_create_physical_replication_slot('old_archive', true)")
    primary.execute("CREATE TABLE pictures (at timestamptz)")
    primary.execute("INSERT INTO pictures VALUES (now())")
    while not world.replica.execute("SELECT to_regclass('pictures')")[0][0]:
        time.sleep(0.1)
    world.replica.execute("SELECT pg_wal_replay_pause()")

    def write() -> None:
        while not ended.wait(0.5):
            primary.execute("SELECT pg_logical_emit_message(false, 'picture', repeat('x', 900000))")
            primary.execute("INSERT INTO pictures VALUES (now())")

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()
        world.replica.execute("SELECT pg_wal_replay_resume()")
        primary.execute("SELECT pg_drop_replication_slot('old_archive')")
        primary.execute("DROP TABLE pictures")


async def _see_sessions(camera: Camera) -> None:
    """The connections, the sessions of the first, who blocks whom there, and the question before one is ended."""
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await walker.wait_for("rates", lambda: any(row.rates.tps is not None for row in app.connections_pane.rows.values()))
    await camera.take("connections")
    await camera.press("g", "enter")
    await walker.wait_to_see("blocks 3")
    await camera.press("g")
    await camera.take("sessions")
    await camera.press("t", "G")
    await camera.take("blocking-tree")
    await camera.press("o", "K")
    await walker.wait_for("the plan", lambda: not app.dialogs[-1].query_one("#accept").disabled)
    await camera.take("terminate")
    await camera.press("escape", "t", "1")


async def _small(camera: Camera) -> None:
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "enter")
    await walker.wait_to_see("blocks 3")
    await camera.press("g")
    await camera.take("sessions-80x24")
    await camera.press("2")
    await walker.wait_for("the backups", lambda: bool(app.backups_pane.history.view.rows))
    await camera.take("backups-80x24")


async def _see_difference(camera: Camera) -> None:
    """The erp database beside its backup, after something happened to it."""
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "enter", "2")
    await walker.wait_for("the backups", lambda: bool(app.backups_pane.history.view.rows))
    await camera.press("slash", *"erp", "enter", "C")
    await walker.wait_to_see("is gone")
    await camera.press("j", "j")
    await camera.take("compare")


@contextmanager
def _accident(world: World) -> Iterator[None]:
    """A database that lost rows, a table and an index, and got a column."""
    if world.postgresql is None:
        raise ToolError("the picture of a comparison needs PostgreSQL", "install the package postgresql")
    with closing(psycopg2.connect(world.postgresql.url("erp"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(_ACCIDENT)
    yield


async def _production(camera: Camera) -> None:
    """The same sessions, as if the server were of production, and the question before one of them is ended."""
    walker, app = camera.walker, camera.walker.app
    await walker.wait_for("every status", lambda: len(app.statuses) == len(app.profiles))
    await camera.press("g", "enter")
    await walker.wait_to_see("blocks 3")
    await camera.press("g")
    await camera.take("production")
    await camera.press("K")
    await walker.wait_for("the plan", lambda: not app.dialogs[-1].query_one("#accept").disabled)
    await camera.take("production-terminate")
    await camera.press("escape")


async def _photograph(
    size: tuple[int, int],
    walk: Callable[[Camera], Awaitable[None]],
    web: str = "",
    environment: Environment | None = None,
) -> None:
    settings = load_settings(os.environ)
    if environment is not None:
        profiles = tuple(replace(profile, environment=environment) for profile in settings.profiles)
        settings = replace(settings, profiles=profiles)
    app = DbtuiApp(make_runner(os.environ), settings)
    async with app.run_test(size=size) as pilot:
        await walk(Camera(Walker(app, pilot, _say), web))


@contextmanager
def _busy_sessions(world: World) -> Iterator[None]:
    """Sessions to look at: one holds a row of the demo's orders, three wait for it, some rest."""
    if world.postgresql is None:
        raise ToolError("the pictures need PostgreSQL", "install it, or the extra `demo`")
    url = world.postgresql.url("erp")
    with ExitStack() as stack:

        def connect(application: str) -> Any:
            return stack.enter_context(closing(psycopg2.connect(url, application_name=application)))

        holder, *others = [connect(name) for name in ("billing-batch", "erp-api", "erp-api", "erp-report")]
        _ = [connect(name) for name in ("erp-api", "erp-api", "psql")]
        updates = [f"UPDATE orders SET status = status WHERE id = {number}" for number in (1, 2, 3)]
        _run(holder, updates[0])
        for connection, update in zip(others, updates[1:], strict=False):
            _run(connection, update)
        waiting = [threading.Thread(target=_run, args=(connection, update), daemon=True)
                   for connection, update in zip(others, updates, strict=True)]  # fmt: skip
        for thread in waiting:
            thread.start()
        yield
        for connection in (holder, *others):
            pid = connection.info.backend_pid
            world.postgresql.execute("SELECT pg_terminate_backend(%s)", [pid], database="erp")
        for thread in waiting:
            thread.join()


def _run(connection: Any, sql: str) -> None:
    with suppress(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute(sql)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """Build the world, walk, and take it away."""
    FOLDER.mkdir(exist_ok=True)
    with open_world(_say) as world:
        enter_environment(world)
        make_backups(world, _say)
        with _busy_sessions(world):
            asyncio.run(_photograph(LARGE, _walk))
            asyncio.run(_photograph(SMALL, _small))
            asyncio.run(_photograph(WIDE, _see_partitions))
            asyncio.run(_photograph(SMALL, _see_small_partitions))
            asyncio.run(_photograph(LARGE, _production, environment=Environment.PRODUCTION))
        with _paused_replica(world):
            asyncio.run(_photograph(WIDE, _see_replicas))
            asyncio.run(_photograph(SMALL, _see_small_replicas))
        if world.web is None:
            raise ToolError("the pictures of pools need PgBouncer", "install the package pgbouncer")
        asyncio.run(_photograph(WIDE, _see_pools, world.web.url("/slow?ms=100")))
        asyncio.run(_photograph(WIDE, _see_queries))
        asyncio.run(_photograph(SMALL, _see_small_queries))
        asyncio.run(_photograph(SMALL, _see_small_pools, world.web.url("/slow?ms=100")))
        with _accident(world):
            asyncio.run(_photograph(WIDE, _see_difference))
    return 0


if __name__ == "__main__":
    sys.exit(main())
