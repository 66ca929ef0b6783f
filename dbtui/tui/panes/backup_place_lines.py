"""What is said of the other places of backups: what is overdue or unreachable first, then what comes next."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from dbtui.analysis.backups.places import label_remotes
from dbtui.model.backups import EntryKind
from dbtui.model.findings import FindingLevel
from dbtui.model.repositories import RepositoryReport
from dbtui.model.schedules import CommandRun, ScheduleState, Standing
from dbtui.model.text import format_bytes, format_duration
from dbtui.tui.ages import age_text, format_age, format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.places_feed import SeenPlaces, SeenRemote
from dbtui.tui.spoken_keys import speak_keys

_SIGNS = {
    Standing.ON_TIME: Span("● ", Tone.OK),
    Standing.RUNNING: Span("▸ ", Tone.ACCENT),
    Standing.WAITING: dim("○ "),
    Standing.OVERDUE: Span("✖ ", Tone.TROUBLE),
    Standing.UNREADABLE: Span("▲ ", Tone.WARNING),
}


def chosen_schedules(places: SeenPlaces, opened: str) -> list[ScheduleState]:
    """Return the schedules of backups that matter here: those of the open target, and those of no target alone."""
    states = [state for state in places.schedules if "backup" in state.schedule.words[:1] or not state.schedule.words]
    return [state for state in states if not opened or state.profile in (opened, "")]


def place_lines(places: SeenPlaces, opened: str, now: datetime, most: int) -> list[Line]:
    """Return the lines above the list, at most so many; none where there is nothing to say."""
    schedules = chosen_schedules(places, opened)
    lines = [*_troubles(places, schedules, now), *_calm(places, schedules, now)]
    if len(lines) <= most:
        return lines
    shown = lines[: most - 1]
    more = speak_keys(f" and {len(lines) - most + 1} more: {{history.places}} shows all")
    return [*shown, line(dim(more))]


def _troubles(places: SeenPlaces, schedules: Sequence[ScheduleState], now: datetime) -> Iterator[Line]:
    for state in schedules:
        never_runs = state.next_run_at is None and bool(state.reason)
        if state.standing.is_trouble or never_runs:
            tone = Tone.TROUBLE if state.is_overdue else Tone.WARNING
            sign = _SIGNS[state.standing] if state.standing.is_trouble else Span("▲ ", Tone.WARNING)
            said = state.standing.value if state.standing.is_trouble else "does not run"
            yield line(" ", sign, Span(f"{said}: {_command(state)}", tone),
                       dim(f"  {state.reason}"))  # fmt: skip
    if places.schedules_problem:
        yield line(" ", Span("▲ ", Tone.WARNING), Span(places.schedules_problem))
    for remote in places.remotes:
        if remote.problem:
            yield line(" ", Span("✖ ", Tone.TROUBLE), Span(remote.problem, Tone.TROUBLE), dim(_last_seen(remote, now)))
    for report in places.reports:
        for words in _trouble_words(report):
            yield line(" ", Span("✖ ", Tone.TROUBLE), Span(words, Tone.TROUBLE))


def _trouble_words(report: RepositoryReport) -> Iterator[str]:
    found = [finding for finding in report.findings if finding.level is FindingLevel.TROUBLE]
    if report.problem and not found:
        yield f"{report.name}: {report.problem}"
    for finding in found:
        yield finding.words if report.problem else f"{report.name}: {finding.words}"


def _last_seen(remote: SeenRemote, now: datetime) -> str:
    return f"; shown as of {age_text(remote.seen_at, now)}" if remote.seen_at is not None else ""


def _command(state: ScheduleState) -> str:
    return state.schedule.command or state.schedule.text or state.schedule.name


def _calm(places: SeenPlaces, schedules: Sequence[ScheduleState], now: datetime) -> Iterator[Line]:
    """What is well, in one line: the next run with the last one, and how old what is known of remotes is."""
    parts = [*_next_run(schedules, now)]
    labels = label_remotes(remote.address for remote in places.remotes)
    for remote in places.remotes:
        if remote.problem:
            continue
        if remote.seen_at is None:
            parts.append((dim(f"asking {labels[remote.address]} …"),))
        else:
            parts.append((dim(f"{labels[remote.address]} {_count(remote)}, {age_text(remote.seen_at, now)}"),))
    joined: list[Span] = []
    for part in parts:
        joined += [dim(" · "), *part] if joined else part
    if joined:
        yield line(" ", *joined)


def _count(remote: SeenRemote) -> str:
    count = sum(entry.kind is EntryKind.COMPLETE for entry in remote.entries)
    return f"{count} backup{'' if count == 1 else 's'}"


def _next_run(schedules: Sequence[ScheduleState], now: datetime) -> Iterator[Line]:
    running = [state for state in schedules if state.standing is Standing.RUNNING]
    for state in running:
        yield (Span("▸ ", Tone.ACCENT), Span(f"{_command(state)} runs now"))
    coming = [(state.next_run_at, state) for state in schedules if state.next_run_at is not None]
    if coming:
        moment, state = min(coming, key=lambda pair: pair[0])
        last = state.last_run
        ended = f", last {_last(last, now)}" if last is not None else ""
        yield (dim("next "), Span(_command(state)), dim(f" {_coming(moment, now)}{ended}"))


def _coming(moment: datetime, now: datetime) -> str:
    age = format_age(now, moment)
    return "now" if age == "now" else f"in {age}"


def _last(run: CommandRun, now: datetime) -> str:
    age = age_text(run.began_at, now)
    if run.seconds is None:
        return f"began {age}" if run.is_alive else f"{age}, killed"
    return f"{age}, {'ok' if run.exit_code == 0 else f'exit code {run.exit_code}'}"


# ---------------------------------------------------------------- all of it


def show_places(places: SeenPlaces, opened: str, now: datetime, is_asking: Callable[[str], bool]) -> list[Line]:
    """Return all that is known of remotes, repositories and schedules."""
    lines: list[Line] = []
    for state in chosen_schedules(places, opened):
        lines += [*_show_schedule(state, now), BLANK]
    lines += [warning(places.schedules_problem), BLANK] if places.schedules_problem else []
    for remote in places.remotes:
        lines += [*_show_remote(remote, now, is_asking=is_asking(remote.address)), BLANK]
    for report in places.reports:
        lines += [*_show_report(report, now), BLANK]
    if not lines:
        lines = [
            line("No remote, no repository and no schedule of backups is known here."),
            BLANK,
            line(dim('remote = "s3://bucket/path" in the configuration names where copies go;')),
            line(dim("dbtui schedule backup create TARGET --install has backups made by themselves.")),
        ]
    return lines


def _show_schedule(state: ScheduleState, now: datetime) -> Iterator[Line]:
    yield line(_SIGNS[state.standing], strong(_command(state)))
    yield fact("standing", state.standing.value, dim(f"  {state.reason}" if state.reason else ""))
    if state.next_run_at is not None:
        yield fact("next run", f"{_coming(state.next_run_at, now)}  ", dim(format_time(state.next_run_at)))
    if (last := state.last_run) is not None:
        took = f", took {format_duration(last.seconds)}" if last.seconds is not None and last.seconds >= 1 else ""
        yield fact("last run", f"{_last(last, now)}{took}  ", dim(format_time(last.began_at)))
        if last.detail:
            yield fact("", last.detail)
    yield fact("by", f"{state.schedule.scheduler.value}  ", dim(f"{state.schedule.name}, {state.schedule.place}"))


def _show_remote(remote: SeenRemote, now: datetime, *, is_asking: bool) -> Iterator[Line]:
    yield line(strong(remote.address), dim("  being asked …" if is_asking else ""))
    if remote.problem:
        yield line(Span("✖ ", Tone.TROUBLE), Span(remote.problem, Tone.TROUBLE))
    if remote.seen_at is not None:
        size = sum(entry.size_bytes for entry in remote.entries)
        yield fact("holds", f"{_count(remote)}, {format_bytes(size)}  ", dim(f"as of {age_text(remote.seen_at, now)}"))
    for remark in remote.remarks:
        yield warning(remark)


def _show_report(report: RepositoryReport, now: datetime) -> Iterator[Line]:
    yield line(strong(report.name), dim(f"  {report.repository.kind.product}, as of {age_text(report.taken_at, now)}"))
    for finding in report.findings:
        is_trouble = finding.level is FindingLevel.TROUBLE
        sign = Span("✖ ", Tone.TROUBLE) if is_trouble else dim("○ ")
        yield line(sign, Span(finding.words, Tone.TROUBLE if is_trouble else Tone.PLAIN))
    if report.backups:
        yield fact("holds", f"{len(report.backups)} backup{'' if len(report.backups) == 1 else 's'}")
    if report.archives and report.archives[-1].last:
        archive = report.archives[-1]
        came = f"  {age_text(archive.last_at, now)}" if archive.last_at is not None else ""
        yield fact("WAL", f"{archive.first} to {archive.last}", dim(came))
