"""One partitioned table of any kind in a database of its own, brought to its policy and looked at."""

from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg2

from dbtui.config import parse_url
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import PartitionPlan, PartitionsResult, StepKind, StepOutcome
from dbtui.model.tables import TableName
from dbtui.routines.context import RoutineContext
from dbtui.routines.partitions import apply_partitions, plan_partitions_of
from tests.adapters.postgresql_targets import drive
from tests.routines.partition_lab import LOGS, QUICK


@dataclass
class Scene:
    """The database at `url`. `folder` takes journals and archives."""

    url: str
    folder: Path
    table: TableName = LOGS
    words: dict[str, Any] = field(default_factory=dict)

    @property
    def profile(self) -> ConnectionProfile:
        return replace(parse_url(self.url, "erp"), backup_dir=str(self.folder / "backups"))

    def run(self, *statements: str) -> list[Any]:
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            for sql in statements:
                cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def plan(self, **words: Any) -> PartitionPlan:
        routine = plan_partitions_of(RoutineContext(), self.profile, self.table, words=self.words | words)
        return drive(routine).plan

    def kinds(self, **words: Any) -> list[StepKind]:
        return [step.kind for step in self.plan(**words).steps]

    def apply(self, **words: Any) -> PartitionsResult:
        """Do the plan, every step of it; the plan that follows is empty."""
        result = self.apply_partly(**words)
        assert {each.outcome for each in result.results} <= {StepOutcome.DONE}, result
        assert result.left == 0
        assert self.plan(**words).steps == ()
        return result

    def apply_partly(self, **words: Any) -> PartitionsResult:
        plan = self.plan(**words)
        return drive(apply_partitions(RoutineContext(), self.profile, plan, self.folder / "journals", QUICK))

    @property
    def name(self) -> str:
        return ".".join('"' + part.replace('"', '""') + '"' for part in (self.table.schema, self.table.name))

    def bounds(self) -> dict[str, str]:
        """The names of the partitions, and their bounds as the server writes them."""
        rows = self.run(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid ="
            f" i.inhrelid WHERE i.inhparent = $name${self.name}$name$::regclass ORDER BY c.oid"
        )
        return dict(rows)

    def numbers(self) -> list[tuple[int, int]]:
        """The bounds of partitions of whole numbers, in order; the default is left out."""
        found = []
        for bound in self.bounds().values():
            if bound != "DEFAULT":
                lower, upper = (part.strip("()'") for part in bound.removeprefix("FOR VALUES FROM ").split(" TO "))
                found.append((int(lower), int(upper)))
        return sorted(found)

    def partition_of(self, condition: str) -> set[str]:
        """The partitions that rows are in."""
        return {name for (name,) in self.run(
            f"SELECT DISTINCT c.relname FROM {self.name} t JOIN pg_class c ON c.oid = t.tableoid WHERE {condition}"
        )}  # fmt: skip
