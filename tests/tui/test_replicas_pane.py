"""The replicas pane: snapshots are posted, keys pressed, the screen read; no server takes part."""

import re
from dataclasses import replace
from typing import cast

import pytest

from dbtui.model.connections import EngineName
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.replicas import ReplicasPane
from tests.tui.replica_world import (
    ReplicaWorld,
    calm,
    gone,
    make_replica_world,
    open_replicas,
    paused,
    scene,
    slot,
    threatened,
)
from tests.tui.world import World, screen_lines, screen_text, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)


@pytest.fixture
def replicated(world: World, monkeypatch: pytest.MonkeyPatch) -> ReplicaWorld:
    """A primary, a replica, and one below it."""
    return make_replica_world(world, monkeypatch)


def _row(app: DbtuiApp, name: str) -> str:
    return next(line for line in screen_lines(app) if re.search(rf"[●▲✖○◐] (slot )?{re.escape(name)} ", line))


# ---------------------------------------------------------------- the list


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_tree_with_a_verdict(replicated: ReplicaWorld, size: tuple[int, int]) -> None:
    """The primary, its replica, the one below that; all safe; a watch that names every profile."""
    app = replicated.world.app()
    async with app.run_test(size=size) as pilot:
        await open_replicas(pilot, replicated, calm())
        text = await wait_to_see(pilot, "2 of 2 replicas are safe for reads older than")
        assert re.search(r"● erp +primary  PG 15.18  timeline 1", text)
        assert re.search(r"└ ● near +current +", text)
        assert re.search(r" {2}└ ● far +current +", text)
        assert all(len(line) <= size[0] for line in screen_lines(app))
        assert replicated.began == [("erp", ("near", "far"), False)]
        assert ("NETWORK" in text) == (size == LARGE)


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_paused_replay_is_labelled_and_its_command_copied(
    replicated: ReplicaWorld, size: tuple[int, int]
) -> None:
    """118 MB wait to be applied; the state says why; y copies what resumes it; U is offered, H refused."""
    app = replicated.world.app()
    async with app.run_test(size=size) as pilot:
        await open_replicas(pilot, replicated, paused())
        await wait_to_see(pilot, "▲ erp  near: replay is paused, with 118 MB")
        row = _row(app, "near")
        assert "replay paused" in row
        assert "118 MB" in row
        await pilot.press("j")
        text = await wait_to_see(pilot, "› SELECT pg_wal_replay_resume();   y copies it", "U resume replay")
        assert app.situation.copyable == "SELECT pg_wal_replay_resume();"
        await pilot.press("H")
        await wait_to_see(pilot, "pause replay: replay is paused already")
        assert "safe now" not in text or size == LARGE


async def test_stages_have_columns_where_there_is_room_and_a_word_where_there_is_none(
    replicated: ReplicaWorld,
) -> None:
    """What lags at apply says so, at both sizes; the size may change."""
    looks = [scene(float(second), written=second * 40_000_000, behind=second * 39_000_000) for second in range(30)]
    app = replicated.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await open_replicas(pilot, replicated, looks)
        await wait_to_see(pilot, "APPLY")
        assert re.search(r"near +lagging +0 +0 +0 +1.1 GB \d+ s", _row(app, "near"))
        await pilot.resize_terminal(*SMALL)
        await wait_to_see(pilot, "lagging at apply")
        assert "APPLY" not in screen_text(app)
        await pilot.resize_terminal(*LARGE)
        await wait_to_see(pilot, "NETWORK")


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_slots_with_their_countdown_and_base_backups_as_progress(
    replicated: ReplicaWorld, size: tuple[int, int]
) -> None:
    """A slot that nobody reads says when it is full; a base backup is a bar, and no replica."""
    app = replicated.world.app()
    async with app.run_test(size=size) as pilot:
        await open_replicas(pilot, replicated, threatened())
        await wait_to_see(pilot, "slot old_slot")
        slot_row, backup_row = _row(app, "old_slot"), _row(app, "base backup 99")
        assert re.search(r"read by nobody.*2.0 GB", slot_row)
        assert re.search(r"\d+ min", slot_row)
        assert "near_slot" not in screen_text(app).split("SERVER")[1].split("╭")[0]  # its replica's row tells of it
        assert re.search(r"█+░+ +38%  380 MB of 1.0 GB  20 MB/s", backup_row)
        await pilot.press("G")
        await wait_to_see(pilot, "old_slot")
        assert app.situation.copyable == "SELECT pg_drop_replication_slot('old_slot');"


