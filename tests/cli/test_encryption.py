"""Encrypted backups on all three engines with the real program, and with age's own."""

import contextlib
import json
import subprocess
from pathlib import Path

import ptyprocess
import pyrage
import pytest

from dbtui import restore_backup as restore_in_python
from dbtui.errors import RefusedError
from tests.cli.conftest import NewSample
from tests.cli.encrypting import Key, create, make_key, make_ssh_key, restore, restored_rows
from tests.cli.program import argv, environment, run
from tests.cli.samples import Sample
from tests.fix_servers import unique_name
from tests.unit.test_age_keys import LOCKED, LOCKED_SECRET

CANARY = b"user 17 "


@pytest.fixture
def key(tmp_path: Path) -> Key:
    return make_key(tmp_path)


def decrypted(key: Key, path: Path) -> bytes:
    """What age's own program makes of a file."""
    return subprocess.run(["age", "-d", "-i", key.file, path], check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("engine", "compress"),
    [("postgresql", "none"), ("postgresql", "zstd"), ("postgresql", "gzip"), ("mysql", "none"), ("sqlite", "zstd")],
)
def test_a_round_trip(new_sample: NewSample, tmp_path: Path, key: Key, engine: str, compress: str) -> None:
    sample = new_sample(engine)
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient, "--compress", compress)
    outer = {"none": "", "zstd": ".zst", "gzip": ".gz"}[compress]
    assert backup.name.endswith(f"Z{sample.suffix}{outer}.age")
    assert backup.read_bytes().startswith(b"age-encryption.org/v1\n")
    manifest = json.loads(Path(f"{backup}.manifest.json").read_text())
    assert (manifest["encryption"], manifest["recipients"]) == ("age", [key.recipient])
    assert manifest["files"][0]["size_bytes"] == backup.stat().st_size
    if engine == "mysql":  # the others are verified with their keys below
        checked = run("backup", "verify", backup, "--identity", key.file, cwd=tmp_path)
        assert (checked.code, "not looked at" in checked.stdout) == (0, False), checked.stderr
    name = unique_name("back")
    ran = restore(sample, tmp_path, backup, name, "--identity", key.file)
    assert ran.code == 0, ran.stderr
    assert restored_rows(sample, name) == sample.rows()


