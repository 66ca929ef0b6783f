"""What people partition by, and what their tables carry, on a real PostgreSQL: keys of every kind, brought to a policy.

Many are scenarios of pg_partman's own tests, with what is expected here.
"""

import re
from itertools import pairwise
from pathlib import Path

import psycopg2
import pytest

from dbtui.model.partitions import StepKind
from dbtui.model.tables import TableName
from tests.routines.partition_scene import Scene


@pytest.fixture
def scene(postgresql_database: str, tmp_path: Path) -> Scene:
    return Scene(postgresql_database, tmp_path)


# ---------------------------------------------------------------- numbers


def test_ids_are_made_ahead_of_the_newest_row(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (id int NOT NULL, v int) PARTITION BY RANGE (id)",
              "CREATE TABLE logs_p0 PARTITION OF logs FOR VALUES FROM (0) TO (10)",
              "CREATE TABLE logs_p10 PARTITION OF logs FOR VALUES FROM (10) TO (20)",
              "INSERT INTO logs SELECT generate_series(1, 9)")  # fmt: skip
    scene.words = {"interval": "10", "premake": 4}
    scene.apply()
    assert scene.numbers() == [(low, low + 10) for low in range(0, 50, 10)]
    scene.run("INSERT INTO logs SELECT generate_series(10, 25)")
    scene.apply()
    assert scene.numbers() == [(low, low + 10) for low in range(0, 70, 10)]
    assert set(scene.bounds()) == {f"logs_p{low}" for low in range(0, 70, 10)}


@pytest.mark.parametrize("kind", ["smallint", "bigint", "numeric"])
def test_ids_that_begin_at_five_go_on_at_five_and_gaps_are_filled_once(scene: Scene, kind: str) -> None:
    scene.run(f"CREATE TABLE logs (id {kind} NOT NULL) PARTITION BY RANGE (id)",
              "CREATE TABLE a PARTITION OF logs FOR VALUES FROM (5) TO (15)",
              "CREATE TABLE b PARTITION OF logs FOR VALUES FROM (15) TO (25)",
              "CREATE TABLE c PARTITION OF logs FOR VALUES FROM (55) TO (65)",
              "INSERT INTO logs VALUES (5), (56)", "ANALYZE")  # fmt: skip
    scene.words = {"interval": "10", "premake": 2}
    assert scene.kinds() == [StepKind.CREATE] * 5
    scene.apply()
    assert scene.numbers() == [(low, low + 10) for low in range(5, 85, 10)]


def test_ids_are_kept_by_their_distance_from_the_newest(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (id bigint NOT NULL, v text) PARTITION BY RANGE (id)",
              *(f"CREATE TABLE logs_{low} PARTITION OF logs FOR VALUES FROM ({low}) TO ({low + 100})"
                for low in range(0, 600, 100)),
              "INSERT INTO logs SELECT i, 'row' FROM generate_series(0, 420) i")  # fmt: skip
    scene.apply(interval="100", premake=1, retention="200", archive=str(scene.folder / "archive"))
    assert scene.numbers() == [(low, low + 100) for low in range(200, 600, 100)]
    assert scene.run("SELECT min(id) FROM logs") == [(200,)]
    assert len(list((scene.folder / "archive").glob("*.manifest.json"))) == 2


# ---------------------------------------------------------------- times in other clothes

EPOCHS = {"epoch s": 1, "epoch ms": 1000, "epoch us": 1000000, "epoch ns": 1000000000}


@pytest.mark.parametrize("codec", EPOCHS)
@pytest.mark.parametrize("interval", ["1 week", "1 month"])
def test_epochs_have_a_calendar(scene: Scene, codec: str, interval: str) -> None:
    """In the zone that is asked for; rows of now and of the last moment ahead have their partition."""
    scene.run("CREATE TABLE logs (at bigint NOT NULL) PARTITION BY RANGE (at)")
    scene.words = {"interval": interval, "codec": codec, "time_zone": "America/New_York", "premake": 3}
    scene.apply()
    numbers = scene.numbers()
    assert all(first[1] == second[0] for first, second in pairwise(numbers))
    assert len(numbers) == 4
    unit = interval.removeprefix("1 ")
    local = f"to_timestamp(at / {EPOCHS[codec]}) AT TIME ZONE 'America/New_York'"
    scene.run(f"INSERT INTO logs VALUES ((extract(epoch FROM now())::numeric * {EPOCHS[codec]})::bigint)",
              f"INSERT INTO logs VALUES ({numbers[-1][1] - 1}), ({numbers[-1][0]}), ({numbers[0][0]})")  # fmt: skip
    begins = scene.run(f"SELECT at FROM logs WHERE {local} = date_trunc('{unit}', {local})")
    assert {at for (at,) in begins} >= {numbers[0][0], numbers[-1][0]}


