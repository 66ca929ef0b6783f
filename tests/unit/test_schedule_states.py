"""Schedules read back from a crontab and from units, and judged by what ran."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.adapters.liveness import format_process, is_alive
from dbtui.analysis.schedule_lines import find_lines, read_units, take_out_lines
from dbtui.analysis.schedule_states import assess_schedule, find_profile
from dbtui.analysis.schedules import name_schedule, put_line, write_texts
from dbtui.config import parse_url
from dbtui.history import History
from dbtui.model.schedules import CommandRun, Every, InstalledSchedule, Schedule, Standing

WORDS = ("backup", "create", "erp", "--dir", "/srv/100 % $HOME 'x'")
ENVIRON = (("DBTUI_CONFIG", "/etc/my %config.toml"),)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ERP = replace(parse_url("postgresql://erp@db1:5432/erp_live"), name="erp")
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


def texts_of(*words: str, every: Every = Every.DAY) -> tuple[str, str, str, str]:
    made = Schedule(argv=("/usr/bin/dbtui", *words), directory="/srv/db a", every=every, environ=ENVIRON)
    texts = write_texts(made, words)
    return texts.name, texts.cron_line, texts.service, texts.timer


@given(st.lists(printable, min_size=1, max_size=4).filter(lambda words: words[0] != ""))
def test_what_was_written_is_read_back(words: list[str]) -> None:
    name, line, service, timer = texts_of("history", *words)
    (read,) = find_lines(f"MAILTO=dba\n{line}\n0 1 * * * true\n")
    units = read_units(name, "/u", timer, service)
    for found in (read, units):
        assert (found.name, found.problem) == (name, "")
        assert (found.directory, found.environ) == ("/srv/db a", ENVIRON)
        if not any(word[:1] in "<>|&;0123456789" for word in words):
            assert found.words == ("history", *words)
        assert len(found.timings) == 1


def test_python_that_runs_the_module_is_known_too() -> None:
    made = Schedule(argv=("/venv/bin/python", "-m", "dbtui", *WORDS), directory="/srv/dbtui")
    (read,) = find_lines(write_texts(made, WORDS).cron_line)
    assert read.words == WORDS


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("15 3 * * *", "99 3 * * *", "when it runs cannot be read"),
        ("15 3 * * *", "@reboot", "when it runs cannot be read"),
        ("15 3", "# 15 3", "commented out"),
        ("/usr/bin/dbtui", "/usr/bin/true", "does not run dbtui any more"),
        ("dbtui backup", "dbtui 'backup", "a quote is left open"),
    ],
)
def test_a_line_changed_by_hand_is_shown_as_unreadable(old: str, new: str, problem: str) -> None:
    line = texts_of("backup", "create", "erp")[1]
    (read,) = find_lines(line.replace(old, new, 1))
    assert problem in read.problem
    state = assess_schedule(read, (), (), NOW, UTC)
    assert state.standing is Standing.UNREADABLE
    assert state.standing.is_trouble


@pytest.mark.parametrize(
    ("old", "new"),
    [("15 3 * * *", "*/20 1-5 * * mon"), (" # dbtui", " >>/var/log/x 2>&1 # dbtui"), ("/usr/bin/dbtui", "nice dbtui"),
     ("&& DBTUI", "&&  TZ=UTC DBTUI")],
)  # fmt: skip
def test_a_line_changed_by_hand_is_read_as_far_as_it_can_be(old: str, new: str) -> None:
    line = texts_of("backup", "create", "erp")[1]
    assert old in line
    (read,) = find_lines(line.replace(old, new, 1) + "  ")
    assert (read.problem, read.words) == ("", ("backup", "create", "erp"))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("OnCalendar=", "OnCalendar=sometimes ", "cannot be read"),
        ("OnCalendar=", "OnBootSec=5min\nOnCalendar=", "by OnBootSec"),
        ("OnCalendar", "#OnCalendar", "by no OnCalendar"),
    ],
)
def test_a_timer_changed_by_hand_is_shown_as_unreadable(old: str, new: str, problem: str) -> None:
    name, _, service, timer = texts_of("backup", "create", "erp")
    assert problem in read_units(name, "/u", timer.replace(old, new), service).problem
    assert "is gone" in read_units(name, "/u", None, service).problem
    assert "is gone" in read_units(name, "/u", timer, None).problem
    two = service.replace("UMask", "ExecStart=/bin/true\nUMask")
    assert "more than one" in read_units(name, "/u", timer, two).problem


def test_only_the_line_is_taken_out() -> None:
    name, line, _, _ = texts_of("backup", "create", "erp")
    other = texts_of("doctor")[1]
    rest = f"# mine\r\nMAILTO=dba \n\n\t0 1 * * * true \x0c\n{other}\n\n#end without a newline"
    for crontab in (f"{line}\n{rest}", rest.replace("\n\n\t", f"\n{line}\n\n\t"), f"{rest}\n{line}"):
        left, taken = take_out_lines(crontab, name)
        assert left == rest
        assert taken == (line,)
    assert take_out_lines(rest, name) == (rest, ())
    assert take_out_lines(put_line(rest + "\n", write_texts(Schedule(argv=("dbtui", "x"), directory="/"), ["x"])),
                          name_schedule(["x"]))[0] == rest + "\n"  # fmt: skip


# ---------------------------------------------------------------- judged


def daily(**changes: object) -> InstalledSchedule:
    _, line, _, _ = texts_of("backup", "create", "erp")
    (read,) = find_lines(line)
    return replace(read, **changes)  # type: ignore[arg-type]


def run(hours_ago: float, code: int | None = 0, *, alive: bool = False, minutes: float = 5) -> CommandRun:
    began = NOW - timedelta(hours=hours_ago)
    ended = None if code is None else began + timedelta(minutes=minutes)
    return CommandRun(words=WORDS, began_at=began, ended_at=ended, exit_code=code, is_alive=alive, detail="said")


@pytest.mark.parametrize(
    ("runs", "standing", "reason"),
    [
        ([run(9)], Standing.ON_TIME, ""),
        ([run(26.3)], Standing.ON_TIME, ""),
        ([run(26.5)], Standing.OVERDUE, "no success for 1 d 2 h; it should run every 1 d"),
        ([run(1, 4), run(9)], Standing.ON_TIME, "the last run ended with exit code 4: said"),
        ([run(1, 4), run(60)], Standing.OVERDUE, "the last run ended with exit code 4: said"),
        ([run(1, None), run(60)], Standing.OVERDUE, "was killed, or the machine went down"),
        ([run(1, None, alive=True), run(60)], Standing.RUNNING, ""),
        ([run(50, None, alive=True), run(80)], Standing.OVERDUE, "no success for 3 d 8 h"),
        ([], Standing.OVERDUE, "it never ran, as far as is known"),
        ([run(3, 1)], Standing.OVERDUE, "it never succeeded"),
    ],
)
def test_what_became_of_a_daily_one(runs: list[CommandRun], standing: Standing, reason: str) -> None:
    state = assess_schedule(daily(), runs, [ERP], NOW, BERLIN)
    assert state.standing is standing
    assert reason in state.reason
    assert bool(reason) == bool(state.reason)
    assert (state.profile, state.database) == ("erp", "erp_live")
    assert state.next_run_at == datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
    assert state.last_run == (runs[0] if runs else None)


@pytest.mark.parametrize(
    ("installed_hours_ago", "standing"), [(3, Standing.WAITING), (11, Standing.OVERDUE), (50, Standing.OVERDUE)]
)
def test_what_was_installed_since_is_waiting(installed_hours_ago: float, standing: Standing) -> None:
    """It is noon in London; it is due at 3:15 in Berlin, and a tenth of a day is its grace."""
    schedule = daily(installed_at=NOW - timedelta(hours=installed_hours_ago))
    assert assess_schedule(schedule, (), (), NOW, BERLIN).standing is standing


def test_what_is_not_enabled_says_what_to_type() -> None:
    name, _, service, timer = texts_of("backup", "create", "erp")
    schedule = replace(read_units(name, "/u", timer, service), is_enabled=False)
    state = assess_schedule(schedule, (), (), NOW, UTC)
    assert state.standing is Standing.OVERDUE
    assert state.next_run_at is None
    assert f"systemctl --user enable --now {name}.timer" in state.reason


def test_a_weekend_is_no_silence() -> None:
    _, line, _, _ = texts_of("backup", "create", "erp")
    (read,) = find_lines(line.replace("15 3 * * *", "15 3 * * mon-fri"))
    sunday = datetime(2026, 11, 22, 12, tzinfo=UTC)
    friday = CommandRun(words=WORDS, began_at=datetime(2026, 11, 20, 3, 15, tzinfo=UTC), exit_code=0)
    assert assess_schedule(read, [friday], (), sunday, UTC).standing is Standing.ON_TIME
    tuesday = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert assess_schedule(read, [friday], (), tuesday, UTC).standing is Standing.OVERDUE


def test_the_profile_of_latest_is_known() -> None:
    assert find_profile(["backup", "verify", "latest:erp", "--restore"], [ERP]) is ERP
    assert find_profile(["backup", "verify", "latest"], [ERP]) is None
    assert find_profile(["erp"], [ERP]) is None


# ---------------------------------------------------------------- what is remembered


def test_runs_of_these_words_are_remembered(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert history.command_runs(WORDS) == ()
    first = history.begin_command(WORDS)
    other = history.begin_command(["doctor"])
    assert first is not None
    assert other is not None
    (now,) = history.command_runs(WORDS)
    assert (now.words, now.is_alive, now.exit_code, now.seconds) == (WORDS, True, None, None)
    history.end_command(first, 4, "password=secret is wrong")
    second = history.begin_command(WORDS)
    assert second is not None
    history.end_command(second, 0, "done")
    runs = history.command_runs(WORDS)
    assert [run.exit_code for run in runs] == [0, 4]
    assert runs[1].detail == "password=*** is wrong"
    assert not any(run.is_alive for run in runs)
    assert history.warnings == []


def test_a_process_is_told_from_another_of_its_number() -> None:
    mine = format_process(os.getpid())
    assert is_alive(mine)
    number, began, boot = mine.split(" ")
    assert not is_alive(f"{number} {int(began) + 1} {boot}")
    assert not is_alive(f"{number} {began} another-boot")
    assert not is_alive("nonsense")
