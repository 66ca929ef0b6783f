"""PostgreSQL's text log: any log_line_prefix, given or guessed, and other languages than English."""

import gettext
import re
from pathlib import Path

import pytest

from dbtui.adapters.logs import open_log
from dbtui.adapters.postgresql.log_prefix_guessing import guess_prefix
from dbtui.adapters.postgresql.log_prefixes import ESCAPES, parse_prefix
from dbtui.adapters.postgresql.log_stderr import StderrParser
from dbtui.adapters.postgresql.log_words import ENGLISH, LANGUAGES, find_words
from dbtui.errors import UsageError
from dbtui.model.queries import StatementEvent
from tests.adapters.log_samples import read_all

#: log_line_prefix as servers, packages and tools set it.
PREFIXES = [
    "%m [%p] ",
    "%m [%p] %q%u@%d ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t [%p-%l] %q%u@%d ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%m %p %c %v %u %d %a ",
    "%n %p %u@%d ",
    "<%m %u %d %p %r %a>",
    "%m [%p] %l %c %v %q%u@%d %a ",
    "[%p] %c %t ",
    "%c ",
    "%p ",
    "%m|%u|%d|%c|%r|%a|%e|",
    "%t %p %l ",
    "%m pid=%p line=%l vxid=%v xid=%x tag=%i state=%e db=%d user=%u ",
    "time=%m, pid=%p %q db=%d, usr=%u, client=%h , app=%a, line=%l ",
    "%m [%p] %b %Q %q%u@%d ",
    "%m 100%% [%p] ",
    "%s [%p] %m ",
    "%m %-8u %10d [%p] ",
]
_BACKENDS = (
    {"p": "8001", "c": "6b030ad7.1f41", "u": "erp", "d": "shop", "a": "my app 2 - main", "r": "10.0.0.7(51234)"},
    {"p": "8002", "c": "6b030ad8.1f42", "u": "erp", "d": "shop", "a": "psql", "r": "10.0.0.8(51235)"},
    {"p": "8150", "c": "6b030adf.1fd6", "u": "report", "d": "dwh", "a": "[unknown]", "r": "[local]"},
)


def write_prefix(prefix: str, backend: int, line: int, second: int) -> str:
    """What the server would write for a prefix."""
    values = dict(_BACKENDS[backend])
    values |= {"h": values["r"].partition("(")[0], "l": str(line), "v": f"{backend + 3}/{17 + line // 9}", "x": "0"}
    values |= {"i": "SELECT", "e": "00000", "b": "client backend", "P": "", "Q": "-4419024424", "L": "10.0.0.1"}
    values |= {"t": f"2026-11-23 10:00:{second:02} CET", "s": "2026-11-23 09:59:00 CET"}
    values |= {"m": f"2026-11-23 10:00:{second:02}.250 CET", "n": f"{1795424400 + second}.250"}

    def show(found: re.Match[str]) -> str:
        width, escape = int(found[1] or 0), found[2]
        text = {"%": "%", "q": ""}.get(escape) or values.get(escape, "")
        return text.ljust(-width) if width < 0 else text.rjust(width)

    return re.sub(r"%(-?\d*)([A-Za-z%])", show, prefix)


