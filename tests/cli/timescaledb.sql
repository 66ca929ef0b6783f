-- What the views of TimescaleDB 2.14 show of three hypertables, as tables: no package of it was at hand. Columns and
-- types are those of its sql/views.sql; the extension's row is all that says that it is installed.
CREATE SCHEMA timescaledb_information;
CREATE SCHEMA _timescaledb_internal;
CREATE TABLE timescaledb_information.hypertables (
  hypertable_schema name, hypertable_name name, owner name, num_dimensions smallint, num_chunks bigint,
  compression_enabled boolean, tablespaces name[]);
CREATE TABLE timescaledb_information.dimensions (
  hypertable_schema name, hypertable_name name, dimension_number bigint, column_name name, column_type regtype,
  dimension_type text, time_interval interval, integer_interval bigint, integer_now_func name, num_partitions smallint);
CREATE TABLE timescaledb_information.chunks (
  hypertable_schema name, hypertable_name name, chunk_schema name, chunk_name name, primary_dimension name,
  primary_dimension_type regtype, range_start timestamptz, range_end timestamptz, range_start_integer bigint,
  range_end_integer bigint, is_compressed boolean, chunk_tablespace name, chunk_creation_time timestamptz);
CREATE TABLE timescaledb_information.jobs (
  job_id integer, application_name name, schedule_interval interval, proc_schema name, proc_name name, owner name,
  scheduled boolean, config jsonb, hypertable_schema name, hypertable_name name);
GRANT USAGE ON SCHEMA timescaledb_information TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA timescaledb_information TO PUBLIC;

CREATE TABLE metrics (time timestamptz NOT NULL, device int, value float8);
CREATE TABLE _timescaledb_internal._hyper_1_1_chunk () INHERITS (metrics);
CREATE TABLE _timescaledb_internal._hyper_1_2_chunk () INHERITS (metrics);
CREATE TABLE "Readings" (id bigint NOT NULL, value float8);
CREATE TABLE _timescaledb_internal._hyper_2_3_chunk () INHERITS ("Readings");
CREATE TABLE spread (at timestamp NOT NULL, device int);
CREATE TABLE _timescaledb_internal._hyper_3_4_chunk () INHERITS (spread);
CREATE TABLE _timescaledb_internal._hyper_3_5_chunk () INHERITS (spread);

INSERT INTO timescaledb_information.hypertables VALUES
  ('public', 'metrics', current_user, 1, 2, true, NULL), ('public', 'Readings', current_user, 1, 1, false, NULL),
  ('public', 'spread', current_user, 2, 2, false, NULL);
INSERT INTO timescaledb_information.dimensions VALUES
  ('public', 'metrics', 1, 'time', 'timestamptz', 'Time', '7 days', NULL, NULL, NULL),
  ('public', 'Readings', 1, 'id', 'bigint', 'Time', NULL, 100000, NULL, NULL),
  ('public', 'spread', 1, 'at', 'timestamp', 'Time', '1 day', NULL, NULL, NULL),
  ('public', 'spread', 2, 'device', 'integer', 'Space', NULL, NULL, NULL, 2);
INSERT INTO timescaledb_information.chunks
  (hypertable_schema, hypertable_name, chunk_schema, chunk_name, primary_dimension, primary_dimension_type, range_start,
   range_end, range_start_integer, range_end_integer, is_compressed)
VALUES
  ('public', 'metrics', '_timescaledb_internal', '_hyper_1_1_chunk', 'time', 'timestamptz', '2026-01-01 00:00+00',
   '2026-01-08 00:00+00', NULL, NULL, true),
  ('public', 'metrics', '_timescaledb_internal', '_hyper_1_2_chunk', 'time', 'timestamptz', '2026-03-05 00:00+00',
   '2026-03-12 00:00+00', NULL, NULL, false),
  ('public', 'Readings', '_timescaledb_internal', '_hyper_2_3_chunk', 'id', 'bigint', NULL, NULL, 0, 100000, false),
  ('public', 'spread', '_timescaledb_internal', '_hyper_3_4_chunk', 'at', 'timestamp', '2026-01-01 00:00+00',
   '2026-01-02 00:00+00', NULL, NULL, false),
  ('public', 'spread', '_timescaledb_internal', '_hyper_3_5_chunk', 'at', 'timestamp', '2026-01-01 00:00+00',
   '2026-01-02 00:00+00', NULL, NULL, false);
INSERT INTO timescaledb_information.jobs VALUES
  (1000, 'Retention Policy [1000]', '1 day', '_timescaledb_functions', 'policy_retention', current_user, true,
   '{"drop_after": "6 months", "hypertable_id": 1}', 'public', 'metrics');

SET allow_system_table_mods = on;
INSERT INTO pg_catalog.pg_extension
  (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT (SELECT max(oid::bigint) + 1 FROM pg_catalog.pg_extension)::oid, 'timescaledb', 10,
       'timescaledb_information'::regnamespace, false, '2.14.2';
