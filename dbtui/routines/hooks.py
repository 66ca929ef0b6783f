"""Telling hooks how something ended. What a hook does, or fails to do, changes nothing of that end."""

import shutil
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath

from dbtui.adapters.hook_programs import describe_end, run_bounded
from dbtui.adapters.webhooks import post_json
from dbtui.analysis.hooks import choose_calls, scrub_environment, write_report
from dbtui.errors import ConfigError, DbtuiError
from dbtui.model.doctor import Finding
from dbtui.model.events import Routine, StepFinished, StepStarted, Warned
from dbtui.model.findings import FindingLevel
from dbtui.model.hooks import HookCall, HookProblem, HookReport, HookSettings
from dbtui.model.text import format_untrusted, mask_passwords
from dbtui.routines.context import RoutineContext

_CURES = {
    FindingLevel.TROUBLE: "install it, or mend [hooks]: as it is nobody would be told",
    FindingLevel.REMARK: "whoever lacks it tells nobody: see to it where schedules run, or use webhook_command",
}


def apply_hooks(
    c: RoutineContext,
    settings: HookSettings,
    report: HookReport,
    *,
    hidden: Collection[str] = (),
    secrets: Sequence[str] = (),
) -> Routine[tuple[HookProblem, ...]]:
    """Tell everybody who is to be told, each within the time of the settings, and return which calls failed and why.

    `hidden` are the names of variables that hold secrets, `secrets` passwords: neither is told, or handed on.
    """
    problems = []
    body = write_report(report, socket.gethostname(), secrets)
    environ = scrub_environment(c.environ, {*hidden, settings.webhook_env}, secrets)
    for call in choose_calls(settings, report):
        began = time.monotonic()
        name = PurePath(call.argv[0]).name if call.argv else call.name
        yield StepStarted("tell", name)
        try:
            said = _call(c, settings, call, body, environ)
        except DbtuiError as error:
            said = error.message
        if said:
            clean = format_untrusted(mask_passwords(said, secrets))
            problems.append(HookProblem(call, clean))
            yield Warned(f"nobody was told by {call.name}: {clean}")
        yield StepFinished("tell", time.monotonic() - began)
    return tuple(problems)


def check_hooks(
    c: RoutineContext, settings: Sequence[tuple[str, HookSettings]], hidden: Collection[str] = ()
) -> Routine[tuple[Finding, ...]]:
    """Say of hooks whether they could be told from here; nobody is. `settings` are with the names of whose they are.

    What several profiles have in common is said once.
    """
    yield from ()
    path = scrub_environment(c.environ, hidden).get("PATH")
    said: dict[tuple[FindingLevel, str, str], list[str]] = {}
    for whose, hooks in settings:
        for found in _check(c, hooks, path):
            said.setdefault(found, []).append(whose)
    return tuple(
        Finding(level, "hooks", name, f"{sentence} ({', '.join(whose)})", _CURES.get(level, ""))
        for (level, name, sentence), whose in said.items()
    )


def _check(c: RoutineContext, hooks: HookSettings, path: str | None) -> Iterator[tuple[FindingLevel, str, str]]:
    for name, argv in (("on_failure", hooks.on_failure), ("on_success", hooks.on_success)):
        if argv:
            is_there = shutil.which(argv[0], path=path) is not None
            said = argv[0] if is_there else f"{argv[0]} is not there, or may not be run"
            yield FindingLevel.OK if is_there else FindingLevel.TROUBLE, name, said
    if hooks.webhook_env:
        is_set = bool(c.environ.get(hooks.webhook_env))
        said = "is set" if is_set else "is not set here"
        yield FindingLevel.OK if is_set else FindingLevel.REMARK, "webhook", f"{hooks.webhook_env} {said}"
    if hooks.webhook_command:
        is_there = shutil.which(hooks.webhook_command[0], path=c.environ.get("PATH")) is not None
        said = f"by {hooks.webhook_command[0]}{'' if is_there else ', which is not there, or may not be run'}"
        yield FindingLevel.OK if is_there else FindingLevel.TROUBLE, "webhook", said


def _call(c: RoutineContext, settings: HookSettings, call: HookCall, body: bytes, environ: dict[str, str]) -> str:
    """Call one; return what was wrong, empty when it was told."""
    if call.argv:
        ended = run_bounded(call.argv, body, environ, settings.timeout_seconds, c.cancellation)
        return describe_end(PurePath(call.argv[0]).name, ended)
    ends = time.monotonic() + settings.timeout_seconds
    url = _find_url(c, settings)
    post_json(url, body, max(0.1, ends - time.monotonic()), c.cancellation)
    return ""


def _find_url(c: RoutineContext, settings: HookSettings) -> str:
    if settings.webhook_env:
        url = c.environ.get(settings.webhook_env, "").strip()
        if not url:
            raise ConfigError(f"the variable {settings.webhook_env} that webhook_env names is not set")
        return url
    argv = settings.webhook_command
    ended = run_bounded(argv, b"", c.environ, settings.timeout_seconds, c.cancellation, hears_stdout=True)
    url = ended.said.decode("utf-8", "replace").strip()
    if ended.code or not url:  # what it printed may be the URL
        ending = f"exited with {ended.code}" if ended.code else "printed nothing"
        raise ConfigError(f"its webhook_command {PurePath(argv[0]).name} {ending}")
    return url
