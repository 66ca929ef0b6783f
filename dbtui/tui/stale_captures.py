"""Captures that were interrupted, at the start of the UI: whose settings are still not what they were."""

from collections.abc import Sequence
from pathlib import Path

from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.tui import query_requests as requests
from dbtui.tui.workers import outcome_of


async def find_stale(runner: JobRunner, profiles: Sequence[ConnectionProfile]) -> tuple[list[str], list[str]]:
    """Return the names of those profiles of which an interrupted capture has left something on.

    And why that could not be seen, a sentence each.
    """
    journals = Path(runner.history.state_dir) / requests.JOURNALS
    found: list[str] = []
    problems: dict[str, None] = {}  # the journals are in one place: what is wrong there is so for every profile
    for profile in profiles:
        outcome = await outcome_of(runner, requests.stale(profile, journals))
        if outcome.result is None:
            problems[str(outcome.error)] = None
        elif outcome.result:
            found.append(profile.name)
    return found, list(problems)
