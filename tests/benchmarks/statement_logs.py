"""Logs of an application that uses an ORM, as PostgreSQL (three formats) and MySQL write them, made without a server.

Requests of several sessions are interleaved: each reads a list and then a row for each of it, one statement after the
other, with the texts that SQLAlchemy sends, which have several lines.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_BEGIN_SECONDS = 1_795_359_600.0
_COLUMNS = {
    "post": "id title slug body author_id category_id status views created_at updated_at",
    "comment": "id post_id author_id body status score created_at updated_at",
    "author": "id name email bio avatar_url locale is_active created_at",
    "tag": "id name slug created_at",
}


def _columns(table: str) -> str:
    """The columns of a mapped class as SQLAlchemy labels them."""
    return ", ".join(f"{table}.{column} AS {table}_{column}" for column in _COLUMNS[table].split())


# With their values about 290 bytes in the mean, which is what classes of eight to ten columns come to.
_POSTS = f"SELECT {_columns('post')} \nFROM post ORDER BY post.created_at DESC \n LIMIT {{}}"
_COMMENTS = f"SELECT {_columns('comment')} \nFROM comment \nWHERE {{}} = comment.post_id"
_AUTHOR = f"SELECT {_columns('author')} \nFROM author \nWHERE author.id = {{}}"
_BATCH = (
    f"SELECT post_1.id AS post_1_id, {_columns('tag')} \nFROM post AS post_1 JOIN post_tag AS post_tag_1 "
    "ON post_1.id = post_tag_1.post_id JOIN tag ON tag.id = post_tag_1.tag_id \nWHERE post_1.id IN ({})"
)
_UPDATE = "UPDATE post SET title='Title number {}, it''s new', views={} WHERE post.id = {}"
_NUMBER = re.compile(r"\b\d+\b")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, as every format needs it."""

    session: int
    line: int
    seconds: float
    duration_ms: float
    transaction: str
    command: str
    rows: int
    sql: str


def make_statements(count: int, sessions: int = 8, seed: int = 1) -> Iterator[Statement]:
    """Requests of `sessions` connections, interleaved, until there are `count` statements; the same for every seed."""
    chance = random.Random(seed)
    running = [_request(chance) for _ in range(sessions)]
    lines, transactions = [0] * sessions, [2] * sessions
    now = _BEGIN_SECONDS
    for _ in range(count):
        session = chance.randrange(sessions)
        step = next(running[session], None)
        if step is None:
            running[session] = _request(chance)
            step = next(running[session])
            transactions[session] += 1
        command, rows, sql = step
        lines[session] += 1
        duration = round(chance.expovariate(5), 3)
        now += duration / 2000
        number = 0 if command in ("COMMIT", "ROLLBACK") else transactions[session]
        yield Statement(session, lines[session], now, duration, f"{session + 3}/{number}", command, rows, sql)


def _request(chance: random.Random) -> Iterator[tuple[str, int, str]]:
    """The statements of one web request."""
    posts = chance.choice((1, 5, 12, 20, 50))
    yield "BEGIN", 0, "BEGIN"
    yield "SELECT", posts, _POSTS.format(posts)
    if chance.random() < 0.5:
        for _ in range(posts):
            yield "SELECT", 3, _COMMENTS.format(chance.randrange(1, 1_000_000))
    else:
        yield "SELECT", 3 * posts, _BATCH.format(", ".join(str(chance.randrange(1, 10**6)) for _ in range(posts)))
    if chance.random() < 0.4:
        for _ in range(posts):
            yield "SELECT", 1, _AUTHOR.format(chance.randrange(1, 10_000))
    if chance.random() < 0.2:
        yield "UPDATE", 1, _UPDATE.format(chance.randrange(10**6), chance.randrange(100), chance.randrange(10**6))
    yield "COMMIT", 0, "COMMIT"


class _Clock:
    """Writes times as PostgreSQL does, quickly."""

    def __init__(self) -> None:
        self._second, self._text = 0, ""

    def show(self, seconds: float) -> str:
        second = int(seconds)
        if second != self._second:
            self._second, self._text = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return f"{self._text}.{int(seconds % 1 * 1000):03} UTC"


