-- Questions to MySQL and MariaDB. Binds are named; rows are read by column name, so every column has one.

-- name: introduce_server
-- Who answers, and as whom we are known there.
SELECT version() AS version, @@version_comment AS version_comment, current_user() AS login;

-- name: session_limit
-- How many sessions the server takes.
SELECT @@max_connections AS sessions;

-- name: find_schema
-- One row when a database exists. Names are compared byte for byte where the server's file system does so.
SELECT schema_name AS name, default_character_set_name AS charset, default_collation_name AS collation
FROM information_schema.schemata WHERE schema_name = :schema;

-- name: size_of_schema
-- Counts base tables; views and sequences take no room worth showing.
SELECT COUNT(*) AS tables, COALESCE(SUM(data_length + index_length), 0) AS bytes
FROM information_schema.tables
WHERE table_schema = :schema AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED');

-- name: transactional_engines
-- Only their tables are dumped as of one moment.
SELECT engine AS engine FROM information_schema.engines WHERE transactions = 'YES';

-- name: tables_of_schema
-- Tables, views and sequences with their size and the optimiser's guess at their rows.
SELECT table_name AS name, table_type AS type, engine AS engine,
       data_length + index_length AS bytes, table_rows AS estimate
FROM information_schema.tables WHERE table_schema = :schema ORDER BY table_name;

-- name: columns_for_no_mydumper
-- SELECT * leaves out invisible ones, and mydumper with it; texts without a character set are no values of these types.
SELECT table_name AS name, column_name AS column_name, data_type AS type, extra LIKE '%INVISIBLE%' AS is_invisible
FROM information_schema.columns
WHERE table_schema = :schema AND (extra LIKE '%INVISIBLE%' OR data_type IN ('uuid', 'inet4', 'inet6'))
ORDER BY table_name, ordinal_position;

-- name: tables_for_no_mydumper
-- It takes a table with the comment VIEW for a view, and reads no rows through tables that merge others.
SELECT table_name AS name, engine AS engine FROM information_schema.tables
WHERE table_schema = :schema AND table_type <> 'VIEW' AND (engine = 'MRG_MyISAM' OR table_comment = 'VIEW')
ORDER BY table_name;

-- name: global_sql_mode
-- What sessions of tools begin with.
SELECT @@GLOBAL.sql_mode AS mode;

-- name: flushing_sessions
-- Sessions of this login that began after a certain one and wait for every table, or have them all.
SELECT id AS id FROM information_schema.processlist
WHERE id > :newest AND id <> connection_id() AND user = SUBSTRING_INDEX(USER(), '@', 1)
  AND info LIKE 'FLUSH TABLES WITH READ LOCK%';

-- name: versioned_tables
-- Tables that keep their old rows; by transaction numbers, where the hidden column is a number instead of a time.
SELECT t.table_name AS name,
       EXISTS (SELECT 1 FROM information_schema.columns c
               WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name
                 AND c.generation_expression = 'ROW START' AND c.data_type = 'bigint') AS is_precise
FROM information_schema.tables t WHERE t.table_schema = :schema AND t.table_type = 'SYSTEM VERSIONED'
ORDER BY t.table_name;

-- name: count_programs
-- How much of a database is code.
SELECT (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = :schema) AS events,
       (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = :schema) AS triggers;

-- name: hidden_routines
-- The tool fails on a routine whose body this login may not see.
SELECT routine_name AS name FROM information_schema.routines
WHERE routine_schema = :schema AND routine_definition IS NULL;

-- name: definers
-- Accounts that views, triggers, routines and events run as; without them those fail when used.
SELECT definer AS definer FROM information_schema.views WHERE table_schema = :schema
UNION SELECT definer FROM information_schema.triggers WHERE trigger_schema = :schema
UNION SELECT definer FROM information_schema.routines WHERE routine_schema = :schema
UNION SELECT definer FROM information_schema.events WHERE event_schema = :schema;

-- name: sessions_changing_tables
-- A dump needs a shared lock on each table in turn, and waits behind whoever changes one or waits to change it.
SELECT id AS id, user AS user, time AS seconds, state AS state, info AS info
FROM information_schema.processlist
WHERE db = :schema AND id <> connection_id()
  AND (state LIKE 'Waiting for table%'
       OR info REGEXP '^[^a-z]*(ALTER|RENAME|TRUNCATE|OPTIMIZE|DROP|CREATE|LOCK|REPAIR)[^a-z]');

