"""Programs of repositories that take too long, say too much, are cancelled, or belong to another account."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import exhaust
from dbtui.adapters.repositories.calling import ask, child_environment, follow
from dbtui.adapters.repositories.growing import GrowingDirectory
from dbtui.errors import Cancelled, ToolError
from tests.fix_servers import wait_until


def test_what_takes_too_long_is_given_up() -> None:
    began = time.monotonic()
    with pytest.raises(ToolError, match="sleep did not answer within 0 s"):
        ask(["sleep", "60"], {}, Cancellation(), seconds=0.3)
    assert time.monotonic() - began < 30


def test_what_says_too_much_is_given_up() -> None:
    with pytest.raises(ToolError, match="said more than 1 MiB"):
        ask(["yes"], {}, Cancellation(), most_bytes=1 << 20)


def test_what_is_said_of_a_failure() -> None:
    def read_nothing(_line: str | None) -> None:
        return None

    argv = ["sh", "-c", 'printf %s "$1"; exit 3', "sh", json.dumps({"_ERROR": ["cannot\nconnect"]})]
    work = follow(argv, {}, Cancellation(), run_as=(), what="restore", read_progress=read_nothing)
    with pytest.raises(ToolError, match="restore: sh exited with 3: cannot / connect"):
        exhaust(work, lambda _event: None)


def test_a_program_of_another_account_is_ended_by_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_group: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    cancellation, pids = Cancellation(), tmp_path / "pid"

    def cancel() -> None:
        wait_until(lambda: pids.exists() and bool(pids.read_text()))
        cancellation.request()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    try:
        with pytest.raises(Cancelled):
            ask(["env", "sh", "-c", f"echo $$ > {pids}; exec sleep 60"], {}, cancellation, run_as=["env"])
    finally:
        canceller.join()
    assert not Path(f"/proc/{pids.read_text().strip()}").exists()


def test_the_environment_has_settings_of_pgbackrest_alone() -> None:
    made = child_environment({"PGBACKREST_REPO1_CIPHER_PASS": "x", "PGPASSWORD": "y", "AWS_SECRET_ACCESS_KEY": "z"})
    assert made["PGBACKREST_REPO1_CIPHER_PASS"] == "x"
    assert not {"PGPASSWORD", "AWS_SECRET_ACCESS_KEY"} & set(made)


def test_a_directory_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    growing = GrowingDirectory(str(tmp_path), 1000)
    assert growing.look(None) is None
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").write_bytes(bytes(400))
    later = time.monotonic() + 5
    monkeypatch.setattr(time, "monotonic", lambda: later)
    found = growing.look(None)
    assert found is not None
    assert (found.done, found.total, found.unit) == (400, 1000, "bytes")
