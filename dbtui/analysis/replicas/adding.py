"""Planning a new replica: what is done step by step, what speaks against it, what has to be known. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from dbtui.model.connections import ConnectionProfile
from dbtui.model.replica_facts import AdditionFacts, LeftAddition, PlaceFacts, SourceFacts
from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaWish
from dbtui.model.text import format_bytes, format_duration, format_untrusted

#: The manual, "pg_basebackup", --max-rate.
LEAST_RATE, MOST_RATE = 32 << 10, 1 << 30
_SLOT_NAME = re.compile(r"[a-z0-9_]{1,63}")
_NOT_IN_SLOT = re.compile(r"[^a-z0-9_]+")
_NAME_LENGTH = 63
_SKEW_SECONDS = 2.0
#: pg_basebackup has one connection for the files and one for the log.
_SENDERS = 2
_SPARE_SHARE = 0.1
_LEVELS = ("minimal", "archive", "hot_standby", "replica", "logical")


def complete_wish(wish: ReplicaWish) -> ReplicaWish:
    """Return a wish with a name and a slot: the directory's name, and that name as slots are spelt."""
    name = wish.name or PurePath(wish.data_directory).name
    slot = wish.slot or _NOT_IN_SLOT.sub("_", name.lower())[:_NAME_LENGTH]
    return replace(wish, name=name, slot=slot)


def plan_addition(profile: ConnectionProfile, wish: ReplicaWish, facts: AdditionFacts) -> ReplicaPlan:
    """Plan to add a replica. `wish` is complete."""
    source, place = facts.source, facts.place
    consequence = (
        f"copies {format_untrusted(source.address)} to {format_untrusted(place.data_directory)}"
        f" and {'starts' if wish.is_started else 'makes ready'} a replica at port {wish.port}"
    )
    refusals = (facts.unsupported,) if facts.unsupported else tuple(_refusals(profile, wish, facts))
    return ReplicaPlan(
        action=ReplicaAction.ADD,
        profile=profile.name,
        subject=wish.name,
        wish=wish,
        steps=facts.manual if facts.unsupported else tuple(_steps(wish, facts)),
        needed_bytes=source.size_bytes,
        free_bytes=place.free_bytes,
        danger=1,
        consequence=consequence,
        warnings=() if facts.unsupported else tuple(_warnings(wish, facts)),
        refusals=refusals,
    )


# ---------------------------------------------------------------- steps


def _steps(wish: ReplicaWish, facts: AdditionFacts) -> Iterator[str]:
    place, commands = facts.place, dict(facts.place.commands)
    if place.left is not None:
        yield _clean_step(place.left)
    owner = f" -o {place.account}" if place.is_other_account else ""
    what = "take the empty directory" if place.exists else "make the directory"
    yield f"{what}: install -d -m 0700{owner} {format_untrusted(place.data_directory)}"
    if "passfile" in commands:
        yield commands["passfile"]
    yield commands.get("create slot", "")
    yield from (text for what, text in place.commands if what == "tablespace")
    yield commands.get("copy", "")
    yield commands.get("settings", "")
    if "files" in commands:
        yield commands["files"]
    if wish.is_started:
        yield commands.get("start", "")
        yield f"wait until {facts.source.address} streams to {wish.name} at slot {wish.slot}"
    else:
        yield f"start it yourself: {commands.get('start', '')}"


def _clean_step(left: LeftAddition) -> str:
    parts = ["what it copied"] if left.has_directory else []
    parts += [f"slot {left.slot} on {left.server}"] if left.has_slot else []
    parts += [left.passfile] if left.passfile else []
    return f"remove what the run of {left.began} left: {', '.join(parts) or 'its note alone'}"


# ---------------------------------------------------------------- refusals


def _refusals(profile: ConnectionProfile, wish: ReplicaWish, facts: AdditionFacts) -> Iterator[str]:
    if profile.read_only:
        yield f"profile {format_untrusted(profile.name)} is read-only: a slot has to be made"
    yield from _wish_refusals(wish)
    yield from _source_refusals(facts.source)
    yield from _slot_refusals(wish, facts.source, facts.place.left)
    yield from _place_refusals(facts.source, facts.place)


def _wish_refusals(wish: ReplicaWish) -> Iterator[str]:
    if not _SLOT_NAME.fullmatch(wish.slot):
        yield (
            f"the slot name {format_untrusted(wish.slot, 80)!r} is none: lower-case letters, digits and _,"
            " 63 at most; give --slot NAME"
        )
    if not wish.name or len(wish.name) > _NAME_LENGTH or not (wish.name.isascii() and wish.name.isprintable()):
        shown = format_untrusted(wish.name, 80)
        yield f"the name {shown!r} is none for application_name: 1 to 63 printable ASCII characters; give --name NAME"
    rate = wish.most_bytes_per_second
    if rate is not None and not LEAST_RATE <= rate <= MOST_RATE:
        yield f"a rate of {format_bytes(rate)}/s cannot be kept: pg_basebackup takes 32 kB/s to 1 GB/s"


