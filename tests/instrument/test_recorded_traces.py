"""What the recorder writes, as `dbtui queries inspect` reads it: each pattern by its name, nothing when it is cured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from dbtui.instrument import record_statements
from tests.instrument.applications import Trace, application
from tests.instrument.reading import ROOT
from tests.orm_workloads import SIZE, WORKLOADS, Work

SURE = {"lazy", "immediate", "column", "polymorphic", "dynamic"}


def inspect(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of `dbtui queries inspect --json`."""
    words = [sys.executable, "-m", "dbtui", "queries", "inspect", str(path), "--json", *options]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    document: dict[str, Any] = json.loads(ran.stdout)
    return ran.returncode, document


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name.replace(" ", "_"))
def test_a_trace_is_read_as_it_was_meant(workload: Any, tmp_path: Path) -> None:
    with application(f"sqlite:///{tmp_path}/app.db") as engine:

        def record(name: str, work: Work) -> Path:
            with Trace(engine, tmp_path / name), Session(engine) as session:
                work(session)
            return tmp_path / name

        code, document = inspect(record("spoilt", workload.spoilt), "--fail-on", "finding")
        assert code == 7
        (finding,) = document["findings"]
        assert (finding["kind"], finding["level"]) == ("n_plus_one", "finding")
        assert finding["repeats"] >= SIZE
        assert finding["suggestion"]
        if workload.relationship:
            assert finding["relationship"] == workload.relationship
        assert finding["confidence"] >= (0.99 if workload.load in SURE else 0.9)
        code, document = inspect(record("cured", workload.cured), "--fail-on", "hint")
        assert (code, document["findings"]) == (0, [])


def test_statements_that_are_missing_are_told(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with (
        application(f"sqlite:///{tmp_path}/app.db") as engine,
        record_statements(engine, path, most_waiting=1) as recorder,
        Session(engine) as session,
    ):
        WORKLOADS[0].spoilt(session)
    assert recorder.dropped > 0
    words = [sys.executable, "-m", "dbtui", "queries", "inspect", str(path)]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert f"warning: {recorder.dropped} statements ran and" in ran.stderr
