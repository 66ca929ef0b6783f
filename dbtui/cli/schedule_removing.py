"""What `dbtui schedule remove` does: plan, ask, take away, tell."""

import shlex

from dbtui.cli.confirm import confirm_yes
from dbtui.cli.endings import finish, show_plan
from dbtui.cli.invocation import Invocation
from dbtui.jobs import JobRequest
from dbtui.model.schedules import Scheduler, ScheduleRemoval
from dbtui.model.text import format_untrusted
from dbtui.routines.schedule_removal import apply_removal, plan_removal

LOCK = "schedules of this user"


def remove(
    *, name: str, by: str | None, dry_run: bool, confirmed: tuple[str, ...], as_json: bool, quiet: bool
) -> int:  # fmt: skip
    """Remove a schedule and print its name."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    planning: JobRequest[ScheduleRemoval] = JobRequest(
        routine="plan schedule removal",
        target="",
        subject=name,
        start=lambda c: plan_removal(c, name, Scheduler(by) if by else None),
        changes=False,
    )
    plan = invocation.result_of(planning)
    lines = show_removal(plan)
    if dry_run:
        return show_plan(invocation, lines, (), plan=plan)
    confirm_yes(f"removes the schedule {plan.name}", lines, plan.name, confirmed)
    request: JobRequest[ScheduleRemoval] = JobRequest(
        routine="schedule remove",
        target="",
        subject=plan.name,
        start=lambda c: apply_removal(c, plan),
        locks=(LOCK,),
        summary=_summarise,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, lambda done: {"removed": done}, lambda done: done.name, _summarise)


def show_removal(plan: ScheduleRemoval) -> list[str]:
    """Return the lines that say what removing a schedule takes away."""
    found = [
        *(("line", line) for line in plan.lines),
        *(("runs", shlex.join(command)) for command in plan.commands[:-1]),
        *(("file", path) for path in plan.files),
        *(("runs", shlex.join(command)) for command in plan.commands[-1:]),
    ]
    return [f"this removes the schedule {plan.name}; what it made stays",
            *(f"  {label:<5} {format_untrusted(text)}" for label, text in found)]  # fmt: skip


def _summarise(done: ScheduleRemoval) -> str:
    places = [*(["the crontab"] if done.lines else []), *(["systemd's units"] if done.files else [])]
    return f"removed {done.name} from {' and '.join(places)}"
