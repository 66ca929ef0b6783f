"""What `dbtui pools advise` does: the pre-flight of a fleet, and a fragment of pgbouncer.ini."""

import textwrap
from collections.abc import Iterator
from typing import Any

from dbtui.analysis.pools import assess_fleet, format_pgbouncer_ini
from dbtui.analysis.pools.fleet_facts import gather_facts
from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.pools_reading import assess, check_target, look
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.tables import terminal_width
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.ladders import FleetLevel, FleetReport
from dbtui.model.text import format_untrusted
from dbtui.model.urls import parse_database_url

_LOOKS = 4
_WIDTH = 80
_SIGNS = {FleetLevel.OK: "●", FleetLevel.REMARK: "▲", FleetLevel.TROUBLE: "✖"}
_ORDER = tuple(FleetLevel)


def advise(*, target: str, fail_on: str | None, as_json: bool, **typed: Any) -> int:
    """Print what a fleet may ask for against every limit, its timeouts, and the settings to give it."""
    invocation = Invocation.begin(as_json=as_json)
    profile = check_target(invocation.target(target))
    taken = look(invocation, profile, _LOOKS)
    host, port = _server_of(profile)
    assessment = assess(taken, invocation.settings)
    facts = gather_facts(taken[-1], assessment, typed, host=host, port=port, database=profile.database,
                         is_postgresql=profile.engine is EngineName.POSTGRESQL)  # fmt: skip
    report = assess_fleet(facts)
    fragment = format_pgbouncer_ini(report) if report.pooler_settings else ""
    if as_json:
        print_document(target=profile.name, level=report.level, facts=report.facts, findings=report.findings,
                       asked_connections=report.asked_connections, cascade=report.cascade,
                       pooler_settings=report.pooler_settings, application_settings=report.application_settings,
                       pgbouncer_ini=fragment)  # fmt: skip
    else:
        lines = [part for text in _lines(report) for part in _wrap(text, terminal_width() or _WIDTH)]
        write_data("\n".join([*lines, *(["", *fragment.splitlines()] if fragment else [])]))
    bad = fail_on is not None and _ORDER.index(report.level) >= _ORDER.index(FleetLevel(fail_on))
    return exit_codes.FOUND_SOMETHING if bad else exit_codes.DONE


def _server_of(profile: ConnectionProfile) -> tuple[str, int]:
    """Return where the server is, as PgBouncer would be told: its first host; nothing for a local socket."""
    first = parse_database_url(profile.url).hosts.partition(",")[0]
    host, _, port = first.rpartition(":") if first.rpartition(":")[2].isdecimal() else (first, "", "")
    return host.strip("[]"), int(port or 5432)


def _lines(report: FleetReport) -> Iterator[str]:
    for finding in report.findings:
        yield f"{_SIGNS[finding.level]} {finding.sentence}"
        if finding.recommendation is not None and finding.level is not FleetLevel.OK:
            yield f"  {finding.recommendation.sentence}"
            if finding.recommendation.command:
                yield f"  › {finding.recommendation.command}   into {finding.recommendation.where}"
    if report.cascade:
        yield ""
        yield "waits on a request's way down, at most:"
        for step in report.cascade:
            seconds = "for ever" if step.seconds is None else f"{step.seconds:g} s"
            total = "no limit" if step.total_seconds is None else f"{step.total_seconds:g} s"
            yield f"  {step.name:<22} {seconds:>8}   {total:>8} in all   {step.where}"
    if report.application_settings:
        yield ""
        yield "for the application's environment:"
        for setting in report.application_settings:
            yield f"  {setting.name}={setting.value}   {setting.why}"


def _wrap(text: str, width: int) -> list[str]:
    clean = format_untrusted(text)
    indent = " " * (len(clean) - len(clean.lstrip()) + 2)
    return textwrap.wrap(clean, width, subsequent_indent=indent, break_on_hyphens=False,
                         replace_whitespace=False) or [""]  # fmt: skip