async def test_what_the_login_may_not_see_is_said_above_the_list(replicated: ReplicaWorld) -> None:
    """With the GRANT, where nothing is worse."""
    gap = "what replicas do needs GRANT pg_monitor TO dba"
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, [scene(1.0, primary_fields={"gaps": (gap,)})])
        await wait_to_see(pilot, f"▲ erp: {gap}")


async def test_sorted_it_is_a_list_and_filtered_it_is_shorter(replicated: ReplicaWorld) -> None:
    """The lines of the tree make no sense then."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, paused())
        assert "└ " in screen_text(app)
        await pilot.press("s")
        await wait_to_see(pilot, "SERVER↑", "sorted by server")
        assert "└ " not in screen_text(app)
        await pilot.press("s")
        await wait_to_see(pilot, "STATE↓")
        for _ in range(6):
            await pilot.press("s")
        await wait_to_see(pilot, "└ ")
        await pilot.press("slash", *"far", "enter")
        await wait_until(pilot, lambda: "● near" not in screen_text(app) and "▲ near" not in screen_text(app))
        assert "far" in screen_text(app)
        await pilot.press("escape")
        await wait_to_see(pilot, "near")


# ---------------------------------------------------------------- one of them


async def test_all_about_a_replica(replicated: ReplicaWorld) -> None:
    """At eighty columns it takes the screen: stages, both ends, tree, slots; esc goes back."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await open_replicas(pilot, replicated, paused())
        await pilot.press("j", "enter")
        text = await wait_to_see(pilot, "replay is paused, with 118 MB", "stage ", "in all")
        assert re.search(r"apply +118 MB +\d+ s +▇{16}", text)
        assert "receiver    streaming from 10.0.0.1:5432, slot near_slot" in text
        assert "applier     ▲ paused: U resumes it" in text
        assert "not safe now" in text
        assert "SERVER" not in text
        assert screen_lines(app)[0].startswith(" dbtui  erp ▸ replicas ▸ near")
        await pilot.press("G")
        text = await wait_to_see(pilot, "slot ", "keeps", "● near_slot")
        assert re.search(r"▸ └ ▲ near", text)
        await pilot.press("escape")
        await wait_to_see(pilot, "SERVER")
        assert app.focused is pane.table


async def test_on_a_large_screen_it_stands_below(replicated: ReplicaWorld) -> None:
    """The list stays; detail and charts follow the cursor; enter goes to the detail."""
    app = replicated.world.app()
    async with app.run_test(size=LARGE) as pilot:
        pane = await open_replicas(pilot, replicated, paused())
        text = await wait_to_see(pilot, "reads       1 of 2 replicas safe now")
        assert "⣿" in text
        await pilot.press("j")
        text = await wait_to_see(pilot, "receiver    streaming", "network", "lag ")
        assert "SERVER" in text
        await pilot.press("enter")
        assert (app.focused and app.focused.id) == pane.detail.id
        assert "SERVER" in screen_text(app)
        await pilot.press("escape")
        assert (app.focused and app.focused.id) == pane.table.id


