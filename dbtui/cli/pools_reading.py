"""What `dbtui pools TARGET` and `dbtui pools clients` do: look, judge, print; with --watch again and again."""

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from dbtui.analysis.pools import Track, advance
from dbtui.cli import exit_codes
from dbtui.cli.invocation import PASSWORDS, Invocation
from dbtui.cli.pools_text import format_clients, format_ladder
from dbtui.cli.printers import VERSION, format_json, print_document, write_data
from dbtui.cli.tables import terminal_width
from dbtui.config import Settings
from dbtui.errors import StorageError, UsageError
from dbtui.jobs import JobRequest
from dbtui.ladders import LadderWatch
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.ladders import LadderAssessment, Level
from dbtui.model.pools import PoolerClients, PoolsSnapshot, Tier
from dbtui.recordings import Recorder
from dbtui.routines.context import RoutineContext
from dbtui.routines.pools import collect_pooler_clients, collect_readings

_WIDTH = 80
#: Full, and somebody waits in three looks: fewer never say that a pool is too narrow.
_LOOKS, _BETWEEN_SECONDS = 4, 0.5
_PATIENCE_SECONDS = 0.5
Show = Callable[[PoolsSnapshot], LadderAssessment]


def show_pools(
    *, target: str | None, watch_seconds: float | None, record: str | None, fail_on: str | None, as_json: bool
) -> int:
    """Print the ladder once, or with `watch_seconds` until interrupted."""
    invocation = Invocation.begin(as_json=as_json)
    profile = check_target(invocation.target(target))
    worst = _Worst(Level(fail_on) if fail_on else None)
    with ExitStack() as stack:
        recorder = stack.enter_context(closing(Recorder(Path(record), profile.name))) if record else None
        if watch_seconds is None:
            taken = look(invocation, profile, _LOOKS)
            for snapshot in taken:
                _record(recorder, snapshot)
            snapshot, assessment = taken[-1], assess(taken, invocation.settings)
            worst.note(assessment)
            _print(snapshot, assessment, as_json)
            return worst.code or _reached(assessment)
        if not as_json:
            invocation.printer.say(f"looking every {watch_seconds:g} s; Ctrl-C ends it")
        track = begin_track(invocation.settings)
        for snapshot in _watch(profile, watch_seconds):
            _record(recorder, snapshot)
            track, assessment = advance(track, snapshot)
            worst.note(assessment)
            _print(snapshot, assessment, as_json, is_one_of_many=True)
            if worst.code:
                return worst.code
    return exit_codes.DONE


def check_target(profile: ConnectionProfile) -> ConnectionProfile:
    """Return a profile that has a server. Raises UsageError."""
    if profile.engine is EngineName.SQLITE:
        raise UsageError(f"{profile.name} is an SQLite file: programs open it by themselves, there is no pool",
                         "name a PostgreSQL or MySQL target")  # fmt: skip
    return profile


def look(invocation: Invocation, profile: ConnectionProfile, looks: int) -> tuple[PoolsSnapshot, ...]:
    """Look at the ladder, more than once for rates."""
    request: JobRequest[tuple[PoolsSnapshot, ...]] = JobRequest(
        routine="pools",
        target=profile.name,
        changes=False,
        start=lambda c: collect_readings(c, profile, looks, _BETWEEN_SECONDS),
    )
    return invocation.result_of(request, profile)


def begin_track(settings: Settings) -> Track:
    """Return what nothing is remembered in yet; judged is by `[pools]` of the configuration."""
    return Track() if settings.thresholds is None else Track(thresholds=settings.thresholds)


def assess(snapshots: tuple[PoolsSnapshot, ...], settings: Settings) -> LadderAssessment:
    """Judge looks; the last one counts."""
    track = begin_track(settings)
    for snapshot in snapshots:
        track, assessment = advance(track, snapshot)
    return assessment


