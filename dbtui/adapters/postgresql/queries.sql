-- name: trust_catalogue_briefly
-- Until the transaction ends functions and operators are the server's own, even where the owner of a database has set a
-- search_path that finds others first: they would run as whoever looks.
SELECT pg_catalog.set_config('search_path', CASE
  WHEN pg_catalog.strpos(pg_catalog.current_setting('search_path'), 'pg_catalog') OPERATOR(pg_catalog.>) 1
  THEN pg_catalog.concat('pg_catalog, ', pg_catalog.current_setting('search_path'))
  ELSE pg_catalog.current_setting('search_path') END, true);

-- name: trust_catalogue
-- The same for a session, which nobody else is handed afterwards.
SELECT pg_catalog.set_config('search_path', CASE
  WHEN pg_catalog.strpos(pg_catalog.current_setting('search_path'), 'pg_catalog') OPERATOR(pg_catalog.>) 1
  THEN pg_catalog.concat('pg_catalog, ', pg_catalog.current_setting('search_path'))
  ELSE pg_catalog.current_setting('search_path') END, false);

-- name: introduce_server
-- What every answer is judged by, in one round trip. The process number tells a pooler from a server.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int AS version_number,
       pg_is_in_recovery() AS is_replica,
       current_database() AS database,
       current_user AS login,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS is_superuser,
       pg_backend_pid() AS process_id,
       ARRAY(SELECT extname::text FROM pg_catalog.pg_extension ORDER BY 1) AS extensions;

-- name: collect_tables
-- Everything that holds rows of its own, and partitioned parents. Temporary tables and members of extensions are left
-- out: pg_dump does not dump them. A table that is locked exclusively is not measured, because measuring would wait.
SELECT c.oid::bigint AS table_id, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.relpersistence = 'u' AS is_unlogged,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS rows_estimate,
       CASE WHEN c.relkind = 'p' THEN 0
            WHEN :measure AND c.oid NOT IN (SELECT relation FROM pg_catalog.pg_locks
                                            WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL)
            THEN pg_catalog.pg_table_size(c.oid)
            ELSE c.relpages::bigint * current_setting('block_size')::bigint END AS size_bytes,
       has_schema_privilege(n.oid, 'USAGE') AS can_use_schema,
       has_table_privilege(c.oid, 'SELECT') AS can_read,
       row_security_active(c.oid) AS hides_rows
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname;

-- name: collect_parents
-- Each child with its parent: partitions and inheritance. A child cannot be restored without its parent's definition.
SELECT inhrelid::bigint AS child_id, inhparent::bigint AS parent_id FROM pg_catalog.pg_inherits;

-- name: collect_unreadable
-- What pg_dump reads beside tables: sequences, and the configuration tables of extensions.
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       has_schema_privilege(n.oid, 'USAGE') AS can_use_schema,
       d.refobjid::bigint AS owner_table_id
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                                AND d.refclassid = 'pg_class'::regclass
WHERE (c.relkind = 'S' OR c.oid IN (SELECT unnest(extconfig) FROM pg_catalog.pg_extension))
  AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'))
ORDER BY 1, 2;

-- name: collect_lock_holders
-- pg_dump takes ACCESS SHARE on every table; only ACCESS EXCLUSIVE, held or waited for, is in its way.
SELECT l.pid AS process_id, coalesce(n.nspname || '.' || c.relname, l.relation::text) AS relation_name,
       c.oid::bigint AS table_id, n.nspname = 'pg_catalog' AS is_catalog, l.granted AS is_held,
       a.usename::text AS login, a.application_name AS application, a.query AS sql,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND c.relkind IN ('r', 'p')
ORDER BY l.granted DESC, seconds DESC NULLS LAST;

-- name: collect_long_transactions
-- Old transactions keep DDL waiting behind this dump's locks, and the dump behind the DDL.
SELECT a.pid AS process_id, a.usename::text AS login, a.application_name AS application, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds
FROM pg_catalog.pg_stat_activity a
WHERE a.xact_start < clock_timestamp() - make_interval(secs => :minimum_seconds) AND a.pid <> pg_backend_pid()
  AND a.datname = current_database()
ORDER BY a.xact_start;

