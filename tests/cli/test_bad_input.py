"""What is typed, configured or lies on disk wrong: one sentence, the right exit code, and nothing lost."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import NewSample
from tests.cli.disks import on_read_only_disk, on_small_disk, without_folder, without_programs
from tests.cli.program import Ran, run
from tests.cli.samples import Sample

SERVERS = ["postgresql", "mysql"]


@contextmanager
def nothing_lost(sample: Sample) -> Iterator[None]:
    """Within the block neither a row changes nor a database appears or goes."""
    rows, databases = sample.rows(), sample.databases()
    yield
    assert sample.rows() == rows
    assert sample.databases() == databases


def left_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def create(url: str, folder: Path, *words: object, before: tuple[str, ...] = (), **environ: str) -> Ran:
    return run("backup", "create", *words, cwd=folder, before=before, **{"DATABASE_URL": url, **environ})


def made(url: str, folder: Path, *words: object) -> Path:
    """The path of a new backup."""
    ran = create(url, folder, *words)
    assert ran.code == 0, ran.stderr
    return Path(ran.stdout.removesuffix("\n"))


# --- targets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("oracle://scott:hidden@h/x", "use postgresql://, postgres://, mysql://, mariadb:// or sqlite:///"),
        ("postgresql://u:hidden@h:99999/x", "between 1 and 65535"),
        ("postgresql://erp:hidden/x", "the host or port"),
        ("sqlite://erp.db", "three slashes"),
        ("erp", "no profile is called 'erp'"),
    ],
)
@pytest.mark.parametrize("command", [["backup", "create"], ["backup", "list"], []], ids=lambda words: " ".join(words))
def test_a_wrong_url_or_an_unknown_profile(command: list[str], target: str, said: str, tmp_path: Path) -> None:
    ran = run(*command, target, cwd=tmp_path)
    assert ran.code == 2
    assert said in ran.sentence
    assert "hidden" not in ran.stderr
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("engine", SERVERS)
def test_a_wrong_password(engine: str, new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample(engine)
    with nothing_lost(sample):
        ran = create(sample.url.replace(sample.password, "not-the-one"), tmp_path)
    assert ran.code == 4
    assert "password" in ran.sentence
    assert "not-the-one" not in ran.stderr
    assert left_in(tmp_path / "backups") == []


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_is_down(scheme: str, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        ran = create(f"{scheme}://u:hidden@127.0.0.1:{port}/erp", tmp_path)
    assert ran.code == 4
    assert f"127.0.0.1:{port}" in ran.sentence
    assert "refused" in ran.sentence
    assert "hidden" not in ran.stderr
    assert left_in(tmp_path / "backups") == []


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_host_that_does_not_exist(scheme: str, tmp_path: Path) -> None:
    ran = create(f"{scheme}://u@no-such-host.invalid/erp", tmp_path)
    assert ran.code == 4
    assert "no-such-host.invalid" in ran.sentence


@pytest.mark.parametrize("engine", SERVERS)
def test_no_such_database(engine: str, new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample(engine)
    with nothing_lost(sample):
        ran = create(sample.url.replace(sample.name, "nowhere"), tmp_path)
    assert ran.code == 4
    assert "nowhere" in ran.sentence
    assert left_in(tmp_path / "backups") == []


def test_no_such_file_is_not_made(tmp_path: Path) -> None:
    ran = create("sqlite:///nowhere.db", tmp_path)
    assert ran.code == 4
    assert "nowhere.db" in ran.sentence
    assert not (tmp_path / "nowhere.db").exists()
    assert left_in(tmp_path / "backups") == []


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear Sir or Madam, " * 500)
    ran = create("sqlite:///letter.db", tmp_path)
    assert ran.code in (1, 4)
    assert "letter.db" in ran.sentence
    assert (tmp_path / "letter.db").read_text() == "Dear Sir or Madam, " * 500
    assert left_in(tmp_path / "backups") == []


# --- tools ---------------------------------------------------------------------------------------------------


def write_tool(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return folder


def test_a_missing_tool(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    with nothing_lost(sample):
        ran = create(sample.url, tmp_path, before=without_folder(Path("/usr/lib/postgresql")))
    assert ran.code == 1
    assert "pg_dump is not installed here" in ran.sentence
    assert left_in(tmp_path / "backups") == []


def test_a_tool_older_than_the_server(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("postgresql")
    tools = write_tool(tmp_path / "old", "pg_dump", "pg_dump (PostgreSQL) 9.6.24")
    with nothing_lost(sample):
        ran = create(sample.url, tmp_path, before=without_folder(Path("/usr/lib/postgresql")), DBTUI_PG_BIN=str(tools))
    assert ran.code in (1, 6)
    assert "9.6.24" in ran.sentence
    assert "older" in ran.sentence
    assert left_in(tmp_path / "backups") == []


def test_a_missing_mysqldump(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("mysql")
    with nothing_lost(sample):
        installed = {Path(folder, name) for folder in ("/usr/bin", "/usr/local/bin")
                     for name in ("mariadb-dump", "mysqldump") if Path(folder, name).exists()}  # fmt: skip
        ran = create(sample.url, tmp_path, before=without_programs(*installed))
    assert ran.code == 1
    assert "dump" in ran.sentence
    assert "install" in ran.sentence
    assert left_in(tmp_path / "backups") == []


# --- disks ---------------------------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_written(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    with nothing_lost(sample):
        ran = create(sample.url, tmp_path, before=on_read_only_disk(tmp_path / "backups"))
    assert ran.code == 1
    assert f"{tmp_path}/backups" in ran.sentence
    assert ran.stdout == "left: \n"


def test_a_directory_that_is_a_file(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("precious")
    ran = create(sample.url, tmp_path)
    assert ran.code == 1
    assert f"{tmp_path}/backups" in ran.sentence
    assert (tmp_path / "backups").read_text() == "precious"


def test_too_little_space_is_refused_before_anything_is_written(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    with nothing_lost(sample):
        ran = create(sample.url, tmp_path, before=on_small_disk(tmp_path / "backups", "8k"))
    assert ran.code == 6
    assert "are free in" in ran.sentence
    assert ran.stdout == "left: \n"


PACKED_BY_THE_SERVER = """
    INSERT INTO large SELECT repeat(string_agg(repeat('x', 32), ''), 8)
    FROM generate_series(1, 60) i, generate_series(1, 1000) j GROUP BY i
