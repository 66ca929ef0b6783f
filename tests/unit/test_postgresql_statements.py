"""Which statements of a dump may run: what pg_dump writes, and nothing else; and what its functions could do."""

import pytest

from dbtui.adapters.postgresql.load_code import LoadCode
from dbtui.adapters.postgresql.objects import parse_object
from dbtui.adapters.postgresql.sql_lexer import Statement
from dbtui.adapters.postgresql.statements import Action, assess_statement

HONEST = """
SET statement_timeout = 0
SET client_encoding = 'UTF8'
SET default_table_access_method = heap
SET SESSION AUTHORIZATION 'erp'
RESET SESSION AUTHORIZATION
SELECT pg_catalog.set_config('search_path', '', false)
SELECT pg_catalog.setval('app."odd;seq"', 42, true)
SELECT pg_catalog.lo_create('16401')
SELECT pg_catalog.lowrite(0, '\\x00ff')
SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '180006'::integer, 'relpages', '1'::integer)
CREATE SCHEMA app
CREATE SCHEMA IF NOT EXISTS app AUTHORIZATION erp
CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public
CREATE TYPE app.mood AS ENUM ('a;b', 'rename')
CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'x'; END $$
CREATE FUNCTION app.g() RETURNS int LANGUAGE c AS '$libdir/postgis-3', 'g'
CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql
CREATE UNLOGGED TABLE app.t (rename text, program text)
CREATE MATERIALIZED VIEW app.m AS SELECT 1 WITH NO DATA
CREATE UNIQUE INDEX i ON app.t USING btree (rename)
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON app.t EXECUTE FUNCTION app.f()
CREATE TEXT SEARCH CONFIGURATION app.c (PARSER = pg_catalog."default")
CREATE OPERATOR CLASS app.o FOR TYPE int USING btree AS OPERATOR 1 <
CREATE USER MAPPING FOR erp SERVER s
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION app.f()
ALTER TABLE app.t ALTER COLUMN rename SET DEFAULT 1
ALTER TABLE ONLY app.t ADD CONSTRAINT rename PRIMARY KEY (a)
ALTER TABLE app.t OWNER TO rename
ALTER SEQUENCE app.s OWNED BY app.t.id
ALTER DEFAULT PRIVILEGES FOR ROLE erp IN SCHEMA app GRANT SELECT ON TABLES TO reader
COMMENT ON CONSTRAINT c ON app.t IS 'COPY x TO PROGRAM ''y'''
GRANT SELECT(a),INSERT ON TABLE app.t TO reader
REVOKE ALL ON SCHEMA public FROM PUBLIC
SECURITY LABEL FOR x ON TABLE app.t IS 'y'
REFRESH MATERIALIZED VIEW app.m
COPY app.t (rename, "a;b") FROM stdin
INSERT INTO app.t VALUES (1, 'it''s', E'a\\'b', NULL, true, -1.5e10, B'01', DEFAULT)
INSERT INTO app.t (a, "b)") OVERRIDING SYSTEM VALUE VALUES (1, '),('), (2, '')
INSERT INTO app.t DEFAULT VALUES
""".strip().splitlines()

TRIED = ["DROP TABLE IF EXISTS app.t", "ALTER TABLE ONLY app.t DROP CONSTRAINT c", "DROP SCHEMA app"]
LEFT_OUT = [
    "CREATE DATABASE erp WITH TEMPLATE = template0",
    "ALTER DATABASE erp SET work_mem = '1GB'",
    "ALTER ROLE app IN DATABASE erp SET search_path TO 'x'",
    "DROP DATABASE IF EXISTS erp",
    "GRANT CONNECT ON DATABASE erp TO x",
    "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)",
    "BEGIN",
    "COMMIT",
]