-- name: metadata_locks_mariadb
-- Needs the plugin metadata_lock_info; where it is not loaded the table is unknown.
SELECT p.id AS id, p.user AS user, p.time AS seconds, CONCAT('holds ', m.lock_mode, ' on ', m.table_name) AS state,
       p.info AS info
FROM information_schema.metadata_lock_info m JOIN information_schema.processlist p ON p.id = m.thread_id
WHERE m.table_schema = :schema AND m.lock_mode IN ('MDL_EXCLUSIVE', 'MDL_SHARED_NO_READ_WRITE')
  AND p.id <> connection_id();

-- name: metadata_locks_mysql
-- Who holds a lock that keeps readers out. Needs SELECT on performance_schema.
SELECT t.processlist_id AS id, t.processlist_user AS user, t.processlist_time AS seconds,
       CONCAT('holds ', m.lock_type, ' on ', m.object_name) AS state, t.processlist_info AS info
FROM performance_schema.metadata_locks m JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id
WHERE m.object_schema = :schema AND m.lock_status = 'GRANTED' AND t.processlist_id <> connection_id()
  AND m.lock_type IN ('EXCLUSIVE', 'SHARED_NO_READ_WRITE');

-- name: long_transactions
-- Old transactions make undo grow while a dump runs, and hold what DDL waits for. Begin times are in the system's time
-- zone, whatever that of the session is. Needs PROCESS.
SELECT t.trx_mysql_thread_id AS id, p.user AS user,
       TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) AS seconds,
       p.state AS state, COALESCE(p.info, CONCAT('transaction ', t.trx_state)) AS info
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
WHERE t.trx_started < CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM') - INTERVAL :seconds SECOND AND p.id <> connection_id();

-- name: newest_session
-- Session numbers only grow, so whatever begins after this has a higher one.
SELECT MAX(id) AS id FROM information_schema.processlist;

-- name: dump_sessions
-- Sessions of this login in a database that began after a certain one and read as a dump tool does.
SELECT id AS id FROM information_schema.processlist
WHERE id > :newest AND id <> connection_id() AND db = :schema AND user = SUBSTRING_INDEX(USER(), '@', 1)
  AND (info LIKE 'SELECT /*!40001 SQL_NO_CACHE */%' OR info LIKE 'show create table %' OR info LIKE 'SHOW FIELDS FROM %');

-- name: packet_limit
-- A statement longer than this is refused by the server, which then closes the connection.
SELECT @@max_allowed_packet AS bytes;

-- name: count_objects
-- Tables, views, sequences and routines: a database with any of them is not empty.
SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = :schema)
     + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = :schema) AS objects;

-- name: schema_names
-- Names that a new database cannot have.
SELECT schema_name AS name FROM information_schema.schemata;

-- name: accounts
-- Needs SELECT on mysql.user; roles have an empty host.
SELECT CONCAT(user, '@', host) AS account FROM mysql.user;

-- name: sessions_in_schema
-- Sessions whose current database this is.
SELECT id AS id FROM information_schema.processlist WHERE db = :schema AND id <> connection_id();

-- name: foreign_keys_from_outside
-- A rename would let these follow the old tables.
SELECT DISTINCT table_schema AS child_schema, table_name AS child
FROM information_schema.key_column_usage
WHERE referenced_table_schema = :schema AND table_schema <> :schema;

-- name: foreign_keys_without_parent
-- With foreign_key_checks off a table may be made before, or without, the table it refers to.
SELECT DISTINCT k.table_name AS child, k.referenced_table_name AS parent
FROM information_schema.key_column_usage k
LEFT JOIN information_schema.tables t
  ON t.table_schema = k.referenced_table_schema AND t.table_name = k.referenced_table_name
WHERE k.table_schema = :schema AND k.referenced_table_schema = :schema AND t.table_name IS NULL;

-- name: data_directory
-- Where the server keeps its databases.
SELECT @@datadir AS path;

-- name: trigger_names
-- In the order in which they fire, which is the order in which they must be made.
SELECT trigger_name AS name FROM information_schema.triggers WHERE trigger_schema = :schema
ORDER BY event_object_table, action_timing, event_manipulation, action_order;

-- name: view_names
-- Views of a database.
SELECT table_name AS name FROM information_schema.views WHERE table_schema = :schema ORDER BY table_name;

