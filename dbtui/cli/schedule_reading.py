"""What `dbtui schedule list` does: read, and print a table or one JSON document."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.tables import Column, format_table, terminal_width
from dbtui.jobs import JobRequest
from dbtui.model.schedules import CommandRun, ScheduleState, Standing
from dbtui.model.text import format_duration, format_untrusted
from dbtui.routines.schedule_states import collect_schedules, read_zone

_COLUMNS = (
    Column("", least=1),
    Column("NAME", least=16),
    Column("BY", drop=2),
    Column("EVERY", right=True, drop=3),
    Column("NEXT RUN", least=16),
    Column("LAST RUN", least=12),
    Column("STANDING", least=10),
    Column("COMMAND", least=12, drop=1),
)
_SIGNS = {Standing.ON_TIME: "●", Standing.RUNNING: "▸", Standing.WAITING: "○", Standing.OVERDUE: "✖",
          Standing.UNREADABLE: "▲"}  # fmt: skip


def list_schedules(*, fail_on: str | None, as_json: bool) -> int:
    """Print every schedule that dbtui installed for this user; with `fail_on` exit with 7 when one needs a look."""
    invocation = Invocation.begin(as_json=as_json)
    request: JobRequest[tuple[ScheduleState, ...]] = JobRequest(
        routine="list schedules",
        target="",
        start=lambda c: collect_schedules(c, invocation.history, invocation.settings.profiles),
        changes=False,
    )
    outcome = invocation.run(request)
    states = outcome.result or ()
    if as_json:
        print_document(schedules=[_fields(state) for state in states], gaps=outcome.warnings)
    elif states:
        zone = read_zone(invocation.runner.context)
        now = invocation.runner.context.now()
        write_data("\n".join(show_schedules(states, now.astimezone(zone), terminal_width())))
    else:
        invocation.printer.say("dbtui has installed no schedule for this user; see dbtui schedule --help")
    if fail_on is not None and (outcome.warnings or any(state.standing.is_trouble for state in states)):
        return exit_codes.FOUND_SOMETHING
    return exit_codes.DONE


def show_schedules(states: Sequence[ScheduleState], now: datetime, width: int | None) -> list[str]:
    """Return the lines of the list: a table, and a sentence for each that needs one. `now`: in the zone to show."""
    rows = [
        (
            _SIGNS[state.standing],
            state.schedule.name,
            state.schedule.scheduler.value,
            format_duration(state.period_seconds) if state.period_seconds else "",
            _show_next(state, now),
            _show_last(state.last_run, now),
            state.standing.value,
            state.schedule.command or state.schedule.text,
        )
        for state in states
    ]
    told = [f"{_SIGNS[state.standing]} {state.schedule.name}: {state.reason}" for state in states if state.reason]
    return [*format_table(_COLUMNS, rows, width), *([""] if told else []), *map(format_untrusted, told)]


def _show_next(state: ScheduleState, now: datetime) -> str:
    if state.next_run_at is None:
        return "" if state.standing is Standing.UNREADABLE else "never"
    return f"{state.next_run_at.astimezone(now.tzinfo):%Y-%m-%d %H:%M %Z}"


def _show_last(run: CommandRun | None, now: datetime) -> str:
    if run is None:
        return "never seen"
    age = format_duration((now - run.began_at).total_seconds())
    if run.seconds is None:
        return f"since {age}" if run.is_alive else f"{age} ago, killed"
    took = format_duration(run.seconds) if run.seconds >= 1 else "under 1 s"
    return f"{age} ago, {'ok' if run.exit_code == 0 else f'exit code {run.exit_code}'} in {took}"


def _fields(state: ScheduleState) -> dict[str, Any]:
    schedule, last = state.schedule, state.last_run
    return {
        "name": schedule.name,
        "by": schedule.scheduler,
        "place": schedule.place,
        "text": schedule.text,
        "command": schedule.command,
        "words": schedule.words,
        "directory": schedule.directory,
        "is_enabled": schedule.is_enabled,
        "installed_at": schedule.installed_at,
        "profile": state.profile,
        "database": state.database,
        "period_seconds": state.period_seconds,
        "next_run_at": state.next_run_at,
        "last_run": last,
        "last_seconds": last.seconds if last else None,
        "last_success_at": state.last_success_at,
        "standing": state.standing,
        "is_overdue": state.is_overdue,
        "reason": state.reason,
    }
