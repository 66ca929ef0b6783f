"""Captures that were interrupted, at the start of the UI: whose settings are still not what they were."""

from collections.abc import Sequence
from pathlib import Path

from dbtui.jobs import JobRunner
from dbtui.model.connections import ConnectionProfile
from dbtui.tui import query_requests as requests
from dbtui.tui.workers import outcome_of


async def find_stale(runner: JobRunner, profiles: Sequence[ConnectionProfile]) -> list[str]:
    """Return the names of those profiles of which an interrupted capture has left something on."""
    journals = Path(runner.history.state_dir) / requests.JOURNALS
    found = []
    for profile in profiles:
        if (await outcome_of(runner, requests.stale(profile, journals))).result:
            found.append(profile.name)
    return found
