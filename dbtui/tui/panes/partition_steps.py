"""A plan as rows and texts: what speaks against it, what to know, each step with SQL and locks. No widget in here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbtui.analysis.partition_words import (
    count_steps,
    describe_done,
    describe_locks,
    describe_plan,
    describe_policy,
    describe_result,
    format_bound,
    loses_rows,
)
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import PartitionPlan, PartitionsResult, PartitionStep, StepKind, StepOutcome, StepResult
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import fact, refusal, warning
from dbtui.tui.panes.partition_list import join_parts
from dbtui.tui.partition_requests import ReadPlan
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.rows import Column

#: What a step's danger means.
DANGERS = ("nothing is changed", "can be taken back", "touches sessions", "rows go unless they were archived")
_DANGER_TONES = (Tone.DIM, Tone.PLAIN, Tone.WARNING, Tone.WARNING)
_OUTCOMES = {
    StepOutcome.DONE: Span("● ", Tone.OK),
    StepOutcome.SKIPPED: Span("○ ", Tone.DIM),
    StepOutcome.LOCKED: Span("▲ ", Tone.WARNING),
    StepOutcome.FAILED: Span("✖ ", Tone.TROUBLE),
}
_LOSING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A row: the whole plan, something that speaks against it or is to be known, or a step."""

    key: str
    kind: str  # "plan", "refused", "warning", "step"
    text: str = ""
    number: int = 0
    step: PartitionStep | None = None
    result: StepResult | None = None
    is_running: bool = False


def plan_rows(read: ReadPlan, done: PartitionsResult | None, at: int = 0) -> list[PlanRow]:
    """Return the rows of a plan; `done`: what became of its steps; `at`: the number of the one under way, 0: none."""
    plan = read.plan
    rows = [PlanRow(key="plan", kind="plan", text=describe_policy(plan.policy))]
    rows += [PlanRow(key=f"refused {text}", kind="refused", text=text) for text in plan.refusals]
    told = ([str(read.unended)] if read.unended is not None else []) + list(plan.warnings)
    rows += [PlanRow(key=f"warning {text}", kind="warning", text=text) for text in told]
    results = done.results if done is not None else ()  # one for each step, in order, as far as it got
    for number, step in enumerate(plan.steps, 1):
        result = results[number - 1] if number <= len(results) else None
        rows.append(PlanRow(key=f"step {number}", kind="step", number=number, step=step, result=result,
                            is_running=number == at))  # fmt: skip
    return rows


def row_search(row: PlanRow) -> str:
    """Return what a filter looks into."""
    if row.step is None:
        return f"{row.kind} {row.text}"
    outcome = row.result.outcome.value if row.result is not None else ""
    return f"{row.step.kind.value} {row.step.partition} {row.step.bound_text} {outcome}"


_WORDS = {"plan": Span("○ the plan", Tone.STRONG), "refused": Span("✖ refused", Tone.TROUBLE),
          "warning": Span("▲ warning", Tone.WARNING)}  # fmt: skip


def _what(row: PlanRow) -> Line:
    if row.step is None:
        return (_WORDS[row.kind],)
    if row.is_running:
        return (Span("› ", Tone.ACCENT), Span(row.step.kind.value, Tone.ACCENT))
    if row.result is not None:
        return (_OUTCOMES[row.result.outcome], Span(row.step.kind.value))
    sign = Span("▲ ", Tone.WARNING) if row.step.danger >= _LOSING else Span("  ")
    return (sign, Span(row.step.kind.value))


def _partition(row: PlanRow) -> Span:
    return Span(row.step.partition.name if row.step is not None else row.text)


def _bounds(row: PlanRow) -> Span:
    step = row.step
    if step is None:
        return Span("")
    if step.index is not None:
        return dim(step.index.name)
    return dim(format_bound(step.bound, step.bound_text) if step.bound is not None or step.bound_text else "")


def _locks(row: PlanRow) -> Span:
    return dim(describe_locks(row.step) if row.step is not None else "")


COLUMNS: list[Column[PlanRow]] = [
    Column("", lambda row: dim(str(row.number) if row.number else ""), 3, right=True),
    Column("STEP", _what, 15),
    Column("PARTITION", _partition, 22, grow=2, widest=66, spills=True),
    Column("BOUNDS", _bounds, 24, grow=1, widest=52),
    Column("LOCKS", _locks, 24, grow=2, spare=1),
]


# ---------------------------------------------------------------- the whole plan


def counted(plan: PartitionPlan) -> str:
    """Return how many steps of each kind there are: `3 create, 2 detach, 2 archive, 2 drop`."""
    return ", ".join(f"{count} {kind.value}" for kind, count in count_steps(plan.steps))


