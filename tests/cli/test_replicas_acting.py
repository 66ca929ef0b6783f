"""`dbtui replicas add|promote|pause|resume|drop-slot` with real servers: what is asked, done, printed, and kept."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dbtui.demo.servers import MariaDB, PostgreSQL, ServerDirectory
from dbtui.demo.servers.base import choose_port
from tests.cli.disks import on_small_disk, without_programs
from tests.cli.program import Ran, argv, environment, run
from tests.fix_servers import processes_in, unique_name, wait_until
from tests.routines.replica_site import Site

TOOLS = Path("/usr/lib/postgresql/15/bin")


@dataclass
class Place:
    """A profile `erp`, and replicas of it that are known to the configuration."""

    site: Site
    folder: Path
    replicas: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {"DBTUI_CONFIG": str(self.folder / "config.toml"), "XDG_STATE_HOME": str(self.folder / "state")}

    def configure(self, environment: str = "development") -> None:
        names = json.dumps(sorted(self.replicas))
        text = f'[profiles.erp]\nurl = "{self.site.primary.url()}"\nenvironment = "{environment}"\nreplicas = {names}\n'
        text += "".join(f'[profiles.{name}]\nurl = "{url}"\n' for name, url in self.replicas.items())
        path = self.folder / "config.toml"
        path.write_text(text)
        path.chmod(0o600)

    def know(self, name: str, port: int) -> None:
        """Name a replica's profile in the configuration."""
        self.replicas[name] = self.site.primary.url().replace(f":{self.site.primary.port}/", f":{port}/")
        self.configure()

    def run(self, *words: object, before: tuple[str, ...] = (), typed: str = "") -> Ran:
        return run("replicas", *words, cwd=self.folder, before=before, typed=typed, **self.environ)

    def add(self, name: str = "near", *words: object) -> int:
        """Add a replica by command and return its port."""
        port = choose_port()
        ran = self.run("add", "erp", "--data-dir", self.site.place / name, "--port", port, "--yes", name, *words)
        assert ran.code == 0, ran.stderr
        self.know(name, port)
        return port

    def history(self) -> list[dict[str, object]]:
        ran = run("history", "--json", cwd=self.folder, **self.environ)
        runs: list[dict[str, object]] = ran.document["history"]
        return runs


@pytest.fixture(scope="module")
def primary(server_directory: ServerDirectory) -> Iterator[PostgreSQL]:
    with PostgreSQL(server_directory, name=unique_name("pg")) as server:
        yield server


@pytest.fixture
def place(primary: PostgreSQL, tmp_path: Path) -> Iterator[Place]:
    made = Place(Site.of(primary), tmp_path)
    made.configure()
    try:
        yield made
    finally:
        made.site.close()


def test_a_replica_is_planned_confirmed_and_added(place: Place) -> None:
    site, port = place.site, choose_port()
    words = ("add", "erp", "--data-dir", site.place / "near", "--port", port)
    ran = place.run(*words, "--dry-run")
    assert ran.code == 0, ran.stderr
    lines = ran.stdout.splitlines()
    source = f"127.0.0.1:{site.primary.port}"
    assert lines[0] == f"this copies {source} to {site.place / 'near'} and starts a replica at port {port}"
    assert "   3  SELECT pg_create_physical_replication_slot('near', true);" in lines
    assert any("pg_basebackup" in line for line in lines) and any("MB needed, " in line for line in lines)
    ran = place.run(*words)
    assert (ran.code, site.left(), site.slots()) == (6, [], [])
    assert ran.sentence.endswith("nothing was changed; to confirm pass --yes near")
    ran = place.run(*words, "--yes", "near", "--json")
    assert ran.code == 0, ran.stdout
    result = ran.result
    assert (result["outcome"], result["action"], result["subject"]) == ("succeeded", "add", "near")
    assert result["pid"] and result["copied_bytes"] > 10_000_000 and result["behind_bytes"] is not None
    steps = [event["step"] for event in ran.events if event["event"] == "step_started"]
    assert steps[-4:] == ["write to disk", "settings", "start", "wait until it streams"]
    site.primary.execute("CREATE TABLE marks AS SELECT 4711 AS mark")
    wait_until(lambda: bool(site.ask(port, "SELECT 1 FROM pg_tables WHERE tablename = 'marks'")))
    assert site.ask(port, "SELECT mark FROM marks") == [(4711,)]
    site.primary.execute("DROP TABLE marks")
    place.know("near", port)
    (near,) = place.run("erp", "--json").document["replicas"]
    assert (near["profile"], near["state"]) == ("near", "current")
    (done,) = [each for each in place.history() if each["routine"] == "replicas add"]
    assert (done["subject"], done["state"]) == ("near", "succeeded")
    assert site.primary.password not in ran.stdout + ran.stderr + json.dumps(place.history())