-- name: routine_names
-- A package comes before its body.
SELECT routine_name AS name, routine_type AS type FROM information_schema.routines
WHERE routine_schema = :schema ORDER BY routine_type, routine_name;

-- name: event_names
-- Events of a database, switched on or off, and the accounts they run as.
SELECT event_name AS name, definer AS definer FROM information_schema.events WHERE event_schema = :schema ORDER BY event_name;

-- name: session_words
-- What is put back after something was made in the words of another session.
SELECT @@character_set_client AS charset, @@collation_connection AS collation, @@sql_mode AS sql_mode,
       @@time_zone AS time_zone;

-- name: movable_tables
-- What RENAME TABLE moves: tables and sequences, but no views.
SELECT table_name AS name FROM information_schema.tables
WHERE table_schema = :schema AND table_type <> 'VIEW' ORDER BY table_name;

-- name: sequence_defaults
-- MariaDB keeps the database's name in a default that counts with a sequence.
SELECT table_name AS name, column_name AS column_name, column_default AS expression
FROM information_schema.columns
WHERE table_schema = :schema AND column_default LIKE CONCAT('%(`', REPLACE(:source, '`', '``'), '`.%');

-- name: read_only
-- Whether the server refuses changes of everyone but its replication threads.
SELECT @@read_only AS read_only;

-- name: sessions_mariadb
-- As bytes: names and statements may hold what is no text. Statements are cut; one more character than shown tells so.
SELECT id AS id, CAST(user AS BINARY) AS user, CAST(host AS BINARY) AS host, CAST(db AS BINARY) AS db,
       command AS command, CAST(state AS BINARY) AS state, time_ms / 1000 AS seconds, query_id AS query_id,
       LEFT(info_binary, :length) AS info, id = CONNECTION_ID() AS is_own
FROM information_schema.processlist;

-- name: sessions_mysql
-- since: 8.0.22
-- Read without the mutex that every connect and disconnect takes.
SELECT id AS id, CAST(user AS BINARY) AS user, CAST(host AS BINARY) AS host, CAST(db AS BINARY) AS db,
       command AS command, CAST(state AS BINARY) AS state, time AS seconds,
       CAST(LEFT(info, :length) AS BINARY) AS info, id = CONNECTION_ID() AS is_own
FROM performance_schema.processlist;

-- name: sessions_mysql
-- Servers without that table, or with performance_schema switched off.
SELECT id AS id, CAST(user AS BINARY) AS user, CAST(host AS BINARY) AS host, CAST(db AS BINARY) AS db,
       command AS command, CAST(state AS BINARY) AS state, time AS seconds,
       CAST(LEFT(info, :length) AS BINARY) AS info, id = CONNECTION_ID() AS is_own
FROM information_schema.processlist;

-- name: open_transactions
-- Begin times are in the system's time zone, whatever that of the session is. Needs PROCESS.
SELECT trx_mysql_thread_id AS id, trx_state AS state,
       TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) AS seconds
FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> 0;

-- name: row_lock_waits
-- Asked only when a transaction waits. MariaDB, and MySQL before 8.0. Needs PROCESS.
SELECT DISTINCT w.trx_mysql_thread_id AS waiting, b.trx_mysql_thread_id AS blocking,
       CAST(l.lock_table AS BINARY) AS locked
FROM information_schema.innodb_lock_waits x
JOIN information_schema.innodb_trx w ON w.trx_id = x.requesting_trx_id
JOIN information_schema.innodb_trx b ON b.trx_id = x.blocking_trx_id
LEFT JOIN information_schema.innodb_locks l ON l.lock_id = x.requested_lock_id;

-- name: row_lock_waits_mysql
-- Where the old tables are gone. Needs PROCESS, and SELECT on performance_schema.
SELECT DISTINCT w.trx_mysql_thread_id AS waiting, b.trx_mysql_thread_id AS blocking,
       CAST(CONCAT('`', l.object_schema, '`.`', l.object_name, '`') AS BINARY) AS locked
FROM performance_schema.data_lock_waits x
JOIN information_schema.innodb_trx w ON w.trx_id = x.requesting_engine_transaction_id
JOIN information_schema.innodb_trx b ON b.trx_id = x.blocking_engine_transaction_id
LEFT JOIN performance_schema.data_locks l
  ON l.engine = x.engine AND l.engine_lock_id = x.requesting_engine_lock_id;

