"""`dbtui schedule list` and `remove`: what was installed is found again, told, and taken away without a trace."""

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import Ran, argv, environment, run
from tests.cli.test_schedule import fake_crontab
from tests.unit.test_processes import wait_until

REST = b"# mine\r\nMAILTO=dba \n\n0 1 * * * /usr/bin/dbtui backup create erp\n\xff\xfe\t#end"
CREATE = ("backup", "create", "erp", "--dir", "in here")


class Lab:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = fake_crontab(folder, None)
        self.table.write_bytes(REST)
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self.said = folder / "orders"
        self.program("systemctl", "exit 1")
        path = Path(os.environ["XDG_CONFIG_HOME"]) / "dbtui" / "config.toml"
        path.parent.mkdir()
        path.write_text(f'[profiles.erp]\nurl = "sqlite:///{folder}/erp.db"\n')
        self.units = Path(os.environ["XDG_CONFIG_HOME"]) / "systemd" / "user"

    def program(self, name: str, script: str) -> None:
        (self.folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def schedule(self, *words: object, **environ: str) -> Ran:
        return run("schedule", *words, cwd=self.folder, **{"PATH": self.path, **environ})

    def listed(self, *words: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.schedule("list", "--json", *words).document["schedules"]
        return found

    def cron_command(self) -> str:
        """What cron would give to the shell."""
        line = self.table.read_bytes().split(b"\n")[-2].decode()
        return line.split(" ", 5)[5].replace(r"\%", "%")

    def run_like_cron(self) -> int:
        bare = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": environment()["PYTHONPATH"]}
        done = subprocess.run(
            ["/bin/sh", "-c", self.cron_command()],
            cwd="/",
            env=bare,
            capture_output=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_where_nothing_is_installed(lab: Lab) -> None:
    assert lab.listed() == []
    done = lab.schedule("list", "--fail-on", "overdue")
    assert done.code == 0
    assert "no schedule" in done.stderr
    assert run("schedule", "list", "--json", cwd=lab.folder, PATH="/nonexistent").document["schedules"] == []


def test_what_cron_runs_is_seen(lab: Lab) -> None:
    assert lab.schedule("--install", "--by", "cron", *CREATE).code == 0
    (waiting,) = lab.listed()
    assert (waiting["standing"], waiting["last_run"], waiting["profile"]) == ("waiting for its first run", None, "erp")
    assert waiting["command"] == "dbtui backup create erp --dir 'in here'"
    assert waiting["next_run_at"] is not None
    assert lab.run_like_cron() == 4  # there is no such file
    (failed,) = lab.listed()
    assert (failed["last_run"]["exit_code"], failed["is_overdue"]) == (4, False)
    assert "erp.db" in failed["reason"]
    with closing(sqlite3.connect(lab.folder / "erp.db")) as made:
        made.execute("CREATE TABLE t (a)")
    assert lab.run_like_cron() == 0
    (done,) = lab.listed()
    assert (done["standing"], done["reason"], done["last_run"]["exit_code"]) == ("on time", "", 0)
    assert 0 < done["last_seconds"] < 60
    shown = lab.schedule("list", "--fail-on", "overdue")
    assert shown.code == 0
    assert ", ok in " in shown.stdout


def test_a_reading_command_is_seen_as_well(lab: Lab) -> None:
    assert lab.schedule("--install", "--by", "cron", "history").code == 0
    assert run("history", cwd=lab.folder).code == 0  # by hand: not worth a line
    assert lab.listed()[0]["last_run"] is None
    assert lab.run_like_cron() == 0
    assert lab.listed()[0]["last_run"]["exit_code"] == 0


def test_a_broken_configuration_is_seen(lab: Lab) -> None:
    assert lab.schedule("--install", "--by", "cron", *CREATE).code == 0
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "dbtui" / "config.toml"
    right = path.read_text()
    path.write_text("nonsense")
    assert lab.run_like_cron() == 2
    path.write_text(right)
    (seen,) = lab.listed()
    assert seen["last_run"]["exit_code"] == 2
    assert "is not TOML" in seen["reason"]


def test_one_that_was_killed_is_seen(lab: Lab) -> None:
    with closing(sqlite3.connect(lab.folder / "erp.db", isolation_level=None)) as writer:
        writer.execute("CREATE TABLE t (a)")
        assert lab.schedule("--install", "--by", "cron", "--at", "00:00", *CREATE).code == 0
        writer.execute("BEGIN EXCLUSIVE")  # the backup waits for it
        running = subprocess.Popen(argv(*CREATE), cwd=lab.folder, env=environment(), stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: [each["standing"] for each in lab.listed()] == ["running"], 60)
        finally:
            running.kill()
            running.wait()
    (killed,) = lab.listed()
    assert "the last run was killed" in killed["reason"]
    assert killed["last_run"]["exit_code"] is None


def test_overdue_and_unreadable_are_exit_code_7(lab: Lab) -> None:
    assert lab.schedule("--install", "--by", "cron", *CREATE).code == 0
    history = Path(os.environ["XDG_STATE_HOME"]) / "dbtui" / "history.db"
    history.unlink()
    done = lab.schedule("list", "--fail-on", "overdue")
    assert done.code == 7
    assert "never ran, as far as is known" in done.stdout
    assert lab.schedule("list").code == 0
    assert lab.listed()[0]["is_overdue"]
    lab.table.write_bytes(lab.table.read_bytes().replace(b"15 3 * * *", b"15 33 * * *"))
    (changed,) = lab.listed()
    assert changed["standing"] == "unreadable"
    assert changed["words"] == list(CREATE)
    assert lab.schedule("list", "--fail-on", "overdue").code == 7


def test_a_crontab_that_cannot_be_read_fails_the_check(lab: Lab) -> None:
    lab.program("crontab", "echo 'not allowed' >&2; exit 1")
    assert lab.schedule("list").code == 0
    done = lab.schedule("list", "--fail-on", "overdue", "--json")
    assert done.code == 7
    assert any("not allowed" in gap for gap in done.document["gaps"])


# ---------------------------------------------------------------- remove


def test_only_its_line_is_removed(lab: Lab) -> None:
    assert lab.schedule("--install", "--by", "cron", "history").code == 0
    before = lab.table.read_bytes()
    assert before.startswith(REST + b"\n")
    assert lab.schedule("--install", "--by", "cron", *CREATE).code == 0
    name = next(each["name"] for each in lab.listed() if "create" in each["name"])
    planned = lab.schedule("remove", name, "--dry-run")
    assert planned.code == 0
    assert "backup create erp" in planned.stdout
    refused = lab.schedule("remove", name)
    assert refused.code == 6
    assert f"--yes {name}" in refused.sentence
    assert lab.table.read_bytes() != before
    done = lab.schedule("remove", name, "--yes", name, "--json")
    assert done.code == 0
    assert done.result["removed"]["name"] == name
    assert lab.table.read_bytes() == before
    assert [each["words"] for each in lab.listed()] == [["history"]]


def test_units_are_removed_and_systemd_told(lab: Lab) -> None:
    assert lab.schedule("--install", "--by", "systemd", *CREATE).code == 0
    (installed,) = lab.listed()
    name = installed["name"]
    (lab.units / "timers.target.wants").mkdir()
    (lab.units / "timers.target.wants" / f"{name}.timer").symlink_to(lab.units / f"{name}.timer")
    (lab.units / "mine.timer").write_text("[Timer]\n")
    timer = lab.units / f"{name}.timer"
    lab.program("systemctl", f"""if [ "$2" = show ]; then
    echo 'Id={name}.timer'; echo ActiveState=active
else
    [ -e '{timer}' ] && is=there || is=gone
    echo "$* $is" >> '{lab.said}'
fi""")  # fmt: skip
    done = lab.schedule("remove", "backup-create", "--yes", name)
    assert done.code == 0, done.stderr
    orders = [f"--user stop {name}.timer there", "--user daemon-reload gone"]
    assert lab.said.read_text().splitlines() == orders
    assert sorted(path.name for path in lab.units.rglob("*") if not path.is_dir()) == ["mine.timer"]
    assert lab.table.read_bytes() == REST


def test_what_is_meant_must_be_clear(lab: Lab) -> None:
    assert lab.schedule("--install", "--by", "cron", "history").code == 0
    assert lab.schedule("--install", "--by", "cron", "history", "--full").code == 0
    for wanted, said in (
        ("history", "the beginning of 2 schedules"),
        ("nonsense", "no schedule of this user"),
        ("", "no"),
    ):
        done = lab.schedule("remove", wanted, "--yes", wanted)
        assert done.code == 2
        assert said in done.sentence
    assert len(lab.listed()) == 2


def test_one_of_two_places(lab: Lab) -> None:
    for by in ("cron", "systemd"):
        assert lab.schedule("--install", "--by", by, "history").code == 0
    name = lab.listed()[0]["name"]
    assert lab.schedule("remove", name, "--by", "cron", "--yes", name).code == 0
    assert [each["by"] for each in lab.listed()] == ["systemd"]
    assert lab.table.read_bytes() == REST + b"\n"


def test_list_and_remove_are_no_commands_to_be_scheduled(lab: Lab) -> None:
    assert lab.schedule("--every", "hour", "list").code == 2
    assert json.loads(lab.schedule("--json", "list").stdout)["schedules"] == []
    assert lab.schedule("--install", "--by", "cron", "list").code == 2
    assert lab.table.read_bytes() == REST
