"""What is not sound in a restored file although every row is there."""

import contextlib

from dbtui.adapters.background import Background
from dbtui.adapters.sqlite.connect import SqliteTarget
from dbtui.adapters.sqlite.integrity import find_damage, find_orphans
from dbtui.adapters.sqlite.locations import resolve
from dbtui.adapters.sqlite.schema import collect_schema
from dbtui.adapters.sqlite.translate import sqlite_errors
from dbtui.model.backups import Flaw
from dbtui.model.events import Progressed, Routine
from dbtui.model.proofs import Soundness


def collect_soundness(target: SqliteTarget, database: str) -> Routine[Soundness]:
    """Look at a restored file: its structure, and rows that refer to rows that are not there."""
    path = resolve(target.path, database)
    with contextlib.closing(target.open_reader(path)) as connection:

        def work() -> Soundness:
            with sqlite_errors(path, target.cancellation):
                damage = [Flaw("file", path.name, line, is_certain=True) for line in find_damage(connection)]
                orphans = [Flaw("foreign key", path.name, line) for line in find_orphans(connection)]
                declared = collect_schema(connection).declared
            kinds = [each.kind for each in declared]
            checked = (("indexes", kinds.count("index")), ("tables checked", kinds.count("table")))
            return Soundness(checked, (*damage, *orphans))

        with Background(work, connection.interrupt, target.cancellation) as checking:
            return (yield from checking.wait(lambda: Progressed(0, None, "pages")))
