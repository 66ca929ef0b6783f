"""`dbtui schedule …`: the command is checked now, printed or installed."""

import os
import stat
from pathlib import Path

import pytest

from tests.cli.program import Ran, run

BACKUP = ("backup", "create", "sqlite:///erp.db", "--dir", "/srv/100 %")


def schedule(tmp_path: Path, *words: str, **environ: str) -> Ran:
    return run("schedule", *words, cwd=tmp_path, **environ)


def fake_crontab(folder: Path, before: str | None) -> Path:
    """A crontab program that keeps its table in a file."""
    table = folder / "table"
    if before is not None:
        table.write_text(before)
    program = folder / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
if [ "$1" = -l ]; then
    [ -e '{table}' ] || {{ echo "no crontab for dba" >&2; exit 1; }}
    cat '{table}'
else
    cat > '{table}'
fi
"""
    )
    program.chmod(0o755)
    return table


def test_it_prints_both_and_writes_nothing(tmp_path: Path) -> None:
    done = schedule(tmp_path, "--every", "week", "--at", "4:05", *BACKUP)
    assert done.code == 0
    assert done.stdout.splitlines()[1].startswith(f"5 4 * * 1 cd {tmp_path} && ")
    assert r"--dir '/srv/100 \%'" in done.stdout
    assert 'sqlite:///erp.db --dir "/srv/100 %%"\n' in done.stdout
    assert "OnCalendar=Mon *-*-* 04:05:00" in done.stdout
    assert not (Path(os.environ["XDG_CONFIG_HOME"]) / "systemd").exists()


def test_the_printed_command_runs(tmp_path: Path) -> None:
    line = schedule(tmp_path, "history").stdout.splitlines()[1]
    words = line.split(" ", 5)[5]
    assert " -m dbtui history " in words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "'nonsense' is no command that can run by itself"),
        (["demo"], "no command that can run by itself"),
        (["schedule", "history"], "no command that can run by itself"),
        (["backup"], "Usage: dbtui backup"),
        (["backup", "craete", "erp"], "No such command 'craete'"),
        (["backup", "create", "erp", "--nope"], "No such option"),
        (["backup", "create", "mysql://me:secret@h/d"], "a password would stand"),
        (["--at", "25:00", "history"], "--at: '25:00' is no time of day"),
        (["--by", "cron", "history"], "add --install"),
    ],
)
def test_what_cannot_be_scheduled(tmp_path: Path, words: list[str], said: str) -> None:
    done = schedule(tmp_path, *words)
    assert done.code == 2
    assert said in done.stderr
    assert "secret" not in done.stderr
    assert done.stdout == ""


def test_apply_without_yes_is_warned_of(tmp_path: Path) -> None:
    words = ("partitions", "apply", "postgresql:///erp", "public.audit_logs")
    assert "exit code 6" in schedule(tmp_path, *words).stderr
    assert schedule(tmp_path, *words, "--yes", "public.audit_logs").stderr == ""


def test_units_are_written_once(tmp_path: Path) -> None:
    done = schedule(tmp_path, "--install", "--by", "systemd", "--json", *BACKUP)
    assert done.code == 0
    installed = done.result["installed"]
    service, timer = map(Path, installed["places"])
    assert service.parent == Path(os.environ["XDG_CONFIG_HOME"]) / "systemd" / "user"
    assert {stat.S_IMODE(each.stat().st_mode) for each in (service, timer)} == {0o600}
    assert service.read_text() == done.result["schedule"]["service"]
    assert f"systemctl --user enable --now {timer.name}" in installed["next_commands"]
    again = schedule(tmp_path, "--install", "--by", "systemd", "--at", "05:00", *BACKUP)
    assert "replaced" in again.stderr
    assert "OnCalendar=*-*-* 05:00:00" in timer.read_text()
    assert sorted(each.name for each in timer.parent.iterdir()) == sorted([service.name, timer.name])


@pytest.mark.parametrize("before", [None, "MAILTO=dba\n"])
def test_a_cron_line_is_put_into_the_crontab(tmp_path: Path, before: str | None) -> None:
    table = fake_crontab(tmp_path, before)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    for at in ("03:15", "04:20"):
        assert schedule(tmp_path, "--install", "--by", "cron", "--at", at, "history", PATH=path).code == 0
    lines = table.read_text().splitlines()
    assert lines[:-1] == (before or "").splitlines()
    assert lines[-1].startswith("20 4 * * * cd ")


def test_a_crontab_that_cannot_be_read_is_not_overwritten(tmp_path: Path) -> None:
    table = fake_crontab(tmp_path, "0 1 * * * true\n")
    program = tmp_path / "bin" / "crontab"
    program.write_text("#!/bin/sh\n[ \"$1\" = -l ] && { echo 'not allowed' >&2; exit 1; }\n: > " + str(table) + "\n")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = schedule(tmp_path, "--install", "--by", "cron", "history", PATH=path)
    assert done.code == 1
    assert "not allowed" in done.sentence
    assert table.read_text() == "0 1 * * * true\n"


def test_without_cron_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = schedule(tmp_path, "--install", "--by", "cron", "history", PATH=str(tmp_path / "empty"))
    assert done.code == 1
    assert "crontab is not installed" in done.sentence


def test_variables_that_will_not_be_there_are_told(tmp_path: Path) -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "dbtui" / "config.toml"
    path.parent.mkdir()
    path.write_text(
        '[hooks]\nwebhook_env = "HOOK"\n[profiles.erp]\nurl = "postgresql:///erp"\npassword_env = "ERP_LOGIN"\n'
    )
    done = schedule(tmp_path, "backup", "verify", "latest:erp", ERP_LOGIN="s3cr3t", HOOK="https://h/s3cr3t")
    assert done.code == 0
    assert "no variable ERP_LOGIN, which password_env names" in done.stderr
    assert "no variable HOOK, which webhook_env names" in done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr
    path.unlink()
    told = schedule(tmp_path, "backup", "create", DATABASE_URL="sqlite:///x.db").stderr
    assert "no variable DATABASE_URL: name a profile" in told
    assert schedule(tmp_path, "history").stderr == ""