FORBIDDEN = """
COPY app.t TO PROGRAM 'id'
COPY app.t FROM PROGRAM 'id'
COPY app.t (a) FROM '/etc/passwd'
COPY (SELECT 1) TO '/tmp/x'
COPY app.t FROM stdin WITH (FORMAT csv)
DO $$ BEGIN EXECUTE 'x'; END $$
LOAD '/tmp/evil.so'
CALL app.p()
EXECUTE x
PREPARE x AS SELECT 1
LISTEN x
NOTIFY x
VACUUM
TRUNCATE app.t
UPDATE pg_proc SET probin = 'x'
DELETE FROM app.t
WITH x AS (DELETE FROM t RETURNING 1) SELECT 1
TABLE app.t
VALUES (app.f())
EXPLAIN ANALYZE SELECT 1
LOCK TABLE app.t
IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z
SELECT app.f()
SELECT pg_catalog.setval(app.f()::regclass, 1)
SELECT pg_catalog.setval('s', 1, true), app.f()
SELECT pg_catalog.set_config('session_preload_libraries', 'x', false)
SELECT pg_catalog.lo_export(1, '/tmp/x')
SELECT pg_catalog.lo_import('/etc/passwd')
SELECT * FROM pg_catalog.pg_restore_relation_stats('version', app.f())
SET session_preload_libraries = 'x'
SET dynamic_library_path = '/tmp'
SET client_encoding = 'SJIS'
ALTER SYSTEM SET archive_command = 'id'
ALTER ROLE erp SUPERUSER
ALTER USER erp SET x = 'y'
ALTER FUNCTION app.f() RENAME TO g
ALTER TABLE app.index RENAME TO g
ALTER TABLE app.t RENAME a TO b
ALTER FUNCTION app.f() SET SCHEMA public
ALTER EXTENSION hstore UPDATE
CREATE ROLE x SUPERUSER
CREATE USER x
CREATE TABLESPACE x LOCATION '/tmp'
CREATE TEMP TABLE x (a int)
CREATE SCHEMA x CREATE TABLE y (a int)
CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'be_lo_export'
CREATE FUNCTION f() RETURNS int LANGUAGE C AS '/tmp/evil.so', 'f'
CREATE FUNCTION f() RETURNS int AS '$libdir/../../../tmp/evil' LANGUAGE c
GRANT pg_execute_server_program TO erp
GRANT SET ON PARAMETER x TO erp
INSERT INTO app.t SELECT app.f()
INSERT INTO app.t VALUES (app.f())
INSERT INTO app.t VALUES ('a') RETURNING app.f()
REFRESH COLLATION x
RESET ALL
""".strip().splitlines()


def assess(text: str) -> Action:
    return assess_statement(Statement(text.encode(), 1, 0)).action


@pytest.mark.parametrize("text", HONEST)
def test_what_pg_dump_writes_may_run(text: str) -> None:
    verdict = assess_statement(Statement(text.encode(), 1, 0))
    assert verdict.action is Action.RUN, verdict.reason
    parse_object(text.encode(), verdict.kind)


@pytest.mark.parametrize(("texts", "action"), [(TRIED, Action.TRY), (LEFT_OUT, Action.LEAVE_OUT)])
def test_what_has_no_place_in_a_fresh_database(texts: list[str], action: Action) -> None:
    assert [assess(text) for text in texts] == [action] * len(texts)


@pytest.mark.parametrize("start", ["CREATE USER MAPPING", "DROP USER MAPPING", "DROP USER MAPPING IF EXISTS"])
def test_a_user_mapping_names_its_role(start: str) -> None:
    found = parse_object(f'{start} FOR "Web" SERVER remote'.encode(), "USER MAPPING")
    assert (found.name, found.roles) == (b"Web on remote", (b"Web",))
    assert parse_object(f"{start} FOR PUBLIC SERVER remote".encode(), "USER MAPPING").roles == ()


@pytest.mark.parametrize("text", FORBIDDEN)
def test_everything_else_is_refused_with_a_reason(text: str) -> None:
    verdict = assess_statement(Statement(text.encode(), 1, 0))
    assert verdict.action is Action.REFUSE
    assert verdict.reason and "\n" not in verdict.reason


def risks(*texts: str) -> list[str]:
    code = LoadCode()
    found = []
    for text in texts:
        kind = assess_statement(Statement(text.encode(), 1, 0)).kind
        risk = code.examine(text.encode(), kind)
        if risk is not None:
            found.append(f"{'skip' if risk.skippable else 'refuse'} {kind}: {risk.reason}")
    return found


OPAQUE = "CREATE FUNCTION app.evil(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'x'; RETURN true; END $$"
PLAIN = "CREATE FUNCTION app.good(i int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN i > 0; END $$"
CALLER = 'CREATE FUNCTION app.caller(i int) RETURNS boolean LANGUAGE sql AS $$ SELECT "evil" /**/ (i) $$'
ATOMIC = "CREATE FUNCTION app.atom(i int) RETURNS boolean RETURN app.evil(i)"
TRIGGER = "CREATE TRIGGER t BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.evil()"