-- name: collect_roles
-- Owners and grantees: who has to exist where the dump is restored. pg_shdepend leaves out the bootstrap superuser.
SELECT r.rolname::text AS role_name
FROM pg_catalog.pg_roles r
WHERE r.rolname !~ '^pg_' AND (
      r.oid IN (SELECT d.refobjid FROM pg_catalog.pg_shdepend d
                WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype IN ('o', 'a', 'r')
                  AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
   OR r.oid IN (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
   OR r.oid IN (SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
   OR r.oid IN (SELECT p.proowner FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'))
ORDER BY 1;

-- name: collect_large_objects
-- Large objects have privileges of their own; pg_dump fails at the first that it may not read.
SELECT count(*) AS objects,
       count(*) FILTER (WHERE NOT (:sees_all OR pg_has_role(lomowner, 'USAGE') OR EXISTS (
           SELECT FROM aclexplode(lomacl) x
           WHERE x.privilege_type = 'SELECT' AND (x.grantee = 0 OR pg_has_role(x.grantee, 'USAGE'))))) AS unreadable
FROM pg_catalog.pg_largeobject_metadata;

-- name: collect_dump_remarks
-- What a dump leaves out or leaves empty without saying so, and what may end a dump from a replica.
SELECT ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'm' AND NOT c.relispopulated ORDER BY 1) AS unpopulated_views,
       ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_index i
             JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_' ORDER BY 1) AS invalid_indexes,
       (SELECT count(*) FROM pg_catalog.pg_class WHERE relkind = 'f') AS foreign_tables,
       pg_catalog.pg_database_size(current_database()) AS size_bytes,
       current_setting('max_standby_streaming_delay') AS standby_delay,
       current_setting('hot_standby_feedback')::bool AS has_feedback;

-- name: collect_outside_references
-- Foreign keys from the chosen tables to others: with only some tables dumped they cannot be restored.
SELECT DISTINCT n.nspname || '.' || c.relname || ' → ' || rn.nspname || '.' || rc.relname AS reference
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class rc ON rc.oid = k.confrelid
JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
WHERE k.contype = 'f' AND k.conrelid = ANY (CAST(:table_ids AS oid[])) AND k.confrelid <> ALL (CAST(:table_ids AS oid[]))
ORDER BY 1;

-- name: collect_used_sequences
-- What defaults of the chosen tables draw from: pg_dump -t leaves out sequences that belong to another table, such as the
-- former parent of a detached partition, and without them its table cannot be restored.
SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_attrdef a
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
                           AND d.refclassid = 'pg_class'::regclass
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'S'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.adrelid = ANY (CAST(:table_ids AS oid[]))
ORDER BY 1, 2;

-- name: collect_status
-- All that changes from second to second, in one round trip and without looking at a file. The own question is no
-- activity; walsenders have slots of their own. numbackends counts sessions without a privilege, but pg_stat_activity
-- alone tells clients from background workers. Superusers are under no CONNECTION LIMIT.
WITH client AS (
  SELECT a.pid <> pg_backend_pid() AS is_other, a.state, a.wait_event_type = 'Lock' AS is_blocked, a.xact_start,
         a.datname = current_database() AS is_here, a.usename = session_user AS is_ours
  FROM pg_catalog.pg_stat_activity a
  WHERE a.backend_type = 'client backend' OR a.backend_type IS NULL AND a.usesysid IS NOT NULL AND a.datid IS NOT NULL
), counted AS (
  SELECT count(*) AS sessions_used,
         count(*) FILTER (WHERE is_other AND state IN ('active', 'fastpath function call')) AS sessions_active,
         count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS sessions_idle_in_transaction,
         count(*) FILTER (WHERE is_blocked) AS sessions_blocked,
         count(*) FILTER (WHERE is_here) AS sessions_here, count(*) FILTER (WHERE is_ours) AS sessions_ours,
         extract(epoch FROM clock_timestamp() - min(xact_start) FILTER (WHERE is_other))::float8 AS oldest_transaction_seconds
  FROM client
), counters AS (
  SELECT sum(xact_commit + xact_rollback)::bigint AS transactions, sum(blks_hit)::bigint AS blocks_hit,
         sum(blks_read)::bigint AS blocks_read
  FROM pg_catalog.pg_stat_database
)
SELECT counted.*, counters.*, pg_is_in_recovery() AS is_replica, pg_postmaster_start_time() AS started_at,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int AS slots,
       CASE WHEN NOT r.rolsuper AND r.rolconnlimit >= 0 THEN r.rolconnlimit END AS login_limit,
       CASE WHEN NOT r.rolsuper AND d.datconnlimit >= 0 THEN d.datconnlimit END AS database_limit,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_sessions
FROM counted, counters, pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = session_user AND d.datname = current_database();

-- name: collect_replay
-- How far a replica is. Time alone lies: on an idle primary it grows though nothing is missing, so bytes come first.
-- Without pg_read_all_stats a receiver shows that it is there and nothing else. A receiver that hears nothing asks
-- after half of wal_receiver_timeout; when that is not answered either, the primary is gone.
SELECT pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn() AS bytes_behind, pg_is_wal_replay_paused() AS is_paused,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS seconds,
       w.pid IS NOT NULL AND coalesce(w.status, 'streaming') = 'streaming' AS is_receiving,
       extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time)::float8 AS silent_seconds,
       x.patience > '0' AND clock_timestamp() - w.last_msg_receipt_time > x.patience * 0.75 AS is_silent
FROM (SELECT current_setting('wal_receiver_timeout')::interval AS patience) x
LEFT JOIN pg_catalog.pg_stat_wal_receiver w ON true;

-- name: measure_database
-- The size looks at every file of the database, so this is asked once a minute at most.
SELECT CASE WHEN has_database_privilege(current_database(), 'CONNECT')
            THEN pg_catalog.pg_database_size(current_database()) END AS size_bytes,
       (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
          AND n.nspname <> 'information_schema') AS tables;

-- name: collect_query_limit
-- Where the server cuts the text of statements, in bytes; it cannot change while the server runs.
SELECT setting::int AS bytes FROM pg_catalog.pg_settings WHERE name = 'track_activity_query_size';

-- name: collect_sessions
-- Who is connected and who waits for whom. pg_blocking_pids looks into the lock manager, so only those that wait for a
-- lock are asked about; a leader waits when one of its workers does. Texts are not converted (SQL_ASCII): each is in the
-- encoding of its own database, where the server may have cut it in the middle of anything, and converting would fail.
SET LOCAL client_encoding = 'SQL_ASCII';
WITH activity AS MATERIALIZED (
  SELECT * FROM pg_catalog.pg_stat_activity
), waiting AS (
  SELECT coalesce(leader_pid, pid) AS pid FROM activity WHERE wait_event_type = 'Lock'
), workers AS (
  SELECT leader_pid AS pid, count(*) AS count FROM activity WHERE backend_type = 'parallel worker' GROUP BY 1
)
SELECT a.pid AS process_id, a.usename AS login, a.datname AS database, a.application_name AS application,
       a.client_hostname AS host_name, host(a.client_addr) AS address, a.client_port AS port, a.backend_type,
       a.state, a.wait_event_type, a.wait_event, a.backend_start AS started_at, a.query_start AS query_started_at,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS transaction_seconds,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS query_seconds,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS state_seconds,
       a.query AS sql, pg_encoding_to_char(d.encoding) AS encoding, s.ssl AS is_tls,
       CASE WHEN a.pid IN (SELECT pid FROM waiting) THEN pg_catalog.pg_blocking_pids(a.pid) END AS blocked_by,
       coalesce(w.count, 0) AS workers,
       a.pid = pg_backend_pid()
       OR a.application_name = current_setting('application_name') AND a.pid = ANY (CAST(:own AS int[])) AS is_own
FROM activity a
LEFT JOIN pg_catalog.pg_database d ON d.oid = a.datid
LEFT JOIN pg_catalog.pg_stat_ssl s ON s.pid = a.pid
LEFT JOIN workers w ON w.pid = a.pid
WHERE a.backend_type IS DISTINCT FROM 'parallel worker'
ORDER BY a.pid;

-- name: collect_server_pool
-- Who holds the slots and what for, counted by the server so that a thousand sessions are few rows. Texts are not
-- converted, as for collect_sessions. What a pooler keeps open has the name of whoever used it last: it is no dbtui.
SET LOCAL client_encoding = 'SQL_ASCII';
WITH client AS (
  SELECT a.application_name AS application, host(a.client_addr) AS address, a.client_port AS port, a.usename AS login,
         CASE WHEN a.state LIKE 'idle in transaction%' THEN 'idle in transaction'
              WHEN a.state = 'idle' THEN 'idle'
              WHEN a.state IS NULL OR a.state = 'disabled' THEN NULL
              WHEN a.wait_event_type IS NULL THEN 'on cpu'
              WHEN a.wait_event_type = 'Lock' THEN 'lock'
              WHEN a.wait_event_type = 'IO' THEN 'io'
              ELSE 'other wait' END AS state,
         extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS seconds,
         a.pid = pg_backend_pid()
         OR a.application_name = current_setting('application_name') AND a.usename = session_user
            AND (a.pid = ANY (CAST(:own AS int[])) OR NOT (CAST(:is_pooled AS boolean) AND a.state = 'idle')) AS is_own
  FROM pg_catalog.pg_stat_activity a
  WHERE a.backend_type = 'client backend' OR a.backend_type IS NULL AND a.usesysid IS NOT NULL AND a.datid IS NOT NULL
)
SELECT application, coalesce(address, CASE WHEN port IS NULL THEN '' ELSE 'local' END) AS client, login, state, is_own,
       count(*)::int AS count, max(seconds) AS oldest_seconds,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
       - coalesce(current_setting('reserved_connections', true), '0')::int AS slots,
       pg_postmaster_start_time() AS started_at, pg_has_role('pg_read_all_stats', 'USAGE') AS sees_sessions,
       pg_backend_pid() AS process_id
FROM client
GROUP BY application, 2, login, state, is_own
ORDER BY count DESC;

-- name: collect_prepared_transactions
-- A prepared transaction holds locks and has no process; pg_blocking_pids calls each of them 0.
SET LOCAL client_encoding = 'SQL_ASCII';
SELECT gid, owner AS login, database, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
FROM pg_catalog.pg_prepared_xacts ORDER BY prepared;

-- name: terminate_session
-- One statement looks whether the number still belongs to that session and ends it.
SELECT pg_catalog.pg_terminate_backend(a.pid) AS was_told FROM pg_catalog.pg_stat_activity a
WHERE a.pid = :process_id AND a.backend_start = :started_at AND a.pid <> pg_backend_pid()
  AND a.backend_type IN ('client backend', 'walsender');

-- name: cancel_session
-- One statement looks whether that session still runs that statement and cancels it.
SELECT pg_catalog.pg_cancel_backend(a.pid) AS was_told FROM pg_catalog.pg_stat_activity a
WHERE a.pid = :process_id AND a.backend_start = :started_at AND a.pid <> pg_backend_pid()
  AND a.backend_type IN ('client backend', 'walsender')
  AND a.state IN ('active', 'fastpath function call') AND a.query_start = :query_started_at;

-- name: collect_session_now
-- What has become of a session: no row when its number is free. Nulls: this login may not see it.
SELECT a.backend_start = :started_at AS is_same, a.state IN ('active', 'fastpath function call') AS is_active,
       a.query_start = :query_started_at AS is_same_query, a.state, a.wait_event_type, a.wait_event,
       a.pid = pg_backend_pid() AS is_asking
FROM pg_catalog.pg_stat_activity a WHERE a.pid = :process_id;

-- name: collect_login_of_session
-- Whose session may be signalled by superusers alone.
SELECT r.rolsuper AS is_superuser FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid WHERE a.pid = :process_id;

-- name: begin_explaining
-- What goes before the plan of a text that somebody else wrote, in one transaction with it: read-only because planning
-- may run functions, and a superuser steps down to the session's login, with whose rights and row policies it runs.
-- Names are looked up as that login would.
SET TRANSACTION READ ONLY;
SET LOCAL standard_conforming_strings = on;
SET LOCAL statement_timeout = '5s';
SET LOCAL lock_timeout = '1s';
SELECT set_config('dbtui.statement', :statement, true), set_config('dbtui.options', :options, true),
       set_config('dbtui.plan', '', true);
SELECT set_config('search_path', replace(coalesce(:search_path, current_setting('search_path')), '"$user"',
                                         quote_ident(:login)), true);
SELECT set_config('role', r.rolname, true) FROM pg_catalog.pg_roles r, pg_catalog.pg_roles me
WHERE r.rolname = :login AND me.rolname = current_user AND me.rolsuper;

-- name: explain_statement
-- A cursor takes one statement and no more, however the text is made.
DO $plan$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN ' || current_setting('dbtui.options') || current_setting('dbtui.statement') LOOP
    PERFORM set_config('dbtui.plan', current_setting('dbtui.plan') || line || chr(10), true);
  END LOOP;
END
$plan$;
SELECT current_setting('dbtui.plan') AS plan;

-- name: explain_with_parameters
-- The same before 16 for parameters whose values nobody knows. A prepared statement finds their types out; as no cursor
-- can prepare, the text must have no semicolon in it, which is seen to before.
SET LOCAL plan_cache_mode = force_generic_plan;
DO $plan$
DECLARE
  line text;
  parameters int;
BEGIN
  EXECUTE 'PREPARE dbtui_explained AS ' || current_setting('dbtui.statement');
  BEGIN
    SELECT cardinality(parameter_types) INTO parameters
    FROM pg_catalog.pg_prepared_statements WHERE name = 'dbtui_explained';
    FOR line IN EXECUTE 'EXPLAIN ' || current_setting('dbtui.options') || 'EXECUTE dbtui_explained('
                        || rtrim(repeat('NULL,', parameters), ',') || ')' LOOP
      PERFORM set_config('dbtui.plan', current_setting('dbtui.plan') || line || chr(10), true);
    END LOOP;
  EXCEPTION WHEN query_canceled OR others THEN
    DEALLOCATE dbtui_explained;
    RAISE;
  END;
  DEALLOCATE dbtui_explained;
END
$plan$;
SELECT current_setting('dbtui.plan') AS plan;

-- name: collect_search_path
-- The search_path that a login begins with in a database, when somebody set one; the narrowest setting wins.
SELECT substr(x.setting, length('search_path=') + 1) AS search_path
FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) x(setting)
WHERE x.setting LIKE 'search\_path=%'
  AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = :database))
  AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = :login))
ORDER BY s.setrole <> 0 AND s.setdatabase <> 0 DESC, s.setrole <> 0 DESC, s.setdatabase <> 0 DESC
LIMIT 1;

-- name: lift_timeouts
-- A dump takes as long as it takes, and counting is no work for a compiler. LOCAL, so that nothing is left behind in a pooled session.
SET LOCAL jit = off; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;

-- name: lift_timeouts
-- since: 17
-- From 17 on a transaction has a timeout too.
SET LOCAL jit = off; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL transaction_timeout = 0;

-- name: export_snapshot
-- The first question of its transaction: the snapshot is taken here, when the tables are locked already.
SELECT pg_catalog.pg_export_snapshot() AS name;

