"""What the operator types before data is touched, on a terminal; and what others on this host can see meanwhile."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import ptyprocess
import pytest

from tests.cli.conftest import NewSample
from tests.cli.program import argv, environment, run
from tests.cli.samples import PostgresqlSample, Sample
from tests.cli.working import wait_until


class Terminal:
    """The program in a pseudo-terminal."""

    def __init__(self, folder: Path, *words: object, **environ: str) -> None:
        self.process = ptyprocess.PtyProcessUnicode.spawn(
            argv(*words), cwd=str(folder), env=environment(TERM="xterm", **environ), dimensions=(24, 100)
        )
        self.seen = ""

    def wait_for(self, text: str) -> None:
        while text not in self.seen:
            self.seen += self.process.read()

    def type(self, line: str) -> None:
        self.process.write(f"{line}\n")

    def end(self) -> int:
        while True:
            try:
                self.seen += self.process.read()
            except EOFError:
                break
        code: int = self.process.wait()
        return code


@dataclass
class WaitingDump:
    """A backup in the middle of its dump. `name` is the tool's, `folder` where a file `go` lets it go on."""

    sample: Sample
    process: "subprocess.Popen[str]"
    name: str
    folder: Path

    @property
    def tools(self) -> list[psutil.Process]:
        """The running dump tool."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in below if each.name() == self.name]


@pytest.fixture
def production(new_sample: NewSample, tmp_path: Path) -> tuple[Sample, str, dict[str, str]]:
    """A production database that has changed since its backup, the backup's path, and the environment."""
    sample = new_sample("sqlite")
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.main]\nurl = "{sample.url}"\nenvironment = "production"\n')
    environ = {"DBTUI_CONFIG": str(config)}
    path = run("backup", "create", "main", cwd=tmp_path, **environ).stdout.strip()
    sample.execute("DELETE FROM orders")
    return sample, path, environ


def test_the_names_are_typed_after_the_plan(production: tuple[Sample, str, dict[str, str]], tmp_path: Path) -> None:
    sample, path, environ = production
    terminal = Terminal(tmp_path, "backup", "restore", path, "--replace", **environ)
    terminal.wait_for("to go on: ")
    consequence, plan, question = (terminal.seen.index(text) for text in ("this replaces", "steps", "to go on: "))
    assert consequence < plan < question
    assert "(PRODUCTION)" in terminal.seen
    terminal.type(f"{sample.name}.db")
    terminal.wait_for("Type main to go on: ")
    assert sample.execute("SELECT count(*) FROM orders") == [(0,)]
    terminal.type("main")
    assert terminal.end() == 0, terminal.seen
    assert sample.execute("SELECT count(*) FROM orders") != [(0,)]


@pytest.mark.parametrize("typed", ["", "y", "wrong"])
def test_a_wrong_name_changes_nothing(
    typed: str, production: tuple[Sample, str, dict[str, str]], tmp_path: Path
) -> None:  # fmt: skip
    sample, path, environ = production
    before = sample.databases()
    terminal = Terminal(tmp_path, "backup", "restore", path, "--replace", **environ)
    terminal.wait_for("to go on: ")
    terminal.type(typed)
    assert terminal.end() == 6
    assert "nothing was changed" in terminal.seen
    assert (sample.execute("SELECT count(*) FROM orders"), sample.databases()) == ([(0,)], before)


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_the_question_is_130(
    key: str, production: tuple[Sample, str, dict[str, str]], tmp_path: Path
) -> None:  # fmt: skip
    sample, path, environ = production
    terminal = Terminal(tmp_path, "backup", "restore", path, "--replace", **environ)
    terminal.wait_for("to go on: ")
    terminal.process.write(key)
    assert terminal.end() == 130
    assert sample.execute("SELECT count(*) FROM orders") == [(0,)]


# --- while a dump runs ---------------------------------------------------------------------------------------


WRAPPER = """#!/bin/sh
case "$*" in *--version*|*--help*|-V) exec {real} "$@" ;; esac
touch {folder}/started
while [ ! -e {folder}/go ]; do sleep 0.05; done
exec {real} "$@"
"""


@pytest.fixture(params=["postgresql", "mysql"])
def waiting(request: pytest.FixtureRequest, new_sample: NewSample, tmp_path: Path) -> Iterator[WaitingDump]:
    """A backup whose dump tool has been started, by way of a script that waits before it becomes the tool."""
    sample = new_sample(request.param)
    if isinstance(sample, PostgresqlSample):
        name, real = "pg_dump", str(sample.server.binaries / "pg_dump")
    else:
        name = "mariadb-dump"
        real = shutil.which(name) or ""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / name).write_text(WRAPPER.format(real=real, folder=folder))
    (folder / name).chmod(0o755)
    environ = {"DBTUI_PG_BIN": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        argv("backup", "create", "--json"),
        cwd=tmp_path,
        env=environment(DATABASE_URL=sample.url, **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: process.poll() is not None or (folder / "started").exists())
    assert process.poll() is None, process.communicate()
    yield WaitingDump(sample, process, name, folder)
    process.kill()
    process.communicate()


def everything_shown() -> bytes:
    """argv of every process, as any user of this host can read it."""
    shown = b""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                shown += (folder / "cmdline").read_bytes() + b"\n"
            except OSError:
                continue
    return shown


def test_nobody_sees_the_password_while_a_dump_runs(waiting: WaitingDump, tmp_path: Path) -> None:
    password = waiting.sample.password
    tool = min(waiting.tools, key=lambda each: each.create_time())  # others are about to become its sleep
    assert waiting.name.encode() in everything_shown()
    assert password.encode() not in everything_shown()
    assert password not in str(tool.environ())
    (waiting.folder / "go").touch()
    stdout, stderr = waiting.process.communicate(timeout=60)
    assert waiting.process.returncode == 0, stderr
    history = run("history", "--json", cwd=tmp_path)
    assert history.document["history"][0]["commands"]
    manifest = next((tmp_path / "backups").glob("*.manifest.json")).read_text()
    assert password not in stdout + stderr + history.stdout + manifest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_cancelled_dump_leaves_nothing(number: signal.Signals, waiting: WaitingDump, tmp_path: Path) -> None:
    tools, rows, databases = waiting.tools, waiting.sample.rows(), waiting.sample.databases()
    waiting.process.send_signal(number)
    stdout, stderr = waiting.process.communicate(timeout=30)
    assert waiting.process.returncode == 130, stderr
    result = json.loads(stdout.splitlines()[-1])
    assert (result["event"], result["outcome"], result["exit_code"]) == ("result", "cancelled", 130)
    assert not [each for each in tools if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert list((tmp_path / "backups").iterdir()) == []
    assert (waiting.sample.rows(), waiting.sample.databases()) == (rows, databases)
