"""Partitioned tables, and the tree of one: looks are given, keys pressed, the screen read; no server takes part."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.errors import ServerError
from dbtui.model.connections import EngineName
from dbtui.model.partitions import DefaultBound, HashBound, KeyKind, Partition, PartitionStrategy
from dbtui.model.tables import TableName
from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes.partitions import PartitionsPane
from tests.tui.partition_world import (
    NOW,
    POLICY,
    PartitionWorld,
    branched,
    detached,
    monthly,
    patch_requests,
    table,
    whole,
)
from tests.tui.world import World, screen_lines, screen_text, wait_to_see, wait_until

SMALL, LARGE = (80, 24), (160, 45)


@pytest.fixture
def lab(world: World, monkeypatch: pytest.MonkeyPatch) -> PartitionWorld:
    """The world with a policy for audit_logs at its first two targets; the second is not of production."""
    world.profiles = (*(replace(each, partitions=(POLICY,)) for each in world.profiles[:2]), *world.profiles[2:])
    made = PartitionWorld(world)
    patch_requests(made, monkeypatch)
    return made


async def _open(pilot: Pilot[Any], app: DbtuiApp, *keys: str) -> PartitionsPane:
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", "4")
    await wait_until(pilot, lambda: isinstance(app.pane, PartitionsPane) and app.pane.tables.seen is not None)
    await pilot.press(*keys)
    return cast(PartitionsPane, app.pane)


async def _open_tree(pilot: Pilot[Any], app: DbtuiApp, *keys: str) -> PartitionsPane:
    pane = await _open(pilot, app, *keys, "enter")
    await wait_until(pilot, lambda: pane.branches.judged is not None and pane.branches.judged.is_whole)
    return pane


async def test_every_table_with_its_size_until_when_and_what_is_wrong(lab: PartitionWorld) -> None:
    """At eighty columns; managed ones say by whom."""
    lab.tables.append(replace(monthly(missing=99), table=TableName("public", "kept"), managed_by="pg_partman",
                              management=("premake 4",)))  # fmt: skip
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot, app)
        lines = screen_lines(app)
        assert "TABLE" in lines[2] and "PARTS" in lines[2] and "ENDS IN" in lines[2]
        assert lines[3].split()[:5] == ["▲", "public.audit_logs", "15", "2.0", "GB"]
        assert "38 d  ▲ gap  ▲ 2 past reten" in lines[3]
        assert lines[4].split()[:3] == ["●", "public.measures", "26"]
        assert "kept by pg_partman" in lines[5]
        assert "partitions" in lines[0]
        assert app.situation.copyable == "public.audit_logs"
        await pilot.press("slash", *"partman", "enter")
        assert [each.table.table.name for each in pane.tables.table.view.shown] == ["kept"]
        await pilot.press("enter")
        await wait_to_see(pilot, "kept by pg_partman: shown, not touched")


async def test_list_and_detail_side_by_side(lab: PartitionWorld) -> None:
    """With room: key and interval, policy, timeline, and what is wrong in whole sentences."""
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app)
        text = await wait_to_see(pilot, "range(at) 1 month", "list(tenant)")
        assert "policy      every 1 month, 3 ahead, kept 12 months" in text
        assert "coverage  2025 ▂▂▇▇ 2026 ▇▇▇▇▇·▇▇▇▇▇┊▇" in text
        assert "a gap before it: rows of" in text
        await pilot.press("j")
        await wait_to_see(pilot, "public.measures", "nothing is wrong with it")
        tables = cast(PartitionsPane, app.pane).tables
        await pilot.press("i")
        assert tables.detail.has_focus
        await pilot.press("escape")
        assert tables.table.has_focus


async def test_a_tree_begins_at_now_and_says_what_is_missing(lab: PartitionWorld) -> None:
    """Headline, timeline with the gap, rows with bounds, sizes and marks; enter reads one, and takes the screen."""
    lab.tables[0] = whole(monthly())
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open_tree(pilot, app)
        lines = screen_lines(app)
        assert lines[2].startswith(" ▲ public.audit_logs   range(at) every 1 month UTC   15 partitions   2.0 GB")
        assert "coverage  2025 ▂▂▇▇ 2026 ▇▇▇▇▇·▇▇▇▇█┊▇" in screen_text(app)
        assert pane.branches.node is not None
        assert pane.branches.node.name == "audit_logs_y2026m11"
        gap = next(line for line in lines if line.startswith(" ·"))
        assert gap.split()[:3] == ["·", "[2026-06-01,", "2026-07-01)"]
        await pilot.press("g")
        due = next(line for line in screen_lines(app) if "audit_logs_y2025m09" in line)
        assert "~60 MB" in due and "✖ past retention" in due
        assert "▲ missing index" in next(line for line in lines if "audit_logs_y2026m01" in line)
        assert "▲ invalid index" in next(line for line in lines if "audit_logs_y2026m03" in line)
        await pilot.press("c", "enter")
        text = await wait_to_see(pilot, "takes the rows of now", "PARTITION OF public.audit_logs FOR VALUES")
        assert "audit_logs_y2026m10 " not in text
        await pilot.press("escape")
        await wait_to_see(pilot, "audit_logs_y2026m10")
        assert app.situation.copyable == "public.audit_logs_y2026m11"
        await pilot.press("escape")
        await wait_to_see(pilot, "public.measures")


async def test_tree_and_detail_side_by_side(lab: PartitionWorld) -> None:
    """With room: size bars, rows, ages; moving shows the next one, and where it lies on the timeline."""
    lab.tables[0] = whole(monthly())
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open_tree(pilot, app)
        row = next(line for line in screen_lines(app) if "audit_logs_y2026m11 " in line and "~" in line)
        for cell in ("[2026-11-01, 2026-12-01)", "~200 MB", "▇▇▇▇▇", "~1.0 M", "now", "current"):
            assert cell in row
        await pilot.press("k", "k")
        text = await wait_to_see(pilot, "ended 53 d ago", "▇▇█▇▇┊▇")
        assert "in 7 d" in next(line for line in text.splitlines() if "audit_logs_y2026m12" in line)
        await pilot.press("g", "m")
        await wait_to_see(pilot, "past retention (12 months)")
        await pilot.press("m")
        await wait_to_see(pilot, "audit_at  of the parent: missing here", "lacks the index audit_at")
        await pilot.press("m")
        await wait_to_see(pilot, "✖ audit_logs_y2026m03_at_idx  did not get")
        await pilot.press("m")
        await wait_to_see(pilot, "No partition here", "cannot be written")
        await pilot.press("c")
        await wait_to_see(pilot, "takes the rows of now")


async def test_branches_open_and_shut(lab: PartitionWorld) -> None:
    """Enter on one, z on all; what hangs on a shut one is found by a filter all the same."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open_tree(pilot, app, "j")
        assert [node.name for node in pane.branches.table.view.shown] == ["measures_acme", "measures_zeta"]
        assert "+ measures_acme  12" in screen_text(app)
        await pilot.press("enter", "j")
        await wait_to_see(pilot, "- measures_acme  12", "│ measures_acme_m01")
        assert len(pane.branches.table.view.shown) == 14
        await pilot.press("z")
        assert len(pane.branches.table.view.shown) == 2
        await pilot.press("z")
        assert len(pane.branches.table.view.shown) == 26
        await pilot.press("z", "slash", *"zeta_m07", "enter")
        assert [node.name for node in pane.branches.table.view.shown] == ["measures_zeta"]
        await pilot.press("escape", "G", "i")
        await wait_to_see(pilot, "by range into 12")