-- name: collect_sizes
-- Which tables there are, with their size: for counting in a restored database, which nobody locks.
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_catalog.pg_table_size(c.oid) AS size_bytes
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't';

-- name: collect_copy_progress
-- since: 14
-- What pg_dump's own COPY statements have sent of the tables they are at.
SELECT n.nspname::text AS schema, c.relname::text AS name, p.bytes_processed
FROM pg_catalog.pg_stat_progress_copy p
JOIN pg_catalog.pg_class c ON c.oid = p.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.datname = current_database() AND p.command = 'COPY TO';

-- name: collect_copy_progress
-- Before 14 the server does not tell.
SELECT NULL::text AS schema, NULL::text AS name, 0::bigint AS bytes_processed WHERE false;

-- name: collect_schemas
-- The schemas that a dump holds, also those without tables.
SELECT n.nspname::text AS name FROM pg_catalog.pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1;

-- name: collect_login_power
-- Whether code that comes with a dump could run programs or touch files of the server with this login's rights, or with
-- those of a role that it may become. Before version 16 CREATEROLE is enough to give oneself such a role.
SELECT EXISTS (
         SELECT FROM pg_catalog.pg_roles r
         WHERE (r.rolsuper
                OR r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files')
                OR (r.rolcreaterole AND current_setting('server_version_num')::int < 160000))
           AND (pg_has_role(current_user, r.oid, 'MEMBER') OR pg_has_role(session_user, r.oid, 'MEMBER'))) AS is_powerful;

-- name: prepare_load
-- Settings of the load's transaction alone: texts as pg_dump writes them, no wait for the disk at each step, and enough
-- memory to build indexes in one go.
SELECT set_config('standard_conforming_strings', 'on', true) AS texts,
       set_config('statement_timeout', '0', true) AS timeout,
       set_config('synchronous_commit', 'off', true) AS waits,
       set_config('maintenance_work_mem',
                  CASE WHEN pg_size_bytes(current_setting('maintenance_work_mem')) < 268435456 THEN '256MB'
                       ELSE current_setting('maintenance_work_mem') END, true) AS memory;

-- name: share_memory
-- Several builders together take as much memory as one would alone.
SELECT set_config('maintenance_work_mem',
                  greatest(pg_size_bytes(current_setting('maintenance_work_mem')) / 1024 / CAST(:builders AS int), 65536)::text,
                  true) AS memory;

-- name: collect_session_settings
-- What a dump's own SET statements changed in this session.
SELECT name, setting AS value FROM pg_catalog.pg_settings
WHERE source = 'session' AND context IN ('user', 'superuser')
  AND name NOT IN ('role', 'session_authorization', 'maintenance_work_mem', 'transaction_isolation',
                   'transaction_read_only', 'transaction_deferrable', 'is_superuser');

-- name: adopt_setting
-- Sets what another session has.
SELECT set_config(:setting, :value, false) AS value;

-- name: collect_role_names
-- Roles that rights and policies of a dump may refer to.
SELECT rolname::text AS role_name, pg_has_role(current_user, oid, 'MEMBER') AS is_ours FROM pg_catalog.pg_roles;

-- name: collect_database
-- One row when the database exists. Its size needs CONNECT, or pg_read_all_stats.
SELECT d.datallowconn AS is_open,
       CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
            THEN pg_catalog.pg_database_size(d.oid) END AS size_bytes
FROM pg_catalog.pg_database d WHERE d.datname = :database;

