-- name: begin
-- A read transaction holds one moment of the file for everything that follows.
BEGIN

-- name: begin_immediate
-- Takes the write lock and nothing else: readers go on.
BEGIN IMMEDIATE

-- name: commit
-- Ends a transaction that changed nothing.
COMMIT

-- name: touch
-- The first read takes the snapshot; BEGIN alone does not.
SELECT count(*) FROM sqlite_master

-- name: schema_version
-- Reads the first page: the cheapest way to learn that this is a database at all.
PRAGMA schema_version

-- name: data_version
-- Changes when another connection committed, and only then.
PRAGMA data_version

-- name: page_size
-- Bytes.
PRAGMA page_size

-- name: page_count
-- Of the snapshot, with what still lies in the write-ahead log.
PRAGMA page_count

-- name: journal_mode
-- "wal", or a rollback journal, during whose writes readers wait.
PRAGMA journal_mode

-- name: harden
-- For files that somebody else wrote: functions and modules that reach outside are not for views, triggers and the like.
PRAGMA trusted_schema = OFF

-- name: check_cells
-- Looks at every cell's size when a page is read: damage shows earlier.
PRAGMA cell_size_check = ON

-- name: no_memory_map
-- A truncated file that is mapped would end this process with SIGBUS.
PRAGMA mmap_size = 0

-- name: query_only
-- No statement changes anything, whatever it is.
PRAGMA query_only = ON

-- name: ignore_check_constraints
-- Rows that break a CHECK are the application's business, and their functions may be known to it alone.
PRAGMA ignore_check_constraints = ON

-- name: no_journal
-- A copy that fails is thrown away, so it needs no way back; and nothing lies beside it.
PRAGMA journal_mode = OFF

-- name: no_temporary_files
-- What a sort or an index check sets aside of an encrypted backup must not reach a disk either.
PRAGMA temp_store = MEMORY

-- name: no_sync
-- The copy is synced once, when it is whole.
PRAGMA synchronous = OFF

-- name: no_secure_delete
-- Dropped tables are left behind by VACUUM INTO; overwriting them with zeros is wasted.
PRAGMA secure_delete = OFF

-- name: keep_lock
-- In rollback mode the lock of a transaction stays when it ends, so that nobody writes between the two halves of a swap.
PRAGMA locking_mode = EXCLUSIVE

-- name: checkpoint
-- A write-ahead log as large as the database is not left behind; readers that are in its way are not waited for.
PRAGMA wal_checkpoint(TRUNCATE)

-- name: quick_check
-- Structure of every page and row; 0 means the first 100 problems.
PRAGMA quick_check

-- name: integrity_check_table
-- since: 3.33
-- A table with its indexes, entry by entry.
PRAGMA integrity_check({table})

-- name: integrity_check_table
-- Older libraries check every table at once, whichever is named.
PRAGMA integrity_check

-- name: foreign_key_check
-- Rows whose parent is missing: the application's doing, not damage.
SELECT "table" AS name, count(*) AS rows FROM pragma_foreign_key_check GROUP BY 1 ORDER BY 1

-- name: schema
-- Everything that has a definition, in the order in which it was made.
SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master ORDER BY rowid

-- name: count_rows
-- Exact, of the snapshot.
SELECT count(*) FROM {table}

-- name: has_statistics
-- ANALYZE was run at some time.
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'sqlite_stat1'

-- name: row_estimates
-- The first number of a statistic is the table's row count when ANALYZE was run.
SELECT tbl AS name, max(CAST(stat AS INTEGER)) AS rows FROM sqlite_stat1 GROUP BY 1

-- name: sizes
-- Bytes of each table and index; one row a page, so that it can be interrupted. Not every library has dbstat.
SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY 1

-- name: modules
-- What this library can open as a virtual table.
SELECT name FROM pragma_module_list

-- name: columns
-- Hidden: 0 ordinary, 1 hidden column of a virtual table, 2 and 3 generated.
SELECT name, type, "notnull" AS is_required, dflt_value, pk, hidden FROM pragma_table_xinfo(:table)

-- name: sample
-- Long values are cut inside SQLite, so that a huge one is not shown and not carried about.
SELECT {columns} FROM {table} LIMIT :limit

-- name: use_page_size
-- The next VACUUM writes pages of this size.
PRAGMA page_size = {size}

-- name: vacuum_into
-- Unlike VACUUM it keeps the row numbers of tables without a key of their own, to which a full-text index may refer.
VACUUM INTO :path

-- name: drop_table
-- Of a copy, never of the database itself.
DROP TABLE {table}

-- name: drop_view
-- Of a copy, never of the database itself.
DROP VIEW {view}

-- name: settings
-- What a copy of the schema alone has to take over.
SELECT (SELECT encoding FROM pragma_encoding) AS encoding, (SELECT user_version FROM pragma_user_version) AS user_version,
  (SELECT application_id FROM pragma_application_id) AS application_id,
  (SELECT page_size FROM pragma_page_size) AS page_size, (SELECT auto_vacuum FROM pragma_auto_vacuum) AS auto_vacuum

-- name: take_settings
-- The numbers an application recognises its file by.
PRAGMA encoding = '{encoding}'; PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {auto_vacuum};
PRAGMA user_version = {user_version}; PRAGMA application_id = {application_id}

-- name: index_list
-- Indexes of a table; origin: c by CREATE INDEX, u and pk made for a constraint.
SELECT name, "unique" AS is_unique, origin FROM pragma_index_list(:table) ORDER BY name

-- name: index_columns
-- The columns of an index; an expression has no name.
SELECT name FROM pragma_index_xinfo(:index) WHERE key ORDER BY seqno

-- name: foreign_keys
-- One row for each column of each key; "to" is NULL where the parent's primary key is meant.
SELECT id, "table" AS parent, "from" AS own, "to" AS theirs, on_update, on_delete
FROM pragma_foreign_key_list(:table) ORDER BY id, seq

-- name: sequences
-- What AUTOINCREMENT has given out last.
SELECT name, seq FROM sqlite_sequence ORDER BY name
