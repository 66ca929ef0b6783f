"""What `dbtui schedule` does: check the command, write its cron line and its units, print or install them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from dbtui.analysis.hooks import find_command
from dbtui.analysis.schedule_states import find_profile
from dbtui.analysis.schedules import name_schedule, parse_at, write_texts
from dbtui.cli import exit_codes
from dbtui.cli.endings import finish
from dbtui.cli.group import cli
from dbtui.cli.invocation import Invocation
from dbtui.config import DATABASE_URL, Settings
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest
from dbtui.model.schedules import SCHEDULE_VARIABLE, Every, Schedule, Scheduler, ScheduleResult, ScheduleTexts
from dbtui.model.urls import parse_database_url
from dbtui.routines.schedules import apply_schedule

_NEVER = ("demo", "schedule")
#: What the command would not find in the bare environment that it is run in.
_VARIABLES = ("DBTUI_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "DBTUI_PG_BIN", "DBTUI_MYSQL_BIN", "PGPASSFILE",
              "PGSERVICEFILE", "TMPDIR")  # fmt: skip
_NOT_THERE = "unless you see to it yourself, what runs it has no variable"
_SYSTEMD = Path("/run/systemd/system")


def schedule(
    *,
    words: tuple[str, ...],
    every: str,
    at: str,
    install: bool,
    by: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Print what would run a command, or install it."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet, acting=True)
    if by is not None and not install:
        raise UsageError("--by says who runs what --install writes", "add --install, or leave out --by")
    _check_words(words)
    texts = write_texts(_make_schedule(words, Every(every), at), words)
    for remark in (*_remarks(words), *_missing_variables(words, invocation.settings)):
        invocation.printer.warn(remark)
    chosen = Scheduler(by) if by else Scheduler.SYSTEMD if _SYSTEMD.is_dir() else Scheduler.CRON
    if not install or dry_run:
        invocation.printer.result(_show(texts), outcome="succeeded", dry_run=dry_run, exit_code=exit_codes.DONE,
                                  schedule=texts)  # fmt: skip
        return exit_codes.DONE
    request: JobRequest[ScheduleResult] = JobRequest(
        routine="schedule",
        target="",
        subject=texts.name,
        start=lambda c: apply_schedule(c, texts, chosen),
        locks=("schedules of this user",),
        summary=_summarise,
    )
    outcome = invocation.run(request)
    return finish(invocation, outcome, lambda done: {"schedule": texts, "installed": done},
                  lambda done: "\n".join([*done.places, *done.next_commands]), _summarise)  # fmt: skip


def _make_schedule(words: tuple[str, ...], every: Every, at: str) -> Schedule:
    try:
        hour, minute = parse_at(at)
    except UsageError as error:
        raise UsageError(f"--at: {error.message}", error.hint) from None
    inherited = ((name, os.environ[name]) for name in _VARIABLES if os.environ.get(name))
    environ = ((SCHEDULE_VARIABLE, name_schedule(words)), *inherited)
    return Schedule(argv=(*_program(), *words), directory=str(Path.cwd()), every=every, hour=hour, minute=minute,
                    environ=environ)  # fmt: skip


def _program() -> tuple[str, ...]:
    """How this program was started, so that cron starts the same one."""
    started = Path(sys.argv[0])
    if started.name == "dbtui" and started.exists() and os.access(started, os.X_OK):
        return (str(started.absolute()),)
    return (sys.executable, "-m", "dbtui")


def _check_words(words: tuple[str, ...]) -> None:
    """See that the words are a command that can run without anybody there. Raises UsageError."""
    if words[0] not in cli.list_commands(click.Context(cli)) or words[0] in _NEVER:
        raise UsageError(
            f"{words[0]!r} is no command that can run by itself", "write it as after dbtui: backup create erp"
        )
    for word in words:
        if "://" in word and parse_database_url(word).password is not None:
            raise UsageError("a password would stand in the schedule for others to read", "name a profile instead")
    context = click.Context(cli, info_name="dbtui")
    command: click.Command | None = cli.get_command(context, words[0])
    rest, name = list(words[1:]), words[0]
    while command is not None:
        if not isinstance(command, click.Group):
            command.make_context(name, rest, parent=context)
            return
        with command.make_context(name, rest, parent=context) as context_of_group:
            left = [*context_of_group._protected_args, *context_of_group.args]
            named, command, rest = command.resolve_command(context_of_group, left)
        context, name = context_of_group, named or ""


def _remarks(words: tuple[str, ...]) -> Iterator[str]:
    if words[:2] in (("partitions", "apply"), ("backup", "expire")) and "--yes" not in words:
        yield "nobody is there to confirm: without --yes NAME every run of it ends with exit code 6"


def _missing_variables(words: tuple[str, ...], settings: Settings) -> Iterator[str]:
    """What a secret is read from here and will not be there: no secret is written into a crontab or a unit."""
    profile = find_profile(words, settings.profiles)
    hooks = profile.hooks if profile is not None else settings.hooks
    if profile is not None and profile.password_env:
        yield f"{_NOT_THERE} {profile.password_env}, which password_env names: use password_command or a password file"
    if hooks is not None and hooks.webhook_env and find_command(words):
        yield f"{_NOT_THERE} {hooks.webhook_env}, which webhook_env names: use webhook_command"
    is_named = profile is not None or any("://" in word for word in words)
    if words[:2] in (("backup", "create"), ("backup", "expire")) and not is_named and os.environ.get(DATABASE_URL):
        yield f"{_NOT_THERE} DATABASE_URL: name a profile"


def _show(texts: ScheduleTexts) -> str:
    return "\n".join(["# cron: a line for crontab -e", texts.cron_line, "",
                      f"# systemd: ~/.config/systemd/user/{texts.name}.service", texts.service,
                      f"# systemd: ~/.config/systemd/user/{texts.name}.timer", texts.timer.rstrip()])  # fmt: skip


def _summarise(done: ScheduleResult) -> str:
    verb = "replaced" if done.was_there else "installed"
    return f"{verb} {done.name} for {done.scheduler.value}"