-- name: collect_objects
-- Whether a database is empty: what an extension brought along does not count.
SELECT (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
          AND n.nspname <> 'information_schema' AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend x
              WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e')) AS tables,
       (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('v', 'm', 'S', 'c') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
          AND n.nspname <> 'information_schema' AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend x
              WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid AND x.deptype = 'e'))
       + (SELECT count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
          WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (
              SELECT FROM pg_catalog.pg_depend x
              WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')) AS others;

-- name: collect_sessions_of
-- Who is connected to a database and would be disconnected.
SELECT a.pid AS process_id, coalesce(a.usename, '')::text AS login, coalesce(a.application_name, '') AS application,
       coalesce(host(a.client_addr), 'local') AS client, coalesce(a.state, '') AS state
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = :database AND a.pid <> ALL (CAST(:own AS int[]))
  AND (a.backend_type = 'client backend' OR a.backend_type IS NULL)
ORDER BY a.backend_start;

-- name: collect_server_for_restore
-- What a restore needs of the server. data_directory is shown to superusers and pg_read_all_settings only.
SELECT ARRAY(SELECT datname::text FROM pg_catalog.pg_database ORDER BY 1) AS databases,
       ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles) AS roles,
       ARRAY(SELECT name::text FROM pg_catalog.pg_available_extensions) AS available_extensions,
       ARRAY(SELECT v.name::text FROM pg_catalog.pg_available_extension_versions v
             JOIN pg_catalog.pg_available_extensions e ON e.name = v.name AND e.default_version = v.version
             WHERE v.superuser AND NOT v.trusted) AS superuser_extensions,
       (SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS can_create,
       (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory') AS data_directory,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       ARRAY(SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE database = :database) AS slots;

-- name: collect_database_shape
-- What CREATE DATABASE takes from an existing database. Before 15 there are no other locale providers.
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate::text AS lc_collate, d.datctype::text AS lc_ctype,
       'c' AS provider, NULL::text AS locale, NULL::text AS rules, r.rolname::text AS owner,
       pg_has_role(d.datdba, 'MEMBER') AS can_own, t.spcname::text AS tablespace_name
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = :database;

-- name: collect_database_shape
-- since: 15
-- ICU locales of databases.
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate::text AS lc_collate, d.datctype::text AS lc_ctype,
       d.datlocprovider::text AS provider, to_jsonb(d) ->> 'daticulocale' AS locale,
       to_jsonb(d) ->> 'daticurules' AS rules, r.rolname::text AS owner,
       pg_has_role(d.datdba, 'MEMBER') AS can_own, t.spcname::text AS tablespace_name
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = :database;

-- name: collect_database_shape
-- since: 17
-- The column was renamed, and a builtin provider came.
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate::text AS lc_collate, d.datctype::text AS lc_ctype,
       d.datlocprovider::text AS provider, d.datlocale AS locale, d.daticurules AS rules, r.rolname::text AS owner,
       pg_has_role(d.datdba, 'MEMBER') AS can_own, t.spcname::text AS tablespace_name
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = :database;

-- name: collect_database_properties
-- What belongs to a database but is in no dump of it without --create.
SELECT d.datconnlimit AS connection_limit, r.rolname::text AS owner, d.datistemplate AS is_template,
       pg_catalog.shobj_description(d.oid, 'pg_database') AS remark, d.datacl IS NOT NULL AS has_grants
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
WHERE d.datname = :database;

-- name: collect_database_settings
-- ALTER DATABASE … SET, and ALTER ROLE … IN DATABASE … SET.
SELECT r.rolname::text AS role_name, unnest(s.setconfig) AS setting
FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
WHERE d.datname = :database AND (s.setrole = 0 OR r.oid IS NOT NULL);

-- name: collect_database_grants
-- Who may do what with a database; no grantee stands for PUBLIC.
SELECT g.rolname::text AS grantee, x.privilege_type, x.is_grantable
FROM pg_catalog.pg_database d
CROSS JOIN LATERAL aclexplode(d.datacl) x
LEFT JOIN pg_catalog.pg_roles g ON g.oid = x.grantee
WHERE d.datname = :database AND (x.grantee = 0 OR g.oid IS NOT NULL);

-- name: terminate_sessions_of
-- Every client of some databases. Returns those that were told to end: they need a moment.
SELECT a.pid AS process_id, pg_catalog.pg_terminate_backend(a.pid) AS was_told
FROM pg_catalog.pg_stat_activity a WHERE a.datname = ANY (CAST(:databases AS text[])) AND a.pid <> pg_backend_pid();

-- name: collect_open_databases
-- Where one can stand while another database is renamed or dropped.
SELECT datname::text AS name FROM pg_catalog.pg_database
WHERE datallowconn AND datname <> ALL (CAST(:avoided AS text[])) AND has_database_privilege(oid, 'CONNECT')
ORDER BY datistemplate, datname;

-- name: collect_tablespaces
-- Tablespaces that a dump may ask for.
SELECT spcname::text AS name FROM pg_catalog.pg_tablespace;

-- name: collect_load_progress
-- How far a load is: what the new database has grown to, which counts tables and indexes of every connection's work.
SELECT pg_database_size(current_database()) AS written_bytes;

-- name: introduce_way_past_pooler
-- Where the server itself listens, asked through a pooler; the start time tells whether it is the same one.
SELECT host(inet_server_addr()) AS address, current_setting('port')::int AS port, current_database() AS database,
       pg_postmaster_start_time() AS started;

-- name: collect_heap
-- How large a table's own pages are, without what is kept out of line; other access methods know no ranges of ctid.
SELECT pg_catalog.pg_relation_size(c.oid) AS size_bytes, a.amname = 'heap' AS is_heap,
       (pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint AS blocks
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am a ON a.oid = c.relam WHERE c.oid = :table_id;

-- name: collect_copy_position
-- How far pg_dump's COPY statements are. A transaction sees the same statistics all along unless it drops what it saw.
SELECT pg_catalog.pg_stat_clear_snapshot();
SELECT p.relid::bigint AS table_id, p.bytes_processed, p.tuples_processed
FROM pg_catalog.pg_stat_progress_copy p
WHERE p.datname = current_database() AND p.command = 'COPY TO';

-- name: collect_analyzed_tables
-- Tables whose statistics are gathered after a load, the largest first; partitioned ones have statistics of their own.
SELECT format('%I.%I', n.nspname, c.relname) AS table_name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\_toast%' AND (c.relkind <> 'm' OR c.relispopulated)
ORDER BY pg_relation_size(c.oid) DESC;

-- name: collect_login_rights
-- What this login may see and do beside its own tables, and what time it is there.
SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS reads_stats,
       pg_has_role('pg_monitor', 'USAGE') AS monitors,
       pg_has_role('pg_signal_backend', 'USAGE') AS signals,
       (SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS creates_databases,
       ARRAY(SELECT datname::text FROM pg_catalog.pg_database
             WHERE datallowconn AND NOT has_database_privilege(oid, 'CONNECT') ORDER BY 1) AS closed_databases,
       extract(epoch FROM clock_timestamp())::float8 AS server_seconds;

-- name: pin_partition_text
-- Bounds and definitions are written for the session that asks: here they always mean the same, and name schemas.
-- Compiling a question of many partitions takes the server longer than answering it.
SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL quote_all_identifiers = off;
SET LOCAL search_path = pg_catalog; SET LOCAL standard_conforming_strings = on; SET LOCAL jit = off;

-- name: collect_partition_session
-- What a partitioned table is judged by beside itself; the time zone is the one that the login gets, not ours.
SELECT clock_timestamp() AS taken_at, pg_is_in_recovery() AS is_replica,
       COALESCE((SELECT s.reset_val FROM pg_catalog.pg_settings s WHERE s.name = 'TimeZone'), 'UTC') AS time_zone,
       current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint
         + current_setting('max_prepared_transactions')::bigint) AS lock_slots;

-- name: collect_partitioned_parents
-- Partitioned tables with their keys: those of the whole database that are nobody's partition, or the one that is
-- named, whatever it is. The operator class tells a column's type even where that is a domain. Only for an expression
-- is the server asked to write the key: it locks the table for that.
SELECT c.oid::bigint AS identity, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.relispartition AS is_partition, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner, p.partstrat::text AS strategy,
       CASE WHEN p.partexprs IS NULL
            THEN (SELECT format('%s (%s)', CASE p.partstrat WHEN 'r' THEN 'RANGE' WHEN 'l' THEN 'LIST' ELSE 'HASH' END,
                                string_agg(quote_ident(a.attname), ', ' ORDER BY k.place))
                  FROM unnest(p.partattrs::int2[]) WITH ORDINALITY k (number, place)
                  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number)
            ELSE pg_catalog.pg_get_partkeydef(c.oid) END AS key_text,
       ARRAY(SELECT a.attname::text FROM unnest(p.partattrs::int2[]) WITH ORDINALITY k (number, place)
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number ORDER BY k.place)
         AS key_columns,
       ARRAY(SELECT o.opcintype::regtype::text FROM unnest(p.partclass::oid[]) WITH ORDINALITY k (class, place)
             JOIN pg_catalog.pg_opclass o ON o.oid = k.class ORDER BY k.place) AS key_types
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
WHERE c.relpersistence <> 't'
  AND CASE WHEN :table_name = '' THEN c.relkind = 'p' AND NOT c.relispartition
           ELSE c.relname = :table_name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                AND CASE WHEN :table_schema = '' THEN n.nspname = ANY (CAST(:path AS text[]))
                         ELSE n.nspname = :table_schema END END
ORDER BY array_position(CAST(:path AS text[]), n.nspname::text), 2, 3;

-- name: collect_effective_path
-- Where the login finds a table that is named without its schema.
SELECT current_schemas(false)::text[] AS path;

-- name: collect_partitions
-- Partitions of some tables and the partitions of those, from the catalogue alone: nothing is opened, so nothing
-- waits; with its own number instead of 0 a bound would be written under a lock on the partition. Rows that were never
-- counted are what the statistics saw come and go.
WITH RECURSIVE tree AS (
  SELECT i.inhparent, i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = ANY (CAST(:parents AS oid[]))
  UNION ALL
  SELECT i.inhparent, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.inhrelid
)
SELECT t.inhparent::bigint AS parent, c.oid::bigint AS identity, n.nspname::text AS schema, c.relname::text AS name,
       c.relkind::text AS kind, pg_catalog.pg_get_expr(c.relpartbound, 0) AS bound,
       p.partstrat::text AS strategy,
       CASE WHEN p.partrelid IS NOT NULL THEN
         ARRAY(SELECT o.opcintype::regtype::text FROM unnest(p.partclass::oid[]) WITH ORDINALITY k (class, place)
               JOIN pg_catalog.pg_opclass o ON o.oid = k.class ORDER BY k.place) END AS key_types,
       p.partattrs::text AS key_numbers,
       CASE WHEN c.relpages > 0 AND c.reltuples >= 0 THEN c.reltuples::bigint
            ELSE pg_catalog.pg_stat_get_live_tuples(c.oid) END AS rows_estimate,
       (c.relpages + COALESCE(o.relpages, 0)
         + COALESCE((SELECT sum(y.relpages) FROM pg_catalog.pg_index x
                     JOIN pg_catalog.pg_class y ON y.oid = x.indexrelid WHERE x.indrelid = c.oid), 0))::bigint
         * current_setting('block_size')::bigint AS bytes_estimate
FROM tree t
JOIN pg_catalog.pg_class c ON c.oid = t.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN pg_catalog.pg_class o ON o.oid = c.reltoastrelid;

-- name: collect_pending_detaches
-- Before 14 a partition cannot be half detached.
SELECT NULL::bigint AS identity WHERE false;

-- name: collect_pending_detaches
-- since: 14
-- Partitions whose concurrent detach was begun and not ended.
SELECT inhrelid::bigint AS identity FROM pg_catalog.pg_inherits WHERE inhdetachpending;

-- name: collect_partition_indexes
-- Indexes of a table and of its own partitions. One that hangs on an index of the parent is not written out: there
-- may be tens of thousands of them.
SELECT x.indrelid::bigint AS table_id, c.relname::text AS name, x.indisvalid AS is_valid, x.indisunique AS is_unique,
       k.conindid IS NOT NULL AS is_constraint, i.inhparent::bigint AS parent, c.oid::bigint AS identity,
       CASE WHEN i.inhparent IS NULL OR x.indrelid = :identity THEN pg_catalog.pg_get_indexdef(c.oid) END AS definition,
       CASE WHEN i.inhparent IS NULL OR x.indrelid = :identity THEN
         ARRAY(SELECT COALESCE(a.attname::text, pg_catalog.pg_get_indexdef(c.oid, place, true))
               FROM generate_series(1, x.indnkeyatts) place
               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[place - 1]
               ORDER BY place) END AS columns
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
LEFT JOIN (SELECT DISTINCT conindid FROM pg_catalog.pg_constraint WHERE contype IN ('p', 'u', 'x')) k
  ON k.conindid = c.oid
WHERE x.indrelid = :identity
   OR x.indrelid IN (SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = :identity)
ORDER BY 1, 2;

-- name: collect_referencing_tables
-- Whose foreign keys point at a table: not those that its partitions have inherited.
SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS name, c.oid::bigint AS identity
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.confrelid = :identity AND k.conparentid = 0
ORDER BY 1, 2;

-- name: collect_referenced_tables
-- Which tables a table's foreign keys name: they are locked, too, when a partition comes or goes.
SELECT DISTINCT n.nspname::text AS schema, c.relname::text AS name, c.oid::bigint AS identity
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conrelid = :identity AND k.confrelid <> :identity AND k.conparentid = 0
ORDER BY 1, 2;

-- name: collect_detached_partitions
-- Tables that carry our mark: they were partitions, and the catalogue has forgotten of what.
SELECT c.oid::bigint AS identity, n.nspname::text AS schema, c.relname::text AS name, d.description AS mark,
       CASE WHEN c.relpages > 0 AND c.reltuples >= 0 THEN c.reltuples::bigint
            ELSE pg_catalog.pg_stat_get_live_tuples(c.oid) END AS rows_estimate
FROM pg_catalog.pg_description d
JOIN pg_catalog.pg_class c ON c.oid = d.objoid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
  AND (d.description LIKE 'dbtui:detached %' OR d.description LIKE '%' || chr(10) || 'dbtui:detached %')
  AND NOT c.relispartition AND c.relkind IN ('r', 'p')
ORDER BY 2, 3;

-- name: collect_marked_partitions
-- Partitions that carry our mark and are no less partitions: a detach was not begun, or was taken back. Of one whose
-- detach is pending the mark is needed.
SELECT n.nspname::text AS schema, c.relname::text AS name, d.description AS comment, c.oid::bigint AS identity
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE i.inhparent = :identity AND c.relkind IN ('r', 'p') AND d.description LIKE '%dbtui:detached %';

-- name: collect_partition_template
-- What LIKE does not copy, of the newest partition, or of the parent while there is none. A role that is gone since
-- is left out.
SELECT c.oid::bigint AS identity, c.relname::text AS name, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       c.relpersistence = 'u' AS is_unlogged,
       CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN 'INDEX' ELSE '' END
         AS replica_identity,
       COALESCE((SELECT y.relname::text FROM pg_catalog.pg_index x
                 LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = x.indexrelid
                 JOIN pg_catalog.pg_class y
                   ON y.oid = COALESCE(i.inhparent, CASE WHEN x.indrelid = :parent THEN x.indexrelid END)
                 WHERE x.indrelid = c.oid AND x.indisreplident), '') AS replica_index,
       CASE WHEN NOT c.relrowsecurity THEN '' WHEN c.relforcerowsecurity THEN 'FORCE' ELSE 'ENABLE' END AS row_security,
       COALESCE((SELECT spcname::text FROM pg_catalog.pg_tablespace WHERE oid = c.reltablespace), '') AS tablespace,
       COALESCE(c.reloptions, '{}') || ARRAY(SELECT 'toast.' || o FROM unnest(t.reloptions) o) AS options,
       ARRAY(SELECT json_build_array(COALESCE(r.rolname, ''), x.privilege_type, x.is_grantable)::text
             FROM aclexplode(c.relacl) x LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
             WHERE (x.grantee = 0 OR r.oid IS NOT NULL) AND x.grantee <> c.relowner ORDER BY 1)
         || ARRAY(SELECT json_build_array(COALESCE(r.rolname, ''), x.privilege_type, x.is_grantable, a.attname)::text
                  FROM pg_catalog.pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) x
                  LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND (x.grantee = 0 OR r.oid IS NOT NULL) AND x.grantee <> c.relowner ORDER BY 1) AS grants,
       ARRAY(SELECT DISTINCT COALESCE(r.rolname::text, '') FROM pg_catalog.pg_default_acl d
             CROSS JOIN LATERAL aclexplode(d.defaclacl) x LEFT JOIN pg_catalog.pg_roles r ON r.oid = x.grantee
             WHERE d.defaclobjtype = 'r' AND d.defaclrole = CAST(CAST(current_user AS regrole) AS oid)
               AND x.grantee <> d.defaclrole AND (x.grantee = 0 OR r.oid IS NOT NULL) ORDER BY 1) AS revoked,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = :parent AND a.attnum > 0
             AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum) AS columns
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class t ON t.oid = c.reltoastrelid
WHERE c.oid = COALESCE((SELECT max(i.inhrelid) FROM pg_catalog.pg_inherits i
                        JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid
                        WHERE i.inhparent = :parent AND p.relkind = 'r'), :parent);

-- name: collect_row_policies
-- Policies of a table with row security. Writing their conditions takes a lock on it, so only then are they asked for.
SELECT p.polname::text AS name, p.polpermissive AS is_permissive,
       CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
            ELSE 'ALL' END AS command,
       CASE WHEN 0 = ANY (p.polroles) THEN '{}'
            ELSE ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles) ORDER BY 1) END
         AS roles,
       COALESCE(pg_catalog.pg_get_expr(p.polqual, p.polrelid), '') AS using_text,
       COALESCE(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '') AS check_text
