"""`dbtui replicas …` with real servers: what is printed, what a monitor gets, and how it ends."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbtui.analysis.replicas.branches import format_branches
from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from tests.cli.program import Ran, argv, environment, run
from tests.fix_servers import wait_until


@dataclass
class Place:
    """A profile `erp` with its replica `near`."""

    primary: PostgreSQL
    replica: PostgreSQLReplica
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"DBTUI_CONFIG": str(self.folder / "config.toml"), "XDG_STATE_HOME": str(self.folder / "state")}

    def configure(self, replicas: str = '["near"]') -> None:
        text = f'[profiles.erp]\nurl = "{self.primary.url()}"\nreplicas = {replicas}\n'
        text += f'[profiles.near]\nurl = "{self.replica.url()}"\n[profiles.file]\nurl = "sqlite:///x.db"\n'
        path = self.folder / "config.toml"
        path.write_text(text)
        path.chmod(0o600)

    def run(self, *words: object) -> Ran:
        return run("replicas", *words, cwd=self.folder, **self.environ)


@pytest.fixture
def place(postgresql_server: PostgreSQL, postgresql_replica: PostgreSQLReplica, tmp_path: Path) -> Iterator[Place]:
    made = Place(postgresql_server, postgresql_replica, tmp_path)
    made.configure()
    wait_until(lambda: bool(postgresql_server.execute("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")))
    yield made


def test_the_tree_for_people_and_for_programs(place: Place) -> None:
    ran = place.run("erp")
    assert ran.code == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("● erp  primary  PostgreSQL ")
    assert "timeline 1" in lines[0]
    assert lines[1].split() == [
        "REPLICA",
        "STATE",
        "SEND",
        "NETWORK",
        "FLUSH",
        "APPLY",
        "BEHIND",
        "LAG",
        "SAFE",
        "AFTER",
        "SYNC",
    ]
    assert lines[2].startswith("└ ● near")
    document = place.run("erp", "--json").document
    assert (document["target"], document["primary"], document["level"]) == ("erp", "erp", "ok")
    (near,) = document["replicas"]
    assert (near["name"], near["parent"], near["lag_seconds"]) == ("near", "erp", 0.0)
    assert [stage["stage"] for stage in near["stages"]] == ["send", "network", "flush", "apply"]
    assert [server["profile"] for server in document["servers"]] == ["erp", "near"]
    assert place.primary.password not in ran.stdout + json.dumps(document)


def test_what_is_wrong_is_told_by_the_exit_code(place: Place) -> None:
    place.replica.execute("SELECT pg_wal_replay_pause()")
    try:
        ran = place.run("erp", "--fail-on", "warning")
        assert ran.code == 7
        assert "▲ near: replay is paused" in ran.stdout
        assert "› SELECT pg_wal_replay_resume();" in ran.stdout
        assert place.run("erp", "--fail-on", "trouble").code == 0
        ran = place.run("erp", "--watch", "0.2", "--fail-on", "warning", "--json")
        assert ran.code == 7
        assert json.loads(ran.stdout.splitlines()[-1])["replicas"][0]["state"] == "replay paused"
    finally:
        place.replica.execute("SELECT pg_wal_replay_resume()")


def test_a_watch_goes_on_until_it_is_interrupted(place: Place) -> None:
    watching = subprocess.Popen(
        argv("replicas", "erp", "--watch", "0.2", "--json"),
        cwd=place.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**place.environ),
    )
    assert watching.stdout is not None
    looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert [look["version"] for look in looks] == [1, 1, 1]
    assert looks[0]["taken_at"] < looks[2]["taken_at"]


def test_bad_input_is_a_sentence(place: Place, new_postgresql: Callable[..., PostgreSQL]) -> None:
    ran = place.run("file")
    assert (ran.code, ran.sentence) == (
        2, "file is an SQLite file: it has no replicas; name a PostgreSQL or MySQL target",
    )  # fmt: skip
    place.configure('["nera"]')
    ran = place.run("erp")
    assert (ran.code, ran.sentence) == (2, "profile 'erp': replicas: no profile is called 'nera'; did you mean near?")
    wrong = place.primary.url(user="nobody", password="wrong")
    assert place.run(wrong).code == 4
    gone = new_postgresql()
    url = gone.url()
    gone.stop()
    ran = place.run(url)
    assert ran.code == 4
    assert "cannot be asked" in ran.stdout
    assert place.run("--help").stdout.startswith("Usage: dbtui replicas")


def test_branches_of_a_tree() -> None:
    assert format_branches([0, 1, 2, 1, 0]) == ["├ ", "│ ├ ", "│ │ └ ", "│ └ ", "└ "]
    assert format_branches([0, 0]) == ["├ ", "└ "]
    assert format_branches([]) == []
