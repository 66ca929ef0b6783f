"""Whether a hook is to be called, what it is told, and which of our variables it may see."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC
from fnmatch import fnmatchcase
from typing import Any

from dbtui.model.hooks import COMMANDS, TYPED, HookCall, HookReport, HookSettings
from dbtui.model.jobs import JobOutcome
from dbtui.model.text import format_untrusted, mask_passwords

VERSION = 1
_SENTENCE_CHARACTERS = 2000
_WORD_CHARACTERS = 300
#: A shorter password is found in many a harmless value.
_TELLING_CHARACTERS = 5
#: Names that speak of a secret; a program that needs one of its own reads it from a file of its own.
_SECRET_NAME = re.compile(
    r"PASSW|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|AUTH|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|ACCOUNT_?KEY|SAS|WEBHOOK"
    r"|DATABASE_URL|REPLICA_URLS|DSN",
    re.IGNORECASE,
)
_SECRET_PREFIXES = ("AWS_", "AZURE_", "GOOGLE_", "PG", "MYSQL", "MARIADB", "DBTUI_", "AGE_", "RESTIC_", "VAULT_")
_LOGIN = re.compile(r"://[^/\s@]*:[^/\s@]*@")


def name_command(routine: str) -> str:
    """Return a job's routine as it is typed."""
    return TYPED.get(routine, routine)


def find_command(words: Iterable[str]) -> str:
    """Return the command that typed words begin with; empty: none that changes or checks anything."""
    bare = [word for word in words if not word.startswith("-")]
    return next((" ".join(bare[:count]) for count in (2, 1) if " ".join(bare[:count]) in COMMANDS), "")


def find_backup_id(outcome: JobOutcome[Any]) -> str:
    """Return the id of the backup that a job made or looked at, as far as its result knows it."""
    named = getattr(getattr(outcome.result, "manifest", outcome.result), "backup_id", "")
    return named if isinstance(named, str) else ""


def fits_command(pattern: str) -> bool:
    """Whether a word of `only` means any command at all."""
    return any(fnmatchcase(command, pattern) for command in COMMANDS)


def choose_calls(settings: HookSettings, report: HookReport) -> tuple[HookCall, ...]:
    """Return who is to be told of an end."""
    if settings.only and not any(fnmatchcase(report.command, pattern) for pattern in settings.only):
        return ()
    calls = []
    argv = settings.on_success if report.is_success else settings.on_failure
    if argv:
        calls.append(HookCall("on_success" if report.is_success else "on_failure", argv))
    has_webhook = bool(settings.webhook_env or settings.webhook_command)
    if has_webhook and ("success" if report.is_success else "failure") in settings.webhook_on:
        calls.append(HookCall("webhook"))
    return tuple(calls)


def write_report(report: HookReport, host: str, secrets: Iterable[str] = ()) -> bytes:
    """Return the report as one line of JSON: some kilobytes at most, in ASCII, without any of the secrets."""
    known = tuple(secrets)

    def clean(text: str, limit: int = _WORD_CHARACTERS) -> str:
        return format_untrusted(mask_passwords(text), limit)

    document = {
        "version": VERSION,
        "event": "ended",
        "command": report.command,
        "target": clean(report.profile),
        "profile": clean(report.profile),
        "subject": clean(report.subject),
        "backup_id": clean(report.backup_id) or None,
        "outcome": report.outcome,
        "exit_code": report.exit_code,
        "sentence": format_untrusted(mask_passwords(report.sentence, known), _SENTENCE_CHARACTERS),
        "begun": report.begun_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "seconds": round(report.seconds, 3),
        "host": clean(host),
    }
    return json.dumps(document, ensure_ascii=True).encode("ascii") + b"\n"


def scrub_environment(
    environ: Mapping[str, str], names: Collection[str], secrets: Iterable[str] = ()
) -> dict[str, str]:  # fmt: skip
    """Return the variables that a hook may see: none of `names`, none that speaks of a secret or holds one."""
    known = tuple(secret for secret in secrets if secret)
    return {
        name: value
        for name, value in environ.items()
        if name not in names
        and not name.startswith(_SECRET_PREFIXES)
        and not _SECRET_NAME.search(name)
        and not _LOGIN.search(value)
        and not any(secret == value or (len(secret) >= _TELLING_CHARACTERS and secret in value) for secret in known)
    }