UUID7 = ("CREATE FUNCTION uuid_at(t timestamptz, rest text) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$ SELECT"
         " (lpad(to_hex((extract(epoch FROM t) * 1000)::bigint), 12, '0') || rest)::uuid $$")  # fmt: skip
LOWEST, HIGHEST = "70008000000000000000", "7fffbfffffffffffffff"


def test_uuids_of_version_seven_have_days(scene: Scene) -> None:
    """The first and the last UUID of a day are in its partition; one of version 4 has none, and blocks no plan."""
    scene.run(UUID7, "CREATE TABLE logs (id uuid NOT NULL) PARTITION BY RANGE (id)",
              "CREATE TABLE logs_rest PARTITION OF logs DEFAULT",
              "INSERT INTO logs VALUES ('ffffffff-0000-4000-8000-000000000000')")  # fmt: skip
    scene.words = {"interval": "1 day", "codec": "uuid7", "premake": 2}
    scene.apply()
    assert len(scene.bounds()) == 4
    day = "date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
    for number in range(3):
        begin = f"{day} + interval '{number} days'"
        scene.run(f"INSERT INTO logs VALUES (uuid_at({begin}, '{LOWEST}')),"
                  f" (uuid_at({begin} + interval '1 day' - interval '1 millisecond', '{HIGHEST}'))")  # fmt: skip
        ends = f"id >= uuid_at({begin}, '{LOWEST}') AND id < uuid_at({begin} + interval '1 day', '{LOWEST}')"
        (name,) = scene.partition_of(ends)
        assert name != "logs_rest"
        assert scene.run(f'SELECT count(*) FROM "{name}"') == [(2,)]
    assert scene.run("SELECT count(*) FROM logs_rest") == [(1,)]
    middle = sorted(name for name in scene.bounds() if name != "logs_rest")[1]
    scene.run(f'DROP TABLE "{middle}"')
    scene.apply()
    assert middle in scene.bounds()


def test_months_of_moscow_are_continued_from_a_session_in_utc(scene: Scene) -> None:
    scene.run("SET timezone = 'Europe/Moscow'",
              "CREATE TABLE logs (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
              "DO $$ DECLARE first timestamptz := date_trunc('month', now() - interval '2 months'); BEGIN EXECUTE"
              " format('CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (%L) TO (%L)', first,"
              " first + interval '1 month'); END $$")  # fmt: skip
    refused = scene.plan(interval="1 month", time_zone="UTC")
    assert not refused.steps
    assert "Europe/Moscow" in refused.refusals[0] or "midnight" in refused.refusals[0]
    scene.apply(interval="1 month", time_zone="Europe/Moscow", premake=2)
    assert len(scene.bounds()) == 5
    assert all(re.findall(r"(\d\d):00:00\+00", bound) == ["21", "21"] for bound in scene.bounds().values())
    assert scene.plan(premake=2).steps == ()  # without a policy what is there tells its zone


def test_months_from_the_fifteenth_stay_on_the_fifteenth(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (at date NOT NULL) PARTITION BY RANGE (at)",
              "CREATE TABLE a PARTITION OF logs FOR VALUES FROM ('2026-01-15') TO ('2026-02-15')")  # fmt: skip
    scene.apply(interval="1 month")
    assert all(bound.count("-15'") == 2 for bound in scene.bounds().values())