-- name: metadata_waits_mariadb
-- Held locks alone, by kind. Needs the plugin metadata_lock_info.
SELECT thread_id AS id, lock_mode AS mode, lock_type AS kind, CAST(table_schema AS BINARY) AS object_schema,
       CAST(table_name AS BINARY) AS object_name, 0 AS is_wanted
FROM information_schema.metadata_lock_info;

-- name: metadata_waits
-- Held and wanted locks on whatever is waited for. Needs SELECT on performance_schema, and its instrument for them.
SELECT t.processlist_id AS id, m.lock_type AS mode, m.object_type AS kind,
       CAST(m.object_schema AS BINARY) AS object_schema, CAST(m.object_name AS BINARY) AS object_name,
       m.lock_status = 'PENDING' AS is_wanted
FROM performance_schema.metadata_locks m
JOIN performance_schema.threads t ON t.thread_id = m.owner_thread_id
WHERE t.processlist_id IS NOT NULL AND EXISTS (
  SELECT 1 FROM performance_schema.metadata_locks p
  WHERE p.lock_status = 'PENDING' AND p.object_type = m.object_type
    AND p.object_schema <=> m.object_schema AND p.object_name <=> m.object_name);

-- name: session_programs
-- What the client calls itself and whether its connection is encrypted. Needs SELECT on performance_schema.
SELECT t.processlist_id AS id, t.connection_type AS connection_type, CAST(a.attr_value AS BINARY) AS program
FROM performance_schema.threads t LEFT JOIN performance_schema.session_connect_attrs a
  ON a.processlist_id = t.processlist_id AND a.attr_name = 'program_name'
WHERE t.processlist_id IS NOT NULL AND t.type = 'FOREGROUND';

-- name: measures_itself
-- Whether performance_schema is switched on; its tables are empty otherwise.
SELECT @@performance_schema AS is_on;

-- name: look_again_mariadb
-- One session as it is now, to tell one that is gone from one whose number was taken over.
SELECT CAST(user AS BINARY) AS user, CAST(host AS BINARY) AS host, command AS command, CAST(state AS BINARY) AS state,
       query_id AS query_id, time_ms / 1000 AS seconds, CAST(db AS BINARY) AS db,
       LEFT(info_binary, :length) AS info
FROM information_schema.processlist WHERE id = :id;

-- name: look_again_mysql
-- The same where statements have no numbers of their own.
SELECT CAST(user AS BINARY) AS user, CAST(host AS BINARY) AS host, command AS command, CAST(state AS BINARY) AS state,
       time AS seconds, CAST(db AS BINARY) AS db, CAST(LEFT(info, :length) AS BINARY) AS info
FROM information_schema.processlist WHERE id = :id;

-- name: rows_to_roll_back
-- How much an ended session still has to undo. Needs PROCESS.
SELECT trx_state AS state, trx_rows_modified AS changed FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id = :id;

-- name: server_counters
-- What the server counts since it started.
SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Threads_running', 'Uptime', 'Com_commit',
  'Com_rollback', 'Questions', 'Innodb_buffer_pool_read_requests', 'Innodb_buffer_pool_reads');

-- name: login_limit
-- How many sessions this login may have; 0 means as many as the server takes.
SELECT @@max_user_connections AS sessions;

-- name: transaction_ages
-- Transactions by what their session does: idle ones hold locks for nobody. Needs PROCESS.
SELECT COUNT(*) AS transactions, COALESCE(SUM(p.command = 'Sleep'), 0) AS idle,
       COALESCE(SUM(t.trx_state = 'LOCK WAIT'), 0) AS blocked,
       MAX(TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))) AS seconds
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id;

-- name: transaction_ages
-- since: 8.0.22
-- The same without the mutex of the older list.
SELECT COUNT(*) AS transactions, COALESCE(SUM(p.command = 'Sleep'), 0) AS idle,
       COALESCE(SUM(t.trx_state = 'LOCK WAIT'), 0) AS blocked,
       MAX(TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))) AS seconds
FROM information_schema.innodb_trx t JOIN performance_schema.processlist p ON p.id = t.trx_mysql_thread_id;

-- name: waiting_for_locks
-- Sessions that wait for a lock which is none of InnoDB's.
SELECT COUNT(*) AS waiting FROM information_schema.processlist
WHERE state LIKE 'Waiting for % lock' OR state IN ('User lock', 'Waiting for table flush');

