"""Why an action is not allowed now, as a sentence; and whether the footer has a use for it.

A sentence that is `Spoken` names actions in braces: `Action.reason` puts their keys there.
"""

from collections.abc import Callable

from dbtui.model.connections import EngineName
from dbtui.tui.live_sides import choose_live
from dbtui.tui.situation import Situation


class Spoken(str):
    """A sentence of our own that names actions in braces; what a server said is no such sentence."""

    __slots__ = ()


#: What there is to do as long as nothing is open.
FIRST_OPEN = Spoken("open a connection first: {global.connections}, then {connections.open}")

Reason = Callable[[Situation], str | None]


def everywhere(_situation: Situation) -> bool:
    """The footer has always a use for it."""
    return True


def in_a_list(situation: Situation) -> bool:
    """The footer has a use for it in a list."""
    return situation.listing


def deep(situation: Situation) -> bool:
    """The footer has a use for it where there is something to go back from."""
    return situation.deep


def always(_situation: Situation) -> str | None:
    """Nothing speaks against it."""
    return None


def needs_list(situation: Situation) -> str | None:
    """It is about the list in focus."""
    return None if situation.listing else "there is no list here"


def needs_text(situation: Situation) -> str | None:
    """It copies what is under the cursor."""
    return None if situation.copyable else "nothing under the cursor to copy"


def needs_job(situation: Situation) -> str | None:
    """It is about a job that runs."""
    return None if situation.jobs_running else "no job is running"


def needs_running_job(situation: Situation) -> str | None:
    """It is about the job under the cursor, if that runs."""
    return None if situation.job_selected_runs else "this job has ended"


def needs_profile(situation: Situation) -> str | None:
    """It is about the connection under the cursor."""
    return None if situation.profile else "no connection under the cursor"


def needs_server(situation: Situation) -> str | None:
    """It is about the server of the connection under the cursor."""
    if situation.profile is None:
        return "no connection under the cursor"
    return "an SQLite file has no password" if situation.profile.engine is EngineName.SQLITE else None


def needs_target(situation: Situation) -> str | None:
    """It is about the open connection."""
    return None if situation.opened else FIRST_OPEN


def needs_row(situation: Situation) -> str | None:
    """It is about the backup under the cursor, whoever keeps it."""
    return None if situation.entry or situation.physical else "no backup under the cursor"


def needs_entry(situation: Situation) -> str | None:
    """It is about the backup under the cursor, which must be one that dbtui can read."""
    if situation.physical is not None:
        return f"{situation.physical.reference} holds a whole cluster, and is kept by its own tool"
    return None if situation.entry else "no backup under the cursor"


def needs_here(situation: Situation) -> str | None:
    """It is about the backup under the cursor, which must lie on this machine."""
    if situation.entry is not None and situation.entry.remote:
        return Spoken("this backup lies only in a remote: {backups.pull} fetches it first")
    return needs_entry(situation)


def needs_readable(situation: Situation) -> str | None:
    """It reads the backup under the cursor."""
    if (reason := needs_entry(situation)) is not None or situation.entry is None:
        return reason
    if situation.entry.kind == "broken":
        return f"this backup is broken: {situation.entry.problem}"
    return "its engine is not known" if situation.entry.engine is None else None


def needs_verifiable(situation: Situation) -> str | None:
    """It checks the backup under the cursor, wherever it lies."""
    return _needs_usable(situation) if situation.physical is not None else needs_readable(situation)


def _needs_usable(situation: Situation) -> str | None:
    backup = situation.physical
    return None if backup is None or backup.is_usable else f"this backup is not whole: {backup.problem}"


def needs_pushable(situation: Situation) -> str | None:
    """It sends the backup under the cursor to a remote: a whole one that lies here."""
    if (reason := needs_here(situation)) is not None or situation.entry is None:
        return reason
    return None if situation.entry.kind == "complete" else "only a backup with manifest and data can be pushed"


def needs_far(situation: Situation) -> str | None:
    """It fetches the backup under the cursor from its remote."""
    if (reason := needs_entry(situation)) is not None or situation.entry is None:
        return reason
    if not situation.entry.remote:
        return "this backup lies here already"
    return f"this copy is not whole: {situation.entry.problem}" if situation.entry.kind == "broken" else None