def test_a_copy_that_is_only_encrypted_names_no_compression(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample = new_sample("sqlite")
    ran = run("backup", "create", "--encrypt-to", key.recipient, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    assert "check  structure and row counts\n" in ran.stderr


@pytest.mark.parametrize("compress", ["gzip:1", "zstd"])
def test_an_archive_of_postgresql(new_sample: NewSample, tmp_path: Path, key: Key, compress: str) -> None:
    sample = new_sample("postgresql")
    backup = create(sample, tmp_path, "--format", "custom", "--encrypt-to", key.recipient, "--compress", compress)
    assert backup.read_bytes().startswith(b"age-encryption.org/v1\n")
    name = unique_name("back")
    ran = restore(sample, tmp_path, backup, name, "--identity", key.file, "--jobs", 2)
    assert ran.code == 0, ran.stderr
    assert restored_rows(sample, name) == sample.rows()
    shown = run("backup", "show", backup, "--table", "users", "--rows", 1, "--identity", key.file, cwd=tmp_path)
    assert "user 1 " in shown.stdout


def test_a_directory_is_refused_with_what_to_do_instead(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample = new_sample("postgresql")
    ran = run("backup", "create", "--format", "directory", "--encrypt-to", key.recipient,
              cwd=tmp_path, DATABASE_URL=sample.url)  # fmt: skip
    assert ran.code == 6
    assert "they would lie there unencrypted: use --format custom or plain" in ran.sentence
    assert not list(tmp_path.glob("backups/*"))


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_one_table_is_looked_at_and_restored(
    new_sample: NewSample, tmp_path: Path, key: Key, engine: str
) -> None:  # fmt: skip
    sample = new_sample(engine)
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient, "--compress", "zstd")
    shown = run("backup", "show", backup, "--table", "users", "--rows", 2, "--identity", key.file, cwd=tmp_path)
    assert "user 1 " in shown.stdout, shown.stderr
    name = unique_name("one")
    ran = restore(sample, tmp_path, backup, name, "--table", "users", "--identity", key.file)
    assert ran.code == 0, ran.stderr
    database = f"{name}.db" if sample.engine == "sqlite" else name
    assert sample.execute("SELECT * FROM users ORDER BY id", database) == sample.rows()["users"]


def test_what_is_told_without_an_identity(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample = new_sample("postgresql")
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient)
    before = sample.databases()
    listed = run("backup", "list", "--json", cwd=tmp_path).document["backups"]
    assert [(each["kind"], each["encryption"], each["problem"]) for each in listed] == [("complete", "age", "")]
    assert " age " in run("backup", "list", cwd=tmp_path).stdout
    shown = run("backup", "show", backup, cwd=tmp_path)
    assert shown.code == 0
    assert "this is what its manifest tells" in shown.stdout
    assert key.recipient in shown.stdout
    assert "users" in shown.stdout
    checked = run("backup", "verify", backup, "--json", cwd=tmp_path)
    verification = checked.result["verification"]
    assert (checked.code, verification["proof"], verification["problems"]) == (0, "checksums", [])
    assert "contents were not looked at" in verification["remarks"][0]
    assert run("backup", "diff", backup, backup, cwd=tmp_path).code == 0
    for words in (("restore", backup, "--into", unique_name("no")), ("verify", backup, "--restore"),
                  ("show", backup, "--table", "users")):  # fmt: skip
        ran = run("backup", *words, cwd=tmp_path, DATABASE_URL=sample.url)
        assert ran.code == 6, ran.stderr
        assert f"is encrypted to {key.recipient}, and no identity was given" in ran.sentence
        assert "--identity FILE, DBTUI_AGE_IDENTITY" in ran.sentence
    assert sample.databases() == before


def test_a_wrong_key_opens_nothing(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample = new_sample("mysql")
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient)
    before = sample.databases()
    ran = restore(sample, tmp_path, backup, unique_name("no"), "--identity", make_key(tmp_path, "other").file)
    assert ran.code == 6
    assert f"{backup.name}: the identity that was given does not open it" in ran.sentence
    assert sample.databases() == before


def test_each_of_several_recipients_opens_it(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample, ed, rsa = new_sample("sqlite"), make_ssh_key(tmp_path, "ed25519"), make_ssh_key(tmp_path, "rsa")
    team = tmp_path / "team.txt"
    team.write_text(f"# who restores at night\n\n{ed.recipient}\n{rsa.recipient}\n")
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient, "--encrypt-to", f"@{team}")
    for number, each in enumerate((key, ed, rsa)):
        name = unique_name(f"back{number}")
        path = tmp_path / "live" / f"{name}.db"
        restore_in_python(f"sqlite:///{path}", backup, identity=each.file)
        assert restored_rows(sample, name) == sample.rows()
        assert CANARY in decrypted(each, backup)


def test_who_is_asked_is_the_configuration_unless_the_command_says_otherwise(
    new_sample: NewSample, tmp_path: Path, key: Key
) -> None:
    sample, other = new_sample("sqlite"), make_key(tmp_path, "other")
    config = tmp_path / "config.toml"
    config.write_text(
        f'encrypt_to = ["{key.recipient}"]\nidentity = "{key.file}"\n'
        f'[profiles.erp]\nurl = "{sample.url}"\n'
        f'[profiles.own]\nurl = "{sample.url}"\nencrypt_to = ["{other.recipient}"]\n'
        f'identity_command = ["cat", "{other.file}"]\n'
        f'[profiles.open]\nurl = "{sample.url}"\nencrypt_to = []\n'
    )
    found = {}
    for profile, words in (("erp", ()), ("own", ()), ("open", ()), ("erp", ("--encrypt-to", "none"))):
        ran = run("backup", "create", profile, *words, "-q", cwd=tmp_path, DBTUI_CONFIG=str(config))
        assert ran.code == 0, ran.stderr
        path = Path(ran.stdout.strip())
        found[(profile, *words)] = json.loads(Path(f"{path}.manifest.json").read_text())["recipients"]
        checked = run("backup", "verify", path, cwd=tmp_path, DBTUI_CONFIG=str(config))
        assert checked.code == 0, checked.stderr
        assert "not looked at" not in checked.stdout  # every identity was found
    assert found == {("erp",): [key.recipient], ("own",): [other.recipient], ("open",): [],
                     ("erp", "--encrypt-to", "none"): []}  # fmt: skip


def test_an_identity_in_the_environment(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample = new_sample("sqlite")
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient)
    ran = run("backup", "verify", backup, cwd=tmp_path, DBTUI_AGE_IDENTITY=str(key.file))
    assert (ran.code, "not looked at" in ran.stdout) == (0, False)
    key.file.chmod(0o644)
    ran = run("backup", "verify", backup, cwd=tmp_path, DBTUI_AGE_IDENTITY=str(key.file))
    assert ran.code == 2
    assert f"DBTUI_AGE_IDENTITY: {key.file} holds a secret key and others may read it; chmod 600" in ran.sentence


# ---------------------------------------------------------------- age's own program


def test_what_is_restored_by_hand_has_every_row(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample = new_sample("postgresql")
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient, "--compress", "zstd")
    name = unique_name("hand")
    sample.execute(f'CREATE DATABASE "{name}" TEMPLATE template0', "postgres")
    url = sample.url.replace(f"/{sample.name}", f"/{name}")
    pipeline = f"set -o pipefail; age -d -i '{key.file}' '{backup}' | zstd -dc | psql -qX -v ON_ERROR_STOP=1 '{url}'"
    done = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sample.rows(name) == sample.rows()


@pytest.mark.parametrize(("engine", "armour"), [("mysql", ()), ("sqlite", ("-a",))])
def test_what_age_encrypts_dbtui_restores(
    new_sample: NewSample, tmp_path: Path, key: Key, engine: str, armour: tuple[str, ...]
) -> None:
    sample = new_sample(engine)
    plain = create(sample, tmp_path, "--compress", "zstd")
    foreign = tmp_path / f"foreign{sample.suffix}.zst.age"
    subprocess.run(["age", *armour, "-r", key.recipient, "-o", foreign, plain], check=True)
    (listed,) = run("backup", "list", "--dir", tmp_path, "--json", cwd=tmp_path).document["backups"]
    assert (listed["kind"], listed["encryption"]) == ("foreign", "age")
    refused = restore(sample, tmp_path, foreign, unique_name("no"))
    assert refused.code == 6
    assert "foreign" in refused.sentence
    assert "no identity was given" in refused.sentence
    name = unique_name("back")
    ran = restore(sample, tmp_path, foreign, name, "--identity", key.file)
    assert ran.code == 0, ran.stderr
    assert restored_rows(sample, name) == sample.rows()


# ---------------------------------------------------------------- damage


def test_a_damaged_file_reaches_no_server(sample: Sample, tmp_path: Path, key: Key) -> None:
    """Without a manifest, so that age alone has to notice it; before the first statement: no database is made."""
    whole = create(sample, tmp_path, "--encrypt-to", key.recipient).read_bytes()
    before = sample.databases()
    name = unique_name("no")
    into = name if sample.engine != "sqlite" else ""
    url = sample.url if sample.engine != "sqlite" else f"sqlite:///{tmp_path}/live/{name}.db"
    damaged = tmp_path / f"damaged{sample.suffix}.age"
    body = len(whole) - 20_000  # somewhere in the middle of the rows
    flips = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (100, body, len(whole) - 1)]
    for content in (*(whole[:size] for size in (0, 30, 250, body, len(whole) - 1)), *flips, whole + b"x"):
        damaged.write_bytes(content)
        with pytest.raises(RefusedError):
            restore_in_python(url, damaged, identity=key.file, into=into)
        assert sample.databases() == before
    damaged.write_bytes(whole)
    restore_in_python(url, damaged, identity=key.file, into=into)
    assert restored_rows(sample, name) == sample.rows()


def test_a_damaged_backup_is_found_without_an_identity(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    backup = create(new_sample("sqlite"), tmp_path, "--encrypt-to", key.recipient)
    content = bytearray(backup.read_bytes())
    content[-1] ^= 1
    backup.write_bytes(bytes(content))
    ran = run("backup", "verify", backup, cwd=tmp_path)
    assert ran.code == 7
    assert "was altered: its SHA-256 is not the manifest's" in ran.stdout
    backup.write_bytes(bytes(content)[:-1])
    assert "was truncated" in run("backup", "verify", backup, cwd=tmp_path).stdout


# ---------------------------------------------------------------- elsewhere


def test_a_copy_elsewhere_is_fetched_only_where_something_opens_it(
    new_sample: NewSample, tmp_path: Path, key: Key
) -> None:  # fmt: skip
    sample, far = new_sample("sqlite"), f"file://{tmp_path}/far"
    backup = create(sample, tmp_path, "--encrypt-to", key.recipient)
    (tmp_path / "far").mkdir()
    sent = run("backup", "push", backup, far, cwd=tmp_path)
    assert sent.code == 0, sent.stderr
    assert {each.name for each in (tmp_path / "far").iterdir()} == {backup.name, f"{backup.name}.manifest.json"}
    for each in list(backup.parent.iterdir()):
        each.unlink()
    identifier, name = backup.name.partition(".")[0], unique_name("back")
    words = ("backup", "restore", f"{far}/{identifier}", "--into", f"{name}.db")
    refused = run(*words, cwd=tmp_path, DATABASE_URL=sample.url)
    assert refused.code == 6
    assert "no identity was given" in refused.sentence
    assert not list(backup.parent.iterdir())
    ran = run(*words, "--identity", key.file, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    assert restored_rows(sample, name) == sample.rows()


def test_a_passphrase_is_asked_for_once_and_not_shown(new_sample: NewSample, tmp_path: Path) -> None:
    sample = new_sample("sqlite")
    locked = tmp_path / "key.age"
    locked.write_bytes(LOCKED)
    locked.chmod(0o600)
    recipient = str(pyrage.x25519.Identity.from_str(LOCKED_SECRET).to_public())
    backup = create(sample, tmp_path, "--encrypt-to", recipient)
    words = argv("backup", "verify", backup, "--restore", "--identity", locked)
    for typed, code in (("open sesame", 0), ("wrong", 2)):
        process = ptyprocess.PtyProcessUnicode.spawn(words, cwd=str(tmp_path), env=environment(TERM="xterm"))
        seen = ""
        while f"Passphrase for {locked}: " not in seen:
            seen += process.read()
        process.write(f"{typed}\n")
        with contextlib.suppress(EOFError):
            while True:
                seen += process.read()
        assert process.wait() == code, seen
        assert typed not in seen
        assert seen.count("Passphrase for") == 1


def test_retention_and_deletion_need_no_identity(new_sample: NewSample, tmp_path: Path, key: Key) -> None:
    sample = new_sample("sqlite")
    first, second = (create(sample, tmp_path, "--encrypt-to", key.recipient) for _ in range(2))
    words = ("--yes", sample.name, "--json", "-q")
    ran = run("backup", "expire", "DATABASE_URL", "--keep-last", 1, *words, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    assert {each.name for each in first.parent.iterdir()} == {second.name, f"{second.name}.manifest.json"}
    identifier = second.name.partition(".")[0]
    ran = run("backup", "delete", identifier, "--yes", identifier, cwd=tmp_path)
    assert ran.code == 0, ran.stderr
    assert not list(first.parent.iterdir())
