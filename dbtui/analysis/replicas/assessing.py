"""`track, assessment = advance(track, snapshot)`: a look at replication is judged with what was seen before."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dbtui.analysis.replicas.copying import assess_backup
from dbtui.analysis.replicas.joining import Link, Tree, join, replayed_of
from dbtui.analysis.replicas.measuring import Measured, add_parent, measure
from dbtui.analysis.replicas.positions import end_of, sizes_of
from dbtui.analysis.replicas.sentences import describe
from dbtui.analysis.replicas.slots import assess_slot
from dbtui.analysis.replicas.states import find_level, find_state, may_serve
from dbtui.analysis.replicas.thresholds import DEFAULT_THRESHOLDS, ReplicaThresholds
from dbtui.analysis.replicas.tracks import Sample, Track, rate_of, remember, remember_end
from dbtui.analysis.replicas.words import count_of, format_lag, format_promise
from dbtui.model.connections import EngineName
from dbtui.model.replicas import (
    BackupVerdict,
    ReplicasAssessment,
    ReplicasSnapshot,
    ReplicaState,
    ReplicaVerdict,
    ServerReplication,
    SlotVerdict,
)

RANKS = {"ok": 0, "warning": 1, "trouble": 2}
#: So much faster than the primary writes is catching up, and no noise.
_FASTER = 1.1
_SERVERS_OF_BACKUPS = "pg_basebackup_"


def advance(track: Track, snapshot: ReplicasSnapshot) -> tuple[Track, ReplicasAssessment]:
    """Return what is to be remembered, and what is made of a look."""
    tree = join(snapshot)
    track = _remember(track, tree, snapshot)
    look = _Look(track, tree, snapshot)
    replicas = tuple(look.judge_all())
    slots = tuple(_assess_slots(track, snapshot))
    backups = tuple(_assess_backups(track, snapshot))
    root = tree.root
    levels = [each.level for each in replicas] + [each.level for each in slots]
    levels += ["trouble"] if root is not None and root.problem else []
    return track, ReplicasAssessment(
        primary=root.profile if root is not None else "",
        log_bytes_per_second=look.log_rate,
        replicas=replicas,
        slots=slots,
        backups=backups,
        gaps=tuple(_gaps(snapshot, track.thresholds)),
        level=max(levels, key=RANKS.__getitem__, default="ok"),
        sentence=_sum_up(root, replicas, slots, snapshot),
    )


def assess_replicas(
    snapshot: ReplicasSnapshot, thresholds: ReplicaThresholds = DEFAULT_THRESHOLDS
) -> ReplicasAssessment:
    """Judge one look by itself: without rates, countdowns and what only a second look tells."""
    return advance(Track(thresholds=thresholds), snapshot)[1]


# ---------------------------------------------------------------- remembering


def _remember(track: Track, tree: Tree, snapshot: ReplicasSnapshot) -> Track:
    """Add a look. Another primary, or another timeline, has another log: what was known of the old one is forgotten."""
    root = tree.root
    if root is not None and root.problem:  # what was known of its log stays true
        root_name, timeline, ends = track.root, track.timeline, track.ends
    else:
        root_name, timeline = (root.profile, root.timeline) if root is not None else ("", None)
        is_same = (root_name, timeline) == (track.root, track.timeline)
        end = end_of(root) if root is not None else None
        sample = Sample(root.monotonic_seconds, end) if root is not None and end is not None else None
        ends = remember_end(track.ends if is_same else (), sample)
    return replace(
        track,
        root=root_name,
        timeline=timeline,
        ends=ends,
        replays={
            link.key: remember(track.replays.get(link.key, ()), _replay_sample(link, snapshot)) for link in tree.links
        },
        retained={key: remember(track.retained.get(key, ()), sample) for key, sample in _retained(snapshot)},
        copied={key: remember(track.copied.get(key, ()), sample) for key, sample in _copied(snapshot)},
    )


def _replay_sample(link: Link, snapshot: ReplicasSnapshot) -> Sample | None:
    replayed = replayed_of(link)
    if replayed is None:
        return None
    seen = link.server if link.server is not None and not link.server.problem else link.sender
    return Sample(seen.monotonic_seconds if seen is not None else snapshot.monotonic_seconds, replayed)


def _retained(snapshot: ReplicasSnapshot) -> Iterator[tuple[tuple[str, str], Sample]]:
    for server in snapshot.servers:
        for slot in server.slots:
            if slot.retained_bytes is not None:
                yield (server.profile, slot.name), Sample(server.monotonic_seconds, (0, slot.retained_bytes))


def _copied(snapshot: ReplicasSnapshot) -> Iterator[tuple[tuple[str, int], Sample]]:
    for server in snapshot.servers:
        for backup in server.backups:
            yield (server.profile, backup.session_id), Sample(server.monotonic_seconds, (0, backup.streamed_bytes))


# ---------------------------------------------------------------- judging


@dataclass(frozen=True)
class _Look:
    """One look, with what is known from those before it."""

    track: Track
    tree: Tree
    snapshot: ReplicasSnapshot

    @property
    def log_rate(self) -> float | None:
        """How fast the primary's log has grown lately."""
        ends = self.track.ends
        recent = [each for each in ends if each.at >= ends[-1].at - 15.0] if ends else []
        return rate_of(recent if len(recent) > 1 else ends[-2:], sizes_of(self.tree.root))

    def judge_all(self) -> Iterator[ReplicaVerdict]:
        """Judge parents before their children, which have what those have."""
        known: dict[str, tuple[Measured, ReplicaState]] = {}
        for link in self.tree.links:
            parent, state = known.get(link.sender.profile, (None, None)) if link.sender is not None else (None, None)
            measured = measure(link, self.tree.root, self.track.ends, self.snapshot.monotonic_seconds)
            measured = add_parent(link, measured, self.tree.root, parent)
            verdict = self.judge(link, measured, state)
            known[link.key] = measured, verdict.state
            yield verdict

    def judge(self, link: Link, measured: Measured, parent: ReplicaState | None) -> ReplicaVerdict:
        """Return what is made of one replica."""
        root, thresholds = self.tree.root, self.track.thresholds
        speed = rate_of(self.track.replays.get(link.key, ()), sizes_of(link.sender))
        catch_up = self._catch_up(measured, speed)
        state = find_state(link, root, measured, thresholds, is_catching_up=catch_up is not None, parent=parent)
        sentence, command = describe(link, root, state, measured, catch_up)
        serves = may_serve(link, state, measured, thresholds)
        return ReplicaVerdict(
            name=link.name,
            state=state,
            level=find_level(state, measured, thresholds),
            key=link.key,
            profile=link.server.profile if link.server is not None else "",
            parent=link.sender.profile if link.sender is not None else "",
            stages=measured.stages,
            behind_bytes=measured.behind_bytes,
            lag_seconds=measured.lag_seconds,
            safe_after_seconds=None if state in _PROMISES_NOTHING else measured.safe_seconds,
            safe_position=_safe_position(link, measured),
            catch_up_seconds=catch_up if state is ReplicaState.CATCHING_UP else None,
            sync_state=link.stream.sync_state if link.stream is not None else "",
            depth=link.depth,
            replay_bytes_per_second=speed,
            is_safe=serves,
            sentence=sentence,
            command=command,
            remarks=tuple(_remarks(link)),
        )

    def _catch_up(self, measured: Measured, speed: float | None) -> float | None:
        """Seconds until it has everything, when it applies faster than the primary writes."""
        if not measured.behind_bytes or not speed:
            return None
        gain = speed - (self.log_rate or 0.0)
        return measured.behind_bytes / gain if speed > (self.log_rate or 0.0) * _FASTER else None