"""
NOT_PACKABLE = """
    INSERT INTO large SELECT encode(string_agg(decode(md5(i::text || j), 'hex'), ''), 'base64')
    FROM generate_series(1, 60) i, generate_series(1, 6000) j GROUP BY i
"""


@pytest.mark.parametrize(
    ("words", "rows", "size"),
    [
        ([], PACKED_BY_THE_SERVER, "8m"),
        (["--compress", "zstd"], NOT_PACKABLE, "5m"),
        (["--format", "custom", "--compress", "none"], PACKED_BY_THE_SERVER, "8m"),
        (["--format", "directory", "--compress", "none"], PACKED_BY_THE_SERVER, "8m"),
    ],
    ids=["plain", "zstd", "custom", "directory"],
)
def test_a_disk_that_fills_up_during_a_dump(
    words: list[str], rows: str, size: str, new_sample: NewSample, tmp_path: Path
) -> None:
    """The plan expects less than comes: values that the server keeps packed, values that zstd cannot pack."""
    sample = new_sample("postgresql")
    sample.execute("CREATE TABLE large (t text)")
    sample.execute(rows)
    (tmp_path / "backups").mkdir()
    with nothing_lost(sample):
        ran = create(sample.url, tmp_path, *words, before=on_small_disk(tmp_path / "backups", size))
    assert ran.code == 1, ran.stderr
    assert "full" in ran.sentence or "No space left" in ran.sentence
    assert ran.stdout == "left: \n"


def test_a_disk_that_fills_up_during_a_mysql_dump(new_sample: NewSample, tmp_path: Path) -> None:
    """Bytes are written as hexadecimal digits, twice as many."""
    sample = new_sample("mysql")
    sample.execute("CREATE TABLE large (b longblob)")
    for _ in range(8):
        sample.execute("INSERT INTO large VALUES (repeat(char(7), 1000000))")
    (tmp_path / "backups").mkdir()
    with nothing_lost(sample):
        ran = create(sample.url, tmp_path, before=on_small_disk(tmp_path / "backups", "14m"))
    assert ran.code == 1, ran.stderr
    assert "full" in ran.sentence or "No space left" in ran.sentence
    assert ran.stdout == "left: \n"


# --- dump files ----------------------------------------------------------------------------------------------


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[: len(data) * 2 // 3])
    else:
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


@pytest.mark.parametrize("how", ["empty", "truncated", "bit-flipped"])
def test_a_damaged_backup_is_refused(how: str, sample: Sample, tmp_path: Path) -> None:
    path = made(sample.url, tmp_path)
    damage(path, how)
    with nothing_lost(sample):
        for words in (
            ["--into", f"{sample.name}_x"],
            ["--replace", "--yes", sample.name, "--yes", f"{sample.name}.db"],
        ):
            ran = run("backup", "restore", path, *words, cwd=tmp_path, DATABASE_URL=sample.url)
            assert ran.code == 6, ran.stderr
            assert path.stem in ran.sentence
        ran = run("backup", "verify", path, "--restore", cwd=tmp_path, DATABASE_URL=sample.url)
        assert ran.code == 7, ran.stderr
    ran = run("backup", "verify", path, cwd=tmp_path)
    assert (ran.code, ran.stderr.count("Traceback")) == (7, 0)


@pytest.mark.parametrize("how", ["empty", "truncated"])
def test_a_damaged_foreign_file_is_refused(how: str, sample: Sample, tmp_path: Path) -> None:
    path = made(sample.url, tmp_path)
    path = path.rename(tmp_path / f"mine{sample.suffix}")
    damage(path, how)
    with nothing_lost(sample):
        ran = run("backup", "restore", path, "--into", f"{sample.name}_x", cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 6, ran.stderr
    assert "mine" in ran.sentence


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_damaged_packed_backup_is_refused(packing: str, sample: Sample, tmp_path: Path) -> None:
    path = made(sample.url, tmp_path, "--compress", packing)
    damage(path, "truncated")
    path.with_name(f"{path.name}.manifest.json").unlink()
    with nothing_lost(sample):
        ran = run("backup", "restore", path, "--into", f"{sample.name}_x", cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 6, ran.stderr


@pytest.mark.parametrize(
    ("source_engine", "target"),
    [("postgresql", "mysql"), ("mysql", "postgresql"), ("sqlite", "postgresql"), ("mysql", "sqlite")],
)
def test_a_backup_of_another_engine(source_engine: str, target: str, new_sample: NewSample, tmp_path: Path) -> None:
    source, sample = new_sample(source_engine), new_sample(target)
    path = made(source.url, tmp_path)
    for _ in range(2):
        with nothing_lost(sample):
            ran = run("backup", "restore", path, "--to", sample.url, "--into", f"{sample.name}_x", cwd=tmp_path)
        assert ran.code == 6, ran.stderr
        path.with_name(f"{path.name}.manifest.json").unlink(missing_ok=True)  # and again as a foreign file


HOSTILE = {
    "postgresql": [
        "\\! touch {canary}\n",
        "CREATE TABLE t (a text);\nCOPY t FROM PROGRAM 'touch {canary}';\n",
        "\\unrestrict `touch {canary}`\n",
        "DROP DATABASE {name};\n",
        "\\connect {name}\nDELETE FROM orders;\n",
        "COMMIT; DELETE FROM orders;\n",
    ],
    "mysql": [
        "\\! touch {canary}\n",
        "system touch {canary}\n",
        "USE `{name}`; DELETE FROM orders;\n",
        "USE mysql; DELETE FROM global_priv;\n",
        "DELETE FROM `{name}`.orders;\n",
        "INSERT INTO `{name}`.orders VALUES (0, 1, 1);\n",
    ],
}


@pytest.mark.parametrize("engine", SERVERS)
def test_a_hostile_dump_runs_nothing(engine: str, new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample(engine)
    head, newline, rest = made(sample.url, tmp_path).read_text().partition("\n\n")
    canary, hostile = tmp_path / "canary", tmp_path / "hostile.sql"
    for evil in HOSTILE[engine]:
        hostile.write_text(head + newline + evil.format(canary=canary, name=sample.name) + rest)
        with nothing_lost(sample):
            ran = run("backup", "restore", hostile, "--into", f"{sample.name}_x", cwd=tmp_path, DATABASE_URL=sample.url)
        assert not canary.exists()
        assert ran.code == 6, (evil, ran.stderr)
        assert "hostile" in ran.sentence
        assert run("backup", "verify", hostile, cwd=tmp_path).code == 7


@pytest.mark.parametrize("words", ["DROP DATABASE `{name}`;", "/*!40000 DROP DATABASE IF EXISTS `{name}`*/;"])
def test_a_dump_that_drops_its_database_drops_nothing(words: str, new_sample: NewSample, tmp_path: Path) -> None:
    """mysqldump --add-drop-database writes this; it is left out, whatever database it names."""
    sample, other = new_sample("mysql"), new_sample("mysql")
    text = made(sample.url, tmp_path).read_text()
    head, newline, rest = text.partition("\n\n")
    dump = tmp_path / "dropping.sql"
    dump.write_text(f"{head}{newline}{words.format(name=other.name)}\n{rest}")
    rows, others = sample.rows(), other.rows()
    ran = run("backup", "restore", dump, "--into", f"{sample.name}_x", cwd=tmp_path, DATABASE_URL=sample.url)
    assert (sample.rows(), other.rows()) == (rows, others)
    assert ran.code in (0, 6)
    if ran.code == 0:
        assert sample.rows(f"{sample.name}_x") == rows


def test_a_hostile_sqlite_file_is_refused(new_sample: NewSample, tmp_path: Path) -> None:
    evil = new_sample("sqlite", "evil")
    evil.execute("CREATE VIEW v AS SELECT load_extension('/tmp/canary.so')")
    sample = new_sample("sqlite", "good")
    path = Path(evil.url.removeprefix("sqlite:///")).rename(tmp_path / "hostile.sqlite")
    with nothing_lost(sample):
        ran = run("backup", "restore", path, "--to", sample.url, "--into", "new.db", cwd=tmp_path)
    assert ran.code == 6, ran.stderr
    assert "load_extension" in ran.sentence


# --- destinations --------------------------------------------------------------------------------------------


def test_a_target_that_is_not_empty(sample: Sample, tmp_path: Path) -> None:
    path = made(sample.url, tmp_path)
    into = Path(sample.url).name if sample.engine == "sqlite" else sample.name
    with nothing_lost(sample):
        ran = run("backup", "restore", path, "--into", into, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 6
    assert "--replace" in ran.sentence


@pytest.mark.parametrize("engine", SERVERS)
def test_a_read_only_profile(engine: str, new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample(engine)
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.main]\nurl = "{sample.url}"\nread_only = true\n')
    environ = {"DBTUI_CONFIG": str(config)}
    path = run("backup", "create", "main", cwd=tmp_path, **environ).stdout.strip()
    with nothing_lost(sample):
        ran = run("backup", "restore", path, "--into", "x", cwd=tmp_path, **environ)
        assert (ran.code, "read-only" in ran.sentence) == (6, True)
        ran = run("backup", "verify", path, "--restore", "--to", "main", cwd=tmp_path, **environ)
        assert (ran.code, "read-only" in ran.sentence) == (6, True)
        assert run("backup", "verify", path, "--restore", cwd=tmp_path, **environ).code == 0  # on a server of its own


NAMES = ["a \"b\" 'c' %20", "-dash -- new\nline;", "[red]back`tick\\"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", ["postgresql", "mysql", "sqlite"])
def test_hostile_database_names_go_all_the_way(
    engine: str, name: str, new_sample: NewSample, tmp_path: Path
) -> None:  # fmt: skip
    from urllib.parse import quote

    sample = new_sample(engine, name)
    if engine == "sqlite":
        sample.url = f"sqlite:///{quote(sample.url.removeprefix('sqlite:///'))}"
    saved, before = sample.rows(), sample.databases()
    created = create(sample.url, tmp_path, "--json")
    assert created.code == 0, created.stderr
    backup_id = created.result["backup_id"]
    assert created.result["manifest"]["database"] == name
    text = run("backup", "list", cwd=tmp_path).stdout
    assert len(text.splitlines()) == 2
    assert run("backup", "show", backup_id, cwd=tmp_path).code == 0
    verified = run("backup", "verify", backup_id, "--restore", cwd=tmp_path, DATABASE_URL=sample.url)
    assert verified.code == 0, verified.stdout + verified.stderr
    assert sample.databases() == before
    sample.execute("DELETE FROM orders")
    words = ["backup", "restore", backup_id, "--replace"]
    shown = run(*words, cwd=tmp_path, DATABASE_URL=sample.url)
    assert shown.code == 6
    assert "--yes" in shown.sentence
    confirm = run(*words, "--dry-run", "--json", cwd=tmp_path, DATABASE_URL=sample.url).result["plan"]["confirm_name"]
    ran = run(*words, "--yes", confirm, "--json", cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    assert sample.rows() == saved
    assert before < sample.databases()


def test_a_missing_backup_directory(tmp_path: Path) -> None:
    ran = run("backup", "list", "--dir", "nowhere", cwd=tmp_path)
    assert ran.code == 1
    assert "nowhere is not a directory" in ran.sentence
