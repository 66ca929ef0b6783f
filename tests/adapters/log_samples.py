"""Small logs of every format, as their servers write them, with what is to be read from them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dbtui.adapters.log_parsing import LogParser
from dbtui.adapters.mysql.log_general import GeneralLogParser
from dbtui.adapters.mysql.log_slow import SlowLogParser
from dbtui.adapters.postgresql.log_csv import CsvlogParser
from dbtui.adapters.postgresql.log_json import JsonlogParser
from dbtui.adapters.postgresql.log_prefixes import parse_prefix
from dbtui.adapters.postgresql.log_stderr import StderrParser
from dbtui.adapters.postgresql.log_syslog import SyslogParser
from dbtui.adapters.traces import TraceParser
from dbtui.model.queries import StatementEvent

_FOLDER = Path(__file__).with_name("statement_logs")


class Sample(NamedTuple):
    """A log, and the parser that reads it."""

    text: str
    make: Callable[[], LogParser]


def read_all(parser: LogParser, data: str | bytes) -> list[StatementEvent]:
    """The statements of a log that is given at once."""
    raw = data.encode() if isinstance(data, str) else data
    return [*parser.feed(raw), *parser.finish()]


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def stderr_parser(prefix: str = "%m [%p] %q%u@%d ") -> StderrParser:
    return StderrParser(parse_prefix(prefix))


SAMPLES = {
    "stderr": Sample(_read("stderr.log"), stderr_parser),
    "csvlog": Sample(_read("csvlog.csv"), CsvlogParser),
    "jsonlog": Sample(_read("jsonlog.json"), JsonlogParser),
    "syslog": Sample(_read("syslog.log"), lambda: SyslogParser("%q%u@%d ")),
    "slow log of MariaDB": Sample(_read("slow_mariadb.log"), SlowLogParser),
    "slow log of MySQL": Sample(_read("slow_mysql.log"), SlowLogParser),
    "general log of MariaDB": Sample(_read("general_mariadb.log"), GeneralLogParser),
    "general log of MySQL": Sample(_read("general_mysql.log"), GeneralLogParser),
    "trace": Sample(_read("trace.jsonl"), TraceParser),
}
