"""Restores over a live database that are ended in the middle: the old one is still there or the new one whole."""

import random
import signal
import subprocess
import time

from tests.faults.matrix.aftermath import CANNOT_CONNECT, FAILED, INTERRUPTED, SUCCEEDED
from tests.faults.matrix.banks import ENGINES, SERVERS
from tests.faults.matrix.ledgers import judge_audit
from tests.faults.matrix.scenes import Ran, Scene, is_quiet, is_server_quiet, opened
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.worlds import World

_POLL_SECONDS = 0.001
_SWAP = '"swap"'


class Live:
    """A database that is to be replaced: a small one, by the large one of a backup."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        scene.world.scenes += 1
        self.name = f"live_{scene.world.scenes}"
        self.place = scene.bank.copy_purse(self.name)
        (self.backup_id,) = {entry["backup_id"] for entry in scene.listed()}

    @property
    def words(self) -> tuple[str, ...]:
        """The words that replace it by the backup."""
        url = self.scene.bank.url(self.place)
        return ("backup", "restore", self.backup_id, "--dir", str(self.scene.backups), "--to", url, "--replace",
                "--yes", self.scene.bank.confirmed(self.name), "--json")  # fmt: skip

    def look(self) -> str:
        """Return "old" or "new", or what is wrong with it."""
        try:
            said = judge_audit(self.scene.bank.audit(self.place))
            counts = self.scene.bank.count_bulk(self.place)
        except Exception as error:  # whatever the driver says of a database that is gone or half
            return f"it cannot be read: {error}"
        if said:
            return f"its money is wrong: {said}"
        small, large = (self.scene.bank.count_bulk(name) for name in ("purse", "bank"))
        return {small: "old", large: "new"}.get(counts, f"it is neither old nor new: {counts} rows")

    def drop(self) -> None:
        """Remove it and everything that a restore left beside it."""
        for name in self.scene.bank.databases():
            if name.startswith(self.name):
                self.scene.bank.drop(name)


class _Moment:
    """A random moment of a restore: a third of them in the swap, the others after a share of its usual time."""

    def __init__(self, chance: random.Random, seconds: float) -> None:
        self.in_swap = chance.random() < 0.33
        self.delay = chance.random() * (0.05 if self.in_swap else seconds)
        self.share = 0.0 if self.in_swap else self.delay / seconds

    def __str__(self) -> str:
        return f"{self.delay * 1000:.0f} ms into the swap" if self.in_swap else f"at {self.share:.0%} of its time"

    def await_in(self, scene: Scene, process: "subprocess.Popen[str]") -> None:
        """Wait for it, or for the end of the process."""
        while self.in_swap and process.poll() is None and _SWAP not in (scene.folder / "out").read_text():
            time.sleep(_POLL_SECONDS)
        ends_at = time.monotonic() + self.delay
        while process.poll() is None and time.monotonic() < ends_at:
            time.sleep(_POLL_SECONDS)


def usual_seconds(world: World, engine: str, form: tuple[str, ...]) -> float:
    """How long a restore takes that nothing happens to."""
    if (engine, form) not in world.restore_seconds:
        with opened(world, engine, form) as scene:
            live = Live(scene)
            began = time.monotonic()
            ran = scene.run(*live.words)
            world.restore_seconds[engine, form] = time.monotonic() - began
            end = live.look()
            live.drop()
        if ran.code != SUCCEEDED or end != "new":
            raise AssertionError(f"a restore without any fault: exit {ran.code}, {end}: {ran.stderr}")
    return world.restore_seconds[engine, form]


def _check(scene: Scene, live: Live, ran: Ran, codes: tuple[int, ...], report: Report) -> None:
    end = live.look()
    report.fault += f", exit {ran.code}, the database is the {end} one"
    report.sums += 1
    if end not in ("old", "new"):
        report.lose(end)
    if ran.code not in codes:
        report.lose(f"it exited with {ran.code}: {ran.stderr.strip()[-400:]}")
    if ran.code == SUCCEEDED and end != "new":
        report.lose("it said that it succeeded, and the database is the old one")
    if not is_quiet(scene):
        report.lose(f"processes were left after 2 s: {scene.descendants()}")
    if not is_server_quiet(scene):
        report.lose(f"sessions were left on the server: {scene.bank.foreign_sessions()}")
    if said := scene.verify(live.backup_id):
        report.lose(said)
    again = scene.run(*live.words)
    if again.code != SUCCEEDED or live.look() != "new":
        report.lose(f"the next restore exited with {again.code}: {again.stderr.strip()[-400:]}; it is {live.look()}")


def kill_restore(world: World, trial: Trial, report: Report) -> None:
    """End dbtui while it replaces a database. What is not killed outright leaves no database of its own."""
    chance = trial.chance()
    form = chance.choice(world.forms(trial.engine))
    number = chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    moment = _Moment(chance, usual_seconds(world, trial.engine, form))
    with opened(world, trial.engine, form) as scene:
        live = Live(scene)
        try:
            process = scene.start(*live.words)
            moment.await_in(scene, process)
            process.send_signal(number)
            ran = scene.finish(process)
            report.fault = f"{' '.join(form) or 'plain'}: {number.name} {moment}"
            if number is not signal.SIGKILL and ran.code == INTERRUPTED:
                _check_nothing_left(live, report)
            _check(scene, live, ran, (SUCCEEDED, -number, INTERRUPTED), report)
        finally:
            live.drop()


def _check_nothing_left(live: Live, report: Report) -> None:
    extra = {name for name in live.scene.bank.databases() if name.startswith(live.name)}
    extra -= {name for name in extra if name in (live.name, f"{live.name}.db") or name.endswith(("-wal", "-shm"))}
    if extra and live.look() == "old":
        report.lose(f"it was cancelled and left {sorted(extra)}")


def kill_server(world: World, trial: Trial, report: Report) -> None:
    """End the server while a database is replaced, and start it again."""
    chance = trial.chance()
    bank = world.bank(trial.engine)
    form = chance.choice(world.forms(trial.engine))
    number = chance.choice((signal.SIGKILL, signal.SIGQUIT if bank.engine == "postgresql" else signal.SIGTERM))
    moment = _Moment(chance, usual_seconds(world, trial.engine, form))
    with opened(world, trial.engine, form) as scene:
        live = Live(scene)
        try:
            process = scene.start(*live.words)
            moment.await_in(scene, process)
            bank.end(number)
            ran = scene.finish(process)
            report.fault = f"{' '.join(form) or 'plain'}: {number.name} to the server {moment}"
            _check(scene, live, ran, (SUCCEEDED, FAILED, CANNOT_CONNECT), report)
        finally:
            live.drop()


KINDS = (
    Kind("restore-killed", "restore over a live database ended", ENGINES, kill_restore, 30, ("postgresql",)),
    Kind("restore-server", "server ended during such a restore", SERVERS, kill_server, 20, ()),
)
