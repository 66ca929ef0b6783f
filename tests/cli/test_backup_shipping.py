"""Off-site copies with the real program: an S3 server, cut and killed pushes, and a restore on a server far away."""

import os
import signal
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dbtui.cli.backup_reading import show_entries
from dbtui.config import load_settings, resolve_target
from dbtui.model.backups import BackupEntry, EntryKind
from tests.backup_histories import back_up
from tests.cli.conftest import NewSample
from tests.cli.program import Ran, argv, environment, run
from tests.cli.samples import Sample
from tests.fix_remotes import KEY, KEY_ID, Faults, FaultyNetwork, S3Server, wait_until
from tests.shipping_lab import flip, names_in

SECRET_NAME = "BUCKET_SECRET"


@dataclass
class Site:
    """A machine with a configuration, whose profile `erp` has a bucket."""

    folder: Path
    sample: Sample
    remote: str
    bucket: str
    server: S3Server

    def run(self, *words: object, **environ: str) -> Ran:
        config = {"DBTUI_CONFIG": str(self.folder / "config.toml"), SECRET_NAME: KEY}
        return run(*words, cwd=self.folder, **{**config, **environ})

    def done(self, *words: object) -> Ran:
        ran = self.run(*words)
        assert ran.code == 0, ran.stderr
        return ran

    def back_up(self) -> Path:
        profile = resolve_target(load_settings({}, self.folder / "config.toml"), "erp", {})
        here = self.folder / "backups"
        return here / f"{back_up(profile, here)}{self.sample.suffix}"

    @property
    def keys(self) -> set[str]:
        """What lies in the bucket below the remote's path."""
        return {key.removeprefix("far/") for key in self.server.keys(self.bucket)}

    def configure(self, endpoint: str, *more: str) -> None:
        (self.folder / "config.toml").write_text(
            f"""
[profiles.erp]
url = "{self.sample.url}"
remote = "{self.remote}"

[remotes."s3://{self.bucket}"]
endpoint = "{endpoint}"
access_key_id = "{KEY_ID}"
secret_env = "{SECRET_NAME}"
timeout_seconds = 5
{"".join(more)}"""
        )


def make_site(folder: Path, sample: Sample, server: S3Server, endpoint: str = "") -> Site:
    bucket = server.make_bucket()
    site = Site(folder, sample, f"s3://{bucket}/far", bucket, server)
    site.configure(endpoint or server.url())
    return site


@pytest.fixture
def site(tmp_path: Path, new_sample: NewSample, s3_server: S3Server) -> Site:
    """A small SQLite file."""
    return make_site(tmp_path, new_sample("sqlite"), s3_server)


def test_from_here_to_a_bucket_to_another_server(tmp_path: Path, new_sample: NewSample, s3_server: S3Server) -> None:
    """A bastion pushes; another one, which has nothing, lists, proves and restores on its PostgreSQL."""
    sample = new_sample("postgresql")
    site = make_site(tmp_path, sample, s3_server)
    site.done("backup", "create", "erp", "--format", "directory", "--jobs", "2", "-q")
    pushed = site.done("backup", "push", "latest:erp", "--json").result
    assert (pushed["shipping"]["was_there"], pushed["shipping"]["confirmation"]) == (False, "checksum")
    backup_id = pushed["backup_id"]
    assert site.keys == names_in(tmp_path / "backups")
    far = tmp_path / "far"
    far.mkdir()
    other = Site(far, sample, site.remote, site.bucket, s3_server)
    other.configure(s3_server.url())
    (row,) = other.done("backup", "list", "erp", "--json").document["backups"]
    assert (row["backup_id"], row["remote"], row["copies"]) == (backup_id, site.remote, [])
    proven = other.done("backup", "verify", f"{site.remote}/latest", "--restore", "--to", "erp")
    assert "restored and equal" in proven.stdout
    assert "2 tables compared with 1.5 k rows" in proven.stdout
    restored = other.done("backup", "restore", f"{site.remote}/{backup_id}", "--into", f"{sample.name}_far")
    assert restored.stdout == f"{sample.name}_far\n"
    assert sample.rows(f"{sample.name}_far") == sample.rows()
    assert names_in(far) == {"config.toml"}  # what was fetched is gone
    assert site.keys == names_in(tmp_path / "backups")  # and nothing was written there