-- name: server_clock
-- The moment itself, not that of the statement's beginning, as seconds since 1970.
SELECT UNIX_TIMESTAMP(SYSDATE(6)) AS seconds;

-- name: server_pool
-- Threads, their peak, and who was turned away for want of a slot.
SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Max_used_connections', 'Uptime',
  'Connection_errors_max_connections');

-- name: host_of_server
-- What the server's machine calls itself.
SELECT @@hostname AS host;

-- name: collect_partition_session
-- What partitioned tables are judged by beside themselves.
SELECT UNIX_TIMESTAMP(SYSDATE(6)) AS seconds,
       IF(@@session.time_zone = 'SYSTEM', @@system_time_zone, @@session.time_zone) AS time_zone;

-- name: collect_partitions
-- Partitions of one table, of a database or of all, in the order of each table.
SELECT CAST(table_schema AS BINARY) AS table_schema, CAST(table_name AS BINARY) AS table_name,
       CAST(partition_name AS BINARY) AS partition_name, CAST(subpartition_name AS BINARY) AS subpartition_name,
       partition_method AS method, CAST(partition_expression AS BINARY) AS expression,
       CAST(partition_description AS BINARY) AS description, table_rows AS estimate,
       data_length + index_length AS bytes
FROM information_schema.partitions
WHERE partition_name IS NOT NULL AND (:table_schema = '' OR table_schema = :table_schema)
  AND (:table_name = '' OR table_name = :table_name)
  AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
ORDER BY partitions.table_schema, partitions.table_name, partition_ordinal_position, subpartition_ordinal_position;

-- name: collect_column_types
-- What the columns of a key hold.
SELECT CAST(column_name AS BINARY) AS column_name, data_type AS data_type
FROM information_schema.columns WHERE table_schema = :table_schema AND table_name = :table_name;

-- name: look_at_table
-- Whether a table is there, with its comment and whether it is partitioned.
SELECT CAST(table_comment AS BINARY) AS comment, create_options LIKE '%partitioned%' AS is_partitioned
FROM information_schema.tables WHERE table_schema = :table_schema AND table_name = :table_name;

-- name: collect_detached_partitions
-- Tables that carry our mark: they were partitions, and the server has forgotten of what.
SELECT CAST(table_schema AS BINARY) AS table_schema, CAST(table_name AS BINARY) AS table_name,
       CAST(table_comment AS BINARY) AS comment, table_rows AS estimate
FROM information_schema.tables
WHERE (:table_schema = '' OR table_schema = :table_schema) AND table_comment LIKE 'dbtui:detached %'
ORDER BY tables.table_schema, tables.table_name;

-- name: collect_names_taken
-- Names that a new table cannot have; a partitioned one may be what is left of an exchange that did not come far.
SELECT CAST(table_name AS BINARY) AS table_name,
       create_options LIKE '%partitioned%' AND table_comment NOT LIKE 'dbtui:%' AS is_unfinished
FROM information_schema.tables WHERE table_schema = :table_schema;

-- name: hold_partition_lock
-- One run at a time for a partitioned table, wherever it is run from; the lock ends with its session.
SELECT GET_LOCK(:lock_name, 0) AS is_ours, IS_USED_LOCK(:lock_name) AS holder;

-- name: transactions_now
-- Who has a transaction open, and may have touched a table in it. Needs PROCESS.
SELECT t.trx_mysql_thread_id AS id, CAST(p.user AS BINARY) AS user, CAST(p.host AS BINARY) AS host,
       TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')) AS seconds,
       p.command AS command, CAST(LEFT(p.info, 200) AS BINARY) AS info
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
WHERE p.id <> connection_id();

-- name: digest_sample
-- MySQL 8 keeps one statement of each digest with its values; it is cut at most_bytes without a sign.
SELECT QUERY_SAMPLE_TEXT AS sample, OCTET_LENGTH(QUERY_SAMPLE_TEXT) AS sample_bytes, SCHEMA_NAME AS database_name,
       @@performance_schema_max_sql_text_length AS most_bytes
FROM performance_schema.events_statements_summary_by_digest
WHERE DIGEST = :digest AND COALESCE(SCHEMA_NAME, '') = :database AND QUERY_SAMPLE_TEXT IS NOT NULL;

