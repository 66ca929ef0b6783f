"""Changes of replication in words: what a plan says, and what was done."""

from collections.abc import Iterator

from dbtui.model.replicas import ReplicaAction, ReplicaPlan, ReplicaResult
from dbtui.model.text import format_bytes, format_duration, format_untrusted


def describe_plan(plan: ReplicaPlan) -> list[str]:
    """Return the lines of a plan: what it does, every step with its exact text, room, what speaks against it."""
    return [format_untrusted(line) for line in _lines(plan)]


def _lines(plan: ReplicaPlan) -> Iterator[str]:
    yield f"this {plan.consequence}"
    for number, step in enumerate(plan.steps, 1):
        yield f"  {number:>2}  {step}"
    if plan.needed_bytes is not None or plan.free_bytes is not None:
        yield f"  space     {describe_space(plan)}"
    yield from (f"  warning   {each}" for each in plan.warnings)
    yield from (f"  refused   {each}" for each in plan.refusals)


def describe_space(plan: ReplicaPlan) -> str:
    """Return how much is needed, and how much is free: `22 MB needed, 78 GB free`."""
    needed = "not known how much is" if plan.needed_bytes is None else format_bytes(plan.needed_bytes)
    free = "not known how much is" if plan.free_bytes is None else format_bytes(plan.free_bytes)
    return f"{needed} needed, {free} free"


def describe_result(done: ReplicaResult) -> str:
    """Return what was done, in one line."""
    return format_untrusted(_result(done))


def _result(done: ReplicaResult) -> str:
    plan, wish = done.plan, done.plan.wish
    if plan.action is ReplicaAction.ADD and wish is not None:
        copied = f"{format_bytes(done.copied_bytes)} copied in {format_duration(done.seconds)}"
        if not wish.is_started:
            return f"{plan.subject} is ready in {wish.data_directory}, and not started ({copied})"
        behind = "" if done.behind_bytes is None else f", {format_bytes(done.behind_bytes)} behind"
        return f"{plan.subject} streams from {plan.profile} at port {wish.port} (process {done.pid}{behind}, {copied})"
    said = {
        ReplicaAction.PROMOTE: f"{plan.subject} is a primary now, after {format_duration(done.seconds)}",
        ReplicaAction.DROP_SLOT: f"slot {plan.subject} of {plan.profile} is dropped",
        ReplicaAction.PAUSE: f"{plan.subject} receives and applies nothing",
        ReplicaAction.RESUME: f"{plan.subject} applies what it receives",
    }
    return said.get(plan.action, plan.action.value)


def describe_left(done: ReplicaResult) -> list[str]:
    """Return what is left for somebody to do, a sentence each."""
    return [format_untrusted(each) for each in (*done.left, *_next(done))]


def _next(done: ReplicaResult) -> Iterator[str]:
    plan, wish = done.plan, done.plan.wish
    if plan.action is ReplicaAction.PROMOTE:
        yield f"see that {plan.profile} takes no more writes, and point applications to {plan.subject}"
    if plan.action is ReplicaAction.ADD and wish is not None and wish.is_started:
        named = f'[profiles.{plan.subject}] with its url, and replicas = ["{plan.subject}"] in {plan.profile}'
        yield f"to have it asked as well, name it in the configuration: {named}"