FROM pg_catalog.pg_policy p WHERE p.polrelid = :identity ORDER BY 1;

-- name: collect_names_taken
-- Relations that are none of a table's own partitions and are called as a new one could be.
SELECT c.relname::text AS name FROM pg_catalog.pg_class c
WHERE c.relnamespace = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = :parent)
  AND EXISTS (SELECT FROM unnest(CAST(:stems AS text[])) stem WHERE starts_with(c.relname::text, stem))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i
                  WHERE i.inhrelid = c.oid AND (c.relkind = 'i' OR i.inhparent = :parent))
ORDER BY 1;

-- name: collect_partition_managers
-- Tables with the settings of programs that look after partitions; their columns differ between versions.
SELECT n.nspname::text AS schema, c.relname::text AS name,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS is_readable
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'part_config' AND c.relkind = 'r'
  AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'parent_table');

-- name: collect_partman_templates
-- pg_partman makes a template for every table that it manages, called after it; who may not read its settings sees
-- that all the same.
SELECT c.relname::text AS name FROM pg_catalog.pg_class c JOIN pg_catalog.pg_extension e ON e.extnamespace = c.relnamespace
WHERE e.extname = 'pg_partman' AND c.relkind = 'r' AND c.relname LIKE 'template\_%';

-- name: collect_hypertables
-- TimescaleDB's tables by their first dimension; its views are everybody's to read. They came with its release 2.
SELECT c.oid::bigint AS identity, h.hypertable_schema::text AS schema, h.hypertable_name::text AS name,
       h.owner::text AS owner, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner, h.compression_enabled,
       ARRAY(SELECT d.column_name::text FROM timescaledb_information.dimensions d
             WHERE (d.hypertable_schema, d.hypertable_name) = (h.hypertable_schema, h.hypertable_name)
             ORDER BY d.dimension_number) AS key_columns,
       ARRAY(SELECT d.column_type::regtype::text FROM timescaledb_information.dimensions d
             WHERE (d.hypertable_schema, d.hypertable_name) = (h.hypertable_schema, h.hypertable_name)
             ORDER BY d.dimension_number) AS key_types,
       (SELECT COALESCE(d.time_interval::text, d.integer_interval::text) FROM timescaledb_information.dimensions d
        WHERE (d.hypertable_schema, d.hypertable_name) = (h.hypertable_schema, h.hypertable_name)
          AND d.dimension_number = 1) AS chunk_interval,
       (SELECT j.config ->> 'drop_after' FROM timescaledb_information.jobs j
        WHERE (j.hypertable_schema, j.hypertable_name) = (h.hypertable_schema, h.hypertable_name)
          AND j.proc_name = 'policy_retention' LIMIT 1) AS drop_after
FROM timescaledb_information.hypertables h
JOIN pg_catalog.pg_namespace n ON n.nspname = h.hypertable_schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = h.hypertable_name
WHERE :table_name = '' OR h.hypertable_name = :table_name
  AND CASE WHEN :table_schema = '' THEN h.hypertable_schema = ANY (CAST(:path AS text[]))
           ELSE h.hypertable_schema = :table_schema END
ORDER BY array_position(CAST(:path AS text[]), h.hypertable_schema::text), 2, 3;

-- name: collect_chunks
-- Chunks of hypertables, with bounds as PostgreSQL writes those of partitions. Times of keys without a time zone are
-- written as if they were of UTC.
SELECT k.hypertable_schema::text AS parent_schema, k.hypertable_name::text AS parent_name, c.oid::bigint AS identity,
       k.chunk_schema::text AS schema, k.chunk_name::text AS name,
       CASE k.primary_dimension_type::regtype::text
         WHEN 'date' THEN format('FOR VALUES FROM (%L) TO (%L)', (k.range_start AT TIME ZONE 'UTC')::date,
                                 (k.range_end AT TIME ZONE 'UTC')::date)
         WHEN 'timestamp without time zone'
           THEN format('FOR VALUES FROM (%L) TO (%L)', k.range_start AT TIME ZONE 'UTC', k.range_end AT TIME ZONE 'UTC')
         ELSE format('FOR VALUES FROM (%L) TO (%L)', COALESCE(k.range_start::text, k.range_start_integer::text),
                     COALESCE(k.range_end::text, k.range_end_integer::text)) END AS bound,
       CASE WHEN c.relpages > 0 AND c.reltuples >= 0 THEN c.reltuples::bigint
            ELSE pg_catalog.pg_stat_get_live_tuples(c.oid) END AS rows_estimate,
       c.relpages::bigint * current_setting('block_size')::bigint AS bytes_estimate
FROM timescaledb_information.chunks k
JOIN pg_catalog.pg_namespace n ON n.nspname = k.chunk_schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = k.chunk_name
WHERE (:table_name = '' OR (k.hypertable_schema, k.hypertable_name) = (:table_schema, :table_name))
ORDER BY k.range_start, k.range_start_integer, 5;

-- name: measure_partitions
-- Exactly how large some tables are, with indexes. One that is locked exclusively is left out: measuring would wait.
SELECT c.oid::bigint AS identity, pg_catalog.pg_total_relation_size(c.oid) AS bytes
FROM pg_catalog.pg_class c
WHERE c.oid = ANY (CAST(:identities AS oid[]))
  AND c.oid NOT IN (SELECT relation FROM pg_catalog.pg_locks
                    WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL);

-- name: look_at_relation
-- What a name stands for now, and whether it is still the partition that was planned for.
SELECT c.oid::bigint AS identity, c.relkind::text AS kind, c.relispartition AS is_partition, i.inhparent::bigint AS parent,
       pg_catalog.pg_get_expr(c.relpartbound, 0) AS bound, pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       pg_is_in_recovery() AS is_replica
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
WHERE n.nspname = :table_schema AND c.relname = :table_name;

-- name: look_at_index
-- Whether an index is there, whole, of which table, and what it hangs on.
SELECT x.indisvalid AS is_valid, x.indrelid::bigint AS table_id, p.relname::text AS parent
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
WHERE n.nspname = :table_schema AND c.relname = :table_name;

-- name: collect_left_indexes
-- What REINDEX CONCURRENTLY of an index has left when it was stopped; the manual says to drop such, and to begin again.
SELECT c.relname::text AS name
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
WHERE x.indrelid = :identity AND NOT x.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
  AND starts_with(c.relname::text, left(:index_name, 50)) AND c.relname <> :index_name ORDER BY 1;

-- name: collect_index_progress
-- How far a session's CREATE INDEX or REINDEX is, and whose transaction it waits for.
SELECT p.phase, p.blocks_done, p.blocks_total, p.tuples_done, p.tuples_total, p.lockers_done, p.lockers_total,
       current_setting('block_size')::bigint AS block_bytes, p.current_locker_pid AS locker,
       a.usename::text AS login, a.application_name AS application, a.state, a.backend_type, left(a.query, 200) AS sql,
       COALESCE(extract(epoch FROM clock_timestamp() - a.xact_start)::float8, 0) AS seconds
FROM pg_catalog.pg_stat_progress_create_index p
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.current_locker_pid AND p.current_locker_pid <> 0
WHERE p.pid = :process_id;

-- name: collect_delete_triggers
-- Triggers that would fire for every row that leaves a table: such a row is not moved but deleted and inserted. Before
-- 15 one that a partition has from its parent counts as internal.
SELECT tgname::text AS name FROM pg_catalog.pg_trigger
WHERE tgrelid = :identity AND (NOT tgisinternal OR tgparentid <> 0) AND tgenabled <> 'D' AND tgtype & 8 > 0 ORDER BY 1;