async def test_conflicts_and_gaps_are_told(replicated: ReplicaWorld) -> None:
    """Who stalls replay, what was cancelled for it, and the GRANT that the login lacks."""
    gap = "needs pg_monitor: GRANT pg_monitor TO dba"
    looks = [
        scene(float(second), written=second * 1_000_000, behind=second * 1_000_000, near_fields={"gaps": (gap,)})
        for second in range(20)
    ]
    near = looks[-1].servers[1]
    assert near.applier is not None
    stalled = replace(near.applier, is_stalled=True, stalled_by=("session 8123 report SELECT sum(total)",),
                      stalled_by_ids=(8123,), conflicts=(("snapshot", 12),))  # fmt: skip
    servers = (looks[-1].servers[0], replace(near, applier=stalled), looks[-1].servers[2])
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, [*looks[:-1], replace(looks[-1], servers=servers)])
        await wait_to_see(pilot, "stalled by query")
        assert "▲ near: needs pg_monitor" not in screen_text(app)  # what is worse has its place
        await pilot.press("j", "enter")
        await wait_to_see(pilot, "› dbtui sessions cancel near 8123")
        await pilot.press("pagedown")
        await wait_to_see(pilot, "session 8123 report SELECT sum(total)", "12 snapshot")
        await pilot.press("G")
        await wait_to_see(pilot, f"▲ near: {gap}")


async def test_five_minutes_on_the_whole_screen(replicated: ReplicaWorld) -> None:
    """c gives the charts the screen at eighty columns; every stage has the same scale."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, paused(200, 0.6))
        assert "⣿" not in screen_text(app)
        await pilot.press("j", "c")
        text = await wait_to_see(pilot, "⣿", "network", "119 MB")
        assert text.count("200 MB┤") == 4
        assert "SERVER" not in text
        await pilot.press("c")
        await wait_to_see(pilot, "SERVER")
        await pilot.press("c", "escape")
        await wait_to_see(pilot, "SERVER")


async def test_poor_terminals_get_plain_charts(replicated: ReplicaWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console of Linux has no braille, and few colours say nothing alone."""
    monkeypatch.setenv("TERM", "linux")
    app = replicated.world.app(few_colours=True)
    async with app.run_test(size=LARGE) as pilot:
        await open_replicas(pilot, replicated, paused())
        await pilot.press("j")
        text = await wait_to_see(pilot, "▲ near", "replay paused", "118 MB")
        assert not re.search("[\u2801-\u28ff]", text)
        assert "#" in text


# ---------------------------------------------------------------- looking


async def test_it_looks_while_it_is_in_view_and_no_longer(replicated: ReplicaWorld) -> None:
    """Gone from, the watch ends; come back to, what was seen is still there and a new watch begins."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, calm())
        await wait_to_see(pilot, "current", "every 2 s")
        await pilot.press("7")
        await wait_until(pilot, lambda: not replicated.watching, what="the watch to end")
        await pilot.press("6")
        assert "current" in screen_text(app)
        await wait_until(pilot, lambda: len(replicated.began) == 2 and "erp" in replicated.watching)


async def test_paused_it_asks_once_when_told_to(replicated: ReplicaWorld) -> None:
    """p ends the watch, R looks once, p goes on; plus and minus change the pace."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await open_replicas(pilot, replicated, calm())
        await pilot.press("p")
        await wait_to_see(pilot, "paused, just now")
        await wait_until(pilot, lambda: not replicated.watching, what="the watch to end")
        await pilot.press("R")
        await wait_until(pilot, lambda: replicated.began[-1] == ("erp", ("near", "far"), True))
        replicated.watching["erp"](scene(9.0, pause="paused"))
        await wait_to_see(pilot, "replay paused", "paused, ")
        await pilot.press("p")
        await wait_until(pilot, lambda: replicated.began[-1] == ("erp", ("near", "far"), False))
        await pilot.press("minus")
        await wait_to_see(pilot, "every 5 s")


async def test_what_is_gone_stays_with_its_age(replicated: ReplicaWorld) -> None:
    """The primary and a replica are down: why, and the last figures, dimmed, with how old they are."""
    app = replicated.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await open_replicas(pilot, replicated, [*paused(30), gone(31.0)])
        text = await wait_to_see(pilot, "✖ erp  the primary erp cannot be asked: connection refused on db1:5432")
        assert re.search(r"✖ erp +connection refused on db1:5432 \(last seen \d+ s ago\)", text)
        row = _row(app, "near")
        assert re.search(r"unreachable \d+ s", row)
        assert "58 MB" in row
        await pilot.press("j")
        await wait_to_see(pilot, "figures are ")