def test_one_history_says_what_lies_where(site: Site) -> None:
    path = site.back_up()
    site.done("backup", "push", path.stem)
    text = site.done("backup", "list", "erp").stdout.splitlines()
    assert (text[0].split()[-1], " ".join(text[1].split()[-3:])) == ("WHERE", "here + s3")
    assert "WHERE" not in site.done("backup", "list", "--local").stdout
    document = site.done("backup", "list", "--json").document
    assert [(row["remote"], row["copies"]) for row in document["backups"]] == [("", [site.remote])]
    assert [(each["address"], each["problem"]) for each in document["remotes"]] == [(site.remote, "")]
    for each in path.parent.iterdir():
        each.unlink()
    assert len(site.done("backup", "list", "--dir", site.remote).stdout.splitlines()) == 2
    pulled = site.done("backup", "pull", "latest:erp")
    assert pulled.stdout == f"{path}\n"
    assert path.exists()


def test_a_remote_that_is_down_hides_nothing_here(site: Site) -> None:
    path = site.back_up()
    site.configure("http://127.0.0.1:1")  # nobody listens there
    ran = site.run("backup", "list", "--json")
    assert ran.code == 0, ran.stderr
    assert [row["backup_id"] for row in ran.document["backups"]] == [path.stem]
    assert "is left out" in ran.document["remotes"][0]["problem"]
    assert "dbtui: warning:" in ran.stderr
    assert site.run("backup", "push", path.stem).code == 4


def test_a_dry_run_sends_nothing_and_a_second_push_finds_it_there(site: Site) -> None:
    path = site.back_up()
    plan = site.done("backup", "push", path.stem, "--dry-run", "--json").result["plan"]
    assert (plan["missing_bytes"], plan["is_done"], plan["refusals"]) == (path.stat().st_size, False, [])
    assert site.keys == set()
    assert site.done("backup", "push", path.stem).stdout == f"{site.remote}/{path.name}\n"
    assert "a whole copy is in" in site.done("backup", "push", path.stem).stderr


