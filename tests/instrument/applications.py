"""The application of `orm_models` on every engine, and what a recorder tells of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dbtui.instrument import create_engine, record_statements
from tests import orm_models
from tests.orm_workloads import SIZE

ENGINES = ("sqlite", "postgresql", "mariadb")


@contextmanager
def application(url: str, size: int = SIZE) -> Iterator[Engine]:
    """An engine whose database has `size` rows of each class."""
    engine = create_engine(url)
    try:
        orm_models.Base.metadata.create_all(engine)
        with Session(engine) as session:
            orm_models.fill(session, size)
        yield engine
    finally:
        engine.dispose()


class Trace:
    """Records an engine to a file for as long as the block lasts; `lines` are then what was written."""

    def __init__(self, engine: Any, path: Path, **options: Any) -> None:
        self.path = path
        self.recorder = record_statements(engine, path, **options)
        self.lines: list[dict[str, Any]] = []

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *_: object) -> None:
        self.recorder.stop()
        self.lines = read_trace(self.path)


def read_trace(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a trace."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


__all__ = ["ENGINES", "Trace", "application", "read_trace"]
