"""Nothing of what is encrypted ever lies on a disk unencrypted, and no secret stands where others can read it."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import NewSample
from tests.cli.conftest import new_sample as new_sample
from tests.cli.encrypting import Key, create, make_key, restore
from tests.cli.program import argv, environment, run
from tests.cli.samples import Sample
from tests.disk_watch import watching
from tests.fix_servers import unique_name

CANARY = b"canary-that-sings"
#: What may begin a file: age's mark, JSON of manifests and proofs, nothing at all.
PACKED = (b"SQLite format 3\0", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"PGDMP")
ROWS = 12_000


@pytest.fixture
def key(tmp_path: Path) -> Key:
    return make_key(tmp_path)


def fill(sample: Sample) -> None:
    """Rows with the canary: some megabytes, so that everything has to be written in several pieces."""
    text_type = "varchar(200)" if sample.engine == "mysql" else "text"
    sample.execute(f"CREATE TABLE secrets (id integer PRIMARY KEY, name {text_type} NOT NULL)")
    dice = random.Random(7)
    for first in range(0, ROWS, 4000):
        rows = (f"({n}, '{CANARY.decode()} {dice.randbytes(30).hex()}')" for n in range(first, first + 4000))
        sample.execute(f"INSERT INTO secrets VALUES {', '.join(rows)}")


@contextlib.contextmanager
def unseen(*directories: Path) -> Iterator[None]:
    """Nothing that is written there during the block is plain, nor packed without being encrypted."""
    with watching(*directories) as watch:
        yield
        watch.finish()
        seen = list(watch.contents())
    assert seen, "nothing was written, so nothing was seen"
    for path, content in seen:
        assert CANARY not in content, path
        assert not content.startswith(PACKED), path


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "sqlite"])
def test_nothing_plain_reaches_a_disk(new_sample: NewSample, tmp_path: Path, key: Key, engine: str) -> None:
    sample = new_sample(engine)
    fill(sample)
    temporary, backups = tmp_path / "temporary", tmp_path / "backups"
    temporary.mkdir()
    backups.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as environ, unseen(temporary, backups):
        environ.setenv("TMPDIR", str(temporary))
        formats = {"postgresql": ("none", "zstd", "custom"), "sqlite": ("none", "zstd"), "mysql": ("zstd",)}[engine]
        made = [
            create(sample, tmp_path, "--encrypt-to", key.recipient,
                   *(("--format", "custom") if how == "custom" else ("--compress", how)))
            for how in formats
        ]  # fmt: skip
        words = ("--table", "secrets", "--rows", 2, "--identity", key.file)
        shown = run("backup", "show", made[-1], *words, cwd=tmp_path)
        assert CANARY.decode() in shown.stdout, shown.stderr
        proven = run("backup", "verify", made[-1], "--restore", "--identity", key.file, cwd=tmp_path)
        assert proven.code == 0, proven.stderr
        ran = restore(sample, tmp_path, made[0], unique_name("back"), "--table", "secrets", "--identity", key.file)
        assert ran.code == 0, ran.stderr


def test_the_watch_sees_what_is_not_encrypted(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("sqlite")
    fill(sample)
    backups = tmp_path / "backups"
    backups.mkdir(mode=0o700)
    for words in ((), ("--compress", "zstd")):
        with pytest.raises(AssertionError, match="sqlite"), unseen(backups):
            create(sample, tmp_path, *words)


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_a_run_that_is_killed_leaves_nothing_plain(
    new_sample: NewSample, tmp_path: Path, key: Key, engine: str
) -> None:  # fmt: skip
    """At random moments; the directory in memory goes too, although nobody of dbtui's own process can remove it."""
    sample = new_sample(engine)
    fill(sample)
    dice = random.Random(engine)
    with tempfile.TemporaryDirectory(prefix="dbtui-killed-", dir="/dev/shm") as memory:
        for _ in range(4):
            words = argv("backup", "create", "-q", "--encrypt-to", key.recipient)
            process = subprocess.Popen(words, cwd=tmp_path, env=environment(DATABASE_URL=sample.url, TMPDIR=memory))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0.3, 1.2))
            process.send_signal(signal.SIGKILL)
            process.wait()
        until(lambda: not any(Path(memory).iterdir()))
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".db"]
    assert all(CANARY not in path.read_bytes() for path in written), written


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_secret_stands_in_a_command_line_or_an_environment(
    new_sample: NewSample, tmp_path: Path, key: Key
) -> None:  # fmt: skip
    sample = new_sample("postgresql")
    fill(sample)
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient)
    words = argv("backup", "verify", backup, "--identity", key.file)
    process = subprocess.Popen(
        words, cwd=tmp_path, env=environment(DBTUI_DEBUG="1"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    seen, secret = set(), key.secret.encode()
    while process.poll() is None:
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (each / "cmdline").read_bytes()
                if os.getsid(int(each.name)) == process.pid or b"age_program" in command:
                    seen.add(command)
                    assert secret not in command + (each / "environ").read_bytes()
    assert process.stdout is not None
    assert secret not in process.stdout.read()
    process.stdout.close()
    assert process.returncode == 0
    assert any(b"age_program" in command and b"decrypt" in command for command in seen)
    for path in (*Path(os.environ["XDG_STATE_HOME"]).rglob("*"), *backup.parent.iterdir()):
        assert path.is_dir() or secret not in path.read_bytes(), path


def test_a_secret_that_is_typed_for_a_recipient_is_not_repeated(
    new_sample: NewSample, tmp_path: Path, key: Key
) -> None:  # fmt: skip
    sample = new_sample("sqlite")
    for typed in (key.secret, f"@{key.file}", str(key.file)):
        ran = run("backup", "create", "--encrypt-to", typed, cwd=tmp_path, DATABASE_URL=sample.url, DBTUI_DEBUG="1")
        assert ran.code == 6
        assert "this is an identity, which is secret; give its recipient" in ran.stderr
        assert key.secret not in ran.stderr + ran.stdout
    assert not list(tmp_path.glob("backups/*"))