def plan_headline(read: ReadPlan, done: PartitionsResult | None, width: int) -> list[Line]:
    """Return a plan in a line or two; after it was applied, what came of it."""
    plan = read.plan
    parts = [line(" ", strong(f"plan for {plan.table}"))]
    if done is not None:
        parts.append(line(*_told(done)))
        parts.append(line(dim(speak_keys("{global.refresh} plans anew"))))
        return join_parts(parts, width)
    if plan.steps:
        parts.append(line(counted(plan)))
        if loses_rows(plan):
            parts.append(line(Span("▲ rows are dropped that nothing archives", Tone.TROUBLE)))
        elif any(step.kind is StepKind.DROP for step in plan.steps):
            parts.append(line(dim("rows are archived and proven before a drop")))
    elif plan.is_converged:
        parts.append(line(Span("● ", Tone.OK), "it is as it should be: nothing to do"))
    if plan.refusals:
        parts.append(line(Span(f"✖ {len(plan.refusals)} refused", Tone.TROUBLE)))
    count = len(plan.warnings) + (read.unended is not None)
    if count:
        parts.append(line(Span(f"▲ {count} to know", Tone.WARNING)))
    return join_parts(parts, width)


def _told(done: PartitionsResult) -> Iterator[Span]:
    for outcome in StepOutcome:
        count = sum(each.outcome is outcome for each in done.results)
        if count:
            yield _OUTCOMES[outcome]
            yield Span(f"{count} {outcome.value}  ")
    left = done.left
    yield Span(f"{left} step{'' if left == 1 else 's'} left", Tone.WARNING) if left else dim("nothing left to do")


def show_row(row: PlanRow, read: ReadPlan, done: PartitionsResult | None, profile: ConnectionProfile) -> list[Line]:
    """Return all about a row."""
    if row.step is not None:
        return show_step(row.step, row.number, row.result)
    if row.kind == "plan":
        return show_plan(read, done, profile)
    return [refusal(row.text) if row.kind == "refused" else warning(row.text)]


def show_plan(read: ReadPlan, done: PartitionsResult | None, profile: ConnectionProfile) -> list[Line]:
    """Return a plan whole: what it does, what speaks against it, every step with its SQL."""
    plan = read.plan
    lines = [line(strong(f"plan for {plan.table}")), BLANK]
    if plan.steps:
        lines.append(line(f"It {describe_plan(plan, profile)}."))
    elif plan.is_converged:
        lines.append(line(Span("● ", Tone.OK), "It is as it should be: nothing to do."))
    if done is not None:
        lines.append(fact("done", describe_result(done)))
    lines.append(fact("policy", describe_policy(plan.policy)))
    lines += [refusal(text) for text in plan.refusals]
    lines += [warning(str(read.unended))] if read.unended is not None else []
    lines += [warning(text) for text in plan.warnings]
    for number, step in enumerate(plan.steps, 1):
        lines += [BLANK, *show_step(step, number, None)]
    return lines


def show_step(step: PartitionStep, number: int, result: StepResult | None) -> list[Line]:
    """Return all about a step: why, how dangerous, which locks, the exact SQL, what became of it."""
    lines = [line(dim(f"{number} "), strong(step.kind.value), f"  {step.partition}")]
    if result is not None:
        lines.append(line(_OUTCOMES[result.outcome], describe_done(result)))
    lines.append(fact("why", step.why))
    if step.bound is not None or step.bound_text:
        lines.append(fact("bounds", format_bound(step.bound, step.bound_text)))
    danger = min(step.danger, len(DANGERS) - 1)
    lines.append(fact("danger", Span(f"{step.danger}  {DANGERS[danger]}", _DANGER_TONES[danger])))
    known = [f"about {format_count(step.rows_estimate)} rows" if step.rows_estimate is not None else "",
             format_bytes(step.bytes_estimate) if step.bytes_estimate is not None else ""]  # fmt: skip
    if any(known):
        lines.append(fact("holds", ", ".join(part for part in known if part)))
    lines += _show_locks(step)
    if step.into is not None:
        lines.append(fact("into", str(step.into)))
    if step.sql:
        lines.append(fact("runs", "in one transaction" if step.in_transaction else "outside a transaction"))
        lines += [BLANK, *(line("  ", text) for text in sql_of(step).splitlines())]
    elif step.kind is StepKind.ARCHIVE:
        lines.append(fact("runs", "a backup of this table alone, verified, its rows counted against the table's"))
    return lines


def _show_locks(step: PartitionStep) -> Iterator[Line]:
    locks = (("parent", step.locks.parent), ("child", step.locks.child), ("default", step.locks.default),
             ("others", step.locks.others))  # fmt: skip
    held = [(name, lock) for name, lock in locks if lock]
    if not held:
        yield fact("locks", dim("none"))
    for place, (name, lock) in enumerate(held):
        exclusive = lock.startswith("ACCESS EXCLUSIVE")
        yield fact("locks" if not place else "", f"{name:<8} ", Span(lock, Tone.WARNING if exclusive else Tone.PLAIN))


# ---------------------------------------------------------------- to be copied


def sql_of(step: PartitionStep) -> str:
    """Return a step's SQL as it is run."""
    return "\n".join(f"{statement.rstrip().removesuffix(';')};" for statement in step.sql)


def sql_of_plan(steps: Iterable[PartitionStep]) -> str:
    """Return the SQL of every step, each behind a comment that says what it does."""
    parts = []
    for number, step in enumerate(steps, 1):
        name = " ".join(str(step.partition).split())  # a comment ends with its line
        head = f"-- {number}. {step.kind.value} {name}"
        parts.append(f"{head}\n{sql_of(step)}" if step.sql else f"{head}: a backup")
    return "\n".join(parts)