@pytest.mark.parametrize(
    "key", ["RANGE (to_char(at, 'YYYYMM'))", "RANGE ((extract(julian FROM at)))", "RANGE (v)", "RANGE (at, v)"]
)
def test_keys_without_an_order_that_is_known_are_shown_and_refused(scene: Scene, key: str) -> None:
    scene.run("CREATE FUNCTION to_char(date, text) RETURNS text IMMUTABLE LANGUAGE sql AS"
              " $$ SELECT pg_catalog.to_char($1::timestamp, $2) $$",
              "SET search_path = public, pg_catalog",
              f"CREATE TABLE logs (at date, v text) PARTITION BY {key}")  # fmt: skip
    plan = scene.plan(interval="1 month")
    assert (plan.steps, len(plan.refusals)) == ((), 1)
    assert "by hand" in plan.refusals[0]


def test_rows_at_the_end_of_time_are_in_nobodys_way(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
              "CREATE TABLE rest PARTITION OF logs DEFAULT",
              "INSERT INTO logs VALUES ('infinity'), ('-infinity')")  # fmt: skip
    assert set(scene.kinds(interval="1 day")) == {StepKind.CREATE}
    scene.apply(interval="1 day")
    assert scene.run("SELECT count(*) FROM rest") == [(2,)]


# ---------------------------------------------------------------- lists and hashes


def test_every_tenant_gets_a_partition_and_null_keeps_its_own(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (tenant text, v int) PARTITION BY LIST (tenant)",
              "CREATE TABLE logs_none PARTITION OF logs FOR VALUES IN (NULL, 'it''s')")  # fmt: skip
    scene.apply(values=["it's", "Acme", "acme", "Zürich; DROP TABLE logs"])
    assert len(scene.bounds()) == 4
    scene.run("INSERT INTO logs VALUES (NULL), ('Acme'), ('acme'), ('it''s'), ('Zürich; DROP TABLE logs')")
    with pytest.raises(psycopg2.errors.CheckViolation):
        scene.run("INSERT INTO logs VALUES ('nobody')")