-- name: collect_delete_triggers
-- since: 15
-- Triggers that would fire for every row that leaves a table: such a row is not moved but deleted and inserted.
SELECT tgname::text AS name FROM pg_catalog.pg_trigger
WHERE tgrelid = :identity AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 8 > 0 ORDER BY 1;

-- name: collect_left_checks
-- Constraints that a run added to the default partition for a short time, and did not live to remove.
SELECT conname::text AS name FROM pg_catalog.pg_constraint
WHERE conrelid = :identity AND contype = 'c' AND conname LIKE 'dbtui\_excludes\_%';

-- name: collect_partition_blockers
-- Who holds what on some tables: on `exclusive` ones every lock is in the way, on `unwritten` ones a writer's, on the
-- others those that are no reader's and no writer's. The age is that of the transaction; a prepared one has no session,
-- but a name, which its lock on its own number leads to.
SELECT COALESCE(l.pid, 0) AS process_id, COALESCE(a.usename, p.owner)::text AS login,
       COALESCE(a.application_name, p.gid) AS application, a.state,
       a.backend_type, left(a.query, 200) AS sql, array_agg(DISTINCT c.relname::text) AS tables,
       COALESCE(extract(epoch FROM statement_timestamp() - COALESCE(a.xact_start, p.prepared))::float8, 0) AS seconds
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_catalog.pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
  AND x.virtualtransaction = l.virtualtransaction
LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid
WHERE l.locktype = 'relation' AND l.granted AND (l.pid IS NULL OR l.pid <> ALL (CAST(:own AS int[])))
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.relation = ANY (CAST(:exclusive AS oid[]))
       OR l.relation = ANY (CAST(:unwritten AS oid[])) AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
       OR l.relation = ANY (CAST(:shared AS oid[])) AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock',
          'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
GROUP BY 1, 2, 3, 4, 5, 6, 8 ORDER BY seconds DESC;

-- name: try_partition_lock
-- One run at a time for a partitioned table, wherever it is run from; the lock ends with its session.
SELECT pg_try_advisory_lock(hashtextextended('dbtui:part:' || CAST(:identity AS text), 0)) AS is_ours;

-- name: collect_partition_lock_holder
-- Who has the lock of a partitioned table.
SELECT a.pid AS process_id, a.usename::text AS login, a.application_name AS application,
       extract(epoch FROM clock_timestamp() - a.backend_start)::float8 AS seconds
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('dbtui:part:' || CAST(:identity AS text), 0);

-- name: look_at_parent
-- Whether a run still speaks to a primary about the table that it planned for.
SELECT pg_is_in_recovery() AS is_replica, c.relkind::text AS kind, pg_has_role(c.relowner, 'USAGE') AS is_owner,
       n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = :identity;

-- name: collect_statistics_extension
-- Whether the server sums statements up, and where its view is; the library says so by its settings, whoever asks.
SELECT current_setting('pg_stat_statements.max', true) IS NOT NULL AS is_loaded, e.extversion AS version,
       n.nspname::text AS schema, current_setting('block_size')::int AS block_bytes,
       (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'shared_preload_libraries') AS libraries,
       pg_has_role('pg_read_all_stats', 'USAGE') AS reads_stats, current_database()::text AS database,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
             WHERE c.relnamespace = e.extnamespace AND c.relname = 'pg_stat_statements' AND a.attnum > 0
               AND NOT a.attisdropped) AS columns
FROM (SELECT 1) one
LEFT JOIN pg_catalog.pg_extension e ON e.extname = 'pg_stat_statements'
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace;

-- name: collect_names_of_logins
-- Sums name databases and logins by number; a role that is gone keeps its number.
SELECT 'login' AS kind, oid::bigint AS identity, rolname::text AS name FROM pg_catalog.pg_roles
UNION ALL SELECT 'database', oid::bigint, datname::text FROM pg_catalog.pg_database;

-- name: set_quietly
-- Our own statements are neither logged nor summed up, where this login may say so.
SELECT set_config(:setting, :value, false);

-- name: ask_nothing
-- The shortest statement there is, to measure the way to the server.
SELECT 1 AS dbtui;

-- name: collect_foreign_keys
-- Keys of the database's own tables, with the columns of both sides in order. Those that partitions inherit are left out.
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_catalog.pg_table_is_visible(c.oid) AS is_visible,
       fn.nspname::text AS parent_schema, f.relname::text AS parent_name,
       pg_catalog.pg_table_is_visible(f.oid) AS is_parent_visible, k.columns, k.parent_columns, k.is_required,
       EXISTS (SELECT 1 FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid
                 AND x.indpred IS NULL AND x.indexprs IS NULL
                 AND (x.indkey::int2[])[0:x.indnkeyatts - 1] <@ o.conkey) AS is_unique
FROM pg_catalog.pg_constraint o
JOIN pg_catalog.pg_class c ON c.oid = o.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class f ON f.oid = o.confrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
CROSS JOIN LATERAL (
  SELECT array_agg(a.attname::text ORDER BY u.place) AS columns, bool_and(a.attnotnull) AS is_required,
         array_agg(p.attname::text ORDER BY u.place) AS parent_columns
  FROM unnest(o.conkey, o.confkey) WITH ORDINALITY u (own, other, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = u.own
  JOIN pg_catalog.pg_attribute p ON p.attrelid = o.confrelid AND p.attnum = u.other) k
WHERE o.contype = 'f' AND o.conparentid = 0
ORDER BY is_visible DESC, schema, name, o.conname;

-- name: collect_index_columns
-- Primary keys whole, of other indexes the first column: that decides whether a look-up has an index. A partition has
-- what its parent has, and an index with a condition is not for every look-up.
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_catalog.pg_table_is_visible(c.oid) AS is_visible,
       x.indisprimary AS is_primary,
       ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int2[]) WITH ORDINALITY u (number, place)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = u.number
             WHERE u.place <= CASE WHEN x.indisprimary THEN x.indnkeyatts ELSE 1 END ORDER BY u.place) AS columns
FROM pg_catalog.pg_index x
JOIN pg_catalog.pg_class c ON c.oid = x.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE x.indisvalid AND x.indpred IS NULL AND x.indkey[0] <> 0 AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'm')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY is_visible DESC, schema, name;

-- name: collect_capture_facts
-- Whether and where the server logs, whether its settings may be changed and its log be read by this login, and on which
-- server all of this is so. Settings that a login may not see are NULL.
SELECT current_setting('logging_collector') AS collects, current_setting('log_destination') AS destinations,
       (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'log_directory') AS log_directory,
       (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'data_directory') AS data_directory,
       current_setting('port') AS port, current_setting('log_statement') AS log_statement,
       current_setting('lc_messages') AS language,
       current_setting('allow_alter_system', true) AS allows_alter, pg_is_in_recovery() AS is_replica,
       pg_backend_pid() AS process_id, pg_postmaster_start_time() AS started_at,
       (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)::text AS system_identifier,
       (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() c) AS timeline,
       has_function_privilege('pg_catalog.pg_reload_conf()', 'EXECUTE') AS can_reload,
       has_function_privilege('pg_catalog.pg_current_logfile(text)', 'EXECUTE') AS can_find_log,
       has_function_privilege('pg_catalog.pg_ls_logdir()', 'EXECUTE') AS can_list_log,
       has_function_privilege('pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)', 'EXECUTE') AS can_read_log,
       ARRAY(SELECT s.name FROM pg_catalog.pg_settings s
             WHERE s.name ~ '^(rds|cloudsql|azure|alloydb|neon|aiven|crunchybridge)\.' ORDER BY 1 LIMIT 1)
       || ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.rolname IN
             ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'alloydbsuperuser', 'neon_superuser')) AS managers;

-- name: collect_capture_settings
-- What is in effect, and where it comes from: what the command line says wins over ALTER SYSTEM.
SELECT s.name, current_setting(s.name) AS shown, s.setting, s.source
FROM pg_catalog.pg_settings s WHERE s.name = ANY (CAST(:names AS text[]));

-- name: collect_settings_in_effect
-- What the server's files give a session, whatever this one has set for itself; a setting of its role or database hides
-- that.
SELECT s.name, s.reset_val AS setting, EXISTS (
         SELECT 1 FROM pg_catalog.pg_db_role_setting r CROSS JOIN LATERAL unnest(r.setconfig) u (setting)
         WHERE r.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
           AND r.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
           AND split_part(u.setting, '=', 1) = s.name) AS is_hidden
FROM pg_catalog.pg_settings s WHERE s.name = ANY (CAST(:names AS text[]));

-- name: collect_setting_rights
-- Before 15 nobody but a superuser may change them, and there is nothing to ask.
SELECT name, false AS can_alter FROM unnest(CAST(:names AS text[])) name;

-- name: collect_setting_rights
-- since: 15
-- Which of these settings this login may write into the server's configuration.
SELECT name, has_parameter_privilege(name, 'ALTER SYSTEM') AS can_alter FROM unnest(CAST(:names AS text[])) name;

-- name: collect_settings_of_roles
-- A setting of a role or database wins over the server's: its sessions are logged as it says.
SELECT COALESCE(r.rolname::text, '') AS login, COALESCE(d.datname::text, '') AS database,
       split_part(u.setting, '=', 1) AS name, split_part(u.setting, '=', 2) AS value
FROM pg_catalog.pg_db_role_setting s
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) u (setting)
WHERE split_part(u.setting, '=', 1) = ANY (CAST(:names AS text[])) ORDER BY 1, 2;

-- name: collect_unloaded_files
-- Files that were changed since the server read them: a reload takes their changes over, whoever asks for it.
SELECT f.sourcefile AS name, bool_or(f.error IS NOT NULL) AS is_wrong,
       (pg_catalog.pg_stat_file(f.sourcefile, true)).modification > pg_conf_load_time() AS is_newer