-- name: remembered_samples
-- Where there is none, a statement may still be among the last that ran, when somebody switched that on.
SELECT SQL_TEXT AS sample, OCTET_LENGTH(SQL_TEXT) AS sample_bytes, CURRENT_SCHEMA AS database_name,
       @@performance_schema_max_sql_text_length AS most_bytes
FROM (SELECT SQL_TEXT, CURRENT_SCHEMA, DIGEST FROM performance_schema.events_statements_history_long
      UNION ALL SELECT SQL_TEXT, CURRENT_SCHEMA, DIGEST FROM performance_schema.events_statements_history
      UNION ALL SELECT SQL_TEXT, CURRENT_SCHEMA, DIGEST FROM performance_schema.events_statements_current) remembered
WHERE DIGEST = :digest AND COALESCE(CURRENT_SCHEMA, '') = :database AND SQL_TEXT IS NOT NULL
ORDER BY OCTET_LENGTH(SQL_TEXT)
LIMIT 5;

-- name: statement_settings
-- Whether and how the server keeps statements, and which server it is; what a version does not have is not listed.
SHOW GLOBAL VARIABLES WHERE Variable_name IN (
  'performance_schema', 'performance_schema_events_statements_history_long_size',
  'performance_schema_max_sql_text_length', 'log_output', 'general_log', 'general_log_file', 'slow_query_log',
  'server_uuid', 'hostname', 'port', 'basedir', 'datadir', 'aurora_version', 'read_only');

-- name: statement_digests
-- The sums of every shape since the server started, or since somebody emptied the table. Times in picoseconds.
SELECT CAST(d.DIGEST_TEXT AS BINARY) AS digest_text, d.DIGEST AS digest, d.SCHEMA_NAME AS schema_name,
       d.COUNT_STAR AS calls, d.SUM_TIMER_WAIT AS total_picoseconds, d.MIN_TIMER_WAIT AS least_picoseconds,
       d.MAX_TIMER_WAIT AS most_picoseconds, d.SUM_ROWS_SENT AS rows_sent, d.SUM_ROWS_AFFECTED AS rows_affected,
       d.SUM_ROWS_EXAMINED AS rows_examined, d.SUM_NO_INDEX_USED AS no_index_calls,
       UNIX_TIMESTAMP(d.FIRST_SEEN) AS first_seconds, UNIX_TIMESTAMP(d.LAST_SEEN) AS last_seconds
FROM performance_schema.events_statements_summary_by_digest d;

-- name: digests_lost
-- How many statements found no room among the shapes.
SHOW GLOBAL STATUS LIKE 'Performance_schema_digest_lost';

-- name: questions_asked
-- How many statements have come from clients.
SHOW GLOBAL STATUS LIKE 'Questions';

-- name: statement_consumers
-- Which of the places that keep statements are on, and what they depend on.
SELECT NAME AS name, ENABLED AS enabled FROM performance_schema.setup_consumers
WHERE NAME IN ('global_instrumentation', 'thread_instrumentation', 'statements_digest', 'events_statements_current',
               'events_statements_history_long');

-- name: switch_consumer
-- In memory alone: a restart puts it back, too. With a name that is not there it only asks whether this login may.
UPDATE performance_schema.setup_consumers SET ENABLED = :enabled WHERE NAME = :consumer;

-- name: unmeasured_statements
-- Kinds of statements that the server does not look at.
SELECT COUNT(*) AS instruments FROM performance_schema.setup_instruments
WHERE NAME LIKE 'statement/sql/%' AND (ENABLED = 'NO' OR TIMED = 'NO');

-- name: unmeasured_sessions
-- Sessions that the server does not look at, without those of dbtui.
SELECT COUNT(*) AS sessions FROM performance_schema.threads t
WHERE t.TYPE = 'FOREGROUND' AND t.PROCESSLIST_ID IS NOT NULL AND t.INSTRUMENTED = 'NO'
  AND NOT EXISTS (SELECT 1 FROM performance_schema.session_connect_attrs a
                  WHERE a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = 'program_name' AND a.ATTR_VALUE = 'dbtui');

-- name: hush_own_session
-- Our own statements need no room where others are kept.
UPDATE performance_schema.threads SET INSTRUMENTED = 'NO' WHERE PROCESSLIST_ID = CONNECTION_ID();