@pytest.mark.parametrize(
    "texts",
    [
        (OPAQUE, "CREATE TABLE app.t (a int CHECK (app.evil(a)))"),
        (OPAQUE, "CREATE TABLE app.t (a int, b boolean GENERATED ALWAYS AS (app.evil(a)) STORED)"),
        (OPAQUE, "CREATE TABLE app.t (a int, b boolean DEFAULT app.evil(1) CHECK (app.evil(a)))"),
        (OPAQUE, "CREATE TABLE app.t (a int DEFAULT app.evil(1), b int)", "COPY app.t (b) FROM stdin"),
        (OPAQUE, "CREATE TABLE app.t (a int DEFAULT app.evil(1), b int)", "INSERT INTO app.t (b) VALUES (1)"),
        (OPAQUE, "CREATE TABLE app.t (a int DEFAULT app.evil(1), b int)", "INSERT INTO app.t VALUES (DEFAULT, 1)"),
        (OPAQUE, "ALTER TABLE app.t ADD CONSTRAINT c CHECK (app.evil(a))"),
        (OPAQUE, "CREATE DOMAIN app.d AS int CHECK (app.evil(VALUE))"),
        (OPAQUE, "ALTER DOMAIN app.d ADD CONSTRAINT c CHECK (app.evil(owner))"),
        (OPAQUE, "CREATE INDEX i ON app.t USING btree (app.evil(a))"),
        (OPAQUE, "CREATE INDEX i ON app.t USING btree (a) WHERE app.evil(a)"),
        (OPAQUE, CALLER, "CREATE INDEX i ON app.t USING btree (app.caller(a))"),
        (CALLER, OPAQUE, "CREATE INDEX i ON app.t USING btree (app.caller(a))"),
        (OPAQUE, ATOMIC, "CREATE INDEX i ON app.t USING btree (app.atom(a))"),
        (OPAQUE, "CREATE INDEX i ON app.t USING btree ((t.evil))"),
        (OPAQUE, "CREATE INDEX i ON app.t USING btree (U&\"ev\\0069l\"(a))"),
        (OPAQUE, "CREATE OPERATOR app.=== (FUNCTION = app.evil, LEFTARG = int, RIGHTARG = int)"),
        (OPAQUE, "CREATE CAST (int AS boolean) WITH FUNCTION app.evil(int)"),
        (OPAQUE, "CREATE AGGREGATE app.a(int) (SFUNC = evil, STYPE = boolean)"),
        (OPAQUE, "CREATE TYPE app.ty (INPUT = evil, OUTPUT = evil)"),
        (OPAQUE, "CREATE LANGUAGE l HANDLER evil"),
        (OPAQUE, TRIGGER, "COPY app.t (a) FROM stdin"),
        (OPAQUE, TRIGGER, "COPY app.other (a) FROM stdin"),
        (OPAQUE, "CREATE RULE r AS ON INSERT TO app.t DO ALSO SELECT app.evil(1)", "INSERT INTO app.t VALUES (1)"),
        (OPAQUE, "CREATE MATERIALIZED VIEW app.m AS SELECT app.evil(1)"),
        (OPAQUE, "CREATE TABLE app.p PARTITION OF app.t FOR VALUES IN (app.evil(1))"),
        ("CREATE INDEX i ON app.t USING btree (lo_export(a, '/tmp/x'))",),
        ("CREATE TABLE app.t (a int CHECK (pg_read_file('/etc/passwd') <> ''))",),
        ("CREATE TABLE app.t (a int CHECK (dblink('host=x', 'COPY') IS NULL))",),
        (OPAQUE.replace("EXECUTE 'x'", "COPY x TO PROGRAM 'y'"), "CREATE INDEX i ON app.t USING btree (app.evil(a))"),
        (OPAQUE.replace("EXECUTE 'x'", "DO $x$ $x$"), "CREATE INDEX i ON app.t USING btree (app.evil(a))"),
        (OPAQUE.replace("plpgsql", "plpython3u"), "CREATE INDEX i ON app.t USING btree (app.evil(a))"),
        (OPAQUE.replace("$$ BEGIN EXECUTE 'x'; RETURN true; END $$", "E'BEGIN \\x45XECUTE x; END'"),
         "CREATE INDEX i ON app.t USING btree (app.evil(a))"),
    ],
    ids=range(33),
)  # fmt: skip
def test_code_that_would_run_while_restoring_is_refused(texts: tuple[str, ...]) -> None:
    found = risks(*texts)
    assert len(found) == 1 and found[0].startswith("refuse"), found


