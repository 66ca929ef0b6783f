"""The schedules of a user are found in the crontab and among the units, and told what became of them."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui.adapters.driving import exhaust
from dbtui.analysis.schedules import write_texts
from dbtui.config import parse_url
from dbtui.history import History
from dbtui.model.events import Event, Warned
from dbtui.model.schedules import Schedule, Scheduler, ScheduleState, ScheduleTexts, Standing
from dbtui.routines.context import RoutineContext
from dbtui.routines.schedule_states import collect_schedules, read_zone
from dbtui.routines.schedules import apply_schedule

ERP = replace(parse_url("postgresql://erp@db1:5432/erp_live"), name="erp")
CREATE = ("backup", "create", "erp")
EXPIRE = ("backup", "expire", "erp", "--yes", "erp_live")


class Lab:
    """A user with a crontab in a file, units in a directory and a systemctl that says what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.table = folder / "table"
        self.said = folder / "said"
        (folder / "bin").mkdir()
        self.program("crontab", f"""if [ "$1" = -l ]; then
    [ -e '{self.table}' ] || {{ echo "no crontab for dba" >&2; exit 1; }}
    cat '{self.table}'
else
    cat > '{self.table}'
fi""")  # fmt: skip
        self.program("systemctl", f"cat '{self.said}' 2>/dev/null")
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        environ = {"PATH": path, "XDG_CONFIG_HOME": str(folder / "config")}
        self.context = RoutineContext(environ=environ)
        self.history = History(folder / "state" / "dbtui")
        self.events: list[Event] = []

    def program(self, name: str, script: str) -> None:
        (self.folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def install(self, words: tuple[str, ...], scheduler: Scheduler, **environ: str) -> ScheduleTexts:
        made = Schedule(argv=("/usr/bin/dbtui", *words), directory="/", environ=tuple(environ.items()))
        texts = write_texts(made, words)
        exhaust(apply_schedule(self.context, texts, scheduler), self.events.append)
        return texts

    def collect(self) -> dict[tuple[str, ...], ScheduleState]:
        states = exhaust(collect_schedules(self.context, self.history, [ERP]), self.events.append)
        return {state.schedule.words: state for state in states}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)


def test_where_nothing_is_installed_there_is_none(lab: Lab) -> None:
    assert lab.collect() == {}
    lab.context = replace(lab.context, environ={**lab.context.environ, "PATH": "/nonexistent"})
    assert lab.collect() == {}


def test_both_kinds_are_found_with_their_profiles(lab: Lab) -> None:
    lab.table.write_text("MAILTO=dba\n0 1 * * * /usr/bin/dbtui backup create erp\n")
    lab.install(CREATE, Scheduler.CRON)
    lab.install(EXPIRE, Scheduler.SYSTEMD)
    states = lab.collect()
    assert set(states) == {CREATE, EXPIRE}
    assert {state.database for state in states.values()} == {"erp_live"}
    assert states[CREATE].schedule.place == "crontab"
    assert states[EXPIRE].schedule.place.endswith(".timer")
    assert states[CREATE].next_run_at is not None
    assert states[EXPIRE].next_run_at is None  # it is not enabled yet
    assert not states[EXPIRE].schedule.is_enabled


def test_systemd_is_believed_about_the_next_run(lab: Lab) -> None:
    name = lab.install(EXPIRE, Scheduler.SYSTEMD).name
    lab.said.write_text(f"Id={name}.timer\nActiveState=active\nNextElapseUSecRealtime=@1795360000\n\nId=x.timer\n")
    state = lab.collect()[EXPIRE]
    assert state.schedule.is_enabled
    assert state.next_run_at == datetime.fromtimestamp(1795360000, UTC)
    for said in ("garbage", f"Id={name}.timer\nActiveState=active\nNextElapseUSecRealtime=n/a\n"):
        lab.said.write_text(said)
        wanted = Path(state.schedule.place).parent / "timers.target.wants" / f"{name}.timer"
        wanted.parent.mkdir(exist_ok=True)
        if not wanted.is_symlink():
            wanted.symlink_to(state.schedule.place)
        assert lab.collect()[EXPIRE].next_run_at is not None


def test_a_timer_with_files_beside_it_is_not_guessed_at(lab: Lab) -> None:
    lab.install(EXPIRE, Scheduler.SYSTEMD)
    beside = Path(lab.collect()[EXPIRE].schedule.place + ".d")
    beside.mkdir()
    (beside / "override.conf").write_text("[Timer]\nOnCalendar=hourly\n")
    assert lab.collect()[EXPIRE].standing is Standing.UNREADABLE


def test_a_run_is_found_by_its_words(lab: Lab) -> None:
    lab.install(CREATE, Scheduler.CRON)
    run_id = lab.history.begin_command(CREATE)
    assert run_id is not None
    lab.history.end_command(run_id, 0, "erp: 12 tables")
    state = lab.collect()[CREATE]
    assert state.last_run is not None
    assert state.last_run.detail == "erp: 12 tables"
    assert state.standing is Standing.ON_TIME


def test_the_state_directory_of_the_schedule_is_asked(lab: Lab, tmp_path: Path) -> None:
    lab.install(CREATE, Scheduler.CRON, XDG_STATE_HOME=str(tmp_path / "other"))
    other = History(tmp_path / "other" / "dbtui")
    assert other.begin_command(CREATE) is not None
    assert lab.collect()[CREATE].last_run is not None
    assert lab.collect()[CREATE].standing is Standing.RUNNING


def test_a_crontab_that_cannot_be_read_is_told(lab: Lab) -> None:
    lab.program("crontab", "echo 'dba is not allowed to use this program' >&2; exit 1")
    lab.install(EXPIRE, Scheduler.SYSTEMD)
    assert set(lab.collect()) == {EXPIRE}
    assert any(isinstance(event, Warned) and "not allowed" in event.message for event in lab.events)


def test_the_zone_is_that_of_the_machine(lab: Lab, tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Kolkata")
    offset = datetime(2026, 1, 1, tzinfo=read_zone(lab.context, link)).utcoffset()
    assert str(offset) == "5:30:00"
    lab.context = replace(lab.context, environ={"TZ": "Asia/Tokyo"})
    assert str(read_zone(lab.context, tmp_path / "none")) == "Asia/Tokyo"