-- name: sessions_of_threads
-- Whose thread it is: clients are known by another number, and may say which program they are.
SELECT t.THREAD_ID AS thread, t.PROCESSLIST_ID AS session, a.ATTR_VALUE AS application
FROM performance_schema.threads t
LEFT JOIN performance_schema.session_connect_attrs a
  ON a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = 'program_name'
WHERE t.TYPE = 'FOREGROUND' AND t.PROCESSLIST_ID IS NOT NULL;

-- name: history_ends
-- Where the ring of statements begins and ends now, and the newest thread.
SELECT MIN(TIMER_END) AS oldest, MAX(TIMER_END) AS newest,
       (SELECT MAX(THREAD_ID) FROM performance_schema.threads) AS newest_thread
FROM performance_schema.events_statements_history_long;

-- name: history_clock
-- What the server's timer shows when it is what time; no row where the own session is not looked at.
SELECT e.TIMER_START AS timer, UNIX_TIMESTAMP(NOW(6)) AS seconds
FROM performance_schema.events_statements_current e JOIN performance_schema.threads t ON t.THREAD_ID = e.THREAD_ID
WHERE t.PROCESSLIST_ID = CONNECTION_ID() AND e.NESTING_EVENT_ID IS NULL;

-- name: statement_history
-- Statements that have ended since, from every session; a text that is cut may be cut within a character.
SELECT THREAD_ID AS thread, EVENT_ID AS event, COALESCE(END_EVENT_ID, EVENT_ID) AS end_event, EVENT_NAME AS event_name,
       CAST(SQL_TEXT AS BINARY) AS sql_text, CURRENT_SCHEMA AS current_schema, TIMER_START AS timer_start,
       TIMER_END AS timer_end, TIMER_WAIT AS timer_wait, ROWS_SENT AS rows_sent, ROWS_AFFECTED AS rows_affected,
       NESTING_EVENT_ID AS nesting_event, NESTING_EVENT_TYPE AS nesting_type
FROM performance_schema.events_statements_history_long WHERE TIMER_END >= :since ORDER BY TIMER_START;

-- name: count_general_log
-- How much the table of the general log holds; it keeps no count of its own.
SELECT COUNT(*) AS logged, COALESCE(SUM(LENGTH(argument)), 0) AS bytes FROM mysql.general_log;

-- name: general_log_rows
-- What has come behind the first so many rows: the table has no key, and keeps its order.
SELECT CAST(UNIX_TIMESTAMP(event_time) AS CHAR) AS seconds, thread_id AS session, command_type AS command,
       CAST(argument AS BINARY) AS argument
FROM mysql.general_log LIMIT 50000 OFFSET :skipped;

-- name: try_capture_lock
-- One capture at a time on a server, wherever it is run from; the lock ends with its session.
SELECT GET_LOCK('dbtui capture', 0) AS is_ours, IS_USED_LOCK('dbtui capture') AS holder;

-- name: ask_nothing
-- The shortest statement there is, to measure the way to the server.
SELECT 1 AS dbtui;

-- name: foreign_keys_of_schemas
-- Keys with the columns of both sides, one row for each column, in order.
SELECT k.table_schema AS table_schema, k.table_name AS table_name, k.constraint_name AS key_name,
       k.column_name AS column_name, k.referenced_table_schema AS parent_schema,
       k.referenced_table_name AS parent_name, k.referenced_column_name AS parent_column
FROM information_schema.key_column_usage k
WHERE k.referenced_table_name IS NOT NULL AND (k.table_schema = :schema OR (:schema = '' AND k.table_schema NOT IN
      ('information_schema', 'mysql', 'performance_schema', 'sys')))
ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position;

-- name: required_columns_of_schemas
-- Columns of keys that are never NULL. Joined to the keys this would take the server longer than both.
SELECT c.table_schema AS table_schema, c.table_name AS table_name, c.column_name AS column_name
FROM information_schema.columns c
WHERE c.is_nullable = 'NO' AND c.column_key <> '' AND (c.table_schema = :schema OR (:schema = '' AND c.table_schema
      NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')));

-- name: index_columns_of_schemas
-- The columns of every index, in order; those of primary and unique ones are needed whole.
SELECT s.table_schema AS table_schema, s.table_name AS table_name, s.index_name AS index_name,
       s.non_unique AS non_unique, s.column_name AS column_name
FROM information_schema.statistics s
WHERE s.table_schema = :schema OR (:schema = '' AND s.table_schema NOT IN
      ('information_schema', 'mysql', 'performance_schema', 'sys'))
ORDER BY s.table_schema, s.table_name, s.index_name, s.seq_in_index;

-- name: replication_identity
-- Who the server is among others, and how far it is by GTID; a flavour has some of these and not the others.
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_id', 'server_uuid', 'port', 'hostname', 'report_host', 'gtid_executed',
  'gtid_binlog_pos', 'gtid_current_pos', 'gtid_slave_pos', 'log_bin');

-- name: replication_clock
-- Compared with ours, for ages of changes are measured by the clocks of two servers.
SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS DOUBLE) AS clock;

