"""Where the operator is: all that header, footer, help and reasons are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from dbtui.model.connections import ConnectionProfile, TargetStatus

if TYPE_CHECKING:
    from dbtui.model.backups import BackupEntry, BackupTable
    from dbtui.model.ladders import PoolReading
    from dbtui.model.pools import PoolerClient
    from dbtui.model.repositories import RepositoryBackup
    from dbtui.model.sessions import Session

_KEY_NAMES = {
    "enter": "⏎", "slash": "/", "question_mark": "?", "colon": ":", "escape": "esc", "left_square_bracket": "[",
    "right_square_bracket": "]", "pagedown": "PgDn", "pageup": "PgUp", "down": "↓", "up": "↑", "left": "←",
    "full_stop": ".", "comma": ",",
    "right": "→", "home": "Home", "end": "End", "f1": "F1", "plus": "+", "minus": "-", "equals_sign": "=",
}  # fmt: skip


def key_name(key: str) -> str:
    """Return a key as people write it: `⏎`, `?`, `ctrl+x`."""
    return _KEY_NAMES.get(key, key)


class Danger(IntEnum):
    """What an action can cost."""

    LOOK = 0
    REVERSIBLE = 1
    SESSION = 2
    DATA = 3


#: The keys of actions that have others than usual.
Keymap = Mapping[str, tuple[str, ...]]


class Keyed(Protocol):
    """Something that has keys: an action."""

    @property
    def action_id(self) -> str:
        """Its id."""
        ...

    @property
    def keys(self) -> tuple[str, ...]:
        """Its usual keys."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Where the operator is and what is under the cursor: all that header, footer and reasons are made of."""

    pane: str = ""
    scopes: tuple[str, ...] = ()  # innermost first
    crumbs: tuple[str, ...] = ()
    profiles: tuple[ConnectionProfile, ...] = ()
    opened: ConnectionProfile | None = None
    status: TargetStatus | None = None
    profile: ConnectionProfile | None = None
    entry: BackupEntry | None = None
    physical: RepositoryBackup | None = None  # a backup that a repository keeps is under the cursor
    table: BackupTable | None = None
    session: Session | None = None
    no_sessions: str = ""  # why the open target has no sessions to look at
    pool: PoolReading | None = None
    client: PoolerClient | None = None
    no_clients: str = ""  # why PgBouncer's clients cannot be seen
    no_orders: str = ""  # why nothing can be ordered of PgBouncer
    no_load: str = ""  # why no load test can be started
    load_result: bool = False  # whether a load test has ended here
    paused_pooler: bool = False
    partitioned: bool = False  # whether a partitioned table is under the cursor, or open
    has_branches: bool = False  # whether partitions of it are partitioned themselves
    no_plan: str = ""  # why nothing can be planned for it
    no_apply: str = ""  # why the plan that is shown cannot be applied
    no_step: str = ""  # why no step can be read
    finding: bool = False  # whether a pattern is under the cursor
    top_query: bool = False  # whether a statement that takes time is under the cursor
    no_capture: str = ""  # why no statements can be captured
    stale_capture: bool = False  # whether a capture has left something on
    replica_row: bool = False  # whether a row of the replicas' tree is under the cursor
    no_replica: str = ""  # why no replica can be added
    no_promotion: str = ""  # why what is under the cursor cannot be promoted
    no_slot_drop: str = ""  # why no slot can be dropped
    no_hold: str = ""  # why replay cannot be paused
    no_resume: str = ""  # why replay cannot be resumed
    slot_row: bool = False  # whether a slot is under the cursor
    held_replica: bool = False  # whether replay of the replica under the cursor is paused
    replay: str = ""  # what the header says of a recording that is played
    foldable: bool = False  # whether a branch of the tree is under the cursor
    ticked: int = 0
    copyable: str = ""
    listing: bool = False  # whether the focus is on a list that can be filtered and sorted
    filtered: bool = False
    deep: bool = False  # whether there is a level to go back to, or a filter to clear
    jobs_running: int = 0
    job_selected_runs: bool = False
    age: str = ""
    overlay: str = ""  # the dialog that is open
    link: str = ""  # what there is to say of a slow link
    keymap: Keymap = field(default_factory=dict)

    def key_of(self, action: Keyed) -> str:
        """Return the first key of an action as people write it, or nothing."""
        return next((key_name(key) for key in self.keys_of(action)), "")

    def keys_of(self, action: Keyed) -> tuple[str, ...]:
        """Return the keys of an action."""
        return self.keymap.get(action.action_id, action.keys)