def test_a_copy_tells_its_rate_and_is_interrupted(place: Place) -> None:
    site = place.site
    words = argv("replicas", "add", "erp", "--data-dir", site.place / "near", "--port", choose_port(),
                 "--max-rate", "2M", "--yes", "near", "--json")  # fmt: skip
    with subprocess.Popen(
        words, cwd=place.folder, text=True, stdout=subprocess.PIPE, env=environment(**place.environ)
    ) as adding:
        assert adding.stdout is not None
        for line in adding.stdout:
            event = json.loads(line)
            if event["event"] == "progress" and event.get("left_seconds"):
                break
        assert event["unit"] == "bytes" and 0 < event["done"] < event["total"]
        assert event["per_second"] > 0
        adding.send_signal(signal.SIGINT)
        last = json.loads(adding.stdout.readlines()[-1])
        assert adding.wait(60) == 130
    assert (last["event"], last["outcome"]) == ("result", "cancelled")
    assert (site.left(), site.slots()) == ([], [])
    wait_until(lambda: not processes_in(site.place))


def test_a_full_disk_leaves_nothing(place: Place) -> None:
    site = place.site
    disk = site.place / "disk"
    disk.mkdir(mode=0o755)
    words = ("add", "erp", "--data-dir", disk / "near", "--port", choose_port(), "--yes", "near")
    ran = place.run(*words, before=on_small_disk(disk, "4m", "777"))
    assert (ran.code, "are needed and" in ran.sentence) == (6, True)
    ran = place.run(*words, before=on_small_disk(disk, "32m", "777"))
    assert ran.code == 1, ran.stderr
    assert "the disk that holds" in ran.sentence and "left behind" not in ran.sentence
    assert "left: \n" in ran.stdout
    assert site.slots() == []


def test_a_missing_program_is_named(place: Place) -> None:
    words = ("add", "erp", "--data-dir", place.site.place / "near", "--port", choose_port(), "--dry-run", "--json")
    ran = place.run(*words, before=without_programs(TOOLS / "pg_basebackup", Path("/usr/bin/pg_basebackup")))
    assert ran.code == 6
    assert "pg_basebackup 15 is not installed here" in ran.result["error"]


def test_bad_input_is_a_sentence(place: Place) -> None:
    where = ("--data-dir", place.site.place / "near")
    assert place.run("add", "erp", *where).code == 2
    assert place.run("add", "erp", *where, "--port", "70000").code == 2
    ran = place.run("add", "erp", *where, "--port", "5999", "--max-rate", "fast")
    assert (ran.code, ran.sentence) == (2, "--max-rate: 'fast' is no size; write 64 MB or 1 GB")
    ran = place.run("promote", "erp", "nobody")
    assert ran.code == 6 and "nobody is not known here: name its profile in replicas" in ran.sentence
    ran = place.run("drop-slot", "erp", "none", "--yes", "none")
    assert ran.code == 6 and "there is no slot none on erp" in ran.sentence
    nowhere = f"postgresql://a:b@127.0.0.1:{choose_port()}/x"
    assert place.run("add", nowhere, *where, "--port", choose_port()).code == 4
    assert place.run("add", "sqlite:///x.db", *where, "--port", "5999").code == 2


