"""Runs the real program in a process of its own, the way a person or a script does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 90.0


def environment(**changes: str) -> dict[str, str]:
    """This test's environment, with the program on its path, and `changes`."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **changes}


def argv(*words: object) -> list[str]:
    """The argv that runs the program with `words`."""
    return [sys.executable, "-m", "dbtui", *map(str, words)]


@dataclass(frozen=True)
class Ran:
    """How a run ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        document: dict[str, Any] = json.loads(self.stdout)
        assert document["version"] == 1
        return document

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every JSON object on stdout, a line each; the last must be the result."""
        events = [json.loads(line) for line in self.stdout.splitlines()]
        assert all("event" in event for event in events)
        assert [event["event"] for event in events].count("result") == 1
        assert events[-1]["event"] == "result"
        assert events[-1]["version"] == 1
        assert events[-1]["exit_code"] == self.code
        return events

    @property
    def result(self) -> dict[str, Any]:
        """The last JSON object on stdout."""
        return self.events[-1]

    @property
    def sentence(self) -> str:
        """The one sentence on stderr that says what went wrong."""
        lines = [line for line in self.stderr.splitlines() if line.startswith("dbtui: ")]
        lines = [line for line in lines if not line.startswith("dbtui: warning: ")]
        assert len(lines) == 1, self.stderr
        assert "Traceback" not in self.stderr
        return lines[0].removeprefix("dbtui: ")


def run(*words: object, cwd: Path, typed: str = "", before: Iterable[str] = (), **environ: str) -> Ran:
    """Run `dbtui WORDS` in `cwd` and return how it ended. `before` are the words of a program that starts it."""
    done = subprocess.run(
        [*before, *argv(*words)],
        cwd=cwd,
        env=environment(**environ),
        input=typed,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=SECONDS,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
