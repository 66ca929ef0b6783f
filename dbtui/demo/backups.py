"""The backups that the world begins with: made by the same routine as any other, at an earlier time by its clock."""

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from dbtui.config import load_settings, parse_compression, state_dir
from dbtui.demo.world import World
from dbtui.errors import DbtuiError
from dbtui.history import History
from dbtui.jobs import Job, JobRequest, JobRunner
from dbtui.model.backups import BackupFormat, CreateResult, DumpOptions
from dbtui.model.connections import ConnectionProfile
from dbtui.model.jobs import JobOutcome
from dbtui.model.text import format_bytes
from dbtui.passwords import Passwords
from dbtui.routines import backups
from dbtui.routines.context import RoutineContext

RECENT = timedelta(minutes=12)
YESTERDAY = timedelta(hours=26)
EARLIER = timedelta(days=2, hours=3)


def make_backups(world: World, say: Callable[[str], None]) -> None:
    """Make three backups of different ages, side by side. `say` is told each in a line. Raises what fails."""
    settings = load_settings(os.environ)
    jobs = []
    for name, age, compress in _choices(world):
        profile = settings.profile(name)
        if profile:
            jobs.append((age, _submit(profile, Path(settings.backup_dir), world.now - age, compress)))
    for age, job in jobs:
        manifest = _await(job).manifest
        hours = age.total_seconds() / 3600
        when = f"{hours:.0f} h" if hours >= 1 else f"{age.total_seconds() / 60:.0f} min"
        say(f"backup of {manifest.database}, {when} old: {manifest.backup_id}, {format_bytes(manifest.size_bytes)}")


def _choices(world: World) -> list[tuple[str, timedelta, str]]:
    """Which profiles are backed up, how long ago, and how they are packed; always three, whatever runs here."""
    latest = "erp" if world.postgresql else "app"
    middle = "shop" if world.mariadb else latest
    return [("app", EARLIER, "none"), (middle, YESTERDAY, "none"), (latest, RECENT, "zstd")]


def _submit(profile: ConnectionProfile, directory: Path, moment: datetime, compress: str) -> Job[CreateResult]:
    began = time.monotonic()

    def clock() -> datetime:
        return moment + timedelta(seconds=time.monotonic() - began)

    context = RoutineContext(password_of=Passwords(os.environ).find, now=clock)
    options = DumpOptions(format=BackupFormat.PLAIN, compression=parse_compression(compress))
    request = JobRequest(
        routine="backup",
        target=profile.name,
        subject=profile.database,
        changes=False,  # the history is for what the person at the keys does
        start=lambda c: backups.create_backup(c, profile, directory, options),
    )
    return JobRunner(context, History(state_dir(os.environ))).submit(request)


def _await(job: Job[CreateResult]) -> CreateResult:
    while True:
        update = job.updates.get()
        if isinstance(update, JobOutcome):
            if update.error or update.result is None:
                raise update.error or DbtuiError("a backup of the demo ended without a result")
            return update.result