FROM pg_catalog.pg_file_settings f WHERE f.sourcefile IS NOT NULL GROUP BY f.sourcefile ORDER BY 1;

-- name: count_transactions
-- How much happens on the server, where statements are not counted.
SELECT COALESCE(sum(xact_commit + xact_rollback), 0)::float8 AS transactions FROM pg_catalog.pg_stat_database;

-- name: read_server_file
-- A piece of a file, in bytes: a piece of a text would be refused where it cuts a character. NULL: it is not there.
SELECT pg_catalog.pg_read_binary_file(:path, :begins, :size, true) AS content;

-- name: collect_log_files
-- Every file in the log directory, of whatever kind.
SELECT name, size, modification FROM pg_catalog.pg_ls_logdir() ORDER BY modification, name;

-- name: find_log_file
-- The file that the server writes to now; NULL while it has not begun one of that kind.
SELECT pg_catalog.pg_current_logfile(:format) AS path;

-- name: reload_settings
-- Has every process of the server read its settings anew.
SELECT pg_catalog.pg_reload_conf() AS is_done;

-- name: try_capture_lock
-- One capture at a time on a server, wherever it is run from; the lock ends with its session.
SELECT pg_try_advisory_lock(hashtextextended('dbtui:capture', 0)) AS is_ours;

-- name: collect_capture_lock_holders
-- Who has the capture lock, in any database: the server keeps such locks for each database of its own.
SELECT l.pid AS process_id, a.usename::text AS login, d.datname::text AS database, host(a.client_addr) AS client,
       extract(epoch FROM clock_timestamp() - a.backend_start)::float8 AS seconds
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid LEFT JOIN pg_catalog.pg_database d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
  AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('dbtui:capture', 0);

-- name: terminate_own_session
-- A session of ours whose connection was lost, and which the server has not noticed yet.
SELECT pg_catalog.pg_terminate_backend(:process_id) AS is_sent;

