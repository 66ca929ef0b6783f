"""One command's surroundings: settings, passwords, the runner of jobs, and somebody to tell about it."""

import os
import queue
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dbtui.cli import conclusion
from dbtui.cli.printers import Printer, make_printer
from dbtui.cli.signals import EndSignals
from dbtui.config import Passwords, Settings, load_settings, resolve_target, state_dir
from dbtui.errors import AuthenticationError, Cancelled, UsageError
from dbtui.history import History
from dbtui.identities import Identities
from dbtui.jobs import Job, JobRequest, JobRunner
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile, Secret
from dbtui.model.jobs import JobOutcome
from dbtui.model.text import format_untrusted
from dbtui.remote_settings import RemoteAccess
from dbtui.routines.context import RoutineContext

ResultT = TypeVar("ResultT")
_IDLE_SECONDS = 0.5

#: The signals of this process and the passwords it has found, for `main`, which outlives every invocation.
SIGNALS = EndSignals()
PASSWORDS = Passwords(os.environ)


@dataclass(frozen=True)
class Invocation:
    """What a command works with. `as_json`: for programs."""

    settings: Settings
    history: History
    runner: JobRunner
    printer: Printer
    as_json: bool = False
    identities: Identities = field(default_factory=lambda: Identities(os.environ, PASSWORDS))

    @classmethod
    def begin(cls, *, as_json: bool = False, quiet: bool = False, acting: bool = False) -> "Invocation":
        """Read the configuration and make ready to run jobs. Raises ConfigError.

        `acting`: the command changes something, so its JSON is a line for each event; else one document at the end.
        """
        SIGNALS.install()
        printer = make_printer(as_json=as_json and acting, quiet=quiet or (as_json and not acting))
        history = History(state_dir(os.environ))
        conclusion.begin(history, acting=acting)
        settings = load_settings(os.environ)
        for warning in settings.warnings:
            printer.warn(warning)
        access = RemoteAccess(settings.remotes, PASSWORDS)
        identities = Identities(
            os.environ, PASSWORDS, settings.profiles, (settings.identity, settings.identity_command),
            ask=_ask_passphrase if can_prompt() else None,
        )  # fmt: skip
        context = RoutineContext(
            password_of=PASSWORDS.find, remote_settings=access.settings_of, identity_of=identities.find
        )
        runner = JobRunner(context, history)
        made = cls(settings, history, runner, printer, as_json, identities)
        conclusion.CURRENT.invocation = made
        return made

    def target(self, text: str | None) -> ConnectionProfile:
        """Return the profile that a TARGET means, after showing its warnings. Raises UsageError."""
        profile = resolve_target(self.settings, text, os.environ)
        conclusion.CURRENT.profile = profile.name
        for warning in profile.warnings:
            self.printer.warn(warning)
        return profile

    def open_with(self, entry: BackupEntry, files: Sequence[str]) -> None:
        """Have an encrypted backup opened with these identities; a passphrase is asked for now.

        Raises ConfigError, Cancelled.
        """
        self.identities.files = tuple(files)
        if entry.encryption:
            self.identities.find(entry.profile)

    def run(self, request: JobRequest[ResultT], profile: ConnectionProfile | None = None) -> JobOutcome[ResultT]:
        """Run a job to its end and return its outcome; raises what it failed with.

        `profile`: whose password is asked for, once, when the server refuses the login and none is known.
        """
        outcome = self._run_once(request)
        conclusion.CURRENT.note_job(request, outcome)
        if isinstance(outcome.error, AuthenticationError) and profile is not None and self._may_prompt(profile):
            PASSWORDS.remember(profile, _ask_password(profile))
            outcome = self._run_once(request)
            conclusion.CURRENT.note_job(request, outcome)
        self.show_history_warnings()
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def result_of(self, request: JobRequest[ResultT], profile: ConnectionProfile | None = None) -> ResultT:
        """Run a job that cannot end without a result, and return it."""
        result = self.run(request, profile).result
        if result is None:
            raise RuntimeError(f"{request.routine} ended without a result")
        return result

    def run_together(self, requests: Sequence[JobRequest[ResultT]]) -> tuple[JobOutcome[ResultT], ...]:
        """Run jobs that change nothing side by side; return their outcomes in the same order, failed ones included."""
        jobs = [self.runner.submit(request) for request in requests]
        try:
            return tuple(self._follow(job) for job in jobs)
        except Cancelled as end:
            for job in jobs:
                job.cancel(end.message)
            raise

    def show_history_warnings(self) -> None:
        """Show what went wrong with the history, each once."""
        for warning in self.history.warnings:
            self.printer.warn(warning)
        self.history.warnings.clear()

    def _run_once(self, request: JobRequest[ResultT]) -> JobOutcome[ResultT]:
        with SIGNALS.guarding():
            job = self.runner.submit(request)
            SIGNALS.watch(job)
            try:
                return self._follow(job)
            finally:
                self.printer.end()

    def _follow(self, job: Job[ResultT]) -> JobOutcome[ResultT]:
        while True:
            try:
                update = job.updates.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                self.printer.idle()
                continue
            if isinstance(update, JobOutcome):
                return update
            self.printer.event(update)

    def _may_prompt(self, profile: ConnectionProfile) -> bool:
        return can_prompt() and PASSWORDS.find(profile) is None

    def backup_directories(self) -> tuple[Path, ...]:
        """Return the directories that the settings name for backups, each once."""
        names = (self.settings.backup_dir, *(profile.backup_dir for profile in self.settings.profiles))
        return tuple(Path(name) for name in dict.fromkeys(names))


def can_prompt() -> bool:
    """Whether somebody sits there: stdin and stderr are terminals."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _ask_passphrase(what: str) -> Secret:
    import getpass

    try:
        return Secret(getpass.getpass(f"{format_untrusted(what)}: "))
    except EOFError:
        raise Cancelled("no passphrase was typed") from None


def _ask_password(profile: ConnectionProfile) -> Secret:
    import getpass

    try:
        typed = getpass.getpass(f"Password for {format_untrusted(profile.name)}: ")
    except EOFError:
        raise Cancelled("no password was typed") from None
    if not typed:
        raise UsageError("no password was typed", "set password_env or password_command in the profile")
    return Secret(typed)
