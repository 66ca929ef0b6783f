-- Payloads of hostile dumps. CANARY stands for a file that must never appear, CANARY_TABLE for a table.
-- @FUNCTION@ is a function evil(int) that looks harmless to the server and makes the canary; @TRIGGER@ and @EVENT@ are
-- the same for a trigger and an event trigger; @ROW@ is one row for public.t.
-- payload: program out
COPY (SELECT 1) TO PROGRAM 'touch CANARY';
-- payload: program in
CREATE TABLE public.t (a text);
COPY public.t FROM PROGRAM 'touch CANARY';
-- payload: file out
COPY (SELECT 1) TO 'CANARY';
-- payload: code block
DO $$ BEGIN COPY (SELECT 1) TO PROGRAM 'touch CANARY'; END $$;
-- payload: large object out
SELECT pg_catalog.lo_export(pg_catalog.lo_from_bytea(0, 'x'), 'CANARY');
-- payload: inside an allowed call
SELECT pg_catalog.setval(pg_catalog.lo_export(1, 'CANARY')::text, 1, true);
-- payload: settings
ALTER SYSTEM SET archive_command = 'touch CANARY';
-- payload: library
LOAD 'CANARY';
-- payload: C function
CREATE FUNCTION public.s(text) RETURNS int LANGUAGE c AS 'libc.so.6/../libc.so.6', 'system';
-- payload: C function by path
CREATE FUNCTION public.s(text) RETURNS int LANGUAGE c AS '/lib/libc.so.6', 'system';
-- payload: another name for built-in code
CREATE FUNCTION public.x(oid, text) RETURNS int LANGUAGE internal AS 'be_lo_export';
-- payload: psql shell
\! touch CANARY
-- payload: psql shell in mid-line
SELECT 1 \! touch CANARY
;
-- payload: psql copy
\copy public.t to program 'touch CANARY'
-- payload: psql include
\i CANARY
-- payload: psql output
\o | touch CANARY
-- payload: psql backquote
\restrict k
\unrestrict `touch CANARY`
-- payload: psql set
\set x `touch CANARY`
-- payload: psql gexec
SELECT 'x' \gexec
-- payload: psql behind a comment
-- Name: x
\! touch CANARY
-- payload: psql after carriage return
-- Name: x\! touch CANARY
-- payload: other database
\connect postgres
CREATE TABLE public.CANARY_TABLE ();
-- payload: check constraint
@FUNCTION@
CREATE TABLE public.t (a int CHECK (public.evil(a) > 0));
@ROW@
-- payload: check constraint added
@FUNCTION@
CREATE TABLE public.t (a int);
@ROW@
ALTER TABLE ONLY public.t ADD CONSTRAINT c CHECK (public.evil(a) > 0);
-- payload: generated column
@FUNCTION@
CREATE TABLE public.t (a int, b int GENERATED ALWAYS AS (public.evil(a)) STORED);
@ROW@
-- payload: default
@FUNCTION@
CREATE TABLE public.t (a int, b int DEFAULT public.evil(1));
@ROW@
-- payload: default later
@FUNCTION@
CREATE TABLE public.t (a int, b int);
ALTER TABLE ONLY public.t ALTER COLUMN b SET DEFAULT public.evil(1);
@ROW@
-- payload: default of INSERT
@FUNCTION@
CREATE TABLE public.t (a int DEFAULT public.evil(1));
INSERT INTO public.t VALUES (DEFAULT);
-- payload: domain
@FUNCTION@
CREATE DOMAIN public.d AS int CHECK (public.evil(VALUE) > 0);
CREATE TABLE public.t (a public.d);
@ROW@
-- payload: domain default
@FUNCTION@
CREATE DOMAIN public.d AS int DEFAULT public.evil(1);
CREATE TABLE public.t (a int, b public.d);
@ROW@
-- payload: index
@FUNCTION@
CREATE TABLE public.t (a int);
@ROW@
CREATE INDEX i ON public.t (public.evil(a));
-- payload: index predicate
@FUNCTION@
CREATE TABLE public.t (a int);
@ROW@
CREATE INDEX i ON public.t (a) WHERE public.evil(a) > 0;
-- payload: index by another function
@FUNCTION@
CREATE FUNCTION public.nice(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT public.evil(i)';
CREATE TABLE public.t (a int);
@ROW@
CREATE INDEX i ON public.t (public.nice(a));
-- payload: caller before callee
SET check_function_bodies = false;
CREATE FUNCTION public.nice(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN public.evil(i); END';
@FUNCTION@
CREATE TABLE public.t (a int);
@ROW@
CREATE INDEX i ON public.t (public.nice(a));
-- payload: function renamed
@FUNCTION@
ALTER FUNCTION public.evil(int) RENAME TO nice;
CREATE TABLE public.t (a int);
@ROW@
CREATE INDEX i ON public.t (public.nice(a));
-- payload: escaped body
CREATE FUNCTION public.evil(i int) RETURNS int LANGUAGE plpgsql AS E'BEGIN \x45XECUTE ''COPY (SELECT 1) TO PROGRAM ''''touch CANARY''''''; RETURN i; END';
CREATE TABLE public.t (a int CHECK (public.evil(a) > 0));
@ROW@
-- payload: escaped name
@FUNCTION@
CREATE TABLE public.t (a int CHECK (U&"ev\0069l"(a) > 0));
@ROW@
-- payload: static program in a function
CREATE FUNCTION public.evil(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN COPY (SELECT 1) TO PROGRAM 'touch CANARY'; RETURN i; END $$;
CREATE TABLE public.t (a int CHECK (public.evil(a) > 0));
@ROW@
-- payload: built-in function in a check
CREATE TABLE public.t (a int CHECK (lo_export(lo_from_bytea(0, 'x'), 'CANARY') = 1));
@ROW@
-- payload: query to XML
CREATE TABLE public.t (a int CHECK (query_to_xml('SELECT lo_export(lo_from_bytea(0, ''x''), ''CANARY'')', true, true, '') IS NOT NULL));
@ROW@
-- payload: trigger before data
@TRIGGER@
CREATE TABLE public.t (a int);
CREATE TRIGGER x BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.evil();
@ROW@
-- payload: trigger on a partition
@TRIGGER@
CREATE TABLE public.t (a int) PARTITION BY RANGE (a);
CREATE TABLE public.p PARTITION OF public.t DEFAULT;
CREATE TRIGGER x BEFORE INSERT ON public.p FOR EACH ROW EXECUTE FUNCTION public.evil();
@ROW@
-- payload: rule
@FUNCTION@
CREATE TABLE public.t (a int);
CREATE RULE r AS ON INSERT TO public.t DO ALSO SELECT public.evil(1);
INSERT INTO public.t VALUES (1);
-- payload: filled view
@FUNCTION@
CREATE MATERIALIZED VIEW public.m AS SELECT public.evil(1);
-- payload: refreshed view
@FUNCTION@
CREATE VIEW public.v AS SELECT public.evil(1) AS a;
CREATE MATERIALIZED VIEW public.m AS SELECT a FROM public.v WITH NO DATA;
REFRESH MATERIALIZED VIEW public.m;
-- payload: event trigger
@EVENT@
CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.evil();
CREATE TABLE public.t (a int);
-- payload: operator
@FUNCTION@
CREATE OPERATOR public.### (FUNCTION = public.evil, RIGHTARG = int);
CREATE TABLE public.t (a int CHECK (OPERATOR(public.###) a > 0));
@ROW@
-- payload: cast
@FUNCTION@
CREATE FUNCTION public.day(int) RETURNS date LANGUAGE sql AS 'SELECT public.evil($1)::text::date';
CREATE CAST (int AS date) WITH FUNCTION public.day(int);
-- payload: aggregate
@FUNCTION@
CREATE AGGREGATE public.ag(int) (SFUNC = public.evil, STYPE = int);
-- payload: partition bound
@FUNCTION@
CREATE TABLE public.t (a int) PARTITION BY LIST (a);
CREATE TABLE public.p PARTITION OF public.t FOR VALUES IN (public.evil(1));
-- payload: table from query
@FUNCTION@
CREATE TABLE public.t AS SELECT public.evil(1);
-- payload: insert from query
@FUNCTION@
CREATE TABLE public.t (a int);
INSERT INTO public.t SELECT public.evil(1);
-- payload: insert of a call
@FUNCTION@
CREATE TABLE public.t (a int);
INSERT INTO public.t VALUES (public.evil(1));
-- payload: role out of the function
CREATE FUNCTION public.evil(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RESET SESSION AUTHORIZATION; EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch CANARY'''; RETURN i; END $$;
SET SESSION AUTHORIZATION 'pg_monitor';
CREATE TABLE public.t (a int CHECK (public.evil(a) > 0));
@ROW@
-- payload: second statement behind BEGIN
CREATE FUNCTION public.begin() RETURNS int LANGUAGE sql AS 'SELECT 1'; COPY (SELECT 1) TO PROGRAM 'touch CANARY'; SELECT 1 AS end;
-- payload: second statement behind a label
CREATE FUNCTION public.f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS case; END; COPY (SELECT 1) TO PROGRAM 'touch CANARY';
-- payload: second statement behind a number
CREATE VIEW public.v AS SELECT 0x1F$$ ' $$; COPY (SELECT 1) TO PROGRAM 'touch CANARY'; --';
-- payload: second statement behind a text
CREATE VIEW public.v AS SELECT E'a'
'\'; COPY (SELECT 1) TO PROGRAM ''touch CANARY''; --';
-- payload: second statement in a rule
CREATE TABLE public.t (a int);
CREATE RULE r AS ON INSERT TO public.t DO (SELECT 1); COPY (SELECT 1) TO PROGRAM 'touch CANARY';
-- payload: end of data in data
CREATE TABLE public.t (a int);
COPY public.t (a) FROM stdin;
1
\.
\! touch CANARY
-- payload: role
CREATE ROLE canary_role SUPERUSER LOGIN;
-- payload: membership
GRANT pg_execute_server_program TO PUBLIC;
-- payload: preloaded library
ALTER DATABASE postgres SET session_preload_libraries = 'CANARY';
ALTER ROLE ALL SET x.y = 'z';
-- payload: prepared
PREPARE x AS SELECT lo_export(1, 'CANARY');
EXECUTE x;
-- payload: subquery
WITH x AS (SELECT lo_export(lo_from_bytea(0, 'x'), 'CANARY')) SELECT * FROM x;
-- payload: explain
EXPLAIN ANALYZE SELECT lo_export(lo_from_bytea(0, 'x'), 'CANARY');
-- payload: old strings
SET standard_conforming_strings = off;
CREATE TABLE public.t (a text);
INSERT INTO public.t VALUES ('\'); COPY (SELECT 1) TO PROGRAM ''touch CANARY''; --');
-- payload: what is called comes last
CREATE FUNCTION public.evil(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM public.deed(); RETURN i; END $$;
CREATE DOMAIN public.d AS int CHECK (public.evil(VALUE) > 0);
CREATE TABLE public.t (a public.d);
CREATE FUNCTION public.deed() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE 'CO' || 'PY (SELECT 1) TO PRO' || 'GRAM ''touch CANARY'''; END $$;
@ROW@
-- payload: what is called comes after the data
CREATE FUNCTION public.nice(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN BEGIN PERFORM public.deed(); EXCEPTION WHEN undefined_function THEN NULL; END; RETURN i; END $$;
CREATE TABLE public.t (a int);
@ROW@
CREATE INDEX i ON public.t (public.nice(a));
CREATE FUNCTION public.deed() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE 'CO' || 'PY (SELECT 1) TO PRO' || 'GRAM ''touch CANARY'''; END $$;