def test_numbers_of_a_list(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (id int) PARTITION BY LIST (id)", "CREATE TABLE a PARTITION OF logs FOR VALUES IN (1)")
    scene.apply(values=["1", "2", "-3"])
    assert sorted(scene.bounds().values()) == [f"FOR VALUES IN ({value})" for value in ("'-3'", "1", "2")]


def test_a_hash_is_completed_so_that_every_row_has_a_place(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (id int) PARTITION BY HASH (id)",
              "CREATE TABLE a PARTITION OF logs FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
              "CREATE TABLE b PARTITION OF logs FOR VALUES WITH (MODULUS 8, REMAINDER 3)")  # fmt: skip
    scene.apply()
    scene.run("INSERT INTO logs SELECT generate_series(1, 1000)")
    assert len(scene.bounds()) == 5


# ---------------------------------------------------------------- what tables carry

_CARRIED = """
SELECT 'constraint', contype::text, pg_get_constraintdef(oid), '' FROM pg_constraint WHERE conrelid = '{0}'::regclass
UNION ALL SELECT 'index', '', regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', ''), indisunique::text
  FROM pg_index WHERE indrelid = '{0}'::regclass
UNION ALL SELECT 'trigger', tgname, tgtype::text, tgenabled::text
  FROM pg_trigger WHERE tgrelid = '{0}'::regclass AND NOT tgisinternal
UNION ALL SELECT 'column', attname, concat_ws(' ', attnotnull, atthasdef, attidentity, attgenerated, attstorage),
  concat_ws(' ', attcompression, attstattarget)
  FROM pg_attribute WHERE attrelid = '{0}'::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY 1, 2, 3, 4
"""


def test_a_new_partition_carries_what_its_siblings_do(scene: Scene) -> None:
    """Keys, foreign keys, checks, triggers, defaults, generated columns, statistics: as PARTITION OF makes them."""
    scene.run(
        "CREATE TABLE orgs (id int PRIMARY KEY)",
        "INSERT INTO orgs VALUES (1)",
        "CREATE TABLE logs (id bigint GENERATED BY DEFAULT AS IDENTITY, at timestamptz NOT NULL, org int REFERENCES"
        " orgs ON DELETE CASCADE, v int DEFAULT 7 CHECK (v > 0), w int GENERATED ALWAYS AS (v * 2) STORED,"
        " t text COMPRESSION pglz, PRIMARY KEY (id, at), UNIQUE (org, at)) PARTITION BY RANGE (at)",
        "ALTER TABLE logs ALTER t SET STORAGE EXTERNAL, ALTER v SET STATISTICS 500",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.t := ''noted''; RETURN NEW; END'",
        "CREATE TRIGGER noting BEFORE INSERT ON logs FOR EACH ROW EXECUTE FUNCTION note()",
        "CREATE INDEX ON logs (lower(t)) WHERE v > 1",
    )
    scene.words = {"interval": "1 month", "premake": 1}
    scene.apply()
    scene.run("CREATE TABLE sibling PARTITION OF logs FOR VALUES FROM ('0001-01-01') TO ('0002-01-01')")
    names = [name for name in scene.bounds() if name != "sibling"]
    for name in names:
        assert scene.run(_CARRIED.format(name)) == scene.run(_CARRIED.format("sibling"))
    scene.run("INSERT INTO logs (at, org) VALUES (now(), 1)")
    assert scene.run("SELECT id > 0, v, w, t FROM logs") == [(True, 7, 14, "noted")]
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        scene.run(f"INSERT INTO {names[0]} (id, at, org) SELECT 5, at, 2 FROM logs")


def test_an_owner_without_any_other_right_and_without_a_search_path(scene: Scene) -> None:
    login = f"owner_{scene.url.rpartition('/')[2]}"
    database = scene.url.rpartition("/")[2]
    scene.run(
        f"CREATE ROLE {login} LOGIN PASSWORD 'x'",
        f"GRANT CONNECT ON DATABASE {database} TO {login}",
        "CREATE SCHEMA own",
        f"GRANT USAGE ON SCHEMA own TO {login}",
        "CREATE TABLE own.logs (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        f"ALTER TABLE own.logs OWNER TO {login}",
        "ALTER TABLE own.logs ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE own.logs FORCE ROW LEVEL SECURITY",
        f"ALTER ROLE {login} SET search_path = ''",
        f"ALTER ROLE {login} SET datestyle = 'SQL, DMY'",
        f"ALTER ROLE {login} SET timezone = 'Asia/Kathmandu'",
    )
    address = scene.url.rpartition("@")[2]
    own = Scene(f"postgresql://{login}:x@{address}", scene.folder, TableName("own", "logs"),
                {"interval": "1 day", "premake": 2})  # fmt: skip
    try:
        result = own.apply_partly()
        assert [each.outcome.value for each in result.results] == ["failed"]
        assert "permission denied for schema own" in result.results[0].detail
        scene.run(f"GRANT CREATE ON SCHEMA own TO {login}")
        own.apply()
        scene.table = own.table
        assert len(scene.bounds()) == 3
        owners = scene.run("SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname ~ '^logs_'")
        assert owners == [(login,)]
    finally:
        scene.run(f"DROP OWNED BY {login}", f"DROP ROLE {login}")


@pytest.mark.parametrize("stem", ["a" * 63, "tägliche Einträge " * 3, 'Up "er; --' * 6], ids=["long", "wide", "odd"])
def test_hours_of_a_long_name_stay_apart_within_63_bytes(scene: Scene, stem: str) -> None:
    name = stem.encode()[:63].decode("utf-8", "ignore")
    scene.table = TableName("public", name)
    scene.run(f"CREATE TABLE {scene.name} (at timestamptz NOT NULL) PARTITION BY RANGE (at)")
    scene.apply(interval="1 hour", premake=48)
    names = list(scene.bounds())
    assert len(names) == len(set(names)) == 49
    assert all(len(each.encode()) <= 63 for each in names)


def test_a_partition_of_a_partition_is_planned_for_as_a_table_of_its_own(scene: Scene) -> None:
    scene.run("CREATE TABLE logs (tenant text, at date NOT NULL) PARTITION BY LIST (tenant)",
              "CREATE TABLE logs_acme PARTITION OF logs FOR VALUES IN ('acme') PARTITION BY RANGE (at)")  # fmt: skip
    plan = scene.plan(values=["acme", "zeta"])
    assert "public.logs_acme is itself partitioned" in plan.refusals[0]
    scene.table = TableName("public", "logs_acme")
    scene.apply(interval="1 month", premake=2)
    assert len(scene.bounds()) == 3
