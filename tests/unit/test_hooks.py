"""Which hooks are called, what they are told, what they may see, and what may be configured."""

import ast
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui.analysis.hooks import choose_calls, find_command, name_command, scrub_environment, write_report
from dbtui.config import load_settings
from dbtui.errors import Cancelled, ConfigError, ConnectError, DamagedBackupError, LockedError, StorageError
from dbtui.model.exit_codes import exit_code_of
from dbtui.model.hooks import COMMANDS, HookReport, HookSettings
from dbtui.model.pools import PoolerVerb
from dbtui.model.replicas import ReplicaAction
from dbtui.model.sessions import SessionVerb

ROOT = Path(__file__).parents[2] / "dbtui"
BOTH = HookSettings(on_failure=("page-me",), on_success=("ping",), webhook_env="DBTUI_WEBHOOK")


def report(code: int = 1, command: str = "backup create", sentence: str = "no") -> HookReport:
    return HookReport(command=command, outcome="failed", exit_code=code, sentence=sentence, seconds=1.23456,
                      begun_at=datetime(2026, 11, 23, 3, 15, tzinfo=UTC), profile="erp", subject="erp")  # fmt: skip


def called(settings: HookSettings, told: HookReport) -> list[str]:
    return [call.name for call in choose_calls(settings, told)]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 130])
def test_every_end_but_a_good_one_is_a_failure(code: int) -> None:
    assert called(BOTH, report(code)) == ["on_failure", "webhook"]


def test_a_good_end_is_told_to_who_asked_for_it() -> None:
    assert called(BOTH, report(0)) == ["on_success"]
    assert called(HookSettings(webhook_env="X", webhook_on=("success",)), report(0)) == ["webhook"]
    assert called(HookSettings(webhook_env="X", webhook_on=("success",)), report(1)) == []


def test_only_what_was_asked_for() -> None:
    settings = HookSettings(on_failure=("page-me",), only=("backup verify", "partitions *"))
    assert called(settings, report()) == []
    assert called(settings, report(command="backup verify")) == ["on_failure"]
    assert called(settings, report(command="partitions apply")) == ["on_failure"]


