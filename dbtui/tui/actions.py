"""Every action of the terminal UI, once. Keys, footer, palette and help are derived from this table.

An action belongs to a scope: `global`, a pane, or a part of a pane. Its owner (the app, or the pane) has a method
`act_<name>`. `reason` looks at a Situation and says in a sentence why the action is not allowed now, or None; those
sentences are in `reasons`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType

from dbtui.tui import reasons
from dbtui.tui.reasons import Reason
from dbtui.tui.situation import Danger as Danger
from dbtui.tui.situation import Keymap as Keymap
from dbtui.tui.situation import Situation as Situation
from dbtui.tui.situation import key_name as key_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a key does. `footer` is its place there (lower is further left); 0 keeps it out."""

    action_id: str
    keys: tuple[str, ...]
    label: str
    help: str
    danger: Danger = Danger.LOOK
    footer: int = 0
    palette: bool = True
    speaks_against: Reason = reasons.always
    fits: Callable[[Situation], bool] = reasons.everywhere  # whether the footer has a use for it now

    @property
    def scope(self) -> str:
        """Where its keys work."""
        return self.action_id.split(".")[0]

    @property
    def name(self) -> str:
        """What its owner calls it."""
        return self.action_id.split(".")[1]

    def reason(self, situation: Situation) -> str | None:
        """Return why it is not allowed now, in a sentence, or None."""
        found = self.speaks_against(situation)
        return speak(found, situation.keymap) if isinstance(found, reasons.Spoken) else found


def _act(action_id: str, keys: str, label: str, help_text: str, *, danger: Danger = Danger.LOOK, footer: int = 0,
         palette: bool = True, reason: Reason = reasons.always,
         fits: Callable[[Situation], bool] = reasons.everywhere) -> Action:  # fmt: skip
    return Action(action_id=action_id, keys=tuple(keys.split()), label=label, help=help_text, danger=danger,
                  footer=footer, palette=palette, speaks_against=reason, fits=fits)  # fmt: skip