def _source_refusals(source: SourceFacts) -> Iterator[str]:
    if source.is_pooled:
        yield f"a pooler answers at {source.address}: name the server itself, a copy does not go through one"
    if not source.may_replicate:
        login = '"' + source.login.replace('"', '""') + '"'
        yield f"the login may not replicate: ALTER ROLE {format_untrusted(login)} REPLICATION; allows it"
    if source.replication_problem:
        said = source.replication_problem
        yield f"a connection for replication was tried and refused: {said}; pg_hba.conf needs a line for replication"
    if source.wal_level in _LEVELS and _LEVELS.index(source.wal_level) < _LEVELS.index("hot_standby"):
        yield (
            f"wal_level is {source.wal_level}, too low for a replica: ALTER SYSTEM SET wal_level = 'replica';"
            " then restart the server"
        )
    used, most = source.senders
    if used + _SENDERS > most:
        yield (
            f"max_wal_senders is {most} and {used} are in use: the copy needs {_SENDERS};"
            f" ALTER SYSTEM SET max_wal_senders = {used + _SENDERS + 2}; then restart the server"
        )
    used, most = source.slots
    if used + 1 > most:
        yield (
            f"max_replication_slots is {most} and all are taken: drop one that nobody needs,"
            f" or ALTER SYSTEM SET max_replication_slots = {most + 4}; then restart the server"
        )
    if source.is_replica and not source.has_full_pages:
        yield "full_page_writes is off at the primary: a replica cannot be copied from then; switch it on there"


def _slot_refusals(wish: ReplicaWish, source: SourceFacts, left: LeftAddition | None) -> Iterator[str]:
    is_left = left is not None and left.has_slot and left.slot == wish.slot
    if wish.slot in source.slot_names and not is_left:
        yield (
            f"slot {wish.slot} exists on {source.address}: give --slot another name, or, when nobody reads or needs it,"
            f" drop it (dbtui replicas drop-slot TARGET {wish.slot})"
        )


def _place_refusals(source: SourceFacts, place: PlaceFacts) -> Iterator[str]:
    left = place.left
    if left is not None and left.is_running:
        yield f"process {left.process} has been adding a replica there since {left.began}: wait for it, or cancel it"
    elif left is not None and left.is_served:
        yield (
            f"a run that began at {left.began} was ended when its server had started, and it runs in"
            f" {place.data_directory}: keep it (rm {left.path}), or stop it and add the replica again"
        )
    elif place.problem:
        yield place.problem
    if place.port_problem:
        yield place.port_problem
    if place.tool_problem:
        yield place.tool_problem
    if source.size_bytes is not None and place.free_bytes is not None and source.size_bytes > place.free_bytes:
        yield (
            f"{format_bytes(source.size_bytes)} are needed and {format_bytes(place.free_bytes)} are free on the disk of"
            f" {place.data_directory}: free some space, or name another disk"
        )


# ---------------------------------------------------------------- warnings


def _warnings(wish: ReplicaWish, facts: AdditionFacts) -> Iterator[str]:
    source, place = facts.source, facts.place
    if place.left is not None:
        yield f"a run that began at {place.left.began} ended without a word; what it left is removed first"
    yield from _space_warnings(source, place)
    if abs(source.clock_skew_seconds) > _SKEW_SECONDS:
        way = "ahead of" if source.clock_skew_seconds > 0 else "behind"
        skew = format_duration(abs(source.clock_skew_seconds))
        yield f"the clock of {source.address} is {skew} {way} this machine's: ages of the replica will be wrong by that"
    if source.tablespaces:
        names = ", ".join(format_untrusted(each, 40) for each in source.tablespaces)
        yield f"the source has tablespaces ({names}): they are copied to directories beside {place.data_directory}"
    if source.outside_files:
        files = ", ".join(format_untrusted(each) for each in source.outside_files)
        yield (
            f"the source keeps its configuration outside its data directory ({files}) and it is not copied: the"
            " replica gets one of its own, in which local and loopback logins with a password are let in"
        )
    if source.is_tunnelled:
        yield (
            f"{source.address} is reached at a loopback address and is another machine: the replica needs that tunnel"
            " as long as it lives; name the server by an address of its own"
        )
    if "*" in source.synchronous_names or wish.name in source.synchronous_names:
        names = format_untrusted(source.synchronous_names, 80)
        yield f"synchronous_standby_names is {names!r}: commits may wait for the new replica"
    if wish.name in source.replica_names:
        yield f"a replica called {wish.name} is there already: two of one name are hard to tell apart"
    if source.kept_bytes is not None:
        yield f"a slot keeps {format_bytes(source.kept_bytes)} of the log at most: a copy that takes longer is lost"
    if not wish.is_fast_checkpoint and source.checkpoint_seconds:
        most = format_duration(source.checkpoint_seconds)
        yield f"the copy begins when the next checkpoint is complete: that may take {most}"
    if place.is_other_account:
        yield f"PostgreSQL does not run as root: {place.account} will own the directory and run the replica"


def _space_warnings(source: SourceFacts, place: PlaceFacts) -> Iterator[str]:
    if source.size_bytes is None:
        yield "how large the source is may not be seen (GRANT pg_read_all_stats): look yourself that it fits"
    elif place.free_bytes is not None and place.free_bytes < source.size_bytes * (1 + _SPARE_SHARE):
        left = format_bytes(max(0, place.free_bytes - source.size_bytes))
        yield f"the copy leaves {left} free on its disk: the log of a long copy may fill it"