def test_every_job_that_changes_something_is_a_command_that_only_can_name() -> None:
    """What is written as `routine=` of a job that history keeps, in either door."""
    verbs = {"pools": PoolerVerb, "sessions": SessionVerb, "replicas": ReplicaAction}
    found = {f"{group} {verb.value}" for group, kind in verbs.items() for verb in kind}
    for path in (*ROOT.glob("cli/*.py"), *ROOT.glob("tui/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "JobRequest":
                words = {word.arg: word.value for word in node.keywords}
                reads = "changes" in words and ast.unparse(words["changes"]) == "False"
                routine = words["routine"]
                if not reads and isinstance(routine, ast.Constant):
                    found.add(str(routine.value))
    unknown = {name_command(routine) for routine in found} - set(COMMANDS)
    assert unknown == {"schedule", "schedule remove"}  # of no database


def test_the_command_is_found_in_what_was_typed() -> None:
    assert find_command(["backup", "verify", "latest:erp"]) == "backup verify"
    assert find_command(["backup", "list"]) == ""
    assert find_command([]) == ""


def test_the_report_is_a_line_of_json() -> None:
    written = write_report(report(), "db\x1b1")
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert json.loads(written) == {
        "version": 1, "event": "ended", "command": "backup create", "target": "erp", "profile": "erp",
        "subject": "erp", "backup_id": None, "outcome": "failed", "exit_code": 1, "sentence": "no",
        "begun": "2026-11-23T03:15:00.000+00:00", "seconds": 1.235, "host": "db·1",
    }  # fmt: skip


def test_no_secret_is_told() -> None:
    said = 'password "hunter2" is wrong for postgresql://erp:other@db1/erp, password=third, hunter2hunter2'
    written = write_report(report(sentence=said), "h", ["hunter2", ""]).decode()
    for secret in ("hunter2", "other", "third"):
        assert secret not in written
    assert len(write_report(report(sentence="x" * 1_000_000), "h" * 5000)) < 8192


def test_what_a_hook_may_see() -> None:
    environ = {
        "PATH": "/bin", "HOME": "/root", "LANG": "C", "HTTPS_PROXY": "http://proxy:3128", "MAILTO": "dba",
        "ERP_LOGIN": "in-password-env", "PGPASSWORD": "x", "PGPASSFILE": "x", "MYSQL_PWD": "x", "DATABASE_URL": "x",
        "DB_REPLICA_URLS": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_PROFILE": "x", "AZURE_STORAGE_KEY": "x",
        "GOOGLE_APPLICATION_CREDENTIALS": "x", "DBTUI_WEBHOOK": "x", "MY_API_KEY": "x", "GITHUB_TOKEN": "x",
        "Smtp_Passwd": "x", "ELSEWHERE": "https://me:secret@host/", "HOLDS": "a hunter2 b", "IS": "abc",
        "HOOK_URL": "https://h/secret", "VAULT_ADDR": "x",
    }  # fmt: skip
    seen = scrub_environment(environ, ["ERP_LOGIN", "HOOK_URL"], ["hunter2", "abc", "", "b"])
    assert set(seen) == {"PATH", "HOME", "LANG", "HTTPS_PROXY", "MAILTO"}


# ---------------------------------------------------------------- configured

FILE = """
[hooks]
on_failure = ["/usr/local/bin/page-me", "--quick"]
webhook_env = "DBTUI_WEBHOOK"
timeout = "1.5 s"
only = ["backup create", "backup verify"]

[profiles.erp]
url = "postgresql://erp@db1/erp"

[profiles.shop]
url = "sqlite:///shop.db"

[profiles.shop.hooks]
on_success = ["ping"]
webhook_command = ["vault", "read", "x"]
only = []
"""


def settings_of(tmp_path: Path, text: str, **environ: str) -> dict[str, HookSettings | None]:
    (tmp_path / "config.toml").write_text(text)
    settings = load_settings(environ, tmp_path / "config.toml")
    return {"": settings.hooks, **{profile.name: profile.hooks for profile in settings.profiles}}


def test_a_profile_adds_to_what_is_said_above(tmp_path: Path) -> None:
    found = settings_of(tmp_path, FILE, DATABASE_URL="sqlite:///x.db")
    above = HookSettings(on_failure=("/usr/local/bin/page-me", "--quick"), webhook_env="DBTUI_WEBHOOK",
                         timeout_seconds=1.5, only=("backup create", "backup verify"))  # fmt: skip
    assert found[""] == found["erp"] == found["DATABASE_URL"] == above
    assert found["shop"] == HookSettings(
        on_failure=above.on_failure, on_success=("ping",), webhook_command=("vault", "read", "x"), timeout_seconds=1.5
    )
    assert settings_of(tmp_path, "")[""] is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('on_failure = "page-me"', "line 2: on_failure: expected a list"),
        ('on_failure = [""]', "line 2: on_failure names no program"),
        ('on_fail = ["x"]', "line 2: unknown key 'on_fail'; did you mean on_failure?"),
        ('webhook_env = "https://h/s3cr3t"', "line 2: webhook_env names a variable"),
        ('webhook_env = "X"\nwebhook_command = ["y"]', "line 3: it has both"),
        ('webhook_on = ["always"]', "line 2: webhook_on: 'always' is no end"),
        ('timeout = "soon"', "line 2: timeout is 'soon'"),
        ("timeout = 0", "line 2: timeout is 0"),
        ('timeout = "1 h"', "line 2: timeout is '1 h'"),
        ("timeout = 301", "line 2: timeout is 301"),
        ('only = ["backup craete"]', "line 2: only: no command fits 'backup craete'"),
        ('only = ["backup list"]', "line 2: only: no command fits 'backup list'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings_of(tmp_path, f"[hooks]\n{line}\n")
    assert said in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_exit_codes_are_those_of_the_readme() -> None:
    assert exit_code_of(ConnectError("")) == 4
    assert exit_code_of(LockedError("")) == 5
    assert exit_code_of(StorageError("")) == 1
    assert exit_code_of(Cancelled("")) == 130
    assert exit_code_of(DamagedBackupError("")) == 6
    assert exit_code_of(DamagedBackupError(""), checking=True) == 7