ACTIONS: tuple[Action, ...] = (
    _act("connections.open", "enter", "open",
         "Open this connection and show its sessions; {global.backups} shows its backups",
         footer=1, reason=reasons.needs_profile),
    _act("connections.backup", "b", "backup", "Back up this connection's database", footer=2,
         reason=reasons.needs_profile, danger=Danger.REVERSIBLE),
    _act("connections.password", "P", "password", "Type this connection's password, kept in memory only", footer=3,
         reason=reasons.needs_server),
    _act("connections.detail", "i", "info", "Show all that is known of this connection, and why it is unreachable",
         footer=4, reason=reasons.needs_profile),
    _act("sessions.detail", "enter", "details", "Show all about this session; show the sessions of this group",
         footer=1),
    _act("sessions.cancel_query", "C", "cancel", "Cancel what this session, or the marked ones, run: asks first",
         footer=2, reason=reasons.needs_mortal, danger=Danger.SESSION),
    _act("sessions.terminate", "K", "terminate",
         "End this session, or the marked ones; transactions are rolled back: asks first",
         footer=3, reason=reasons.needs_mortal, danger=Danger.SESSION),
    _act("sessions.filter_next", "f", "show", "Show clients, active, idle in transaction, blocked, your own, or all",
         footer=5),
    _act("sessions.filter_previous", "F", "show back", "The same, backwards"),
    _act("sessions.tree", "t", "tree", "Show who blocks whom: root blockers first, who waits for them below", footer=4),
    _act("sessions.root", "o", "root", "Go to the session at the root of what this one waits for", footer=6,
         reason=reasons.needs_blocker),
    _act("sessions.explain", "x", "explain", "Show the plan of this session's statement, without running it", footer=7,
         reason=reasons.needs_statement),
    _act("sessions.tick", "space", "mark",
         "Mark this session for {sessions.cancel_query} or {sessions.terminate}", footer=9,
         reason=reasons.needs_session),
    _act("sessions.untick", "u", "unmark all", "Unmark every session", reason=reasons.needs_marks),
    _act("sessions.group", "v", "group", "Count sessions by application, user, database, client; then list them again",
         footer=17),
    _act("sessions.backup", "b", "backup", "Back up this connection's database", reason=reasons.needs_target,
         danger=Danger.REVERSIBLE),
    _act("pools.clients", "enter", "clients",
         "Show the clients of this pool of PgBouncer: application, server connection, what that does", footer=1,
         reason=reasons.needs_clients),
    _act("pools.test", "t", "load test", "Start a load test: asks what, how hard and for how long", footer=2,
         reason=reasons.needs_no_load, danger=Danger.REVERSIBLE),
    _act("pools.charts", "c", "charts", "Five minutes of every tier on the whole screen, and back", footer=3),
    _act("pools.detail", "i", "info", "Show all about this pool: counters, rates, checks", footer=4,
         reason=reasons.needs_pool),
    _act("pools.result", "r", "result", "Show the stages of the last load test", footer=5, reason=reasons.needs_result,
         fits=reasons.has_result),
    _act("pools.report", "e", "report", "Write the last load test's report to a file", footer=6,
         reason=reasons.needs_result, fits=reasons.has_result),
    _act("pools.pause_pool", "P", "PAUSE", "PgBouncer begins no query of this database any more: asks first", footer=7,
         reason=reasons.needs_admin, fits=reasons.is_not_paused, danger=Danger.SESSION),
    _act("pools.resume_pool", "U", "RESUME", "PgBouncer goes on after PAUSE: asks first", footer=7,
         reason=reasons.needs_paused, fits=reasons.is_paused, danger=Danger.SESSION),
    _act("pools.reload", "L", "RELOAD", "PgBouncer reads its configuration file again: asks first",
         reason=reasons.needs_admin, danger=Danger.REVERSIBLE),
    _act("pools.reconnect", "N", "RECONNECT", "PgBouncer replaces its server connections as they become free",
         reason=reasons.needs_admin, danger=Danger.SESSION),
    _act("pools.kill", "K", "KILL", "PgBouncer drops every connection of this database at once: asks for its name",
         reason=reasons.needs_admin, danger=Danger.SESSION),
    _act("pools.kind", "v", "which", "Show all pools, PgBouncer's, or those of applications", footer=17),
    _act("pools.tick", "space", "mark", "Mark this pool, for its clients and for copying", reason=reasons.needs_pool),
    _act("pools.untick", "u", "unmark all", "Unmark every pool", reason=reasons.needs_marks),
    _act("pools.record", "w", "record", "Write every look to a file that dbtui --replay plays; again to end",
         footer=19),
    _act("clients.detail", "enter", "details", "Show all about this client and its statement, or the list alone",
         footer=1),
    _act("replay.toggle", "p space", "pause", "Hold the recording, or go on", footer=1),
    _act("replay.forward", "full_stop", "step", "Hold the recording and show the next look", footer=2),
    _act("replay.backward", "comma", "step back", "Hold the recording and show the look before", footer=3),
    _act("replay.faster", "plus equals_sign", "faster", "Play twice as fast", footer=4),
    _act("replay.slower", "minus", "slower", "Play half as fast", footer=5),
    _act("replay.start", "0", "from the start", "Play from the beginning", footer=6),
    _act("replay.charts", "c", "charts", "Five minutes of every tier on the whole screen, and back", footer=7),
    _act("replay.detail", "i", "info", "Show all about this pool: counters, rates, checks", footer=9,
         reason=reasons.needs_pool),
    _act("replay.kind", "v", "which", "Show all pools, PgBouncer's, or those of applications", footer=17),
    _act("live.pause", "p", "pause", "Stop asking, or go on", footer=18),
    _act("live.faster", "plus equals_sign", "faster", "Ask more often"),
    _act("live.slower", "minus", "slower", "Ask less often"),
    _act("history.open", "enter", "open", "Look inside this backup; of a far one, as far as its manifest tells",
         footer=1, reason=reasons.needs_readable),
    _act("history.detail", "i", "info", "Show all that is known of this backup", footer=7, reason=reasons.needs_row),
    _act("history.places", "w", "places",
         "Show remotes, repositories and schedules: how old, next run, what is overdue", footer=18),
    _act("history.mark", "space", "mark", "Mark this backup, to compare another with it", footer=9,
         reason=reasons.needs_readable),
    _act("history.compare", "c", "compare",
         "Compare this backup with the marked one: tables, columns, indexes, rows; what was lost first", footer=3,
         reason=reasons.needs_marked_backup, fits=reasons.has_marks),
    _act("history.compare_live", "C", "compare with live",
         "Compare this backup with the database it was made from, as that is now", footer=9,
         reason=reasons.needs_live, fits=reasons.has_no_marks),
    _act("diff.detail", "enter", "details", "Show all about this table: both sides, what changed", footer=1),
    _act("diff.all", "v", "which", "Show the differences alone, or every table", footer=2),
    _act("contents.definition", "enter", "definition", "Show the SQL that makes this table; open or shut a branch",
         footer=1, reason=reasons.needs_leaf),
    _act("contents.sample", "o", "rows", "Show this table's first rows, read from the backup", footer=2,
         reason=reasons.needs_table),
    _act("contents.tick", "space", "tick", "Tick this table, or all tables of this schema, for restoring", footer=3,
         fits=reasons.in_a_list),
    _act("contents.untick", "u", "untick all", "Untick every table"),
    _act("backups.backup", "b", "backup", "Back up the open connection's database", footer=4,
         reason=reasons.needs_target, danger=Danger.REVERSIBLE),
    _act("backups.restore", "r", "restore", "Restore this backup, or the ticked tables of it: shows a plan first",
         footer=5, reason=reasons.needs_same_engine, danger=Danger.DATA),
    _act("backups.verify", "v", "verify", "Check this backup's checksums and archive; a far one is fetched for it",
         footer=6, reason=reasons.needs_verifiable),
    _act("backups.prove", "V", "verify by restore",
         "Restore it into a throwaway server, or a scratch database, and compare: asks first",
         reason=reasons.needs_verifiable, danger=Danger.REVERSIBLE),
    _act("backups.push", "P", "push", "Send a copy of this backup to a remote: shows a plan first", footer=8,
         reason=reasons.needs_pushable, fits=reasons.is_here, danger=Danger.REVERSIBLE),
    _act("backups.pull", "L", "pull", "Fetch this backup from its remote: shows a plan first", footer=2,
         reason=reasons.needs_far, fits=reasons.is_far, danger=Danger.REVERSIBLE),
    _act("backups.delete", "d", "delete", "Delete this backup, where it lies: asks for its name", footer=9,
         reason=reasons.needs_entry, danger=Danger.DATA),
    _act("backups.expire", "E", "expire", "Remove backups by a policy: shows what survives when, asks for the name",
         footer=10, danger=Danger.DATA),
    _act("backups.pin", "p", "pin", "Keep this backup whatever a policy says: asks why; again to let it go: asks first",
         footer=11, reason=reasons.needs_pinnable, danger=Danger.REVERSIBLE),
    _act("partitioned.open", "enter", "open", "Show the tree of this table's partitions", footer=1,
         reason=reasons.needs_partitioned),
    _act("partitioned.plan", "n", "plan", "Plan what this table needs by its policy; nothing is changed", footer=2,
         reason=reasons.needs_plannable),
    _act("partitioned.detail", "i", "info", "Show all that is known of this table: policy, findings", footer=4,
         reason=reasons.needs_partitioned),
    _act("partitions.detail", "enter", "details", "Show all about this partition; open or shut a branch", footer=1),
    _act("partitions.plan", "n", "plan", "Plan what this table or branch needs by its policy; nothing is changed",
         footer=2, reason=reasons.needs_plannable),
    _act("partitions.sizes", "e", "exact sizes", "Measure what is on the screen, with indexes", footer=3,
         reason=reasons.needs_partitioned),
    _act("partitions.next", "m", "next mark", "Go to the next gap, or partition that is marked", footer=4),
    _act("partitions.current", "c", "current", "Go to the partition that takes the rows of now", footer=5),
    _act("partitions.fold", "z", "unfold", "Open every branch, or shut them all", footer=6,
         reason=reasons.needs_branches, fits=reasons.has_branches),
    _act("partitions.info", "i", "info", "Show all about this partition, also when it is a branch", footer=9),
    _act("steps.read", "enter", "read", "Read this step: why, locks, danger, exact SQL", footer=1,
         reason=reasons.needs_step),
    _act("steps.apply", "a", "apply", "Do what this plan says: asks first", footer=2, reason=reasons.needs_applicable,
         danger=Danger.DATA),
    _act("steps.policy", "o", "policy", "Plan with another interval, retention or archive", footer=3,
         reason=reasons.needs_plannable),
    _act("findings.read", "enter", "evidence", "Show why this is one: statements, values, times, the cure",
         footer=1, reason=reasons.needs_finding),
    _act("findings.others", "v", "others", "Show also what repeats and is no N+1, with why not", footer=17),
    _act("findings.copy_sql", "w", "copy SQL", "Copy the statement that repeats; {global.copy} copies the cure",
         footer=13, reason=reasons.needs_finding),
    _act("findings.copy_all", "e", "copy all", "Copy the whole card as text", footer=13, reason=reasons.needs_finding),
    _act("top.read", "enter", "details", "Show all about this statement: text, sums, missing index", footer=1,
         reason=reasons.needs_top_query),
    _act("top.explain", "x", "explain",
         "Show this statement's plan, without running it: drawn; again in the server's words", footer=2,
         reason=reasons.needs_top_query),
    _act("top.span", "d", "since reset", "List what ran since the counters began, or between two looks", footer=3),
    _act("top.copy_all", "e", "copy all", "Copy all about this statement as text", footer=13,
         reason=reasons.needs_top_query),
    _act("queries.capture", "c", "capture",
         "Have the server log statements for a while, and judge their order: shows a plan first", footer=2,
         reason=reasons.needs_capturable, danger=Danger.REVERSIBLE),
    _act("queries.repair", "r", "repair", "Put back what an interrupted capture has left on", footer=3,
         reason=reasons.needs_stale, fits=reasons.is_stale, danger=Danger.REVERSIBLE),
    _act("queries.top", "t", "top/findings", "Show which statements take the time, or again what repeats", footer=4),
    _act("queries.open", "o", "open log", "Read a log or a recorded trace", footer=5),
    _act("replicas.detail", "enter", "details",
         "Show all about this server, slot or base backup: stages, both ends, tree, slots", footer=1,
         reason=reasons.needs_replica_row),
    _act("replicas.add", "a n", "add replica",
         "Add a replica: asks where, shows a plan, copies the data and waits until it streams", footer=2,
         reason=reasons.needs_addable, danger=Danger.REVERSIBLE),
    _act("replicas.charts", "c", "charts", "Five minutes of every stage on the whole screen, and back", footer=3),
    _act("replicas.drop", "D", "drop slot", "Drop this slot; the log it keeps goes: asks for its name", footer=4,
         reason=reasons.needs_slot, fits=reasons.has_slot, danger=Danger.DATA),
    _act("replicas.promote", "P", "promote", "Make this replica a primary: shows a plan, asks for its name", footer=5,
         reason=reasons.needs_promotable, fits=reasons.has_replica, danger=Danger.DATA),
    _act("replicas.hold", "H", "pause replay", "This replica goes on receiving and applies nothing: asks first",
         footer=6, reason=reasons.needs_holdable, fits=reasons.is_not_held, danger=Danger.SESSION),
    _act("replicas.resume", "U", "resume replay", "This replica applies again what it has received: asks first",
         footer=3, reason=reasons.needs_held, fits=reasons.is_held, danger=Danger.SESSION),
    _act("jobs.open", "enter", "details", "Show this job's events and commands", footer=1),
    _act("jobs.cancel", "X", "cancel", "Cancel this job: asks first", footer=2, reason=reasons.needs_running_job,
         danger=Danger.REVERSIBLE),
    _act("pane.other", "tab shift+tab", "other side", "Go to the other side: list or detail", palette=False),
    _act("global.filter", "slash", "filter", "Show only rows that hold these words; !word leaves rows out", footer=10,
         reason=reasons.needs_list, fits=reasons.in_a_list),
    _act("global.sort", "s", "sort", "Sort by the next column", reason=reasons.needs_list, footer=15,
         fits=reasons.in_a_list),
    _act("global.reverse", "S", "reverse", "Turn the order around", reason=reasons.needs_list),
    _act("global.copy", "y", "copy", "Send what is under the cursor to the terminal's clipboard", footer=12,
         reason=reasons.needs_text),
    _act("global.copy_to", "Y", "copy to", "Copy to the clipboard, to a file, or show it plainly to select it by hand",
         reason=reasons.needs_text),
    _act("global.refresh", "R", "refresh", "Ask again", footer=14),
    _act("global.redraw", "ctrl+l", "redraw", "Draw the screen anew, when something else has written to it"),
    _act("global.cancel", "ctrl+x", "cancel job", "Cancel the job in the strip above the footer: asks first",
         reason=reasons.needs_job, danger=Danger.REVERSIBLE),
    _act("global.help", "question_mark f1", "keys", "Show every key that works here", footer=11),
    _act("global.palette", "colon ctrl+p", "palette", "Find an action or a connection by name", footer=13,
         palette=False),
    _act("global.connections", "1", "Connections", "Go to the connections"),
    _act("global.backups", "2", "Backups", "Go to the backups"),
    _act("global.pools", "3", "Pools", "Go to the pools of the open connection"),
    _act("global.partitions", "4", "Partitions", "Go to the partitioned tables of the open connection"),
    _act("global.queries", "5", "Queries", "Go to the queries of the open connection: N+1 patterns, what takes time"),
    _act("global.replicas", "6", "Replicas", "Go to the replicas: lag by stage, slots, what is safe to read from"),
    _act("global.jobs", "7", "Jobs", "Go to the jobs"),
    _act("global.previous", "left_square_bracket", "previous pane", "Go to the pane on the left", palette=False),
    _act("global.next", "right_square_bracket", "next pane", "Go to the pane on the right", palette=False),
    _act("global.back", "escape", "back", "Go back: clear the filter, leave the backup", footer=8,
         palette=False, fits=reasons.deep),
    _act("global.quit", "q ctrl+c ctrl+q", "quit", "Leave dbtui; asks when a job is running", footer=16),
    _act("dialog.next", "tab down", "next field", "Next field", footer=1, palette=False),
    _act("dialog.previous", "shift+tab up", "previous field", "Previous field", palette=False),
    _act("plan.page_down", "pagedown ctrl+f", "scroll the plan", "Scroll the plan", footer=2, palette=False),
    _act("plan.page_up", "pageup", "scroll back", "Scroll the plan back", palette=False),
    _act("dialog.close", "escape", "cancel", "Leave without doing anything", footer=3, palette=False),
    _act("palette.choose", "enter", "choose", "Do what is under the cursor", footer=1, palette=False),
    _act("palette.next", "down tab ctrl+n", "next", "Next hit", footer=2, palette=False),
    _act("palette.previous", "up shift+tab", "previous", "Previous hit", palette=False),
    _act("palette.close", "escape", "leave", "Leave without doing anything", footer=3, palette=False),
    _act("help.close", "escape question_mark f1 q", "close", "Close this help", footer=1, palette=False),
    _act("table.down", "j down", "down", "Next row", palette=False),
    _act("table.up", "k up", "up", "Previous row", palette=False),
    _act("table.first", "g home", "first", "First row", palette=False),
    _act("table.last", "G end", "last", "Last row", palette=False),
    _act("table.page_down", "pagedown ctrl+f", "page down", "Next page", palette=False),
    _act("table.page_up", "pageup", "page up", "Previous page", palette=False),
    _act("text.down", "j down", "down", "Next line", palette=False),
    _act("text.up", "k up", "up", "Previous line", palette=False),
    _act("text.first", "g home", "first", "To the top", palette=False),
    _act("text.last", "G end", "last", "To the bottom", palette=False),
    _act("text.page_down", "pagedown ctrl+f space", "page down", "Next page", palette=False),
    _act("text.page_up", "pageup", "page up", "Previous page", palette=False),
    _act("text.left", "h left", "left", "To the left", palette=False),
    _act("text.right", "l right", "right", "To the right", palette=False),
)  # fmt: skip

