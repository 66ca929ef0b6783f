"""The bounds that `dbtui partitions apply` makes are those of pg_partman 4.7 (native), from the same start.

Where the two differ, they differ on purpose: each difference is a test of its own, below the ones that are equal.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.analysis.partitions import plan_partitions
from dbtui.config import parse_url
from dbtui.demo.servers import PostgreSQL
from dbtui.model.partitions import StepKind
from dbtui.model.policies import Interval, IntervalUnit, PartitionPolicy
from dbtui.model.tables import TableName
from dbtui.routines.context import RoutineContext
from dbtui.routines.partitions import apply_partitions, plan_partitions_of
from tests.adapters.postgresql_targets import drive, opened
from tests.cli.program import Ran, run
from tests.fix_servers import unique_name

_PREMAKE = 4
_MISSING = (
    "pg_partman is not installed for PostgreSQL 15, which these bounds are compared with:"
    " apt-get install --no-install-recommends postgresql-15-partman"
)
_BOUNDS = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
"""


@pytest.fixture(scope="module")
def partman(postgresql_server: PostgreSQL) -> Iterator[str]:
    """The URL of a database with pg_partman in a schema of its own."""
    found = postgresql_server.execute("SELECT default_version FROM pg_available_extensions WHERE name = 'pg_partman'")
    assert found and found[0][0].startswith("4."), f"{_MISSING} (found {found})"
    name = unique_name("partman")
    postgresql_server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    postgresql_server.execute("CREATE SCHEMA partman", database=name)
    postgresql_server.execute("CREATE EXTENSION pg_partman SCHEMA partman", database=name)
    yield postgresql_server.url(name)
    postgresql_server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@dataclass
class Pair:
    """Two tables alike: `theirs` is kept by pg_partman, `ours` by dbtui. Times are of `zone`."""

    url: str
    folder: Path
    zone: str = "UTC"
    key: str = "timestamptz"
    theirs: str = ""
    ours: str = ""

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT set_config('timezone', %s, false)", [self.zone])
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def create(self) -> None:
        self.theirs, self.ours = unique_name("theirs"), unique_name("ours")
        for name in (self.theirs, self.ours):
            self.run(f"CREATE TABLE {name} (at {self.key} NOT NULL, v int) PARTITION BY RANGE (at)")

    def hand_over(self, interval: str, start: str | None = None, premake: int = _PREMAKE) -> None:
        """Let pg_partman make partitions of `theirs`."""
        self.run(
            "SELECT partman.create_parent(%s, 'at', 'native', %s, p_premake := %s, p_start_partition := %s)",
            f"public.{self.theirs}", interval, premake, start,
        )  # fmt: skip

    def begin_alike(self) -> None:
        """Give `ours` the first partition of `theirs`."""
        bound = min(self.bounds(self.theirs), key=self.begin)
        self.run(f"CREATE TABLE {self.ours}_first PARTITION OF {self.ours} {bound}")

    def begin(self, bound: str) -> Any:
        value = bound.partition("(")[2].partition(")")[0]
        (row,) = self.run(f"SELECT {value}::{self.key}")
        return row[0]

    def names(self, table: str) -> dict[str, str]:
        """The bounds of a table's partitions, and what they are called; the default is left out."""
        return {bound: name for name, bound in self.run(_BOUNDS, table)}

    def bounds(self, table: str) -> set[str]:
        return set(self.names(table))

    def command(self, verb: str, table: str, *words: object) -> Ran:
        return run("partitions", verb, self.url, f"public.{table}", *words, cwd=self.folder)

    def apply(self, interval: str, **words: object) -> None:
        """Bring `ours` to its policy by the command."""
        name = f"public.{self.ours}"
        typed = {"interval": interval, "premake": _PREMAKE, "time-zone": self.zone, "yes": name} | words
        done = self.command(
            "apply", self.ours, *(part for word, value in typed.items() for part in (f"--{word}", value))
        )
        assert done.code == 0, done.stderr

    def apply_directly(self, interval: str, **words: object) -> None:
        """The same without a process of its own: it takes a fifth of the time."""
        profile, table = parse_url(self.url, "pair"), TableName("public", self.ours)
        typed = {"interval": interval, "premake": _PREMAKE, "time_zone": self.zone} | words
        planned = drive(plan_partitions_of(RoutineContext(), profile, table, words=typed))
        result = drive(apply_partitions(RoutineContext(), profile, planned.plan, self.folder / "journals"))
        assert result.left == 0

    def release(self) -> None:
        """Let pg_partman forget its table, and lose all its future partitions but one, and its default."""
        self.run("DELETE FROM partman.part_config WHERE parent_table = %s", f"public.{self.theirs}")
        self.run(f"DROP TABLE {self.theirs}_default")
        names = self.names(self.theirs)
        for bound in sorted(names, key=self.begin)[-_PREMAKE + 1 :]:
            self.run(f'DROP TABLE "{names[bound]}"')

    def hour(self) -> datetime:
        """Both count from now, each from its own: only within one hour are they the same."""
        found: datetime = self.run("SELECT date_trunc('hour', now())")[0][0]
        return found