def write_log(prefix: str) -> str:
    """Three sessions and a background process, in turn."""
    lines, counts = [], [0, 0, 0]
    for step in range(60):
        backend = (step // 3) % 3
        counts[backend] += 1
        begin = write_prefix(prefix, backend, counts[backend], step % 60)
        lines.append(f"{begin}LOG:  duration: 0.5{step:02} ms  statement: SELECT {step}\n\tFROM t{backend}\n")
        if step % 20 == 9:
            early = re.sub(r"%-?\d*[udarhvi]", "", prefix.partition("%q")[0] if "%q" in prefix else prefix)
            if "%q" in prefix:
                lines.append(f"{write_prefix(early, 0, 7, step)}LOG:  checkpoint starting: time\n")
    return "".join(lines)


def check(events: list[StatementEvent], prefix: str) -> None:
    assert [event.sql for event in events] == [f"SELECT {n}\nFROM t{n // 3 % 3}" for n in range(60)]
    sessions = [event.session for event in events]
    assert [sessions.index(each) for each in sessions] == [n // 3 % 3 * 3 for n in range(60)]
    if any(escape in prefix for escape in ("%m", "%t", "%n")):
        assert [int(event.ts or 0) for event in events] == [1795424400 + n for n in range(60)]
    assert (events[0].transaction == "3/17") == ("%v" in prefix)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_that_is_given(prefix: str) -> None:
    parser = StderrParser(parse_prefix(prefix))
    events = read_all(parser, write_log(prefix))
    check(events, prefix)
    assert parser.counts.unreadable == 0
    if "%d" in prefix:
        assert [events[0].database, events[6].database] == ["shop", "dwh"]
    if "%a" in prefix:
        assert [events[0].application, events[3].application, events[6].application] == ["my app 2 - main", "psql", ""]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_that_is_guessed(prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(write_log(prefix))
    with open_log(path) as reader:
        events = list(reader)
    check(events, prefix)
    assert reader.report.unreadable == 0, reader.report
    if "@" in prefix or "=" in prefix:
        assert [events[0].database, events[6].database] == ["shop", "dwh"], reader.report.format


@pytest.mark.parametrize("language", [words.language for words in LANGUAGES])
def test_the_words_of_other_languages(language: str, tmp_path: Path) -> None:
    words = next(each for each in LANGUAGES if each.language == language)
    log = "LOG" if "LOG" not in "".join(words.levels) and language not in _LOGS else _LOGS.get(language, "LOG")
    duration = words.duration.replace("(?:실행|수행)", "실행")
    begin = "2026-11-23 10:00:00.250 UTC [7] "
    path = tmp_path / "log"
    path.write_text(
        f"{begin}{log}:  {duration}: 0.512 {words.unit}  {words.statement}: SELECT 1\n\tFROM t\n"
        f"{begin}{log}:  {duration}: 0.001 {words.unit}  {words.execute} <unnamed>: SELECT $1\n"
        f"{begin}{words.detail}:  {words.parameters}: $1 = '5'\n"
        f"{begin}{log}:  {duration}: 0.001 {words.unit}  {words.fetch} <unnamed>: SELECT $1\n"
        f"{begin}{log}:  {words.statement}: SELECT 2\n"
        f"{begin}{log}:  {duration}: 0.002 {words.unit}\n",
        encoding="utf-8",
    )
    with open_log(path) as reader:
        events = list(reader)
    assert [(event.sql, event.duration_ms) for event in events] == [
        ("SELECT 1\nFROM t", 0.512), ("SELECT $1", 0.001), ("SELECT 2", 0.002),
    ]  # fmt: skip
    assert events[1].params == ("5",)
    assert reader.report.unreadable == 0


_LOGS = {"Russian": "СООБЩЕНИЕ", "Ukrainian": "ЗАПИСУВАННЯ", "Korean": "로그", "Swedish": "LOGG", "Chinese": "日志"}


def test_the_words_are_those_of_the_servers_own_catalogues() -> None:
    """Where this machine has them: the message catalogues that the server itself takes its words from."""
    codes = {"de": "German", "es": "Spanish", "fr": "French", "it": "Italian", "ja": "Japanese", "ko": "Korean"}
    codes |= {"ru": "Russian", "sv": "Swedish", "uk": "Ukrainian", "zh_CN": "Chinese"}
    for path in sorted(Path("/usr/share/locale").glob("*/LC_MESSAGES/postgres-1[0-9].mo")):
        language = codes.get(path.parts[4])
        if language is None:
            continue
        words = next(each for each in LANGUAGES if each.language == language)
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)
        said = catalogue.gettext("duration: %s ms  statement: %s") % ("0.512", "SELECT 1")
        found = re.match(f"{words.message}(.*)", said)
        assert found
        assert found.groups() == ("0.512", words.statement, "SELECT 1"), path
        executed = catalogue.gettext("duration: %s ms  %s %s%s%s: %s")
        said = executed % ("0.512", catalogue.gettext("execute"), "s1", "", "", "SELECT 1")
        found = re.match(f"{words.message}(.*)", said)
        assert found, path
        assert (found[1], found[3]) == ("0.512", "SELECT 1"), (path, said)
        assert found[2].startswith(words.execute), (path, said)
        assert not found[2].startswith(words.fetch), (path, said)


def test_an_unknown_language_is_remarked_upon(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("2026-11-23 10:00:00.250 UTC [7] LOG:  kesto: 0.512 ms  lauseke: SELECT 1\n" * 3)
    with open_log(path) as reader:
        assert list(reader) == []
    assert "lc_messages = 'C'" in reader.report.warnings[0]


def test_without_sessions_in_the_prefix_a_warning_says_so() -> None:
    parser = StderrParser(parse_prefix("%m "))
    events = read_all(parser, "2026-11-23 10:00:00.250 UTC LOG:  duration: 0.512 ms  statement: SELECT 1\n")
    assert [event.session for event in events] == [""]
    assert "neither %p nor %c" in parser.counts.warnings[0]


def test_every_escape_of_the_manual_is_known() -> None:
    assert set(ESCAPES) == set("audrhbLpPtmnieclsvxQ")
    assert parse_prefix("%%%q%p").pattern == r"%(?:(\d+))?"
    for wrong in ("%y", "%", "%5"):
        with pytest.raises(UsageError, match="does not know"):
            parse_prefix(f"%m {wrong}")


def test_ambiguous_and_unknown_zones_are_remarked_upon() -> None:
    parser = StderrParser(parse_prefix("%m [%p] "))
    text = "2026-11-23 10:00:00.250 {} [7] LOG:  duration: 0.512 ms  statement: SELECT 1\n"
    events = read_all(parser, "".join(text.format(zone) for zone in ("UTC", "+0530", "-03", "CST", "XYZT")))
    assert [event.ts and event.ts - 1795428000.25 for event in events] == [0, -19800, 10800, 21600, 0]
    assert [each.split(" ")[3] for each in parser.counts.warnings] == ["CST", "XYZT"]


def test_no_prefix_is_guessed_from_prose() -> None:
    lines = ["Once upon a time there was a LOG", "ERROR: no such thing", "the end"]
    assert guess_prefix(lines[:1], ENGLISH) is None
    assert find_words(lines) is ENGLISH
