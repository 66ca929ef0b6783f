"""What became of a schedule: when it runs next, how its last run ended, and whether it is overdue.

Overdue is what has not succeeded (exit code 0) for longer than the time between two of its runs, and a grace.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

from dbtui.analysis.schedule_times import find_last_due, find_next_due
from dbtui.errors import UsageError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.schedules import CommandRun, InstalledSchedule, Scheduler, ScheduleState, Standing
from dbtui.model.text import format_duration

_GRACE_FRACTION = 0.1
_LEAST_GRACE_SECONDS, _MOST_GRACE_SECONDS = 600.0, 6 * 3600.0
_LATEST = "latest:"


def grace_of(period_seconds: float) -> float:
    """Return for how many seconds a run may be late: a tenth of its period, ten minutes at least, six hours at most."""
    return min(max(period_seconds * _GRACE_FRACTION, _LEAST_GRACE_SECONDS), _MOST_GRACE_SECONDS)


def assess_schedule(
    schedule: InstalledSchedule,
    runs: Sequence[CommandRun],
    profiles: Sequence[ConnectionProfile],
    now: datetime,
    zone: tzinfo,
) -> ScheduleState:
    """Return what is to be said of a schedule. `runs` are those of its words, the newest first; `now` is UTC."""
    profile = find_profile(schedule.words, profiles)
    state = ScheduleState(
        schedule=schedule,
        standing=Standing.UNREADABLE,
        reason=schedule.problem,
        profile=profile.name if profile else "",
        database=profile.database if profile else "",
        last_run=runs[0] if runs else None,
        last_success_at=next((run.began_at for run in runs if run.exit_code == 0), None),
        next_run_at=schedule.next_run_at,
    )
    if schedule.problem:
        return state
    try:
        state = _with_times(state, now, zone)
    except UsageError as error:  # the zone that it names
        return replace(state, reason=error.message)
    return _judge(state, now, zone)


def find_profile(words: Sequence[str], profiles: Sequence[ConnectionProfile]) -> ConnectionProfile | None:
    """Return the profile that a command names, also as `latest:PROFILE`."""
    known = {profile.name: profile for profile in profiles}
    named = (known.get(word.removeprefix(_LATEST)) for word in words[1:])
    return next((profile for profile in named if profile is not None), None)


def _with_times(state: ScheduleState, now: datetime, zone: tzinfo) -> ScheduleState:
    timings = state.schedule.timings
    coming = find_next_due(timings, now, zone)
    last = find_last_due(timings, now, zone)
    before = find_last_due(timings, last - datetime.resolution, zone) if last else None
    if coming is None or last is None or before is None:
        return replace(state, next_run_at=state.next_run_at or coming)
    period = max(coming - last, last - before).total_seconds()
    computed = coming if state.schedule.is_enabled else None
    return replace(state, next_run_at=state.next_run_at or computed, period_seconds=period)


def _judge(state: ScheduleState, now: datetime, zone: tzinfo) -> ScheduleState:
    last = state.last_run
    if state.period_seconds is None:
        return replace(state, reason="no day of the calendar fits it")
    allowed = state.period_seconds + grace_of(state.period_seconds)
    if last is not None and last.is_alive and (now - last.began_at).total_seconds() <= allowed:
        return replace(state, standing=Standing.RUNNING, reason="")
    if state.last_success_at is not None:
        silent = (now - state.last_success_at).total_seconds()
        if silent <= allowed:
            return replace(state, standing=Standing.ON_TIME, reason=_tell(_last_ending(last), _tell_disabled(state)))
        said = f"no success for {format_duration(silent)}; it should run every {format_duration(state.period_seconds)}"
        return _overdue(state, said)
    installed = state.schedule.installed_at
    first_due = find_next_due(state.schedule.timings, installed, zone) if installed is not None else None
    if first_due is not None and (now - first_due).total_seconds() <= grace_of(state.period_seconds):
        return replace(state, standing=Standing.WAITING, reason=_tell(_last_ending(last), _tell_disabled(state)))
    return _overdue(
        state, "it never ran, as far as is known" if last is None else "it never succeeded, as far as is known"
    )


def _overdue(state: ScheduleState, said: str) -> ScheduleState:
    return replace(
        state, standing=Standing.OVERDUE, reason=_tell(said, _last_ending(state.last_run), _tell_disabled(state))
    )


def _tell(*sentences: str) -> str:
    return "; ".join(sentence for sentence in sentences if sentence)


def _last_ending(run: CommandRun | None) -> str:
    """How the last run ended, when it did not end well."""
    if run is None or run.exit_code == 0 or run.is_alive:
        return ""
    if run.ended_at is None:
        return "the last run was killed, or the machine went down"
    return f"the last run ended with exit code {run.exit_code}{f': {run.detail}' if run.detail else ''}"


def _tell_disabled(state: ScheduleState) -> str:
    schedule = state.schedule
    if schedule.is_enabled or schedule.scheduler is not Scheduler.SYSTEMD:
        return ""
    return f"its timer is not enabled: systemctl --user enable --now {schedule.name}.timer"