async def test_a_refused_login_is_a_sentence_in_place(replicated: ReplicaWorld) -> None:
    """Nothing was ever seen: the row says why."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "6")
        await wait_until(pilot, lambda: "erp" in replicated.watching, what="a watch")
        pane = cast(ReplicasPane, app.pane)
        await wait_to_see(pilot, "asking erp, near, far")
        pane.feed.groups[0].problem = "the login was refused: password authentication failed"
        pane.show_all()
        await wait_to_see(pilot, "✖ erp", "the login was refused")


async def test_what_nobody_looks_at_any_more_is_old(replicated: ReplicaWorld) -> None:
    """The password was changed meanwhile: the last figures stay, and say when they were taken."""
    app = replicated.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await open_replicas(pilot, replicated, paused(30))
        pane.feed.groups[0].problem = "the login was refused: password authentication failed"
        pane.show_all()
        await wait_to_see(pilot, "the login was refused")
        assert re.search(r"near +seen \d+ s ago +58 MB", _row(app, "near"))


async def test_other_engines_and_nothing_configured(replicated: ReplicaWorld) -> None:
    """SQLite says so; others' replicas are shown all the same. Without any, a sentence."""
    world = replicated.world
    app = world.app(world.profiles[3])
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("6")
        await wait_to_see(pilot, "app is an SQLite file: it has no replicas. Those of other connections:", "erp")
    world.profiles = tuple(replace(each, replicas=()) for each in world.profiles if each.name not in ("near", "far"))
    app = world.app(world.profiles[3])
    assert world.profiles[3].engine is EngineName.SQLITE
    async with app.run_test(size=SMALL) as pilot:
        await pilot.press("6")
        await wait_to_see(pilot, "app is an SQLite file: it has no replicas.")
        assert "Those of" not in screen_text(app)


async def test_replicas_that_cannot_be_are_a_sentence(replicated: ReplicaWorld) -> None:
    """A name that no profile has: nothing is asked, and the row says what to write."""
    world = replicated.world
    world.profiles = (replace(world.profiles[0], replicas=("neer",)), *world.profiles[1:])
    app = world.app()
    async with app.run_test(size=LARGE) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("g", "6")
        await wait_to_see(pilot, "no profile is called 'neer'; did you mean near?")
        assert "erp" not in [name for name, *_ in replicated.began]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_hostile_names_are_text(replicated: ReplicaWorld, size: tuple[int, int]) -> None:
    """Escape sequences, markup, line breaks and turned text in everything that a server says."""
    evil = "\x1b[31m[bold]x\r\n\u202etxt[/]"
    slots = (slot(evil, is_active=False, retained_bytes=9),)
    look = scene(1.0, behind=10, written=10, pause="paused", near_fields={"version": evil, "gaps": (evil,)},
                 primary_fields={"version": evil, "slots": slots})  # fmt: skip
    near = look.servers[1]
    assert near.applier is not None
    applier = replace(near.applier, stalled_by=(evil,), is_stalled=True, error=evil, state=evil)
    receivers = tuple(replace(each, source=evil, error=evil, channel=evil) for each in near.receivers)
    others = replace(near, applier=applier, receivers=receivers)
    app = replicated.world.app()
    async with app.run_test(size=size) as pilot:
        await open_replicas(pilot, replicated, [replace(look, servers=(look.servers[0], others, look.servers[2]))])
        for keys in (["j"], ["j"], ["G"], ["g"], ["j", "enter"], ["G"], ["escape", "c"], ["escape", "s"], ["S"]):
            await pilot.press(*keys)
            text = screen_text(app)
            assert "\x1b" not in text
            assert "\r" not in text
            assert "\u202e" not in text
            assert all(len(line) <= size[0] for line in text.splitlines())
        assert "[bold]" in text or "·" in text
        assert app.crash == ""
