"""What `dbtui queries inspect`, `top` and `explain` do: read or ask, judge, print blocks, a table, or one document."""

from itertools import pairwise
from typing import Any

from dbtui.analysis.load_words import parse_duration
from dbtui.analysis.queries import Normaliser
from dbtui.analysis.queries.suspects import LEAST_WINDOWS, find_suspects
from dbtui.analysis.queries.top_queries import compare_top_queries, find_rates, sort_rates
from dbtui.analysis.query_words import describe_source, is_at_least, summarise_findings
from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.queries_fields import findings_fields, format_findings
from dbtui.cli.queries_text import format_plan, format_suspects, format_top
from dbtui.cli.tables import terminal_width
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile
from dbtui.model.queries import QueryFindings, TopQueriesSnapshot
from dbtui.model.text import format_untrusted
from dbtui.model.top_queries import QuerySuspect, TopQueriesWindow, TopQuerySort
from dbtui.routines.queries import (
    ExplainedQuery,
    InspectWish,
    collect_top_queries,
    explain_query,
    inspect_statements,
)

_WIDTH = 100


def inspect_file(
    *,
    path: str,
    format_name: str | None,
    prefix: str | None,
    target: str | None,
    round_trip: str | None,
    repeats: int,
    models: str | None,
    fail_on: str | None,
    shows_others: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Judge the statements of a file and print what repeats; the exit code says whether `fail_on` was found."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet)
    profile = invocation.target(target) if target is not None else None
    wish = InspectWish(
        path=path,
        format_name=format_name or "",
        prefix=prefix or "",
        models=models or "",
        finding_repeats=repeats,
        round_trip_seconds=None if round_trip is None else parse_duration("--round-trip", round_trip),
    )
    request: JobRequest[QueryFindings] = JobRequest(
        routine="inspect statements",
        target=path if profile is None else profile.name,
        start=lambda c: inspect_statements(c, wish, profile),
        changes=False,
    )
    found = invocation.result_of(request, profile)
    show_findings(invocation, found, shows_others=shows_others)
    return code_of(found, fail_on)


def show_findings(invocation: Invocation, found: QueryFindings, *, shows_others: bool) -> None:
    """Print findings as one document, or as blocks on stdout and what is to know of the source on stderr."""
    if invocation.as_json:
        print_document(**findings_fields(found, shows_others=shows_others))
        return
    lines = format_findings(found, terminal_width() or _WIDTH, shows_others=shows_others)
    if lines:
        write_data("\n".join(lines))
    for line in describe_source(found.report) if found.report else ():
        invocation.printer.warn(line)
    invocation.printer.say(summarise_findings(found))


def code_of(found: QueryFindings, fail_on: str | None) -> int:
    """Return the exit code."""
    return exit_codes.FOUND_SOMETHING if fail_on and is_at_least(found, fail_on) else exit_codes.DONE


# ---------------------------------------------------------------- top


def show_top(
    *, target: str, seconds: float, sort: str, limit: int, wanted: str | None, as_json: bool, quiet: bool
) -> int:
    """Print the statements that take the time: since the counters began, or in the next `seconds`."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet)
    profile = invocation.target(target)
    taken = _look(invocation, profile, seconds)
    window = compare_top_queries(taken[0] if len(taken) > 1 else None, taken[-1])
    suspects = _suspect(taken)
    rates = sort_rates(find_rates(window.rates, wanted or ""), TopQuerySort(sort))
    if as_json:
        print_document(target=profile.name, taken_at=taken[-1].taken_at, source=taken[-1].source, gaps=taken[-1].gaps,
                       **_window_fields(window), queries=rates[:limit], suspects=suspects)  # fmt: skip
        return exit_codes.DONE
    for gap in (*taken[-1].gaps, *window.warnings):
        invocation.printer.warn(gap)
    if rates:
        write_data("\n".join(format_top(rates[:limit], {each.query.key for each in window.rates}, terminal_width())))
    elif not taken[-1].gaps:
        invocation.printer.say(_describe_nothing(window, wanted))
    if suspects:
        write_data("\n".join(["", *format_suspects(suspects, terminal_width() or _WIDTH)]))
    if len(rates) > limit:
        invocation.printer.say(f"{len(rates) - limit} more: --limit")
    return exit_codes.DONE


def _describe_nothing(window: TopQueriesWindow, wanted: str | None) -> str:
    if window.rates and wanted:
        return f"none of {len(window.rates)} statements holds {wanted!r} in its SQL, user or database"
    if window.is_since_reset:
        return "nothing has run since the counters began"
    return f"nothing ran in {window.seconds or 0:.0f} s: --seconds 0 shows what ran since the counters began"


def _look(invocation: Invocation, profile: ConnectionProfile, seconds: float) -> tuple[TopQueriesSnapshot, ...]:
    """Enough looks for suspicions, when there is time for them: more than are needed, for in some nothing runs."""
    looks = 1 if not seconds else 2 if seconds < LEAST_WINDOWS else 1 + max(LEAST_WINDOWS, min(12, int(seconds // 2)))
    request: JobRequest[tuple[TopQueriesSnapshot, ...]] = JobRequest(
        routine="top queries",
        target=profile.name,
        start=lambda c: collect_top_queries(c, profile, looks, seconds / max(1, looks - 1)),
        changes=False,
    )
    return invocation.result_of(request, profile)


def _suspect(taken: tuple[TopQueriesSnapshot, ...]) -> tuple[QuerySuspect, ...]:
    windows = [compare_top_queries(before, after) for before, after in pairwise(taken)]
    schema = taken[0].schema
    return find_suspects(windows, Normaliser(schema.engine if schema else None).shape, schema)


def _window_fields(window: TopQueriesWindow) -> dict[str, Any]:
    names = ("began_at", "ended_at", "seconds", "calls", "total_seconds", "is_since_reset", "warnings")
    return {name: getattr(window, name) for name in names}


# ---------------------------------------------------------------- explain


def explain(*, target: str, key: str, as_json: bool) -> int:
    """Print the plan of a statement on stdout; the statement is words on stderr."""
    invocation = Invocation.begin(as_json=as_json)
    profile = invocation.target(target)
    request: JobRequest[ExplainedQuery] = JobRequest(
        routine="explain", target=profile.name, start=lambda c: explain_query(c, profile, key), changes=False
    )
    found = invocation.result_of(request, profile)
    if as_json:
        print_document(target=profile.name, query=found.query, plan=found.plan, tree=found.tree)
        return exit_codes.DONE
    for line in found.query.sql.splitlines():
        invocation.printer.say(f"  {format_untrusted(line)}")
    write_data("\n".join(format_plan(found.plan)))
    return exit_codes.DONE
