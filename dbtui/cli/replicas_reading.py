"""What `dbtui replicas TARGET` does: look, judge, print; with --watch again and again."""

from typing import Any

from dbtui.analysis.replicas import RANKS, Track, advance
from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import VERSION, format_json, write_data
from dbtui.cli.replicas_text import format_assessment
from dbtui.cli.tables import terminal_width
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.replicas import ReplicasAssessment, ReplicasSnapshot
from dbtui.replica_settings import find_replicas
from dbtui.routines.replicas import collect_replica_looks, watch_replicas

#: Two looks, for rates and for what moves.
_LOOKS, _BETWEEN_SECONDS = 2, 0.5


def show_replicas(*, target: str | None, watch_seconds: float | None, fail_on: str | None, as_json: bool) -> int:
    """Print the replicas once, or with `watch_seconds` until interrupted."""
    invocation = Invocation.begin(as_json=as_json)
    profile = check_target(invocation.target(target))
    replicas = find_replicas(profile, invocation.settings.profiles)
    if watch_seconds is not None:
        return _watch(invocation, profile, replicas, watch_seconds, fail_on)
    request: JobRequest[tuple[ReplicasSnapshot, ...]] = JobRequest(
        routine="replicas",
        target=profile.name,
        changes=False,
        start=lambda c: collect_replica_looks(c, profile, replicas, _LOOKS, _BETWEEN_SECONDS),
    )
    track = Track()
    for snapshot in invocation.result_of(request, profile):
        track, assessment = advance(track, snapshot)
    _print(snapshot, assessment, as_json=as_json)
    if is_as_bad(assessment, fail_on):
        return exit_codes.FOUND_SOMETHING
    return exit_codes.CANNOT_CONNECT if snapshot.servers[0].problem else exit_codes.DONE


def check_target(profile: ConnectionProfile) -> ConnectionProfile:
    """Return a profile that has a server. Raises UsageError."""
    if profile.engine is EngineName.SQLITE:
        raise UsageError(f"{profile.name} is an SQLite file: it has no replicas", "name a PostgreSQL or MySQL target")
    return profile


def is_as_bad(assessment: ReplicasAssessment, level: str | None) -> bool:
    """Whether it is as bad as a level or worse."""
    return level is not None and RANKS[assessment.level] >= RANKS[level]


def _watch(
    invocation: Invocation,
    profile: ConnectionProfile,
    replicas: tuple[ConnectionProfile, ...],
    seconds: float,
    fail_on: str | None,
) -> int:
    """Print each look until one is as bad as --fail-on says, or somebody interrupts."""
    if not invocation.as_json:
        invocation.printer.say(f"looking every {seconds:g} s; Ctrl-C ends it")
    track = Track()

    def show(snapshot: ReplicasSnapshot) -> bool:
        nonlocal track
        track, assessment = advance(track, snapshot)
        _print(snapshot, assessment, as_json=invocation.as_json, is_one_of_many=True)
        return not is_as_bad(assessment, fail_on)

    request: JobRequest[int] = JobRequest(
        routine="replicas",
        target=profile.name,
        changes=False,
        start=lambda c: watch_replicas(c, profile, replicas, seconds, show),
    )
    invocation.result_of(request, profile)
    return exit_codes.FOUND_SOMETHING


def describe_look(snapshot: ReplicasSnapshot, assessment: ReplicasAssessment) -> dict[str, Any]:
    """Return a look and its judgement as the fields of a JSON document."""
    return {
        "target": snapshot.profile,
        "taken_at": snapshot.taken_at,
        "level": assessment.level,
        "sentence": assessment.sentence,
        "primary": assessment.primary,
        "log_bytes_per_second": assessment.log_bytes_per_second,
        "replicas": assessment.replicas,
        "slots": assessment.slots,
        "backups": assessment.backups,
        "servers": snapshot.servers,
        "gaps": assessment.gaps,
    }


def _print(
    snapshot: ReplicasSnapshot, assessment: ReplicasAssessment, *, as_json: bool, is_one_of_many: bool = False
) -> None:
    if as_json:
        write_data(format_json({"version": VERSION, **describe_look(snapshot, assessment)}))
        return
    lines = format_assessment(snapshot, assessment, terminal_width())
    if is_one_of_many:
        lines = [f"{snapshot.taken_at.astimezone():%Y-%m-%d %H:%M:%S}  {snapshot.profile}", *lines, ""]
    write_data("\n".join(lines))