def is_far(situation: Situation) -> bool:
    """The footer has a use for it on a backup that lies in a remote alone."""
    return situation.entry is not None and bool(situation.entry.remote)


def is_here(situation: Situation) -> bool:
    """The footer has a use for it on a backup that lies here."""
    return not is_far(situation) and situation.physical is None


def needs_pinnable(situation: Situation) -> str | None:
    """It pins the backup under the cursor, which must be a whole one."""
    if (reason := needs_entry(situation)) is not None or situation.entry is None:
        return reason
    return None if situation.entry.kind == "complete" else "only a backup with manifest and data can be pinned"


def needs_same_engine(situation: Situation) -> str | None:
    """It restores the backup under the cursor into a connection of its kind; a whole cluster into a directory."""
    entry = situation.entry
    if situation.physical is not None:
        return _needs_usable(situation)
    if (reason := needs_readable(situation)) is not None or entry is None:
        return reason
    if not any(profile.engine is entry.engine for profile in situation.profiles):
        return f"no {entry.engine} connection is known: add a profile to restore into"
    writable = [p for p in situation.profiles if p.engine is entry.engine and not p.read_only]
    return None if writable else f"every {entry.engine} connection is read-only"


def needs_session(situation: Situation) -> str | None:
    """It is about the session under the cursor."""
    return None if situation.session else situation.no_sessions or "no session under the cursor"


def needs_mortal(situation: Situation) -> str | None:
    """A session that may be cancelled or terminated, unless others are marked."""
    if situation.opened is not None and situation.opened.read_only:
        return f"{situation.opened.name} is read-only"
    if situation.ticked:
        return None
    if situation.session is None:
        return needs_session(situation)
    if situation.session.is_own:
        return f"{situation.session.session_id} is dbtui's own session"
    return None if situation.session.is_client else f"{situation.session.session_id} is a worker of the server itself"


def needs_statement(situation: Situation) -> str | None:
    """It is about the statement of the session under the cursor."""
    if situation.session is None:
        return needs_session(situation)
    return None if situation.session.sql else "its statement is not known"


def needs_blocker(situation: Situation) -> str | None:
    """It is about what the session under the cursor waits for."""
    if situation.session is None:
        return needs_session(situation)
    return None if situation.session.blocked_by else "it waits for no other session"


def needs_marks(situation: Situation) -> str | None:
    """It is about what is marked."""
    return None if situation.ticked else "nothing is marked"


def has_marks(situation: Situation) -> bool:
    """The footer has a use for it where something is marked."""
    return bool(situation.ticked)


def has_no_marks(situation: Situation) -> bool:
    """The footer has a use for it where nothing is marked."""
    return not situation.ticked


def needs_marked_backup(situation: Situation) -> str | None:
    """It compares the backup under the cursor with another that is marked."""
    if (reason := needs_readable(situation)) is not None:
        return reason
    if not situation.ticked:
        return Spoken("mark the other backup first: {history.mark}; {history.compare_live} compares with the live one")
    return None


def needs_live(situation: Situation) -> str | None:
    """It compares the backup under the cursor with a live database of its kind."""
    entry = situation.entry
    if (reason := needs_readable(situation)) is not None or entry is None:
        return reason
    live = choose_live(entry, situation.opened, situation.profiles)
    return None if live is not None else Spoken("the database it was made from is not known; " + FIRST_OPEN)


def needs_pool(situation: Situation) -> str | None:
    """It is about the pool under the cursor."""
    return None if situation.pool else "no pool under the cursor"


def needs_clients(situation: Situation) -> str | None:
    """It is about the clients of PgBouncer."""
    return situation.no_clients or None


def needs_admin(situation: Situation) -> str | None:
    """It is an order to PgBouncer."""
    return situation.no_orders or None


def needs_paused(situation: Situation) -> str | None:
    """It is an order to a PgBouncer that is paused."""
    return situation.no_orders or (None if situation.paused_pooler else "it is not paused")


def needs_no_load(situation: Situation) -> str | None:
    """It starts a load test."""
    return situation.no_load or None


def needs_result(situation: Situation) -> str | None:
    """It is about the last load test."""
    return None if situation.load_result else Spoken("no load test has ended here; {pools.test} starts one")


