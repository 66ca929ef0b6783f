"""The formats of PostgreSQL's log, and how each is told from its first lines."""

import re

from dbtui.adapters.log_parsing import LogKind, LogParser
from dbtui.adapters.postgresql.log_csv import BEGINNING, CsvlogParser
from dbtui.adapters.postgresql.log_json import JsonlogParser
from dbtui.adapters.postgresql.log_prefix_guessing import guess_prefix
from dbtui.adapters.postgresql.log_prefixes import parse_prefix
from dbtui.adapters.postgresql.log_stderr import StderrParser
from dbtui.adapters.postgresql.log_syslog import HEAD, SyslogParser
from dbtui.adapters.postgresql.log_words import find_words
from dbtui.errors import UsageError
from dbtui.model.queries import LogFormat

_CSV_RECORD = re.compile(rf"{BEGINNING}[^\n]*,\d+,[^\n]*,[0-9a-f]+\.[0-9a-f]+,\d+,")
#: A duration with a word that is not in the list of languages.
_TIMED = re.compile(r"[^\W\d_]+:  ?[^\W\d_][^\d\n:]{2,40} ?: \d+\.\d{3} \D{1,8}[ ,]")
_HOW_TO_GIVE = "give it as SHOW log_line_prefix shows it: --prefix '%m [%p] '"


def _is_jsonlog(lines: list[str]) -> bool:
    return any(line.startswith("{") and '"error_severity":' in line and '"message":' in line for line in lines)


def _is_csvlog(lines: list[str]) -> bool:
    return any(_CSV_RECORD.match(line) for line in lines)


def _is_syslog(lines: list[str]) -> bool:
    found = [HEAD.match(line) for line in lines]
    known = [line[head.end() :] for line, head in zip(lines, found, strict=True) if head]
    return 2 * len(known) > len(lines) and guess_prefix(known, find_words(known)) is not None


def _is_stderr(lines: list[str]) -> bool:
    return guess_prefix(lines, find_words(lines)) is not None


def _make_jsonlog(lines: list[str], prefix: str) -> LogParser:  # noqa: ARG001
    parser = JsonlogParser(find_words(lines))
    _remark_on_language(parser, lines)
    return parser


def _make_csvlog(lines: list[str], prefix: str) -> LogParser:  # noqa: ARG001
    parser = CsvlogParser(find_words(lines))
    _remark_on_language(parser, lines)
    return parser


def _make_stderr(lines: list[str], prefix: str) -> LogParser:
    words = find_words(lines)
    found = prefix or guess_prefix(lines, words)
    if found is None:
        raise UsageError("log_line_prefix cannot be told from the first lines", _HOW_TO_GIVE)
    parser = StderrParser(parse_prefix(found), words)
    parser.title = f"{parser.name}, log_line_prefix {found!r}{'' if prefix else ' as guessed'}"
    _remark_on_language(parser, lines)
    return parser


def _make_syslog(lines: list[str], prefix: str) -> LogParser:
    inner = [line[head.end() :] for line in lines if (head := HEAD.match(line))]
    words = find_words(inner)
    found = prefix or guess_prefix(inner, words) or ""
    parser = SyslogParser(found, words)
    parser.title = f"{parser.name}, log_line_prefix {found!r}{'' if prefix else ' as guessed'}"
    _remark_on_language(parser, inner)
    return parser


def _remark_on_language(parser: LogParser, lines: list[str]) -> None:
    text = "\n".join(lines)
    if find_words(lines).is_english and "duration: " not in text and _TIMED.search(text):
        parser.counts.warn(
            "the log's words are in a language that is not known here: set lc_messages = 'C' on the server"
        )


LOG_KINDS = (
    LogKind(LogFormat.JSONLOG, "PostgreSQL jsonlog", _is_jsonlog, _make_jsonlog),
    LogKind(LogFormat.CSVLOG, "PostgreSQL csvlog", _is_csvlog, _make_csvlog),
    LogKind(LogFormat.SYSLOG, "PostgreSQL in syslog", _is_syslog, _make_syslog),
    LogKind(LogFormat.STDERR, "PostgreSQL stderr", _is_stderr, _make_stderr),
)