@pytest.fixture
def pair(partman: str, tmp_path: Path) -> Pair:
    return Pair(partman, tmp_path)


COMMANDED = [
    ("hourly", "1 hour", "timestamptz", "7 hours", "UTC"),
    ("daily", "1 day", "timestamptz", "9 days", "America/New_York"),
    ("weekly", "1 week", "timestamptz", "30 days", "Africa/Cairo"),
    ("monthly", "1 month", "timestamptz", "14 months", "Europe/Moscow"),
    ("yearly", "1 year", "timestamptz", "3 years", "Australia/Lord_Howe"),
]
SAME = [
    *COMMANDED,
    ("hourly", "1 hour", "timestamptz", "7 hours", "Asia/Kathmandu"),
    ("hourly", "1 hour", "timestamp", "7 hours", "UTC"),
    ("daily", "1 day", "date", "9 days", "UTC"),
    ("weekly", "1 week", "timestamp", "30 days", "Asia/Beirut"),
    ("monthly", "1 month", "timestamp", "14 months", "America/Havana"),
    ("quarterly", "1 quarter", "date", "2 years", "UTC"),
    ("yearly", "1 year", "date", "3 years", "UTC"),
    ("6 hours", "6 hours", "timestamptz", "2 days", "UTC"),
    ("10 days", "10 days", "timestamptz", "70 days", "Pacific/Auckland"),
    ("2 weeks", "2 weeks", "timestamptz", "90 days", "UTC"),
    ("2 months", "2 months", "timestamptz", "1 year", "Atlantic/Azores"),
]


@pytest.mark.parametrize("case", SAME, ids=lambda case: f"{case[0]} {case[2]} {case[4]}")
def test_the_same_start_makes_the_same_bounds(pair: Pair, case: tuple[str, str, str, str, str]) -> None:
    theirs, ours, pair.key, ago, pair.zone = case
    for _ in range(2):
        hour = pair.hour()
        pair.create()
        pair.hand_over(theirs, pair.run(f"SELECT (now() - interval '{ago}')::text")[0][0])
        pair.begin_alike()
        if case in COMMANDED:
            pair.apply(ours)
        else:
            pair.apply_directly(ours)
        if pair.hour() == hour:
            break
    made = pair.bounds(pair.ours)
    assert made == pair.bounds(pair.theirs)
    assert len(made) > _PREMAKE


def test_ids_from_the_same_start_are_the_same_as_rows_come(pair: Pair) -> None:
    pair.key = "bigint"
    pair.create()
    pair.hand_over("1000", "0")
    pair.begin_alike()
    pair.apply("1000")
    assert pair.bounds(pair.ours) == pair.bounds(pair.theirs)
    for newest in (2500, 5999, 6000):
        for name in (pair.theirs, pair.ours):
            pair.run(f"INSERT INTO {name} (at) VALUES ({newest})")
        pair.run("SELECT partman.run_maintenance(%s)", f"public.{pair.theirs}")
        pair.apply_directly("1000")
        assert pair.bounds(pair.ours) == pair.bounds(pair.theirs), newest
    assert len(pair.bounds(pair.ours)) == 11


LEFT = [("hourly", "1 hour"), ("daily", "1 day"), ("weekly", "1 week"), ("monthly", "1 month"),
        ("quarterly", "1 quarter"), ("yearly", "1 year")]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), LEFT)
def test_what_pg_partman_has_left_goes_on_with_its_bounds_and_names(pair: Pair, theirs: str, ours: str) -> None:
    """Who has let go of pg_partman finds no break: not in bounds, not in names."""
    pair.zone = "Europe/Moscow"
    for _ in range(2):
        hour = pair.hour()
        pair.create()
        pair.hand_over(theirs)
        before = pair.names(pair.theirs)
        pair.release()
        pair.ours = pair.theirs
        pair.apply_directly(ours)
        if pair.hour() == hour:
            break
    assert pair.names(pair.theirs) == before


def test_what_is_past_retention_is_the_same(pair: Pair) -> None:
    pair.create()
    pair.hand_over("monthly", pair.run("SELECT (now() - interval '14 months')::text")[0][0])
    pair.begin_alike()
    pair.apply_directly("1 month", retention="6 months", archive=str(pair.folder / "archive"))
    pair.run("UPDATE partman.part_config SET retention = '6 months' WHERE parent_table = %s", f"public.{pair.theirs}")
    pair.run("SELECT partman.run_maintenance(%s)", f"public.{pair.theirs}")
    assert pair.bounds(pair.ours) == pair.bounds(pair.theirs)
    assert len(pair.bounds(pair.ours)) == 1 + 6 + _PREMAKE


# ---------------------------------------------------------------- different on purpose


