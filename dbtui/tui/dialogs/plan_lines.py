"""Plans as lines: the consequence first, then refusals and warnings, what it needs, how to undo it, and every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dbtui.model.recipients import shorten_recipient
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong

if TYPE_CHECKING:
    from dbtui.model.backups import CreatePlan, PlanStep, RestorePlan, TableName

_LABEL = 12


def fact(label: str, *parts: str | Span) -> Line:
    """Return a labelled line."""
    return line(dim(f"{label:<{_LABEL}}"), *parts)


def refusal(text: str) -> Line:
    """Return a line that says why it cannot be done."""
    return line(Span("✖ ", Tone.TROUBLE), Span(text, Tone.TROUBLE))


def warning(text: str) -> Line:
    """Return a line that says what to be careful of."""
    return line(Span("▲ ", Tone.WARNING), Span(text))


def _space(needed: int | None, free: int | None) -> Line:
    wanted = f"about {format_bytes(needed)}" if needed is not None else "not known"
    there = f"{format_bytes(free)} free" if free is not None else "free space not known"
    tight = needed is not None and free is not None and needed > free
    return fact("space", wanted, dim(", "), Span(there, Tone.TROUBLE if tight else Tone.PLAIN))


def _steps(steps: Sequence[PlanStep]) -> Iterator[Line]:
    if steps:
        yield BLANK
        yield line(strong("Steps"))
    for number, step in enumerate(steps, 1):
        yield line(dim(f"{number:>2} "), step.text, dim(f"  {step.why}" if step.why else ""))
        if step.command:
            for text in step.command.splitlines():
                yield line("   ", dim(text))


def _listed(label: str, names: Sequence[str], shown: int = 6) -> Iterator[Line]:
    if names:
        more = f" and {len(names) - shown} more" if len(names) > shown else ""
        yield fact(label, ", ".join(names[:shown]) + more)


def show_create_plan(plan: CreatePlan) -> list[Line]:
    """Return the lines of a backup plan."""
    facts = plan.facts
    database = facts.info.database
    lines: list[Line] = [
        line("Writes ", strong(plan.data_name), " and its manifest into ", strong(plan.directory)),
        *(refusal(text) for text in plan.refusals),
        *(warning(text) for text in plan.warnings),
        fact("database", database, dim(f"  {facts.info.flavour} {facts.info.version}")),
        fact("tables", f"{len(facts.tables)}", dim(_rows(table.rows_estimate for table in facts.tables))),
        _space(plan.expected_bytes, plan.free_bytes),
        *_listed("encrypted", [f"to {shorten_recipient(each)}" for each in plan.options.encrypt_to or ()]),
    ]
    if facts.tool:
        lines.append(fact("tool", f"{facts.tool} {facts.tool_version}", dim(f"  {facts.tool_path}")))
    lines += _listed("extensions", facts.extensions)
    lines += [fact("", remark) for remark in facts.remarks]
    return [*lines, *_steps(plan.steps)]


def _rows(counts: Iterable[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return f"  about {format_count(sum(known))} rows" if known else ""


def show_restore_plan(plan: RestorePlan) -> list[Line]:
    """Return the lines of a restore plan."""
    lines: list[Line] = [
        *_consequence(plan),
        *(refusal(text) for text in plan.refusals),
        *(warning(text) for text in plan.warnings),
        fact("backup", plan.backup.backup_id, dim(f"  {plan.contents.server_version}")),
        fact("server", plan.server, dim(f"  profile {plan.profile}")),
        fact("tables", _tables_text(plan)),
        _space(plan.needed_bytes, plan.free_bytes),
    ]
    lines += _listed("no roles", plan.missing_roles)
    lines += _listed("extensions", [f"{name} is missing" for name in plan.missing_extensions])
    for place, session in enumerate(plan.sessions[:8]):
        who = f"{session.user} {session.application} {session.client}".strip()
        lines.append(fact("" if place else "connected", f"{session.session_id}  {who}  ", dim(session.state)))
    if len(plan.sessions) > 8:
        lines.append(fact("", f"and {len(plan.sessions) - 8} more"))
    if plan.undo:
        lines.append(fact("undo", plan.undo))
    return [*lines, *_steps(plan.steps)]


def _consequence(plan: RestorePlan) -> Iterator[Line]:
    if not plan.replaces:
        yield line("Creates ", strong(plan.final_database), ". Nothing that exists is touched.")
        return
    yield line(Span("Replaces ", Tone.WARNING), strong(plan.final_database), " with the contents of this backup.")
    if plan.keeps_as:
        yield line("What is there now is kept as ", strong(plan.keeps_as), ".")
    if plan.sessions:
        count = len(plan.sessions)
        yield line(Span(f"Disconnects {count} session{'s' if count > 1 else ''}.", Tone.WARNING))


def _tables_text(plan: RestorePlan) -> str:
    every = len(plan.contents.tables)
    if not plan.tables:
        return f"all {every}"
    return f"{len(plan.tables)} of {every}: " + ", ".join(str(name) for name in sorted(plan.tables, key=_order)[:4])


def _order(name: TableName) -> tuple[str, str]:
    return (name.schema, name.name)
