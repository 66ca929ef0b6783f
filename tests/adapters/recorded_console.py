"""A console that answers from a file: what SHOW commands of versions say that are not installed here."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.pgbouncer.console import Console

FOLDER = Path(__file__).with_name("pgbouncer_columns")
VERSIONS = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


class RecordedConsole:
    """Answers each SHOW with the recorded columns and rows, and remembers what it was asked."""

    source = "recorded:6432"
    process_id = None

    def __init__(self, version: str, user: str = "stats") -> None:
        recorded = json.loads((FOLDER / f"{version}.json").read_text())
        self.version: str = recorded["version"]
        self.shows: dict[str, dict[str, list[Any]]] = recorded["shows"]
        self.user = user
        self.kept: dict[str, tuple[float, Any]] = {}
        self.asked: list[str] = []
        self.cancellation = Cancellation()

    def rows(self, command: str) -> list[dict[str, Any]]:
        self.asked.append(command)
        show = self.shows[command]
        return [dict(zip(show["columns"], row, strict=True)) for row in show["rows"]]

    def is_same_account(self) -> bool:
        return False

    def set(self, command: str, column: str, value: Any, rows: Iterable[int] = (0,)) -> None:
        show = self.shows[command]
        for row in rows:
            show["rows"][row][show["columns"].index(column)] = value

    @property
    def console(self) -> Console:
        return cast(Console, self)