def test_from_nothing_no_past_is_made_and_no_default(pair: Pair) -> None:
    """pg_partman makes as many behind as ahead, and a default; a default keeps partitions from being detached
    concurrently. Names are other ones."""
    pair.create()
    pair.hand_over("daily")
    pair.apply_directly("1 day")
    theirs = sorted(pair.bounds(pair.theirs), key=pair.begin)
    assert pair.bounds(pair.ours) == set(theirs[_PREMAKE:])
    assert len(theirs) == 2 * _PREMAKE + 1
    defaults = pair.run("SELECT count(*) FROM pg_class WHERE relname = %s", f"{pair.theirs}_default")
    assert defaults == [(1,)]
    assert pair.run("SELECT count(*) FROM pg_class WHERE relname = %s", f"{pair.ours}_default") == [(0,)]
    day = pair.run("SELECT now()::date")[0][0]
    assert f"{pair.theirs}_p{day:%Y_%m_%d}" in pair.names(pair.theirs).values()
    assert f"{pair.ours}_y{day:%Ym%md%d}" in pair.names(pair.ours).values()


def test_weeks_of_both_begin_on_monday(pair: Pair) -> None:
    pair.create()
    pair.hand_over("weekly")
    pair.apply_directly("1 week")
    assert pair.bounds(pair.ours) < pair.bounds(pair.theirs)
    for bound in pair.bounds(pair.ours):
        assert pair.begin(bound).isoweekday() == 1


def test_time_is_counted_from_now_and_not_from_the_newest_row(pair: Pair) -> None:
    """A row of the day after tomorrow lets pg_partman make two more; a wrong clock somewhere makes none here."""
    pair.create()
    pair.hand_over("daily")
    pair.begin_alike()
    for name in (pair.theirs, pair.ours):
        pair.apply_directly("1 day")
        pair.run(f"INSERT INTO {name} (at) VALUES (now() + interval '2 days')")
    pair.run("SELECT partman.run_maintenance(%s)", f"public.{pair.theirs}")
    pair.apply_directly("1 day")
    more = pair.bounds(pair.theirs) - pair.bounds(pair.ours)
    assert len(more) == 2
    assert min(map(pair.begin, more)) > max(map(pair.begin, pair.bounds(pair.ours)))


def test_hours_begin_with_those_of_utc(pair: Pair) -> None:
    """In Kathmandu pg_partman's hours begin at a quarter past those of UTC; what is there is continued as it is."""
    pair.zone = "Asia/Kathmandu"
    pair.create()
    pair.hand_over("hourly")
    pair.apply_directly("1 hour")
    assert not pair.bounds(pair.ours) & pair.bounds(pair.theirs)
    minutes = {begin.minute for begin in map(pair.begin, pair.bounds(pair.ours))}
    assert minutes == {45}


def test_ten_days_from_nothing_do_not_depend_on_the_day_they_were_begun(pair: Pair) -> None:
    """pg_partman begins today; here tens are counted from 1970, so that a table made anew next week has the same."""
    pair.create()
    pair.apply_directly("10 days")
    days = [(begin - datetime(1970, 1, 1, tzinfo=UTC)).days for begin in map(pair.begin, pair.bounds(pair.ours))
           ]  # fmt: skip
    assert len(days) == 1 + _PREMAKE
    assert all(day % 10 == 0 for day in days)


def test_less_than_an_hour_is_refused(pair: Pair) -> None:
    pair.create()
    done = pair.command("plan", pair.ours, "--interval", "15 minutes")
    assert done.code == 2
    assert "--interval: “15 minutes” has a unit that partitions are not made by" in done.sentence


def test_what_ends_exactly_where_retention_begins_goes(pair: Pair) -> None:
    """An upper bound is not in its partition: one that ends there holds nothing to be kept. So do ids of pg_partman,
    while its time waits until the end has been passed."""
    pair.create()
    pair.hand_over("monthly", "2026-01-01")
    now = datetime(2026, 6, 1, tzinfo=UTC)
    with opened(pair.url) as target:
        table = PARTITIONS.collect_partitioned_table(target, TableName("public", pair.theirs))
    month = Interval(1, IntervalUnit.MONTH)
    policy = PartitionPolicy(table=table.table, interval=month, retention=month)
    steps = plan_partitions(replace(table, managed_by=""), policy, now).steps
    ours = {step.bound_text for step in steps if step.kind is StepKind.DETACH}
    before = pair.bounds(pair.theirs)
    pair.run(
        "SELECT partman.drop_partition_time(%s, '1 month', p_keep_table := true, p_reference_timestamp := %s)",
        f"public.{pair.theirs}", now,
    )  # fmt: skip
    gone = before - pair.bounds(pair.theirs)
    assert len(gone) == 3
    assert ours - gone == {"FOR VALUES FROM ('2026-04-01 00:00:00+00') TO ('2026-05-01 00:00:00+00')"}
    pair.key = "bigint"
    pair.create()
    pair.hand_over("1000", "0")
    pair.begin_alike()
    pair.apply_directly("1000")
    for name in (pair.theirs, pair.ours):
        pair.run(f"INSERT INTO {name} (at) VALUES (4000)")
    pair.run("UPDATE partman.part_config SET retention = '2000' WHERE parent_table = %s", f"public.{pair.theirs}")
    pair.run("SELECT partman.run_maintenance(%s)", f"public.{pair.theirs}")
    pair.apply_directly("1000", retention="2000", archive=str(pair.folder / "archive"))
    assert pair.bounds(pair.ours) == pair.bounds(pair.theirs)