#: Scopes whose actions are methods of the focused widget itself.
WIDGET_SCOPES = ("dialog", "plan", "palette", "help", "table", "text")


def action_of(action_id: str) -> Action:
    """Return an action by its id. Raises KeyError."""
    return _BY_ID[action_id]


_BY_ID = {action.action_id: action for action in ACTIONS}


def actions_in(scopes: Iterable[str]) -> list[Action]:
    """Return the actions of these scopes in their order, innermost scope first."""
    return [action for scope in scopes for action in ACTIONS if action.scope == scope]


_NAMED = re.compile(r"\{([a-z]+\.[a-z_]+)\}")


def speak(text: str, keymap: Keymap) -> str:
    """Return a sentence with the keys of the actions that it names in braces: `{live.pause} goes on`, `p goes on`."""

    def key(found: re.Match[str]) -> str:
        keys = keymap.get(found[1], action_of(found[1]).keys)
        return key_name(keys[0]).replace("⏎", "enter") if keys else "(no key)"

    return _NAMED.sub(key, text)


def bindings_of(scope: str) -> list[BindingType]:
    """Return a scope's key bindings. Widget scopes call the widget, all others go through `DbtuiApp.perform`."""
    return [
        Binding(
            ",".join(action.keys),
            action.name if scope in WIDGET_SCOPES else f"app.perform('{action.action_id}')",
            action.label,
            show=False,
            id=action.action_id,
        )
        for action in ACTIONS
        if action.scope == scope
    ]