def has_result(situation: Situation) -> bool:
    """The footer has a use for it after a load test."""
    return situation.load_result


def is_paused(situation: Situation) -> bool:
    """The footer has a use for it while PgBouncer is paused."""
    return situation.paused_pooler


def is_not_paused(situation: Situation) -> bool:
    """The footer has a use for it while PgBouncer is not paused."""
    return not situation.paused_pooler


def needs_leaf(situation: Situation) -> str | None:
    """It opens what is under the cursor in the tree; a definition is read from the backup's data."""
    if situation.table is not None and (reason := needs_here(situation)) is not None:
        return reason
    return None if situation.table or situation.foldable else "this has no definition of its own"


def needs_table(situation: Situation) -> str | None:
    """It reads the table under the cursor from the backup's data."""
    return needs_here(situation) if situation.table else "no table under the cursor"


def needs_partitioned(situation: Situation) -> str | None:
    """It is about the partitioned table under the cursor."""
    if situation.opened is None:
        return FIRST_OPEN
    return None if situation.partitioned else situation.no_plan or "no partitioned table under the cursor"


def needs_plannable(situation: Situation) -> str | None:
    """It plans for the partitioned table under the cursor."""
    return FIRST_OPEN if situation.opened is None else situation.no_plan or None


def needs_branches(situation: Situation) -> str | None:
    """It opens and shuts partitions that are partitioned themselves."""
    return None if situation.has_branches else "no partition of this table is partitioned itself"


def has_branches(situation: Situation) -> bool:
    """The footer has a use for it where there are branches."""
    return situation.has_branches


def needs_step(situation: Situation) -> str | None:
    """It is about the row of a plan under the cursor."""
    return situation.no_step or None


def needs_applicable(situation: Situation) -> str | None:
    """It applies the plan that is shown."""
    return situation.no_apply or None


def needs_finding(situation: Situation) -> str | None:
    """It is about the pattern under the cursor."""
    return None if situation.finding else "no pattern under the cursor"


def needs_top_query(situation: Situation) -> str | None:
    """It is about the statement under the cursor."""
    return None if situation.top_query else "no statement under the cursor"


def needs_capturable(situation: Situation) -> str | None:
    """It captures what runs at the open connection."""
    return FIRST_OPEN if situation.opened is None else situation.no_capture or None


def needs_stale(situation: Situation) -> str | None:
    """It puts back what a capture has left on."""
    return None if situation.stale_capture else "no capture has left anything on"


def is_stale(situation: Situation) -> bool:
    """The footer has a use for it when a capture has left something on."""
    return situation.stale_capture


def needs_replica_row(situation: Situation) -> str | None:
    """It is about the row of the replicas' tree under the cursor."""
    return None if situation.replica_row else "no server under the cursor"


def needs_addable(situation: Situation) -> str | None:
    """It adds a replica to the primary under the cursor."""
    if situation.opened is None and not situation.replica_row:
        return FIRST_OPEN
    return situation.no_replica or None


def needs_promotable(situation: Situation) -> str | None:
    """It promotes the replica under the cursor."""
    return needs_replica_row(situation) or situation.no_promotion or None


def needs_slot(situation: Situation) -> str | None:
    """It drops the slot under the cursor."""
    return needs_replica_row(situation) or situation.no_slot_drop or None


def needs_holdable(situation: Situation) -> str | None:
    """It pauses the replay of the replica under the cursor."""
    return needs_replica_row(situation) or situation.no_hold or None


def needs_held(situation: Situation) -> str | None:
    """It resumes the replay of the replica under the cursor."""
    return needs_replica_row(situation) or situation.no_resume or None


def has_slot(situation: Situation) -> bool:
    """The footer has a use for it on a slot."""
    return situation.slot_row


def has_replica(situation: Situation) -> bool:
    """The footer has a use for it on a replica that may be promoted."""
    return not situation.no_promotion


def is_held(situation: Situation) -> bool:
    """The footer has a use for it while replay is paused."""
    return situation.held_replica


def is_not_held(situation: Situation) -> bool:
    """The footer has a use for it on a replica that replays."""
    return not situation.no_hold