def _stderr(clock: _Clock, one: Statement) -> str:
    sql = one.sql.replace("\n", "\n\t")
    return (
        f"{clock.show(one.seconds)} [{8000 + one.session}] erp@shop LOG:  duration: {one.duration_ms:.3f} ms  "
        f"statement: {sql}\n"
    )


def _extended(clock: _Clock, one: Statement) -> str:
    """The same as the extended protocol has it: parse, bind and execute, with the values in details."""
    before, where, after = one.sql.partition("WHERE ")
    values = _NUMBER.findall(after)
    numbers = iter(range(1, len(values) + 1))
    sql = (before + where + _NUMBER.sub(lambda _found: f"${next(numbers)}", after)).replace("\n", "\n\t")
    begin = f"{clock.show(one.seconds)} [{8000 + one.session}] erp@shop "
    shown = ", ".join(f"${number} = '{value}'" for number, value in enumerate(values, 1))
    detail = f"{begin}DETAIL:  parameters: {shown}\n" if values else ""
    steps = [
        f"{begin}LOG:  duration: {one.duration_ms / part:.3f} ms  {step} <unnamed>: {sql}\n"
        for step, part in (("parse", 5), ("bind", 3), ("execute", 1))
    ]
    return f"{steps[0]}{steps[1]}{detail}{steps[2]}{detail}"


def _csvlog(clock: _Clock, one: Statement) -> str:
    text = one.sql.replace('"', '""')
    return (
        f'{clock.show(one.seconds)},"erp","shop",{8000 + one.session},"10.0.0.7:5123{one.session}",'
        f'6b030ad7.1f4{one.session},{one.line},"{one.command}",2026-11-22 10:00:00 UTC,{one.transaction},0,LOG,00000,'
        f'"duration: {one.duration_ms:.3f} ms  statement: {text}",,,,,,,,,"erp-api","client backend",,0\n'
    )


def _jsonlog(clock: _Clock, one: Statement) -> str:
    text = one.sql.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return (
        f'{{"timestamp":"{clock.show(one.seconds)}","user":"erp","dbname":"shop","pid":{8000 + one.session},'
        f'"remote_host":"10.0.0.7","remote_port":5123{one.session},"session_id":"6b030ad7.1f4{one.session}",'
        f'"line_num":{one.line},"ps":"{one.command}","session_start":"2026-11-22 10:00:00 UTC",'
        f'"vxid":"{one.transaction}",'
        f'"txid":0,"error_severity":"LOG","message":"duration: {one.duration_ms:.3f} ms  statement: {text}",'
        '"application_name":"erp-api","backend_type":"client backend","query_id":0}\n'
    )


def _slow(_clock: _Clock, one: Statement) -> str:
    return (
        f"# User@Host: erp[erp] @ app1 [10.0.0.7]\n# Thread_id: {40 + one.session}  Schema: shop  QC_hit: No\n"
        f"# Query_time: {one.duration_ms / 1000:.6f}  Lock_time: 0.000010  "
        f"Rows_sent: {one.rows}  Rows_examined: {one.rows}\n"
        f"# Rows_affected: 0  Bytes_sent: 120\nSET timestamp={int(one.seconds)};\n{one.sql};\n"
    )


FORMATS: dict[str, Callable[[_Clock, Statement], str]] = {
    "stderr": _stderr, "extended": _extended, "csvlog": _csvlog, "jsonlog": _jsonlog, "slow": _slow,
}  # fmt: skip
SUFFIXES = {"stderr": "log", "extended": "extended.log", "csvlog": "csv", "jsonlog": "json", "slow": "slow.log"}


def write_logs(directory: Path, count: int, formats: tuple[str, ...] = tuple(FORMATS)) -> dict[str, Path]:
    """Write the same statements in each of `formats`; return the files."""
    paths = {name: directory / f"statements.{SUFFIXES[name]}" for name in formats}
    for name, path in paths.items():
        clock, write = _Clock(), FORMATS[name]
        with path.open("w", buffering=1 << 20) as file:
            file.writelines(write(clock, statement) for statement in make_statements(count))
    return paths
