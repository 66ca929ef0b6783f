"""Cron lines and units: the shell and systemd see the very words again."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.analysis.schedules import name_schedule, parse_at, put_line, write_texts
from dbtui.errors import UsageError
from dbtui.model.schedules import Every, Schedule

WORDS = ("partitions", "apply", "erp", "public.audit_logs", "--yes", "public.audit_logs")


def schedule(*words: str, every: Every = Every.DAY) -> Schedule:
    return Schedule(argv=("/usr/bin/dbtui", *words), directory="/srv/db a", every=every, hour=3, minute=5)


@pytest.mark.parametrize(
    ("every", "cron", "calendar"),
    [
        (Every.HOUR, "5 * * * * ", "*-*-* *:05:00"),
        (Every.DAY, "5 3 * * * ", "*-*-* 03:05:00"),
        (Every.WEEK, "5 3 * * 1 ", "Mon *-*-* 03:05:00"),
        (Every.MONTH, "5 3 1 * * ", "*-*-01 03:05:00"),
    ],
)
def test_cron_and_systemd_say_the_same(every: Every, cron: str, calendar: str) -> None:
    texts = write_texts(schedule(*WORDS, every=every), WORDS)
    assert texts.cron_line.startswith(cron)
    assert f"OnCalendar={calendar}\n" in texts.timer
    assert "Persistent=true\n" in texts.timer
    assert "WorkingDirectory=/srv/db a\n" in texts.service
    assert f"ExecStart=/usr/bin/dbtui {' '.join(WORDS)}\n" in texts.service


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)


@given(st.lists(printable, min_size=1, max_size=4))
def test_the_shell_of_cron_sees_the_words_again(words: list[str]) -> None:
    line = write_texts(schedule(*words), words).cron_line
    assert "\n" not in line
    assert not re.search(r"(?<!\\)%", line)
    command = line.split(" ", 5)[5].replace(r"\%", "%")
    seen = shlex.split(command, comments=True)
    assert seen[:4] == ["cd", "/srv/db a", "&&", "/usr/bin/dbtui"]
    assert seen[4:] == words


def test_a_real_shell_sees_them_too(tmp_path: Path) -> None:
    words = ["a b", "100%", "$HOME", "`id`", "it's", '"', "\\", "#no", "*"]
    made = Schedule(argv=("printf", r"%s\n", *words), directory=str(tmp_path))
    command = write_texts(made, words).cron_line.split(" ", 5)[5].replace(r"\%", "%")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.splitlines() == words


def test_systemd_sees_no_specifier_and_no_variable() -> None:
    service = write_texts(schedule("a b", "50%", "$x", 'say "hi"', "", "c\\d"), ["a"]).service
    assert r'ExecStart=/usr/bin/dbtui "a b" 50%% "$$x" "say \"hi\"" "" "c\\d"' in service


def test_the_environment_comes_along() -> None:
    made = Schedule(argv=("dbtui",), directory="/", environ=(("DBTUI_CONFIG", "/etc/my config.toml"),))
    texts = write_texts(made, ["x"])
    assert "&& DBTUI_CONFIG='/etc/my config.toml' dbtui" in texts.cron_line
    assert 'Environment="DBTUI_CONFIG=/etc/my config.toml"\n' in texts.service


def test_the_same_words_have_the_same_name_and_others_another() -> None:
    assert name_schedule(WORDS) == name_schedule(list(WORDS))
    assert name_schedule(WORDS).startswith("dbtui-partitions-apply-erp-public.audit_logs-")
    assert name_schedule(["a", "b c"]) != name_schedule(["a b", "c"])


def test_a_line_is_put_into_a_crontab_once() -> None:
    texts = write_texts(schedule(*WORDS), WORDS)
    later = write_texts(schedule(*WORDS, every=Every.WEEK), WORDS)
    other = write_texts(schedule("doctor"), ["doctor"])
    crontab = put_line(put_line("MAILTO=dba\n0 1 * * * true\n", texts), other)
    assert put_line(crontab, texts).splitlines().count(texts.cron_line) == 1
    lines = put_line(crontab, later).splitlines()
    assert lines == ["MAILTO=dba", "0 1 * * * true", other.cron_line, later.cron_line]


def test_what_cannot_stand_in_a_line_is_refused() -> None:
    with pytest.raises(UsageError, match="line break"):
        write_texts(schedule("a\nb"), ["a\nb"])


@pytest.mark.parametrize("text", ["", "3", "24:00", "12:60", "3:5", "03:15:00", "٠٣:١٥"])
def test_what_is_no_time_of_day(text: str) -> None:
    with pytest.raises(UsageError, match="no time of day"):
        parse_at(text)


def test_times_of_day() -> None:
    assert (parse_at("03:15"), parse_at("4:05"), parse_at("23:59")) == ((3, 15), (4, 5), (23, 59))