async def test_sorting_keeps_branches_together(lab: PartitionWorld) -> None:
    """By size, rows, name among siblings; gaps are only between bounds; S turns it around."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open_tree(pilot, app)
        await pilot.press("s")
        assert [node.name for node in pane.branches.table.view.shown][:2] == [
            "audit_logs_y2026m12",
            "audit_logs_y2026m11",
        ]
        assert not any(node.gap for node in pane.branches.table.view.shown)
        await wait_to_see(pilot, "sorted by size")
        await pilot.press("S")
        assert pane.branches.table.view.shown[0].name == "audit_logs_y2025m09"
        await pilot.press("s", "s", "s")
        assert [node.name for node in pane.branches.table.view.shown][9:11] == ["", "audit_logs_y2026m07"]


async def test_what_is_on_the_screen_is_measured(lab: PartitionWorld) -> None:
    """Estimates have a tilde; after e they have none, and asking anew forgets them."""
    app = lab.world.app()
    async with app.run_test(size=(80, 18)) as pilot:
        pane = await _open_tree(pilot, app)
        await pilot.press("g", "e")
        text = await wait_to_see(pilot, "partitions measured: ")
        visible = [line for line in text.splitlines() if "audit_logs_y20" in line]
        assert all(" 123 MB" in line for line in visible)
        assert lab.asked[-1] == ("sizes", TableName("public", "audit_logs"), len(visible))
        assert len(visible) < len(lab.tables[0].partitions)
        await pilot.press("R")
        await wait_to_see(pilot, "~60 MB")
        assert pane.branches.exact == {}


async def test_what_was_taken_out_and_what_nothing_takes(lab: PartitionWorld) -> None:
    """Detached tables with their archive, the default with its rows, the end of all partitions."""
    rest = Partition(table=TableName("public", "audit_rest"), bound=DefaultBound(), bound_text="DEFAULT")
    ended = monthly(missing=99)
    ended = replace(ended, partitions=(*ended.partitions[:-3], rest), default_rows=1209,
                    detached=(detached("audit_old", "erp-20261120T030000Z"), detached("audit_older")))  # fmt: skip
    lab.tables[0] = ended
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open_tree(pilot, app)
        text = await wait_to_see(pilot, "has ended", "✖ no partition", "▲ rows in default")
        assert "archived" in next(line for line in text.splitlines() if "╌ public.audit_old " in line)
        assert "detached" in next(line for line in text.splitlines() if "╌ public.audit_older" in line)
        assert "┊   · gap" in text
        await pilot.press("G", "k")
        await wait_to_see(pilot, "erp-20261120T030000Z", "a partition of public.audit_logs", "900")
        await pilot.press("k")
        await wait_to_see(pilot, "1.2 k counted, of no other partition")
        await pilot.press("k")
        await wait_to_see(pilot, "the last partition has ended", "go to the default partition", "[2026-10-01, now)")


def _waits(pane: PartitionsPane) -> bool:
    return pane.is_waiting


async def test_a_look_is_repeated_paused_and_never_older(lab: PartitionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every minute while it is in view; what is dear is asked once; p holds it, R asks at once."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open_tree(pilot, app)
        assert lab.asked[-1] == ("table", TableName("public", "audit_logs"), True)
        assert _waits(pane)
        pane.look()
        await wait_until(pilot, lambda: lab.asked[-1] == ("table", TableName("public", "audit_logs"), False))
        newer = replace(monthly(missing=-7), taken_at=NOW + timedelta(minutes=1))
        lab.tables[0] = newer
        await pilot.press("R")
        await wait_until(pilot, lambda: pane.branches.judged is not None and pane.branches.judged.table is newer)
        lab.tables[0] = monthly()
        count = len(lab.asked)
        await pilot.press("R")
        await wait_until(pilot, lambda: len(lab.asked) > count and not pane._looking)
        assert pane.branches.judged is not None and pane.branches.judged.table is newer
        await pilot.press("p")
        await wait_to_see(pilot, "paused, just now")
        assert not _waits(pane)
        await pilot.press("p", "minus")
        await wait_to_see(pilot, "asking every 120 s")
        assert _waits(pane)
        await pilot.press("7")
        assert not _waits(pane)


async def test_whether_queries_prune_is_kept_between_looks(lab: PartitionWorld) -> None:
    """It is asked when a table is opened, and not each minute."""
    lab.prunes = False
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open_tree(pilot, app)
        await wait_to_see(pilot, "▲ cannot prune")
        pane.look()
        await wait_until(pilot, lambda: lab.asked[-1][-1] is False and not pane._looking)
        assert "▲ cannot prune" in screen_text(app)


async def test_empty_panes_say_what_would_be_here(lab: PartitionWorld) -> None:
    """No connection, no partitioned table, a file, a server that does not answer."""
    lab.tables = []
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await app.show_pane("partitions")
        await wait_to_see(pilot, "The partitioned tables of a connection would be here: 1, then enter")
        await pilot.press("n")
        await wait_to_see(pilot, "plan: open a connection first: 1, then enter")
        await pilot.press("1", "g", "4")
        await wait_to_see(pilot, "No table of erp is partitioned.", "R asks again")
        lab.world.error = ServerError("permission denied for pg_class", "GRANT it")
        await pilot.press("R")
        await wait_to_see(pilot, "✖ permission denied for pg_class", "GRANT it")
        lab.world.error = None
        lab.tables = [monthly()]
        await pilot.press("R")
        await wait_to_see(pilot, "public.audit_logs")
        lab.world.error = ServerError("the server went away")
        await pilot.press("R")
        await wait_to_see(pilot, "✖ the server went away", "public.audit_logs")


async def test_sqlite_has_none(lab: PartitionWorld) -> None:
    """One sentence; n says it too."""
    lab.tables, lab.unsupported = [], "SQLite has no partitioned tables: a table is one tree of pages in one file"
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await wait_to_see(pilot, "PG 15.18")
        await pilot.press("G", "4")
        await wait_to_see(pilot, "SQLite has no partitioned tables: a table is one tree of pages in one file.")
        await pilot.press("n")
        await wait_to_see(pilot, "plan: SQLite has no partitioned tables")


async def test_a_hash_says_its_modulus_and_what_is_missing(lab: PartitionWorld) -> None:
    """By what the server says, not by how many there are."""
    parts = [Partition(table=TableName("public", f"carts_{n}"), bound=HashBound(8, n), bound_text="")
             for n in range(8) if n != 5]  # fmt: skip
    lab.tables = [table("carts", *parts, strategy=PartitionStrategy.HASH, key_columns=("id",),
                        key_kinds=(KeyKind.INTEGER,), key_text="HASH (id)")]  # fmt: skip
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app)
        await wait_to_see(pilot, "hash(id) modulus 8", "✖ incomplete hash", "rows of remainder 5 of 8")
        await pilot.press("enter")
        await wait_to_see(pilot, "3 of 8")
        assert "coverage" not in screen_text(app)


async def test_a_table_without_partitions(lab: PartitionWorld) -> None:
    """Its tree says so, and what plans the first."""
    lab.tables = [table("nothing_yet")]
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        await _open_tree(pilot, app)
        await wait_to_see(pilot, "It has no partition yet: n plans the first")


async def test_help_and_footer_tell_the_keys(lab: PartitionWorld) -> None:
    """What works at each level; what does not is grey, with the reason."""
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        await _open(pilot, app)
        assert screen_lines(app)[-1].startswith(" ⏎ open  n plan  i info")
        await pilot.press("question_mark")
        text = await wait_to_see(pilot, "Partitioned tables", "partitioned.plan")
        assert "Plan what this table needs by its policy" in text
        await pilot.press("escape", "enter")
        await wait_to_see(pilot, "⏎ details  n plan  e exact sizes  m next mark  c current")
        assert "z unfold" not in screen_lines(app)[-1]
        await pilot.press("z")
        await wait_to_see(pilot, "unfold: no partition of this table is partitioned itself")


HOSTILE = ["[red]a[/red] [@click=app.quit]x[/]", "x\x1b[2J\x1b]0;owned\x07\u202egnp line\none\ttab", 'q"u\'o`te\\ %s',
           "n" * 63, "名前" * 10 + "z\u0301" * 20]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:12]))
async def test_names_are_text(lab: PartitionWorld, name: str) -> None:
    """In every level and both dialogs."""
    found = monthly()
    odd = replace(found.partitions[0], table=TableName("public", name), bound_text=name)
    rest = tuple(replace(each, table=TableName("public", f"{place}{name}"[:63]))
                 for place, each in enumerate(found.partitions[1:]))  # fmt: skip
    lab.tables = [replace(whole(found), table=TableName(name, name), owner=name, managed_by="", key_columns=(name,),
                          partitions=(odd, *rest), management=(name,), gaps=(name,))]  # fmt: skip
    lab.tables[0] = replace(lab.tables[0], detached=(replace(detached(name, name), parent=lab.tables[0].table),))
    app = lab.world.app()
    async with app.run_test(size=LARGE) as pilot:
        pane = await _open_tree(pilot, app)
        for key in ("g", "G", "k", "m", "enter", "escape", "escape", "i", "escape", "n"):
            await pilot.press(key)
            await pilot.pause(0.05)
            _is_text(app)
        await wait_until(pilot, lambda: pane.plan.table.view.shown != [] or "✖ " in screen_text(app))
        for key in ("j", "enter", "escape", "g", "enter", "escape"):
            await pilot.press(key)
            _is_text(app)
        for key in ("a", "o"):
            await pilot.press(key)
            await pilot.pause(0.3)
            _is_text(app)
            if app.dialogs:
                await pilot.press("escape")
            await wait_until(pilot, lambda: not app.dialogs)
        assert app.crash == ""


def _is_text(app: DbtuiApp) -> None:
    assert all(character.isprintable() or character == "\n" for character in screen_text(app))


async def test_mysql_is_looked_at_the_same_way(lab: PartitionWorld) -> None:
    """Its partitions are no tables of their own, and a plan is for the table as a whole."""
    found = replace(branched(), engine=EngineName.MYSQL, flavour="MariaDB")
    lab.tables = [replace(found, partitions=tuple(replace(each, partitions=()) for each in found.partitions))]
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open_tree(pilot, app)
        assert pane.planned_for == TableName("public", "measures")
        await pilot.press("enter")
        await wait_to_see(pilot, "its parts are added up here", "PARTITION measures_acme")


async def test_a_plan_for_a_branch_is_a_plan_for_the_branch(lab: PartitionWorld) -> None:
    """The cursor on it, or within it."""
    app = lab.world.app()
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open_tree(pilot, app, "j")
        await pilot.press("enter", "j", "j")
        assert pane.planned_for == TableName("public", "measures_acme")
        await pilot.press("n")
        await wait_to_see(pilot, "plan for public.measures_acme")
        await pilot.press("escape")
        await wait_to_see(pilot, "- measures_acme")
