"""Directories packed with zstd by and for PostgreSQL programs that know none: the same rows come out, or an error."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.directory_packing import open_files
from dbtui.adapters.driving import exhaust
from dbtui.adapters.postgresql.check import check_archive
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.contents import collect_sample
from dbtui.adapters.streams import hash_file
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import Cancelled, DamagedBackupError
from dbtui.model.backups import DumpResult, TableName
from tests.adapters.postgresql_nasty import ROWS, Nasty, empty_database, nasty, restore, restored, stored
from tests.adapters.postgresql_targets import drive, large_database, make_dump, opened, options_of, wait_until

__all__ = ["nasty"]
TABLES = ("one", "two", "three")


@pytest.fixture(scope="module")
def large(postgresql_server: PostgreSQL) -> Iterator[str]:
    with large_database(postgresql_server) as name:
        yield name


@pytest.fixture(scope="module")
def dumped(postgresql_server: PostgreSQL, large: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packed") / "large.dir"
    with opened(postgresql_server.url(large)) as target:
        _dump(target, path)
    return path


def _dump(target: PostgresqlTarget, path: Path, jobs: int = 2) -> DumpResult:
    return make_dump(target, path, options_of("directory:zstd:1", jobs=jobs))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_database_with_everything_comes_back_the_same(nasty: Nasty, tmp_path: Path, jobs: int) -> None:
    path = tmp_path / "nasty.dir"
    with opened(nasty.url) as target:
        result = _dump(target, path, jobs)
    assert {table.table_name: table.rows for table in result.tables} == ROWS
    names = {each.name for each in path.iterdir()}
    assert names == {file.path for file in result.files}
    assert not [name for name in names if name[:-4].isdecimal() and name.endswith(".dat")], "rows were left unpacked"
    assert any(name.endswith(".dat.zst") for name in names) and "toc.dat" in names
    for file in result.files:
        found = exhaust(hash_file(path / file.path, file.path, Cancellation()))
        assert found == file and (path / file.path).stat().st_mode & 0o077 == 0
    assert drive(check_archive(stored(path), Cancellation())) == ()
    with restored(nasty, stored(path), jobs=jobs) as database:
        assert nasty.schema_and_rows(database) == nasty.schema_and_rows()


def test_rows_are_read_without_a_server(dumped: Path) -> None:
    sample = collect_sample(stored(dumped), TableName("public", "two"), 3, Cancellation())
    assert len(sample.rows) == 3 and sample.more


def test_large_tables_come_through_pipes_and_nothing_large_is_written(
    postgresql_server: PostgreSQL, dumped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with empty_database(postgresql_server) as database, opened(postgresql_server.url()) as target:

        def look(_event: object) -> None:
            seen.append(sum(each.lstat().st_size for each in tmp_path.rglob("*")))

        restore(target, stored(dumped), database, jobs=2, on_event=look)
        for table in TABLES:
            digest = f"SELECT count(*), md5(string_agg(t, '' ORDER BY i)) FROM {table}"
            there = postgresql_server.execute(digest, database=database)
            assert there[0][0] == 300_000
    assert seen and max(seen) < 1 << 20
    assert list(tmp_path.iterdir()) == []
    assert not [each for each in threading.enumerate() if each.name in ("feeding pg_restore", "unpacking")]


@pytest.mark.parametrize("damage", ["flipped", "cut", "not zstd"])
def test_what_cannot_be_unpacked_is_never_taken_for_the_end_of_the_rows(
    postgresql_server: PostgreSQL, dumped: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "x.dir"
    shutil.copytree(dumped, path)
    largest = max(path.glob("*.dat.zst"), key=lambda each: each.stat().st_size)
    data = bytearray(largest.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    elif damage == "cut":
        del data[len(data) * 3 // 4 :]
    else:
        data[:4] = b"...."
    largest.write_bytes(data)
    with empty_database(postgresql_server) as database, opened(postgresql_server.url()) as target:
        with pytest.raises(DamagedBackupError, match=largest.name):
            restore(target, stored(path), database, jobs=2)
        wait_until(lambda: not [each for each in threading.enumerate() if each.name == "unpacking"])


def test_a_cancel_leaves_no_thread(postgresql_server: PostgreSQL, large: str, tmp_path: Path) -> None:
    cancellation = Cancellation()
    with opened(postgresql_server.url(large), cancellation=cancellation) as target:
        path = tmp_path / "x.dir"
        ending = threading.Thread(target=_cancel_when_begun, args=(path, cancellation))
        ending.start()
        with pytest.raises(Cancelled):
            _dump(target, path)
        ending.join()
    assert not [each for each in threading.enumerate() if each.name == "packing"]


def _cancel_when_begun(path: Path, cancellation: Cancellation) -> None:
    wait_until(lambda: any(path.glob("*.dat*")))
    cancellation.request("the test")


def test_files_that_are_open_are_known(tmp_path: Path) -> None:
    path = tmp_path / "open"
    with path.open("wb") as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat:
        wait_until(lambda: str(path.resolve()) in (open_files(cat.pid) or ()))
        assert cat.stdin is not None
        cat.stdin.close()
    assert open_files(cat.pid) is None, "who has ended is not known to have nothing open"


def test_packed_files_say_how_large_they_unfold(dumped: Path) -> None:
    for path in dumped.glob("*.dat.zst"):
        with path.open("rb") as file:
            assert zstandard.get_frame_parameters(file.read(64)).content_size > 1 << 20