def test_what_a_function_calls_may_be_defined_after_its_use() -> None:
    uses = ("CREATE DOMAIN app.d AS int CHECK (app.caller(VALUE))", "CREATE TABLE app.t (a app.d)")
    assert risks(CALLER, *uses) == []
    found = risks(CALLER, *uses, OPAQUE, "COPY app.t (a) FROM stdin", "COPY app.t (a) FROM stdin")
    assert found == ["refuse COPY: function evil holds EXECUTE, so it may run anything"]
    code = LoadCode()
    for text, kind in [(CALLER, "FUNCTION"), (uses[0], "DOMAIN"), (OPAQUE, "FUNCTION")]:
        assert code.examine(text.encode(), kind) is None
    assert code.finish() is not None and code.finish() is None


@pytest.mark.parametrize(
    "texts",
    [
        (OPAQUE, "COPY app.t (a) FROM stdin", TRIGGER),  # as pg_dump orders it
        (PLAIN, "CREATE TABLE app.t (a int CHECK (app.good(a)))", "COPY app.t (a) FROM stdin"),
        (OPAQUE, "CREATE TABLE app.t (a int DEFAULT app.evil(1), b int)", "COPY app.t (a, b) FROM stdin"),
        (OPAQUE, "ALTER TABLE app.t ALTER COLUMN a SET DEFAULT app.evil(1)", "COPY app.t (a, b) FROM stdin"),
        (OPAQUE, "CREATE TABLE app.evil (evil int, b int)", "COPY app.evil (evil) FROM stdin"),
        (OPAQUE, "ALTER TABLE app.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES app.evil(evil)"),
        (OPAQUE, "CREATE VIEW app.v AS SELECT app.evil(1)", "CREATE INDEX i ON app.t USING btree (v)"),
        (OPAQUE, "COMMENT ON FUNCTION app.evil(int) IS 'x'", "ALTER FUNCTION app.evil(int) OWNER TO evil"),
        (OPAQUE, "GRANT ALL ON FUNCTION app.evil(int) TO x"),
        (OPAQUE, "CREATE POLICY p ON app.t USING (app.evil(a))"),
        ("CREATE TYPE app.e AS ENUM ('lo_export', 'schedule')", "CREATE TABLE app.t (lo_export text, copy int)"),
    ],
)
def test_honest_dumps_are_not_disturbed(texts: tuple[str, ...]) -> None:
    assert risks(*texts) == []


def test_views_to_be_filled_and_event_triggers_are_left_out_instead() -> None:
    view = "CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.v WITH NO DATA"
    texts = (OPAQUE, "CREATE VIEW app.v AS SELECT app.evil(1)", view, "REFRESH MATERIALIZED VIEW app.m")
    assert [one.partition(":")[0] for one in risks(*texts)] == ["skip REFRESH"]
    event = "CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION app.evil()"
    assert [one.partition(":")[0] for one in risks(OPAQUE, event)] == ["skip EVENT TRIGGER"]
    program = "CREATE FOREIGN TABLE app.ft (a int) SERVER s OPTIONS (program 'id')"
    view = "CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.ft WITH NO DATA"
    assert [one.partition(":")[0] for one in risks(program, view, "REFRESH MATERIALIZED VIEW app.m")] == [
        "skip REFRESH"
    ]


def test_what_reaches_out_when_it_is_called_later_is_named() -> None:
    code = LoadCode()
    body = "CREATE FUNCTION app.backup() RETURNS void LANGUAGE plpgsql AS $$ BEGIN COPY t TO PROGRAM 'gzip'; END $$"
    code.examine(body.encode(), "FUNCTION")
    code.examine(b"CREATE FUNCTION app.x() RETURNS void LANGUAGE sql AS 'SELECT lo_export(1, ''/x'')'", "FUNCTION")
    assert code.reaching() == ("backup holds COPY … PROGRAM", "x calls lo_export")
