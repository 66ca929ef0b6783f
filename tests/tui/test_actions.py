"""The action table: one key one action, danger is not on a bare letter, and every action has somebody who does it."""

import itertools

import pytest

from dbtui.model.backups import EntryKind
from dbtui.tui.actions import ACTIONS, WIDGET_SCOPES, Action, Danger, Situation, action_of, actions_in
from dbtui.tui.app import DbtuiApp
from dbtui.tui.cells import plain_text, width_of
from dbtui.tui.dialogs.dialog import Dialog
from dbtui.tui.dialogs.help import Help, show_help
from dbtui.tui.dialogs.palette import Palette
from dbtui.tui.dialogs.planned import PlannedDialog
from dbtui.tui.panes.backup_diff import DiffView
from dbtui.tui.panes.backup_inside import ContentsView
from dbtui.tui.panes.backups import BackupsPane
from dbtui.tui.panes.connections import ConnectionsPane
from dbtui.tui.panes.jobs import JobsPane
from dbtui.tui.panes.pane import Pane
from dbtui.tui.panes.partition_branches import TreeView
from dbtui.tui.panes.partition_plans import PlanView
from dbtui.tui.panes.partitions import PartitionsPane
from dbtui.tui.panes.pool_clients import ClientsView
from dbtui.tui.panes.pools import PoolsPane
from dbtui.tui.panes.queries import QueriesPane
from dbtui.tui.panes.query_findings import FindingsView
from dbtui.tui.panes.query_top import TopView
from dbtui.tui.panes.replay import ReplayPane
from dbtui.tui.panes.replicas import ReplicasPane
from dbtui.tui.panes.sessions import SessionsView
from dbtui.tui.widgets.drawn import TextPanel
from dbtui.tui.widgets.footer import show_footer
from dbtui.tui.widgets.table import Table
from tests.tui.world import ENTRIES, entry

#: Scopes whose keys work at the same time.
TOGETHER = (
    ("connections", "live", "table", "pane", "global"),
    ("sessions", "live", "table", "pane", "global"),
    ("pools", "live", "table", "pane", "global"),
    ("clients", "live", "table", "pane", "global"),
    ("replay", "table", "pane", "global"),
    ("history", "backups", "table", "pane", "global"),
    ("contents", "backups", "table", "pane", "global"),
    ("partitioned", "live", "table", "pane", "global"),
    ("partitions", "live", "table", "pane", "global"),
    ("partitions", "live", "text", "pane", "global"),
    ("steps", "table", "pane", "global"),
    ("steps", "text", "pane", "global"),
    ("replicas", "live", "table", "pane", "global"),
    ("replicas", "live", "text", "pane", "global"),
    ("jobs", "table", "global"),
    ("jobs", "text", "pane", "global"),
    ("backups", "text", "global"),
    ("dialog", "plan"),
)
OWNERS = {
    "global": DbtuiApp,
    "pane": Pane,
    "connections": ConnectionsPane,
    "live": ConnectionsPane,
    "sessions": SessionsView,
    "pools": PoolsPane,
    "clients": ClientsView,
    "replay": ReplayPane,
    "partitioned": PartitionsPane,
    "partitions": TreeView,
    "steps": PlanView,
    "findings": FindingsView,
    "top": TopView,
    "queries": QueriesPane,
    "replicas": ReplicasPane,
    "history": BackupsPane,
    "diff": DiffView,
    "contents": ContentsView,
    "backups": BackupsPane,
    "jobs": JobsPane,
    "table": Table,
    "text": TextPanel,
    "dialog": Dialog,
    "plan": PlannedDialog,
    "palette": Palette,
    "help": Help,
}


@pytest.mark.parametrize("scopes", TOGETHER)
def test_no_key_means_two_things(scopes: tuple[str, ...]) -> None:
    """Neither within a scope nor among those that are alive together."""
    keys = [(key, action.action_id) for action in actions_in(scopes) for key in action.keys]
    clashes = [(a, b) for a, b in itertools.combinations(keys, 2) if a[0] == b[0] and a[1] != b[1]]
    assert clashes == []


def test_ids_are_unique() -> None:
    """An id names one action."""
    ids = [action.action_id for action in ACTIONS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.action_id)
def test_every_action_is_done_by_somebody(action: Action) -> None:
    """Its owner has the method, and says in words what it does."""
    prefix = "action_" if action.scope in WIDGET_SCOPES else "act_"
    assert callable(getattr(OWNERS[action.scope], prefix + action.name))
    assert action.help[0].isupper()
    assert not action.help.endswith(".")


def test_dangerous_actions_are_not_on_a_bare_letter() -> None:
    """Except those that only open a dialog which asks for a name."""
    for action in ACTIONS:
        bare = [key for key in action.keys if len(key) == 1 and key.islower()]
        if action.danger >= Danger.SESSION and bare:
            assert action.action_id in ("backups.restore", "backups.delete", "steps.apply")


def test_reasons_are_sentences() -> None:
    """With nothing open and nothing under the cursor, whatever is refused says why."""
    for action in ACTIONS:
        reason = action.reason(Situation())
        assert reason is None or len(reason) > 10


def test_a_broken_backup_is_not_restored() -> None:
    """The reason is the backup's own problem."""
    broken = entry("erp-1", kind=EntryKind.BROKEN, problem="its data file is gone")
    reason = action_of("backups.restore").reason(Situation(entry=broken))
    assert reason == "this backup is broken: its data file is gone"


def test_a_backup_needs_a_connection_of_its_kind() -> None:
    """An engine that no profile has cannot be restored into."""
    assert "no postgresql connection" in (action_of("backups.restore").reason(Situation(entry=ENTRIES[0])) or "")


@pytest.mark.parametrize("width", [40, 80, 160])
def test_the_footer_fits_and_is_never_cut(width: int) -> None:
    """Keys that do not fit are left out whole."""
    situation = Situation(scopes=("history", "backups", "global"), entry=ENTRIES[0], listing=True)
    drawn = show_footer(situation, width)
    assert width_of(drawn) <= width + 2
    assert "…" not in plain_text(drawn)
    assert plain_text(drawn).startswith(" ⏎ open  b backup")
    assert "? keys" in plain_text(drawn)


def test_help_tells_the_reason() -> None:
    """What is greyed says why there too."""
    text = "\n".join(plain_text(drawn) for drawn in show_help(Situation(scopes=("history", "backups", "global"))))
    assert "not now: open a connection first: 1, then enter" in text
    assert "Delete this backup, where it lies" in text
