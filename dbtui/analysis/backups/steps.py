"""The words of a restore plan: its steps with the exact SQL, and how to go back."""

from collections.abc import Iterator
from shlex import join
from typing import Protocol
from urllib.parse import quote

from dbtui.model.backups import BackupFormat, PlanStep, RestoreFacts, StoredBackup, TableName
from dbtui.model.connections import EngineName
from dbtui.model.names import derive_name


class Destination(Protocol):
    """What these words need of a DestinationChoice."""

    @property
    def final(self) -> str: ...
    @property
    def load(self) -> str: ...
    @property
    def keeps_as(self) -> str: ...
    @property
    def swaps(self) -> bool: ...
    @property
    def replaces(self) -> bool: ...


def restore_steps(
    backup: StoredBackup, facts: RestoreFacts, choice: Destination, tables: tuple[TableName, ...], jobs: int
) -> tuple[PlanStep, ...]:
    """Return the steps of a restore in the order they are run."""
    return tuple(_steps(backup, facts, choice, tables, jobs))


def _steps(
    backup: StoredBackup, facts: RestoreFacts, choice: Destination, tables: tuple[TableName, ...], jobs: int
) -> Iterator[PlanStep]:
    proof = (
        "its checksums against the manifest, its end, its statements" if backup.manifest else "its end, its statements"
    )
    yield PlanStep(f"check the backup: {proof}", "", "nothing is run from a truncated, altered or hostile file")
    yield PlanStep(
        f"create {choice.load}",
        _create_command(backup.engine, choice.load),
        "the data is loaded beside what exists" if choice.swaps else "it does not exist yet",
    )
    what = f"{len(tables)} of its tables" if tables else "the backup"
    loader = f"by {facts.tool}" if " " in facts.tool else ""
    yield PlanStep(f"load {what} into {choice.load}", _load_command(backup, facts, choice.load, jobs), loader)
    yield PlanStep(
        "count the rows of every table and compare", "", "a difference ends the restore and drops the new data"
    )
    if not choice.swaps:
        return
    if facts.destination.sessions:
        yield PlanStep(
            f"disconnect {len(facts.destination.sessions)} sessions from {choice.final}", _disconnect(backup.engine)
        )
    yield PlanStep(
        f"swap {choice.load} in as {choice.final}",
        swap_command(backup.engine, choice.final, choice.load, choice.keeps_as),
        f"what was there is kept as {choice.keeps_as}" if choice.replaces else "the database there is empty",
    )


def _create_command(engine: EngineName, database: str) -> str:
    if engine is EngineName.POSTGRESQL:
        return f"CREATE DATABASE {quote_name(engine, database)} TEMPLATE template0"
    if engine is EngineName.MYSQL:
        return f"CREATE DATABASE {quote_name(engine, database)}"
    return ""


def _load_command(backup: StoredBackup, facts: RestoreFacts, database: str, jobs: int) -> str:
    if not facts.tool or " " in facts.tool or backup.engine is EngineName.SQLITE:
        return ""
    parallel = [f"--jobs={jobs}"] if jobs > 1 and backup.format is BackupFormat.DIRECTORY else []
    return join([facts.tool, *parallel, database])


def _disconnect(engine: EngineName) -> str:
    if engine is EngineName.POSTGRESQL:
        return "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = …"
    return ""


def swap_command(engine: EngineName, live: str, fresh: str, kept: str) -> str:
    """Return the statements that put `fresh` in the place of `live` and keep that as `kept`."""
    old, new, away = (quote_name(engine, name) for name in (live, fresh, kept))
    if engine is EngineName.POSTGRESQL:
        return f"BEGIN; ALTER DATABASE {old} RENAME TO {away}; ALTER DATABASE {new} RENAME TO {old}; COMMIT"
    if engine is EngineName.MYSQL:
        return f"RENAME TABLE {old}.… TO {away}.…, {new}.… TO {old}.…"
    return f"copy {live} to {kept}, then {fresh} into {live} through SQLite's backup API"


def undo_sentence(engine: EngineName, choice: Destination, target: str = "TARGET") -> str:
    """Return how to go back after a restore, in one sentence. `target` is a word for --to that means the server."""
    if not choice.swaps:
        return f"nothing that existed is touched; to undo: {_removal(engine, choice.final)}"
    if not choice.replaces:
        removal = _removal(engine, choice.keeps_as)
        return f"{choice.final} was empty and stays as {choice.keeps_as}; to remove that: {removal}"
    if engine is EngineName.SQLITE:
        words = ["dbtui", "backup", "restore", choice.keeps_as, "--to", f"sqlite:///{quote(choice.final)}", "--replace"]
        return f"the old content stays in {choice.keeps_as}; to go back: {join(words)}"
    name, kept = quote_name(engine, choice.final), quote_name(engine, choice.keeps_as)
    if engine is EngineName.MYSQL:
        dump = ["mysqldump", "--single-transaction", "--routines", "--events", "--triggers", "--result-file=old.sql"]
        back = ["dbtui", "backup", "restore", "old.sql", "--to", target, "--into", choice.final, "--replace"]
        return (
            f"the old database stays as {kept}, its events switched off; "
            f"to go back: {join([*dump, choice.keeps_as])} && {join(back)}"
        )
    aside = quote_name(engine, derive_name(engine, choice.final, "_undone"))
    return (
        f"the old database stays as {kept}; to go back: BEGIN; ALTER DATABASE {name} RENAME TO {aside}; "
        f"ALTER DATABASE {kept} RENAME TO {name}; COMMIT; ALTER DATABASE {name} ALLOW_CONNECTIONS true"
    )


def _removal(engine: EngineName, database: str) -> str:
    if engine is EngineName.SQLITE:
        return join(["rm", "--", database])
    return f"DROP DATABASE {quote_name(engine, database)}"


def quote_name(engine: EngineName, name: str) -> str:
    """Return a name quoted as the engine does it."""
    if engine is EngineName.MYSQL:
        return "`" + name.replace("`", "``") + "`"
    return '"' + name.replace('"', '""') + '"'
