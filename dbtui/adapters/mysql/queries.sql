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
-- Old transactions make undo grow while a dump runs, and hold what DDL waits for. Needs PROCESS.
SELECT t.trx_mysql_thread_id AS id, p.user AS user, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS seconds,
       p.state AS state, COALESCE(p.info, CONCAT('transaction ', t.trx_state)) AS info
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
WHERE t.trx_started < NOW() - INTERVAL :seconds SECOND AND p.id <> connection_id();

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
