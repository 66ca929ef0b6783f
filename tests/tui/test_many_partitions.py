"""Ten thousand partitions: what is not on the screen is not drawn, however far somebody scrolls."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from textual.pilot import Pilot

from dbtui.tui.app import DbtuiApp
from dbtui.tui.panes import partition_branches
from dbtui.tui.panes import partition_tree as tree
from dbtui.tui.panes.partition_strip import lay_strip
from dbtui.tui.panes.partitions import PartitionsPane
from dbtui.tui.widgets.table import Table
from tests.tui.partition_world import PartitionWorld, daily, patch_requests
from tests.tui.world import World, wait_to_see, wait_until

MANY = 10_000


class Counts:
    """How many rows were drawn, how many trees made, and how many timelines laid out."""

    rows = trees = strips = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counts]:
    found = Counts()
    row, made, laid = Table._row, tree.tree_of, lay_strip

    def count_row(self: Table[Any], value: Any) -> Any:
        found.rows += 1
        return row(self, value)

    def count_tree(*arguments: Any) -> Any:
        found.trees += 1
        return made(*arguments)

    def count_strip(*arguments: Any) -> Any:
        found.strips += 1
        return laid(*arguments)

    monkeypatch.setattr(Table, "_row", count_row)
    monkeypatch.setattr(tree, "tree_of", count_tree)
    monkeypatch.setattr(partition_branches, "lay_strip", count_strip)
    yield found


async def _open(pilot: Pilot[Any], lab: PartitionWorld) -> PartitionsPane:
    await wait_to_see(pilot, "PG 15.18")
    await pilot.press("g", "4")
    await wait_to_see(pilot, "public.days")
    return cast(PartitionsPane, cast(DbtuiApp, pilot.app).pane)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_only_what_is_on_the_screen_is_drawn(
    world: World, monkeypatch: pytest.MonkeyPatch, counts: Counts, size: tuple[int, int]
) -> None:
    """Opening draws a few screens at most, a key a screen; a key makes no tree and lays out no timeline."""
    lab = PartitionWorld(world, tables=[daily(MANY)])
    patch_requests(lab, monkeypatch)
    app, height = world.app(), size[1]
    async with app.run_test(size=size) as pilot:
        pane = await _open(pilot, lab)
        counts.rows = 0
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.branches.judged is not None and pane.branches.judged.is_whole)
        assert len(pane.branches.table.view.shown) == MANY + 1  # and the gap
        assert 0 < counts.rows <= 16 * height
        assert counts.trees <= 3
        assert counts.strips <= 3
        table = pane.branches.table
        assert height // 4 < table.cursor - table.scroll_offset.y < height * 3 // 4  # at now, in the middle
        assert pane.branches.node is not None and "current" in [mark.text for mark in pane.branches.node.marks]
        for key in ("j", "k", "pagedown", "pageup", "G", "g", "m", "c"):
            before = (counts.rows, counts.trees, counts.strips)
            await pilot.press(key)
            await pilot.pause()
            assert counts.rows - before[0] <= 3 * height, key
            assert (counts.trees, counts.strips) == before[1:], key
        await pilot.press("slash", *"2020-02-29", "enter")
        await wait_until(pilot, lambda: len(pane.branches.table.view.shown) == 2)  # where it begins, where it ends
        assert counts.trees <= 3
