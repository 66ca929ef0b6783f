"""Looks at other places of backups in the background: remotes, repositories, schedules. What was seen stays known."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from textual.widget import Widget

from dbtui.jobs import JobRunner
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.repositories import Repository, RepositoryReport
from dbtui.model.schedules import ScheduleState
from dbtui.tui.workers import outcome_of, run_in_background

LOOK_SECONDS = 180.0
_SCHEDULES = "schedules"


@dataclass(frozen=True, slots=True)
class SeenRemote:
    """What is known of a remote: its backups as of `seen_at`, and why it could not be asked since then."""

    address: str
    entries: tuple[BackupEntry, ...] = ()
    seen_at: datetime | None = None
    problem: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenPlaces:
    """Everything that is known of other places; `schedules_problem`: why the schedules are not known."""

    remotes: tuple[SeenRemote, ...] = ()
    reports: tuple[RepositoryReport, ...] = ()
    schedules: tuple[ScheduleState, ...] = ()
    schedules_problem: str = ""


@dataclass
class PlacesFeed:
    """Asks each place by itself, none twice at once; `changed` is called when something is known that was not."""

    node: Widget
    runner: JobRunner
    changed: Callable[[], None]
    _remotes: dict[str, SeenRemote] = field(default_factory=dict)
    _reports: dict[Repository, RepositoryReport | None] = field(default_factory=dict)
    _schedules: tuple[ScheduleState, ...] = ()
    _schedules_problem: str = ""
    _profiles: tuple[ConnectionProfile, ...] = ()
    _asked_at: dict[str, float] = field(default_factory=dict)
    _asking: set[str] = field(default_factory=set)

    @property
    def seen(self) -> SeenPlaces:
        """What is known now."""
        reports = tuple(report for report in self._reports.values() if report is not None)
        return SeenPlaces(tuple(self._remotes.values()), reports, self._schedules, self._schedules_problem)

    @property
    def remotes(self) -> tuple[str, ...]:
        """The addresses of the remotes that are looked at."""
        return tuple(self._remotes)

    def watch(
        self, remotes: Sequence[str], repositories: Sequence[Repository], profiles: Sequence[ConnectionProfile]
    ) -> None:
        """Look at these from now on; what is known of those that stay is kept."""
        self._remotes = {address: self._remotes.get(address, SeenRemote(address)) for address in remotes}
        self._reports = {each: self._reports.get(each) for each in repositories}
        self._profiles = tuple(profiles)

    def look(self, oldest: float = 0.0) -> None:
        """Ask every place that was not asked within `oldest` seconds."""
        for address in self._remotes:
            if self._begins(address, oldest):
                run_in_background(self.node, "look at a remote", self._look_at_remote, address,
                                  afterwards=partial(self._asking.discard, address))  # fmt: skip
        for repository in self._reports:
            if self._begins(name := str(repository), oldest):
                run_in_background(self.node, "ask a repository", self._ask_repository, repository,
                                  afterwards=partial(self._asking.discard, name))  # fmt: skip
        if self._begins(_SCHEDULES, oldest):
            run_in_background(self.node, "look at schedules", self._look_at_schedules,
                              afterwards=partial(self._asking.discard, _SCHEDULES))  # fmt: skip

    def is_asking(self, name: str) -> bool:
        """Whether a place is being asked now."""
        return name in self._asking

    def _begins(self, name: str, oldest: float) -> bool:
        if name in self._asking or time.monotonic() - self._asked_at.get(name, -oldest - 1) < oldest:
            return False
        self._asking.add(name)
        self._asked_at[name] = time.monotonic()
        return True

    async def _look_at_remote(self, address: str) -> None:
        from dbtui.tui import place_requests as requests

        outcome = await outcome_of(self.runner, requests.remote_history(address))
        before, found = self._remotes.get(address), outcome.result
        if before is None:
            return  # it is not looked at any more
        if found is None or found.problem:
            problem = found.problem if found is not None else f"{address} cannot be asked: {outcome.error}"
            self._remotes[address] = replace(before, problem=problem)
        else:
            self._remotes[address] = SeenRemote(address, found.entries, datetime.now(UTC), remarks=found.remarks)
        self._tell(address)

    async def _ask_repository(self, repository: Repository) -> None:
        from dbtui.tui import place_requests as requests

        outcome = await outcome_of(self.runner, requests.repository(self.runner.history, repository))
        if repository not in self._reports:
            return
        now, before = datetime.now(UTC), self._reports[repository]
        report = outcome.result or RepositoryReport(repository=repository, taken_at=now, problem=str(outcome.error))
        if report.problem and before is not None:  # what was seen before stays known
            report = replace(before, problem=report.problem, findings=report.findings)
        self._reports[repository] = report
        self._tell(str(repository))

    async def _look_at_schedules(self) -> None:
        from dbtui.tui import place_requests as requests

        outcome = await outcome_of(self.runner, requests.schedules(self.runner.history, self._profiles))
        if outcome.result is not None:
            self._schedules = outcome.result
        self._schedules_problem = str(outcome.error) if outcome.error else "; ".join(outcome.warnings)
        self._tell(_SCHEDULES)

    def _tell(self, name: str) -> None:
        self._asking.discard(name)
        self.changed()
