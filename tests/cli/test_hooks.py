"""Hooks of commands: told of every end that matters, never in the way of it, and without a secret."""

import fcntl
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.disks import on_small_disk
from tests.cli.program import Ran, argv, environment, run
from tests.cli.samples import SqliteSample
from tests.cli.test_danger import Terminal
from tests.hook_site import HookSite, open_site
from tests.unit.test_processes import wait_until

SECRET = "hunter2-of-the-database"


class Lab:
    """A profile `erp` of an SQLite file and one of a server that is away, a hook that keeps what it hears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "live").mkdir()
        self.sample = SqliteSample(folder / "live" / "erp.db")
        self.sample.fill("text")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.away = taken.getsockname()[1]
        self.hook = folder / "page-me"
        self.script('cat >> "$0.told"; env > "$0.env"')
        self.configure()

    def script(self, text: str) -> None:
        self.hook.write_text(f"#!/bin/sh\n{text}\n")
        self.hook.chmod(0o755)

    def configure(self, hooks: str = "", profile_hooks: str = "") -> None:
        hooks = hooks or f'on_failure = ["{self.hook}"]\non_success = ["{self.hook}"]'
        path = Path(os.environ["XDG_CONFIG_HOME"]) / "dbtui" / "config.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"""
backup_dir = "{self.folder}/backups"
[hooks]
timeout = 30
{hooks}
[profiles.erp]
url = "sqlite:///{self.sample.path}"
{profile_hooks}
[profiles.away]
url = "postgresql://erp@127.0.0.1:{self.away}/erp"
password_env = "AWAY_LOGIN"
""")

    def run(self, *words: object, before: tuple[str, ...] = (), **environ: str) -> Ran:
        return run(*words, cwd=self.folder, before=before, **{"AWAY_LOGIN": SECRET, **environ})

    @property
    def told(self) -> list[dict[str, Any]]:
        path = Path(f"{self.hook}.told")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def site() -> Iterator[HookSite]:
    with open_site() as made:
        yield made


def test_a_backup_that_was_made_is_told(lab: Lab) -> None:
    done = lab.run("backup", "create", "erp", "--json", DBTUI_WEBHOOK="https://h/x", PGPASSWORD="pg-pw")
    assert done.code == 0
    (told,) = lab.told
    assert told["event"] == "ended"
    assert (told["command"], told["target"], told["outcome"], told["exit_code"]) == (
        "backup create", "erp", "succeeded", 0)  # fmt: skip
    assert told["backup_id"] == done.result["backup_id"]
    assert told["host"] == socket.gethostname()
    assert 0 < told["seconds"] < 60
    seen = Path(f"{lab.hook}.env").read_text()
    assert "PATH=" in seen
    for secret in (SECRET, "https://h/x", "pg-pw"):
        assert secret not in seen


def test_what_was_partly_done_is_told(lab: Lab) -> None:
    """The backup was made, and its copy was not."""
    lab.configure(profile_hooks='remote = "file:///proc/nowhere"')
    done = lab.run("backup", "create", "erp", "--push")
    assert done.code == 3
    (told,) = lab.told
    assert (told["command"], told["outcome"], told["exit_code"]) == ("backup create", "partial", 3)
    assert told["backup_id"] in done.stdout


def test_a_server_that_is_away_is_told(lab: Lab) -> None:
    done = lab.run("backup", "create", "away")
    assert done.code == 4
    (told,) = lab.told
    assert (told["target"], told["outcome"], told["exit_code"]) == ("away", "failed", 4)
    assert told["sentence"] == done.sentence
    assert SECRET not in json.dumps(told)


def test_a_damaged_backup_is_told(lab: Lab) -> None:
    path = Path(lab.run("backup", "create", "erp").stdout.strip())
    path.write_bytes(path.read_bytes()[:-1])
    assert lab.run("backup", "verify", "latest:erp").code == 7
    assert [(told["command"], told["exit_code"]) for told in lab.told] == [("backup create", 0), ("backup verify", 7)]
    assert lab.told[1]["backup_id"] == lab.told[0]["backup_id"]


def test_no_backup_and_no_profile_are_told_where_nobody_sits(lab: Lab) -> None:
    assert lab.run("backup", "verify", "latest:erp").code == 2
    assert lab.run("backup", "create", "epr").code == 2
    assert lab.run("backup", "expire", "erp").code == 2
    assert [(told["command"], told["target"], told["exit_code"]) for told in lab.told] == [
        ("backup verify", "erp", 2), ("backup create", "", 2), ("backup expire", "erp", 2)]  # fmt: skip


def test_who_mistypes_at_a_terminal_pages_nobody(lab: Lab) -> None:
    for words in (["backup", "create", "epr"], ["backup", "verify", "latest:erp"]):
        terminal = Terminal(lab.folder, *words)
        assert terminal.end() == 2
    assert lab.told == []
    terminal = Terminal(lab.folder, "backup", "create", "away", AWAY_LOGIN=SECRET)
    assert terminal.end() == 4
    assert [told["exit_code"] for told in lab.told] == [4]


def test_a_backup_that_is_already_running_is_told(lab: Lab) -> None:
    assert lab.run("backup", "create", "erp").code == 0
    locks = Path(os.environ["XDG_STATE_HOME"]) / "dbtui" / "locks"
    held = [path.open("rb") for path in locks.iterdir()]
    try:
        for file in held:
            fcntl.flock(file, fcntl.LOCK_EX)
        assert lab.run("backup", "create", "erp").code == 5
    finally:
        for file in held:
            file.close()
    assert lab.told[-1]["exit_code"] == 5


def test_a_full_disk_is_told(lab: Lab) -> None:
    backups = lab.folder / "backups"
    backups.mkdir()
    done = lab.run("backup", "create", "erp", before=on_small_disk(backups, "4k"))
    assert done.code == 6
    assert "make room" in done.sentence
    (told,) = lab.told
    assert (told["outcome"], told["sentence"]) == ("failed", done.sentence)


def test_a_disk_that_is_too_full_for_history_keeps_nobody_from_being_told(lab: Lab) -> None:
    done = lab.run("backup", "create", "erp", before=on_small_disk(Path(os.environ["XDG_STATE_HOME"]), "4k"))
    assert done.code == 0
    assert "history" in done.stderr
    assert [told["outcome"] for told in lab.told] == ["succeeded"]


@pytest.mark.parametrize(
    "words",
    [["backup", "list"], ["connections"], ["history"], ["doctor", "away"], ["backup", "create", "erp", "--dry-run"],
     ["backup", "create", "away", "--dry-run"], ["schedule", "backup", "create", "erp"], ["backup", "nonsense"]],
)  # fmt: skip
def test_what_only_reads_tells_nobody(lab: Lab, words: list[str]) -> None:
    lab.run(*words)
    assert lab.told == []


def test_a_good_end_is_told_also_when_nothing_had_to_be_done(lab: Lab) -> None:
    """A dead-man switch wants to hear of every run."""
    lab.run("backup", "create", "erp")
    assert lab.run("backup", "expire", "erp", "--keep-last", "3", "--yes", str(lab.sample.path)).code == 0
    assert [(told["command"], told["exit_code"]) for told in lab.told] == [("backup create", 0), ("backup expire", 0)]


def test_a_profile_has_hooks_of_its_own(lab: Lab) -> None:
    lab.configure(profile_hooks='[profiles.erp.hooks]\non_success = []\nonly = ["backup verify"]')
    assert lab.run("backup", "create", "erp").code == 0
    assert lab.told == []
    assert lab.run("backup", "create", "away").code == 4
    assert len(lab.told) == 1


def test_the_webhook_is_told_and_named_nowhere(lab: Lab, site: HookSite) -> None:
    lab.configure('webhook_env = "HOOK"\nwebhook_on = ["failure", "success"]')
    site.answers = [500]
    done = lab.run("backup", "create", "away", HOOK=site.url())
    assert [taken.report["exit_code"] for taken in site.taken] == [4, 4]
    site.answers = [404]
    done = lab.run("backup", "create", "erp", HOOK=site.url())
    assert done.code == 0
    assert "warning: nobody was told by the hook webhook: the webhook answered with 404" in done.stderr
    for text in (done.stderr, done.stdout, lab.run("history", "--full").stdout):
        assert "s3cr3t" not in text
    assert "webhook answered with 404" in lab.run("history", "--full").stdout


def test_the_webhook_may_be_printed_by_a_command(lab: Lab, site: HookSite) -> None:
    lab.script(f"echo '{site.url()}'")
    lab.configure(f'webhook_command = ["{lab.hook}"]')
    assert lab.run("backup", "create", "away").code == 4
    assert len(site.taken) == 1
    lab.script(f"echo '{site.url()}' >&2; echo '{site.url()}'; exit 1")
    done = lab.run("backup", "create", "away")
    assert "webhook_command page-me exited with 1" in done.stderr
    assert "s3cr3t" not in done.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'no route' >&2; exit 9", "page-me exited with 9: no route"),
        ("sleep 60", "page-me took longer than 0.5 s and was ended"),
        ("kill -9 $$", "page-me was ended by SIGKILL"),
    ],
)
def test_a_hook_that_fails_is_a_warning(lab: Lab, script: str, said: str) -> None:
    lab.script(script)
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "dbtui" / "config.toml"
    path.write_text(path.read_text().replace("timeout = 30", "timeout = 0.5"))
    good = lab.run("backup", "create", "erp", "--json")
    assert good.code == 0
    assert good.result["outcome"] == "succeeded"
    assert said in good.stderr
    assert lab.run("backup", "create", "away").code == 4


def test_a_hook_that_is_not_there_is_a_warning(lab: Lab) -> None:
    lab.configure('on_success = ["/nonexistent/page-me"]')
    done = lab.run("backup", "create", "erp")
    assert done.code == 0
    assert "/nonexistent/page-me cannot be started: there is no such program" in done.stderr


def start(lab: Lab, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(argv(*words), cwd=lab.folder, env=environment(), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def test_a_signal_ends_a_hook_and_changes_no_exit_code(lab: Lab) -> None:
    lab.script('touch "$0.began"; sleep 60')
    running = start(lab, "backup", "create", "erp")
    try:
        wait_until(Path(f"{lab.hook}.began").exists, 60)
        running.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, said = running.communicate(timeout=40)
        assert time.monotonic() - began < 25
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0
    assert b"page-me was ended: SIGTERM" in said


def test_what_a_signal_ended_is_told(lab: Lab) -> None:
    """A writer keeps the database to itself, so that the backup waits until the signal comes."""
    writer = sqlite3.connect(lab.sample.path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    running = start(lab, "backup", "create", "erp")
    try:
        wait_until(lambda: any(Path(os.environ["XDG_STATE_HOME"]).rglob("*.lock")), 60)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
        writer.close()
    assert running.returncode == 130
    (told,) = lab.told
    assert (told["outcome"], told["exit_code"]) == ("cancelled", 130)


def test_the_doctor_says_whether_hooks_could_be_told(lab: Lab) -> None:
    lab.configure(f'on_failure = ["{lab.hook}"]\non_success = ["/nonexistent/ping"]\nwebhook_env = "HOOK"')
    said = {
        finding["subject"]: (finding["level"], finding["sentence"])
        for finding in lab.run("doctor", "--json").document["findings"]
        if finding["area"] == "hooks"
    }
    assert said == {
        "on_failure": ("ok", f"{lab.hook} (erp, away)"),
        "on_success": ("trouble", "/nonexistent/ping is not there, or may not be run (erp, away)"),
        "webhook": ("remark", "HOOK is not set here (erp, away)"),
    }
    assert lab.told == []