class _Worst:
    """Whether it was as bad as --fail-on says."""

    def __init__(self, level: Level | None) -> None:
        self._level = level
        self.code = exit_codes.DONE

    def note(self, assessment: LadderAssessment) -> None:
        """Take a look into account."""
        levels = [assessment.verdict.level, *(tier.level for tier in assessment.tiers)]
        if self._level is not None and any(level.rank >= self._level.rank for level in levels):
            self.code = exit_codes.FOUND_SOMETHING


def _reached(assessment: LadderAssessment) -> int:
    """Say whether anything besides this host answered."""
    tiers = [tier for tier in assessment.tiers if tier.tier is not Tier.HOST]
    return exit_codes.DONE if any(not tier.problem for tier in tiers) else exit_codes.CANNOT_CONNECT


def _record(recorder: Recorder | None, snapshot: PoolsSnapshot) -> None:
    if recorder is None:
        return
    try:
        recorder.write(snapshot)
    except OSError as error:
        raise StorageError(f"the recording {recorder.path} cannot be written: {error.strerror}") from error


def _watch(profile: ConnectionProfile, seconds: float) -> Iterator[PoolsSnapshot]:
    """Yield a snapshot each interval, for ever; what interrupts it ends it."""
    seen: queue.SimpleQueue[PoolsSnapshot] = queue.SimpleQueue()
    watch = LadderWatch(profile, RoutineContext(password_of=PASSWORDS.find), seen.put, seconds).start()
    try:
        while True:
            try:
                yield seen.get(timeout=_PATIENCE_SECONDS)
            except queue.Empty:
                time.sleep(0)
    finally:
        watch.stop()


def describe_look(snapshot: PoolsSnapshot, assessment: LadderAssessment) -> dict[str, Any]:
    """Return a look and its judgement as the fields of a JSON document."""
    return {
        "target": snapshot.profile,
        "taken_at": snapshot.taken_at,
        "tiers": assessment.tiers,
        "verdict": assessment.verdict,
        "countdowns": assessment.countdowns,
        "projections": assessment.projections,
        "checks": assessment.checks,
        "rates": assessment.rates,
        "hidden_queue": assessment.hidden_queue,
        "queue": assessment.queue,
        "gaps": _gaps(snapshot, assessment),
        "warnings": snapshot.pooler.warnings if snapshot.pooler is not None else (),
    }


def _gaps(snapshot: PoolsSnapshot, assessment: LadderAssessment) -> list[str]:
    return list(dict.fromkeys((*snapshot.gaps, *(gap for tier in assessment.tiers for gap in tier.gaps))))


def _print(snapshot: PoolsSnapshot, assessment: LadderAssessment, as_json: bool, is_one_of_many: bool = False) -> None:
    if as_json:
        write_data(format_json({"version": VERSION, **describe_look(snapshot, assessment)}))
        return
    lines = format_ladder(assessment, terminal_width() or _WIDTH)
    lines += [f"▲ {gap}" for gap in _gaps(snapshot, assessment)]
    if is_one_of_many:
        lines = [f"{snapshot.taken_at.astimezone():%Y-%m-%d %H:%M:%S}  {snapshot.profile}", *lines, ""]
    write_data("\n".join(lines))


def show_clients(*, target: str, as_json: bool) -> int:
    """Print the clients of a target's PgBouncer."""
    invocation = Invocation.begin(as_json=as_json)
    profile = check_target(invocation.target(target))
    request: JobRequest[PoolerClients] = JobRequest(
        routine="pools clients", target=profile.name, start=lambda c: collect_pooler_clients(c, profile), changes=False
    )
    found = invocation.result_of(request, profile)
    if as_json:
        print_document(target=profile.name, source=found.source, taken_at=found.taken_at, clients=found.clients,
                       omitted=found.omitted, gaps=found.gaps)  # fmt: skip
        return exit_codes.DONE
    for gap in found.gaps:
        invocation.printer.warn(gap)
    if found.clients:
        write_data("\n".join(format_clients(found.clients, terminal_width())))
    else:
        invocation.printer.say("no client is connected to PgBouncer")
    if found.omitted:
        invocation.printer.say(f"{found.omitted} more are not listed")
    return exit_codes.DONE