-- name: replication_dumpers
-- Whom the log is sent to, by session; who registered as a replica is in another list, and neither names the other.
SELECT id, CAST(host AS CHAR) AS host, CAST(state AS CHAR) AS state, time AS seconds
FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%' ORDER BY id;

-- name: replication_stallers
-- Sessions with a transaction open for some time, while the applier waits for a metadata lock: one of them holds it.
SELECT p.id, CAST(p.user AS CHAR) AS login, CAST(p.command AS CHAR) AS command, t.trx_started AS since,
  TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS seconds
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
WHERE p.user <> 'system user' AND p.id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 5;

-- name: applied_transactions
-- since: 8.0
-- When the transactions that are or were applied last were committed where they were made (MySQL alone measures it).
SELECT MIN(CASE WHEN applying_transaction <> '' THEN TIMESTAMPDIFF(MICROSECOND,
         applying_transaction_original_commit_timestamp, NOW(6)) END) / 1e6 AS applying_seconds,
       MIN(CASE WHEN last_applied_transaction <> '' THEN TIMESTAMPDIFF(MICROSECOND,
         last_applied_transaction_original_commit_timestamp, NOW(6)) END) / 1e6 AS applied_seconds
FROM performance_schema.replication_applier_status_by_worker;

-- name: shape_columns
-- Types and defaults as the server words them, in the order of the columns.
SELECT c.table_name AS table_name, c.column_name AS name, c.column_type AS type, c.is_nullable AS is_nullable,
       c.column_default AS default_text, c.extra AS extra, c.collation_name AS collation_name,
       c.generation_expression AS expression
FROM information_schema.columns c WHERE c.table_schema = :schema ORDER BY c.table_name, c.ordinal_position;

-- name: shape_indexes
-- One row for each column of each index, in order. An index on an expression has no column there.
SELECT s.table_name AS table_name, s.index_name AS name, s.non_unique AS non_unique, s.index_type AS type,
       s.column_name AS column_name, s.sub_part AS prefix
FROM information_schema.statistics s WHERE s.table_schema = :schema
ORDER BY s.table_name, s.index_name, s.seq_in_index;

-- name: shape_foreign_keys
-- What a foreign key does when its parent changes.
SELECT r.table_name AS table_name, r.constraint_name AS name, r.update_rule AS on_update, r.delete_rule AS on_delete
FROM information_schema.referential_constraints r WHERE r.constraint_schema = :schema
ORDER BY r.table_name, r.constraint_name;

-- name: shape_checks_mariadb
-- MariaDB says which table a check is of; two tables may have one of the same name.
SELECT k.table_name AS table_name, k.constraint_name AS name, k.check_clause AS definition
FROM information_schema.check_constraints k WHERE k.constraint_schema = :schema
ORDER BY k.table_name, k.constraint_name;

-- name: shape_checks_mysql
-- MySQL names a check once in a database and keeps its table elsewhere.
SELECT t.table_name AS table_name, k.constraint_name AS name, k.check_clause AS definition
FROM information_schema.check_constraints k
JOIN information_schema.table_constraints t ON t.constraint_schema = k.constraint_schema
  AND t.constraint_name = k.constraint_name AND t.constraint_type = 'CHECK'
WHERE k.constraint_schema = :schema ORDER BY t.table_name, k.constraint_name;

-- name: foreign_key_columns
-- Every column of every foreign key: a dump is loaded with the checks off, so nobody has looked at them yet.
SELECT constraint_name AS name, table_name AS child, column_name AS child_column,
       referenced_table_schema AS parent_schema, referenced_table_name AS parent,
       referenced_column_name AS parent_column
FROM information_schema.key_column_usage
WHERE table_schema = :schema AND referenced_table_name IS NOT NULL
ORDER BY table_name, constraint_name, ordinal_position;
