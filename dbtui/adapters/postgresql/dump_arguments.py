"""What pg_dump is told for a request."""

from collections.abc import Iterator

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.snapshot import LOCK_WAIT_SECONDS, Snapshot
from dbtui.adapters.postgresql.sql import quote_table
from dbtui.adapters.postgresql.tools import ZSTD_SINCE
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, DumpRequest, TableName

_LEVELS = {CompressionKind.GZIP: 6, CompressionKind.ZSTD: 1}


def packs_itself(request: DumpRequest) -> bool:
    """Whether pg_dump does the compression of an archive: all but zstd before 16, or built without it."""
    has_zstd = request.facts.tool_major >= ZSTD_SINCE and not request.facts.tool_lacks_zstd
    return has_zstd or request.options.compression.kind is not CompressionKind.ZSTD


def outer_compression(request: DumpRequest) -> Compression:
    """Return how what pg_dump writes is packed as a whole: not at all where it packs an archive inside."""
    is_packed_inside = request.options.format is BackupFormat.CUSTOM and packs_itself(request)
    return Compression() if is_packed_inside else request.options.compression


def dump_arguments(target: PostgresqlTarget, request: DumpRequest, snapshot: Snapshot) -> Iterator[str]:
    """Yield the arguments after the login."""
    options = request.options
    yield "--no-password"
    yield "--verbose"
    yield f"--lock-wait-timeout={LOCK_WAIT_SECONDS}s"
    yield f"--snapshot={snapshot.name}"
    yield f"--format={options.format.value}"
    if options.format is not BackupFormat.PLAIN:
        yield f"--compress={_compress(request)}"
    if options.format is BackupFormat.DIRECTORY:
        yield f"--jobs={max(1, options.jobs)}"
    writes_itself = options.format is BackupFormat.CUSTOM and packs_itself(request) and not options.encrypt_to
    if options.format is BackupFormat.DIRECTORY or writes_itself:
        yield f"--file={request.partial_path}"
    if options.schema_only:
        yield "--schema-only"
    if target.info.role == "replica" and any(each.is_unlogged for each in snapshot.chosen):
        yield "--no-unlogged-table-data"
    yield from _choice(target, request, snapshot)


def _compress(request: DumpRequest) -> str:
    compression = request.options.compression
    if compression.kind is CompressionKind.NONE or not packs_itself(request):
        return "0"
    level = _LEVELS[compression.kind] if compression.level is None else compression.level
    return f"zstd:{level}" if compression.kind is CompressionKind.ZSTD else str(level)


def _choice(target: PostgresqlTarget, request: DumpRequest, snapshot: Snapshot) -> Iterator[str]:
    """Exact, quoted names: pg_dump would take anything else for a pattern."""
    options = request.options
    if options.tables:
        yield from (f"--table={each.sql}" for each in snapshot.chosen)
        ids = [each.table_id for each in snapshot.chosen]
        used = target.collect("collect_used_sequences", snapshot.connection, table_ids=ids)
        yield from (f"--table={quote_table(TableName(row.schema, row.name))}" for row in used)
        if request.facts.large_objects and not options.schema_only:
            yield "--blobs"
    elif options.exclude_tables:
        chosen = {each.table_id for each in snapshot.chosen}
        left_out = snapshot.catalogue.named(set(snapshot.catalogue.tables) - chosen)
        yield from (f"--exclude-table={each.sql}" for each in left_out)