#: What it has may be another history.
_PROMISES_NOTHING = (ReplicaState.STRANGER, ReplicaState.OTHER_TIMELINE, ReplicaState.DOWN)


def _safe_position(link: Link, measured: Measured) -> int | None:
    is_one_log = link.sender is not None and link.sender.engine is EngineName.POSTGRESQL
    return measured.replayed[1] if is_one_log and measured.replayed is not None else None


def _remarks(link: Link) -> Iterator[str]:
    if link.stream is not None and link.stream.is_logical:
        yield "a logical subscriber: it has what was published to it, and tables of its own"
    applier = link.server.applier if link.server is not None else None
    if applier is not None and applier.conflicts:
        counts = ", ".join(f"{count} for {kind}" for kind, count in applier.conflicts)
        yield f"queries on it that were cancelled for replay since its statistics began: {counts}"
    if link.server is None and link.stream is not None and not link.stream.is_logical:
        yield "as its sender sees it: name its profile in `replicas` to see more"


def _assess_slots(track: Track, snapshot: ReplicasSnapshot) -> Iterator[SlotVerdict]:
    for server in snapshot.servers:
        for slot in server.slots:
            if not (slot.is_temporary and slot.name.startswith(_SERVERS_OF_BACKUPS)):
                growth = rate_of(track.retained.get((server.profile, slot.name), ()), {})
                yield assess_slot(server, slot, growth, track.thresholds)


def _assess_backups(track: Track, snapshot: ReplicasSnapshot) -> Iterator[BackupVerdict]:
    for server in snapshot.servers:
        for backup in server.backups:
            speed = rate_of(track.copied.get((server.profile, backup.session_id), ()), {})
            yield assess_backup(server, backup, speed)


# ---------------------------------------------------------------- summing up


def _gaps(snapshot: ReplicasSnapshot, thresholds: ReplicaThresholds) -> Iterator[str]:
    yield from snapshot.gaps
    for server in snapshot.servers:
        yield from (f"{server.profile}: {gap}" for gap in server.gaps)
        skew = server.clock_skew_seconds
        if skew is not None and abs(skew) > thresholds.skew_seconds:
            way = "ahead of" if skew > 0 else "behind"
            yield f"{server.profile}: its clock is {format_lag(abs(skew))} {way} this machine's; ages allow for that"


def _sum_up(
    root: ServerReplication | None,
    replicas: tuple[ReplicaVerdict, ...],
    slots: tuple[SlotVerdict, ...],
    snapshot: ReplicasSnapshot,
) -> str:
    """One sentence: what is worst, else how many are safe to read from."""
    if root is not None and root.problem:
        return f"the primary {root.profile} cannot be asked: {root.problem}"
    bad = [(each.level, f"{each.name}: {each.sentence}") for each in replicas]
    bad += [(each.level, f"slot {each.slot.name} of {each.server}: {each.sentence}") for each in slots]
    bad = [each for each in bad if each[0] != "ok"]
    if bad:
        worst = max(bad, key=lambda each: RANKS[each[0]])[1]
        more = f" ({len(bad) - 1} more)" if len(bad) > 1 else ""
        return f"{worst}{more}"
    if not replicas:
        name = root.profile if root is not None else snapshot.profile
        return f"nobody receives the log of {name}: it has no replica"
    safe = [each for each in replicas if each.is_safe]
    ages = [each.safe_after_seconds for each in safe if each.safe_after_seconds is not None]
    if not safe or not ages:
        return f"{count_of(len(replicas), 'replica')}, and none of them is known to be safe to read from now"
    whom = "the replica is" if len(replicas) == 1 else f"{len(safe)} of {len(replicas)} replicas are"
    return f"{whom} safe for reads older than {format_promise(max(ages))}"
