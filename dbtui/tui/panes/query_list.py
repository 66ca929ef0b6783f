"""What stands above the list of patterns, and in its place when there is none. No widget in here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbtui.analysis.capture_words import describe_few, describe_stale
from dbtui.analysis.queries.live_sums import LiveLook
from dbtui.analysis.query_words import describe_source, summarise_findings
from dbtui.errors import DbtuiError
from dbtui.model.captures import StaleCapture
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.text import format_count, format_duration
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.panes.partition_list import join_parts
from dbtui.tui.panes.query_rows import Source
from dbtui.tui.spoken_keys import speak_keys

_MOST_GAPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is known of the target now. `asked_seconds`: how long it has been asked without an answer.

    `reading`: how far a file is that is being read.
    """

    profile: ConnectionProfile | None = None
    look: LiveLook | None = None
    problem: BaseException | None = None
    stale: tuple[StaleCapture, ...] = ()
    asked_seconds: float = 0.0
    pace_seconds: float = 0.0
    is_paused: bool = False
    reading: str = ""

    @property
    def is_file(self) -> bool:
        """Whether there is no server that could be watched."""
        return self.profile is not None and self.profile.engine is EngineName.SQLITE


def headline(watched: Watched, source: Source | None, suspected: int, width: int) -> list[Line]:
    """Return what there is to know before the list is read."""
    lines = [*map(_stale, watched.stale), *problem_lines(watched)]
    if watched.reading:
        lines.append(line(" ", Span("▌", Tone.ACCENT), watched.reading, dim(speak_keys("   {global.back} stops"))))
    if source is not None:
        lines += _source(source, width)
    if watched.look is not None and (source is None or not source.is_file):
        has_findings = source is not None and bool(source.found.findings)
        lines.append(_live(watched, watched.look, suspected, has_findings=has_findings))
        lines += [line(" ", Span("○ ", Tone.WARNING), gap) for gap in watched.look.snapshot.gaps[:_MOST_GAPS]]
    return lines


def _stale(stale: StaleCapture) -> Line:
    return line(" ", Span("▲ ", Tone.WARNING), describe_stale(stale), "   ",
                Span(speak_keys("{queries.repair}"), Tone.KEY), " puts it back")  # fmt: skip


def problem_lines(watched: Watched) -> list[Line]:
    """Return why the server cannot be watched."""
    problem = watched.problem
    if problem is None:
        return []
    hint = problem.hint if isinstance(problem, DbtuiError) else ""
    text = problem.message if isinstance(problem, DbtuiError) else str(problem)
    return [line(" ", Span("✖ ", Tone.TROUBLE), text, dim(f"   {hint}" if hint else ""))]


def _source(source: Source, width: int) -> Iterator[Line]:
    found = summarise_findings(source.found)
    if source.is_running:
        yield line(" ", Span("▌", Tone.ACCENT), strong("capturing"), f"   {found} so far")
        return
    sign = Span("✖ ", Tone.TROUBLE) if source.found.findings else Span("● ", Tone.OK)
    if source.is_file:
        yield line(" ", sign, strong(source.name), f"   {found}")
    else:
        how = f"captured {source.taken_at.astimezone():%H:%M:%S}, {format_duration(source.seconds or 0)}"
        early = f", ended by: {source.ended_by}" if source.ended_by not in ("", "time") else ""
        parts = [line(" ", sign, strong(found)), line(dim(how + early))]
        parts += [line(dim("settings are as before"))] if source.is_restored and not source.left else []
        yield from join_parts(parts, width)
    if few := describe_few(source.found.statements, source.sample_rate):
        yield line(" ", Span("▲ ", Tone.WARNING), few, "   ", Span(speak_keys("{queries.capture}"), Tone.KEY))
    for left in source.left:
        yield line(" ", Span("✖ ", Tone.TROUBLE), Span(left, Tone.TROUBLE))
    for remark in describe_source(source.found.report) if source.found.report is not None else ():
        yield line(" ", Span("○ ", Tone.WARNING), remark)


def _live(watched: Watched, look: LiveLook, suspected: int, *, has_findings: bool) -> Line:
    """What the sums say. Nothing in it changes with each look, unless something is new."""
    how = "paused" if watched.is_paused else f"every {watched.pace_seconds:.0f} s"
    parts = [Span(f"{look.snapshot.source or 'sums'} {how}")]
    if look.compared < look.needed and look.snapshot.source:
        parts.append(dim(f"suspicions take {look.needed} looks, {look.compared} so far"))
    else:
        nothing = "nothing else is suspected" if has_findings else "nothing is suspected"
        parts.append(dim(f"{suspected} suspected" if suspected else nothing))
    drawn: list[Span] = [Span(" "), dim("○ ")]
    for number, part in enumerate(parts):
        drawn += [Span("   ")] * bool(number) + [part]
    return tuple(drawn)


# ---------------------------------------------------------------- nothing


def show_nothing(watched: Watched, source: Source | None) -> list[Line]:
    """Return what stands where no pattern is."""
    profile = watched.profile
    if profile is None:
        how = speak_keys("{global.connections}, then {connections.open} opens one; {queries.open} reads a log.")
        return [line(" The queries of a connection that repeat would be here: "), line(f" {how}")]
    if source is not None and source.is_file:
        return _calm(source)
    if watched.is_file:
        return [
            line(f" {profile.name} is a file that applications open: no server sums up or logs its statements."),
            line(" Record them inside: dbtui.instrument.record_statements(engine, \"trace.jsonl\"), then"),
            BLANK,
            line(" ", Span(speak_keys("{queries.open}"), Tone.KEY), " reads the trace"),
        ]  # fmt: skip
    if source is not None and not source.is_running:
        return [*_calm(source), BLANK, *_keys()]
    if watched.look is None and watched.problem is None and not watched.is_paused:
        waited = f" {watched.asked_seconds:.0f} s" if watched.asked_seconds >= 1 else ""
        return [line(dim(f" Asking {profile.name} for its sums of statements …{waited}"))]
    return [line(dim(" Nothing repeats, as far as can be seen.")), BLANK, *_keys()]


def _calm(source: Source) -> list[Line]:
    count = format_count(source.found.statements)
    others = len(source.found.others)
    more = [line(" ", Span(speak_keys("{findings.others}"), Tone.KEY),
                 f" shows {others} that repeat, and why they are no N+1")] if others else []  # fmt: skip
    return [line(" ", Span("● ", Tone.OK), f"No N+1 in {count} statements."), *more]


def _keys() -> Sequence[Line]:
    return [
        line(" ", Span(speak_keys(f"{{{action}}}"), Tone.KEY), f" {text}")
        for action, text in (
            ("queries.capture", "logs statements for half a minute and judges their order: shows a plan first"),
            ("queries.top", "shows which statements take the time"),
            ("queries.open", "reads a log or a trace"),
        )
    ]