def test_a_killed_push_is_no_backup_and_the_next_completes_it(site: Site, network: FaultyNetwork) -> None:
    path = site.back_up()
    site.configure(network.url)
    size = path.stat().st_size
    network.begin(Faults(freeze_after=size // 2))
    environ = environment(DBTUI_CONFIG=str(site.folder / "config.toml"), **{SECRET_NAME: KEY})
    with subprocess.Popen(argv("backup", "push", path.stem), cwd=site.folder, env=environ,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as victim:  # fmt: skip
        wait_until(lambda: network.sent_bytes > size // 2, 30)
        victim.send_signal(signal.SIGKILL)
    site.configure(site.server.url())
    assert site.keys <= {path.name, f"{path.name}.pushing.json"}
    listed = site.run("backup", "list", "--dir", site.remote)
    assert (listed.code, listed.stdout) == (0, "")
    assert "pushes that have not ended" in listed.stderr
    site.done("backup", "push", path.stem)
    assert site.keys == names_in(path.parent)
    assert site.server.read(site.bucket, f"far/{path.name}") == path.read_bytes()


def test_a_cut_in_the_middle_is_told_or_mended_and_leaves_no_half(site: Site, network: FaultyNetwork) -> None:
    path = site.back_up()
    site.configure(network.url)
    network.begin(Faults(cut_after=path.stat().st_size // 2, refuse_after_cut=True))
    ran = site.run("backup", "push", path.stem)
    assert ran.code == 4, ran.stderr
    assert f"{path.name}.manifest.json" not in site.keys
    network.begin(Faults(cut_after=path.stat().st_size // 2))  # once: mended by itself
    site.done("backup", "push", path.stem)
    assert site.keys == names_in(path.parent)
    assert site.server.read(site.bucket, f"far/{path.name}") == path.read_bytes()


def test_a_backup_is_made_and_copied_in_one_go(site: Site, network: FaultyNetwork) -> None:
    planned = site.done("backup", "create", "erp", "--push", "--dry-run", "--json").result["plan"]
    assert planned["steps"][-1]["text"] == f"push it to {site.remote}"
    made = site.done("backup", "create", "erp", "--push", "--json").result
    path = Path(made["path"])
    assert (made["copy_path"], made["copy_problem"]) == (f"{site.remote}/{path.name}", "")
    assert site.keys == names_in(path.parent)
    site.configure(network.url)
    network.begin(Faults(cut_after=0, refuse_after_cut=True))
    ran = site.run("backup", "create", "erp", "--push")
    assert ran.code == 3, ran.stderr
    second = Path(ran.stdout.strip())
    assert second.exists()
    assert second != path
    assert "was made and not copied" in ran.stderr
    assert site.keys == {path.name, f"{path.name}.manifest.json"}


def test_damage_is_refused_at_both_ends(site: Site) -> None:
    path = site.back_up()
    good = path.read_bytes()
    flip(path)
    refused = site.run("backup", "push", path.stem)
    assert (refused.code, site.keys) == (6, set())
    assert "altered" in refused.sentence
    path.write_bytes(good)
    site.done("backup", "push", path.stem)
    bad = bytearray(good)
    bad[4000] ^= 1
    site.server.client.put_object(Bucket=site.bucket, Key=f"far/{path.name}", Body=bytes(bad))
    pulled = site.run("backup", "pull", f"{site.remote}/{path.stem}", "--dir", "fetched")
    assert pulled.code != 0
    assert "SHA-256" in pulled.sentence
    assert names_in(site.folder / "fetched") == set()
    before = names_in(site.folder)
    assert site.run("backup", "verify", f"{site.remote}/{path.stem}").code == 7
    assert site.run("backup", "restore", f"{site.remote}/{path.stem}", "--into", "other.db").code != 0
    assert names_in(site.folder) == before


def test_no_secret_is_in_argv_output_history_or_copies(site: Site) -> None:
    path = site.back_up()
    ran = [site.done("backup", "push", path.stem, "--json"), site.done("backup", "list", "--json"),
           site.done("backup", "pull", f"{site.remote}/latest", "--dir", "fetched", "--json"),
           site.run("backup", "push", path.stem, **{SECRET_NAME: "wrong-secret-of-mine", "DBTUI_DEBUG": "1"}),
           site.run("backup", "push", path.stem, **{SECRET_NAME: ""})]  # fmt: skip
    texts = "".join(each.stdout + each.stderr for each in ran)
    assert KEY not in texts
    assert "wrong-secret-of-mine" not in texts
    assert ran[-1].code == 2
    assert SECRET_NAME in ran[-1].sentence
    home = Path(os.environ["HOME"])
    for file in (*home.rglob("*"), *(site.folder / "fetched").iterdir(), *(site.folder / "backups").iterdir()):
        assert not file.is_file() or KEY.encode() not in file.read_bytes()
    for key in site.keys:
        assert KEY.encode() not in site.server.read(site.bucket, f"far/{key}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("push", "latest:erp", "ftp://backups"), "no address of a remote"),
        (("push", "latest:erp", "s3://key:secret@backups/erp"), "holds a login"),
        (("pull", "s3://backups"), "no backup in it"),
        (("pull", "postgresql://db1/erp"), "no address of a remote"),
        (("list", "--dir", "s3://"), "names no bucket"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(site: Site, words: tuple[str, ...], said: str) -> None:
    site.back_up()
    ran = site.run("backup", *words)
    assert ran.code == 2
    assert said in ran.sentence
    assert ":secret" not in ran.stderr


def test_without_a_remote_it_says_where_one_is_named(site: Site) -> None:
    path = site.back_up()
    config = site.folder / "config.toml"
    config.write_text(f'[profiles.erp]\nurl = "{site.sample.url}"\n')
    assert "has no remote" in site.run("backup", "push", path.stem).sentence
    before = names_in(site.folder)
    refused = site.run("backup", "create", "erp", "--push")
    assert (refused.code, names_in(site.folder)) == (2, before)
    assert "no remote is configured" in site.run("backup", "pull", "erp-2026").sentence


def test_a_list_names_servers_and_places_where_that_says_something() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    rows = [
        BackupEntry(backup_id=f"erp-{number}", kind=EntryKind.COMPLETE, directory="", data_path="x", began_at=now,
                    database="erp", url=f"postgresql://db{number}/erp", remote=remote)
        for number, remote in enumerate(("", "s3://backups"))
    ]  # fmt: skip
    header, *lines = show_entries(tuple(rows), now, None, (), {"s3://backups": "s3"})
    assert header.endswith("MADE FROM             WHERE")
    assert [line.split()[-2:] for line in lines] == [["postgresql://db0/erp", "here"], ["postgresql://db1/erp", "s3"]]
    assert show_entries((rows[0],), now, None)[0].endswith("PROOF")