-- name: collect_replication
-- A server's own place in replication, for every login. Its clock is read last in the round trip that measures the
-- skew. On a replica the log ends with what it has received; a timeline is known exactly only to who writes on it.
SELECT pg_is_in_recovery() AS is_replica,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system,
       CASE WHEN pg_is_in_recovery()
            THEN greatest((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
                          (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()))
            ELSE ('x' || substr(pg_catalog.pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
       (CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
             ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn)::numeric AS position,
       host(inet_server_addr()) AS host, current_setting('port') AS port, pg_backend_pid() AS process_id,
       extract(epoch FROM clock_timestamp())::float8 AS clock;

-- name: collect_replication_settings
-- What replication is judged by. primary_conninfo holds a password, so that only its host and port leave the server,
-- and only for who may see it. These hardly change, so they are asked rarely.
SELECT extract(epoch FROM current_setting('wal_receiver_status_interval')::interval)::float8 AS report_seconds,
       extract(epoch FROM current_setting('wal_receiver_timeout')::interval)::float8 AS timeout_seconds,
       extract(epoch FROM current_setting('recovery_min_apply_delay')::interval)::float8 AS delay_seconds,
       CASE WHEN current_setting('synchronous_commit') = 'off'
            THEN extract(epoch FROM current_setting('wal_writer_delay')::interval)::float8 * 3 ELSE 0 END AS flush_seconds,
       current_setting('cluster_name') AS cluster_name, current_setting('primary_slot_name') AS slot_name,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_streams,
       substring(c.setting FROM '(?:^|\s)host\s*=\s*''?([^\s'']+)') AS source_host,
       substring(c.setting FROM '(?:^|\s)port\s*=\s*''?(\d+)') AS source_port,
       d.setting AS data_directory
FROM (SELECT 1) one
LEFT JOIN pg_catalog.pg_settings c ON c.name = 'primary_conninfo'
LEFT JOIN pg_catalog.pg_settings d ON d.name = 'data_directory';

-- name: collect_streams
-- Who receives the log from this server, with the slot that each reads. Who lacks pg_read_all_stats sees that
-- somebody is there and nothing else. A base backup has two of these, of which one looks like a replica: its slot is
-- named after it, and what it has replayed stays unknown. reply_time is by the replica's clock.
SELECT r.pid AS process_id, r.application_name AS name, coalesce(host(r.client_addr), r.client_hostname) AS client,
       r.state, r.sync_state, (r.sent_lsn - '0/0'::pg_lsn)::numeric AS sent, (r.write_lsn - '0/0'::pg_lsn)::numeric AS written,
       (r.flush_lsn - '0/0'::pg_lsn)::numeric AS flushed, (r.replay_lsn - '0/0'::pg_lsn)::numeric AS replayed,
       extract(epoch FROM r.write_lag)::float8 AS write_seconds, extract(epoch FROM r.flush_lag)::float8 AS flush_seconds,
       extract(epoch FROM r.replay_lag)::float8 AS replay_seconds,
       extract(epoch FROM clock_timestamp() - r.reply_time)::float8 AS reply_age_seconds, r.backend_start AS started_at,
       s.slot_name, coalesce(s.slot_type, '') = 'logical' AS is_logical, coalesce(s.temporary, false) AS is_temporary,
       b.pid IS NOT NULL AS is_copying
FROM pg_catalog.pg_stat_replication r
LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid
LEFT JOIN pg_catalog.pg_stat_progress_basebackup b ON b.pid = r.pid
ORDER BY r.backend_start, r.pid;

-- name: collect_replication_slots
-- Every login may see slots. What a slot keeps follows what its reader has flushed, not what it has replayed.
SELECT slot_name, slot_type, coalesce(plugin, '') AS plugin, coalesce(database, '') AS database, active AS is_active,
       temporary AS is_temporary, active_pid AS process_id,
       (CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
             ELSE pg_current_wal_lsn() END - restart_lsn)::numeric AS retained_bytes,
       safe_wal_size AS safe_bytes, coalesce(wal_status, '') AS status, '' AS invalidation,
       NULL::timestamptz AS inactive_since, false AS is_synced
FROM pg_catalog.pg_replication_slots ORDER BY slot_name;

-- name: collect_replication_slots
-- since: 16
-- A slot of logical decoding on a replica may be given up for a conflict.
SELECT slot_name, slot_type, coalesce(plugin, '') AS plugin, coalesce(database, '') AS database, active AS is_active,
       temporary AS is_temporary, active_pid AS process_id,
       (CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
             ELSE pg_current_wal_lsn() END - restart_lsn)::numeric AS retained_bytes,
       safe_wal_size AS safe_bytes, coalesce(wal_status, '') AS status,
       CASE WHEN conflicting THEN 'conflict' ELSE '' END AS invalidation,
       NULL::timestamptz AS inactive_since, false AS is_synced
FROM pg_catalog.pg_replication_slots ORDER BY slot_name;

-- name: collect_replication_slots
-- since: 17
-- From 17 on the server says why it gave a slot up and since when nobody reads it, and copies slots to replicas.
SELECT slot_name, slot_type, coalesce(plugin, '') AS plugin, coalesce(database, '') AS database, active AS is_active,
       temporary AS is_temporary, active_pid AS process_id,
       (CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
             ELSE pg_current_wal_lsn() END - restart_lsn)::numeric AS retained_bytes,
       safe_wal_size AS safe_bytes, coalesce(wal_status, '') AS status,
       coalesce(invalidation_reason, '') AS invalidation, inactive_since, synced AS is_synced
FROM pg_catalog.pg_replication_slots ORDER BY slot_name;

-- name: collect_base_backups
-- Base backups that run. While one waits for its checkpoint nothing is copied yet, which looks as if it hung.
SELECT b.pid AS process_id, b.phase, b.backup_streamed AS streamed_bytes, b.backup_total AS total_bytes,
       a.backend_start AS started_at
FROM pg_catalog.pg_stat_progress_basebackup b LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
WHERE b.phase IS NOT NULL ORDER BY b.pid;

-- name: collect_receiver
-- How a replica gets the log. latest_end_lsn is where the sender's log ended when it was heard last. The server hides
-- the password in conninfo, of which the name alone is wanted.
SELECT coalesce(w.status, '') AS status, w.sender_host AS source_host, w.sender_port::text AS source_port,
       (w.flushed_lsn - '0/0'::pg_lsn)::numeric AS received, w.received_tli AS received_timeline,
       (w.latest_end_lsn - '0/0'::pg_lsn)::numeric AS source_end,
       extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time)::float8 AS silence_seconds,
       coalesce(w.slot_name, '') AS slot_name, coalesce(w.conninfo, '') AS conninfo
FROM pg_catalog.pg_stat_wal_receiver w WHERE w.pid IS NOT NULL;

-- name: collect_applier
-- How a replica applies the log. The age of the last commit that was applied is no lag when nothing is written.
SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::numeric AS replayed,
       (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::numeric AS received,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS replay_age_seconds,
       CASE WHEN pg_is_wal_replay_paused() THEN 'paused' ELSE 'not paused' END AS pause,
       (SELECT concat_ws(': ', a.wait_event_type, a.wait_event) FROM pg_catalog.pg_stat_activity a
        WHERE a.backend_type = 'startup') AS state;

-- name: collect_applier
-- since: 14
-- From 14 on a pause that was asked for is told from one that has begun.
SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::numeric AS replayed,
       (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::numeric AS received,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS replay_age_seconds,
       pg_get_wal_replay_pause_state() AS pause,
       (SELECT concat_ws(': ', a.wait_event_type, a.wait_event) FROM pg_catalog.pg_stat_activity a
        WHERE a.backend_type = 'startup') AS state;

-- name: collect_recovery_conflicts
-- Queries on a replica that were cancelled because replay had waited for them long enough.
SELECT sum(confl_tablespace)::bigint AS tablespace, sum(confl_lock)::bigint AS lock, sum(confl_snapshot)::bigint AS snapshot,
       sum(confl_bufferpin)::bigint AS "buffer pin", sum(confl_deadlock)::bigint AS deadlock
FROM pg_catalog.pg_stat_database_conflicts;

-- name: collect_stalling_sessions
-- While replay waits for queries the server does not say for which: those with the oldest view of the data are likeliest.
SELECT pid AS process_id, coalesce(usename::text, '') AS login, coalesce(application_name, '') AS application,
       coalesce(state, '') AS state, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
ORDER BY xact_start LIMIT 5;

-- name: pause_replay
-- Reversible: what is received stays on the replica's disk and is applied when replay goes on.
SELECT pg_wal_replay_pause();

-- name: resume_replay
-- The opposite.
SELECT pg_wal_replay_resume();

-- name: drop_replication_slot
-- What the slot kept of the log may go; its reader, if it comes back, may have to be built anew.
SELECT pg_drop_replication_slot(:slot);

-- name: promote_replica
-- Asks for promotion and does not wait for it: that is looked at from outside, so that it can be told and given up.
SELECT pg_promote(false) AS is_asked;

-- name: look_at_recovery
-- Whether a promotion has come to its end.
SELECT pg_is_in_recovery() AS is_replica;

-- name: collect_source_facts
-- What has to be known before a server is copied into a replica. Sizes of databases that the login may not connect to
-- are left out. On a replica the primary's full_page_writes counts, which is in the control file.
SELECT current_setting('wal_level') AS wal_level, current_setting('max_wal_senders')::int AS most_senders,
       (SELECT count(*)::int FROM pg_catalog.pg_stat_replication) AS senders,
       current_setting('max_replication_slots')::int AS most_slots,
       (SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS may_replicate,
       (SELECT sum(pg_database_size(oid))::bigint FROM pg_catalog.pg_database
        WHERE has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')) AS size_bytes,
       (SELECT count(*)::int FROM pg_catalog.pg_database
        WHERE NOT has_database_privilege(oid, 'CONNECT') AND NOT pg_has_role('pg_read_all_stats', 'USAGE')) AS unmeasured,
       (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size') AS kept_megabytes,
       (SELECT full_page_writes FROM pg_catalog.pg_control_checkpoint()) AS has_full_pages,
       ARRAY(SELECT DISTINCT application_name::text FROM pg_catalog.pg_stat_replication
             WHERE application_name <> '') AS replica_names,
       current_setting('synchronous_standby_names') AS synchronous_names;

-- name: collect_source_settings
-- Where the source keeps its files, and what a replica must have at least as much of. Where a login may not see a
-- setting there is no row.
SELECT name, setting, source = 'configuration file' AS is_configured FROM pg_catalog.pg_settings
WHERE name IN ('data_directory', 'config_file', 'hba_file', 'ident_file', 'external_pid_file', 'unix_socket_directories',
               'max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions',
               'max_locks_per_transaction', 'checkpoint_timeout', 'checkpoint_completion_target');

-- name: collect_tablespace_places
-- Tablespaces have directories of their own, which a copy on the same machine cannot share.
SELECT spcname::text AS name, pg_tablespace_location(oid) AS path FROM pg_catalog.pg_tablespace
WHERE pg_tablespace_location(oid) <> '' ORDER BY spcname;

-- name: create_replication_slot
-- What is written from now on is kept for the new replica, so that nothing is missing when its copy is complete.
SELECT pg_create_physical_replication_slot(:slot, true);

-- name: terminate_copy
-- The senders of a copy that was given up. One that waits for its checkpoint does not notice that nobody listens any
-- more; one that sends the log holds the slot. The copy has a name that nobody else has.
SELECT pg_terminate_backend(pid) AS is_sent FROM pg_catalog.pg_stat_replication WHERE application_name = :copy
UNION ALL
SELECT pg_terminate_backend(active_pid) FROM pg_catalog.pg_replication_slots
WHERE slot_name = :slot AND active_pid IS NOT NULL;

-- name: look_at_slot
-- Whether a slot is there, and who reads it.
SELECT active_pid AS process_id FROM pg_catalog.pg_replication_slots WHERE slot_name = :slot;

-- name: look_at_stream
-- Whether the new replica is seen: who reads its slot, and how far that is behind. State and positions of another
-- login's sender are hidden from who lacks pg_monitor.
SELECT r.pid AS process_id, coalesce(r.state, '') AS state, coalesce(r.application_name, '') AS name,
       ((CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
              ELSE pg_current_wal_lsn() END) - r.replay_lsn)::bigint AS behind_bytes
FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
WHERE s.slot_name = :slot;

-- name: collect_shape_columns
-- Types and defaults in the words of the catalogue; nothing is locked. A collation is named where it is not the type's.
SELECT c.oid::bigint AS table_id, a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation
               THEN ' COLLATE ' || pg_catalog.quote_ident(o.collname) ELSE '' END AS type,
       NOT a.attnotnull AS is_nullable,
       CASE WHEN a.attidentity = 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
            WHEN a.attidentity = 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY'
            WHEN a.attgenerated <> '' THEN 'GENERATED ALWAYS AS (' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ')'
            ELSE COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') END AS default_text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.oid = ANY (CAST(:table_ids AS oid[]))
ORDER BY c.oid, a.attnum;

-- name: collect_shape_constraints
-- Those of NOT NULL (from 18 on) are what the columns say already.
SELECT x.conrelid::bigint AS table_id, x.conname::text AS name, pg_catalog.pg_get_constraintdef(x.oid) AS definition
FROM pg_catalog.pg_constraint x
WHERE x.conrelid = ANY (CAST(:table_ids AS oid[])) AND x.contype IN ('c', 'f', 'p', 'u', 'x')
ORDER BY x.conrelid, x.conname;

-- name: collect_shape_indexes
-- Those behind a constraint are told with it. One that was never finished is told apart: no query uses it.
SELECT i.indrelid::bigint AS table_id, c.relname::text AS name,
       pg_catalog.pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' (not valid)' END AS definition
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY (CAST(:table_ids AS oid[]))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint x
                  WHERE x.conindid = i.indexrelid AND x.conrelid = i.indrelid AND x.contype IN ('p', 'u', 'x'))
ORDER BY i.indrelid, c.relname;

-- name: collect_shape_sequences
-- last_value is NULL where nothing was drawn yet, or where the login may not see it.
SELECT s.schemaname::text AS schema, s.sequencename::text AS name, s.last_value::bigint AS last_value,
       s.data_type::text || ' start ' || s.start_value || ' increment ' || s.increment_by || ' from ' || s.min_value
       || ' to ' || s.max_value || CASE WHEN s.cycle THEN ' cycle' ELSE '' END AS definition
FROM pg_catalog.pg_sequences s
WHERE s.schemaname !~ '^pg_' AND s.schemaname <> 'information_schema'
ORDER BY 1, 2;

-- name: count_checked_objects
-- How much of each kind was looked at by collect_flaws; what belongs to an extension is not the backup's.
SELECT (SELECT count(*) FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
        WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
         AS constraints,
       (SELECT count(*) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') AS indexes,
       (SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = 'm' AND n.nspname !~ '^pg_') AS views;

-- name: collect_flaws
-- Constraints that were never checked, indexes that cannot be used, materialised views without rows. A dump keeps the
-- first and the last as they are; a name alone tells them apart from those that only the restore has.
SELECT 'constraint' AS kind, n.nspname || '.' || coalesce(c.relname || '.', '') || k.conname AS name
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_namespace n ON n.oid = k.connamespace
LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
WHERE NOT k.convalidated AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'index', n.nspname || '.' || c.relname
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT (i.indisvalid AND i.indisready) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'materialised view', n.nspname || '.' || c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND NOT c.relispopulated AND n.nspname !~ '^pg_'
ORDER BY 1, 2;

-- name: collect_sequence_columns
-- Which columns take their values from which sequence: as its owner, or by their default. Only columns that lead an
-- index are looked at, for the largest value of any other costs a whole reading of the table.
SELECT DISTINCT sn.nspname::text AS sequence_schema, s.relname::text AS sequence, q.seqincrement > 0 AS ascends,
       n.nspname::text AS schema, c.relname::text AS name, a.attname::text AS column_name
FROM (SELECT d.objid AS sequence_id, d.refobjid AS table_id, d.refobjsubid AS number
      FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
        AND d.refobjsubid > 0
      UNION
      SELECT d.refobjid, f.adrelid, f.adnum
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
      WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) u
JOIN pg_catalog.pg_class s ON s.oid = u.sequence_id AND s.relkind = 'S' AND s.relpersistence <> 't'
JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid AND NOT q.seqcycle
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = u.table_id AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number AND a.atttypid IN (20, 21, 23)
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = u.number AND i.indisvalid)
  AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AND NOT row_security_active(c.oid)
  AND has_table_privilege(s.oid, 'SELECT') AND has_schema_privilege(sn.oid, 'USAGE')
ORDER BY 1, 2, 4, 5, 6;

-- name: collect_every_database
-- Of a restored cluster: all that can be opened, the maintenance databases included.
SELECT datname::text AS name FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datistemplate, datname;

-- name: collect_stored_tables
-- Of a restored cluster: what holds rows on disk. Unlogged tables cannot be read while a server recovers.
SELECT n.nspname::text AS schema, c.relname::text AS name,
       n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AS is_users
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.relispopulated
ORDER BY 3, 1, 2;

-- name: read_whole_tables
-- For counting by the tables themselves: an index can answer without a look at the rows.
SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off;