def test_a_replica_is_promoted_after_its_name_was_typed(place: Place) -> None:
    site, port = place.site, place.add("near")
    far = place.add("far")
    ran = place.run("promote", "erp", "near")
    assert ran.code == 6 and ran.sentence.endswith("to confirm pass --yes near")
    assert "makes near a primary for good: nothing committed so far is lost" in ran.sentence
    ran = place.run("promote", "erp", "near", "--dry-run")
    assert "SELECT pg_promote(false) AS is_asked;" in ran.stdout
    assert "erp is up and takes writes: stop it first" in ran.stdout
    assert "far go on following the old primary" in ran.stdout
    assert site.ask(port, "SELECT pg_is_in_recovery()") == [(True,)]
    ran = place.run("promote", "erp", "near", "--yes", "near")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("near is a primary now")
    site.ask(port, "CREATE TABLE own AS SELECT 1 AS number")  # it takes writes
    assert site.ask(port, "SELECT pg_is_in_recovery()") == [(False,)]
    ran = place.run("promote", "erp", "near", "--yes", "near")
    assert ran.code == 6 and "near is a primary" in ran.sentence
    assert site.ask(far, "SELECT pg_is_in_recovery()") == [(True,)]


def test_in_production_the_profile_is_typed_as_well(place: Place) -> None:
    place.add("near")
    place.configure("production")
    ran = place.run("promote", "erp", "near", "--yes", "near")
    assert ran.code == 6 and ran.sentence.endswith("--yes near --yes erp")


def test_replay_is_paused_and_resumed(place: Place) -> None:
    port = place.add("near")
    assert place.run("pause", "erp", "near", "--yes", "near").code == 0
    assert site_pause(place, port) is True
    ran = place.run("resume", "erp", "near", "--yes", "near")
    assert (ran.code, ran.stdout) == (0, "near applies what it receives\n")
    assert site_pause(place, port) is False


def site_pause(place: Place, port: int) -> object:
    return place.site.ask(port, "SELECT pg_is_wal_replay_paused()")[0][0]


def test_a_slot_is_dropped_unless_somebody_reads_it(place: Place) -> None:
    site = place.site
    place.add("near")
    ran = place.run("drop-slot", "erp", "near", "--yes", "near")
    assert ran.code == 6 and "slot near is in use by near" in ran.sentence
    site.end(site.place / "near")
    wait_until(lambda: not site.primary.execute("SELECT 1 FROM pg_replication_slots WHERE active"))
    site.primary.execute("SELECT pg_switch_wal()")
    ran = place.run("drop-slot", "erp", "near", "--dry-run")
    assert "SELECT pg_drop_replication_slot('near');" in ran.stdout
    assert "may have to be built anew" in ran.stdout
    assert place.run("drop-slot", "erp", "near").code == 6
    assert site.slots() == ["near"]
    ran = place.run("drop-slot", "erp", "near", "--yes", "near")
    assert (ran.code, ran.stdout) == (0, "slot near of erp is dropped\n")
    assert site.slots() == []


def test_a_stranger_is_not_promoted(place: Place, new_postgresql: Callable[..., PostgreSQL]) -> None:
    other = new_postgresql().add_replica(unique_name("other"))
    ran = place.run("promote", "erp", other.url(), "--yes", "postgres")
    assert ran.code == 6 and "is not a replica of this primary" in ran.sentence
    assert other.execute("SELECT pg_is_in_recovery()") == [(True,)]


def test_a_replica_is_promoted_when_its_primary_is_down(
    new_postgresql: Callable[..., PostgreSQL], tmp_path: Path
) -> None:
    server = new_postgresql()
    place = Place(Site.of(server), tmp_path)
    place.configure()
    try:
        port = place.add("near")
        server.stop()
        ran = place.run("promote", "erp", "near", "--dry-run")
        assert "how much is not known" in ran.stdout and "no primary could be asked" in ran.stdout
        ran = place.run("promote", "erp", "near", "--yes", "near")
        assert ran.code == 0, ran.stderr
        assert place.site.ask(port, "SELECT pg_is_in_recovery()") == [(False,)]
    finally:
        place.site.end(place.site.place / "near")


def test_mariadb_is_refused_with_the_commands(place: Place, mariadb_server: MariaDB) -> None:
    words = ("--data-dir", place.site.place / "near", "--port", choose_port())
    ran = place.run("add", mariadb_server.url("mysql"), *words, "--dry-run")
    assert ran.code == 6
    assert "mariadb-backup --backup" in ran.stdout and "START SLAVE" in ran.stdout
    assert "dbtui copies no data directory of MariaDB: a replica of it is added by hand" in ran.stdout
    assert mariadb_server.password not in ran.stdout + ran.stderr
