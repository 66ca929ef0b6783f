"""Kills: dbtui itself, its dump tool, its compressor, the server, at random moments of a backup."""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.faults.matrix.aftermath import CANNOT_CONNECT, FAILED, INTERRUPTED, SUCCEEDED, Expected, check_aftermath
from tests.faults.matrix.banks import ENGINES, RECIPIENT, SERVERS
from tests.faults.matrix.scenes import Ran, Scene, opened
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.worlds import Reference, World

_POLL_SECONDS = 0.001
#: A run that was over before the moment came is struck earlier, until the share is as small as this.
_EARLIER, _EARLIEST = 0.5, 0.05
#: How much of a run the tool takes part in: what follows are checks.
_TOOL_SHARE = 0.7


class Moment:
    """A random moment of a run: after a share of its usual time, or of its usual bytes."""

    def __init__(self, chance: random.Random, reference: Reference) -> None:
        self.share = chance.random()
        self.by_bytes = chance.random() < 0.5
        self._reference = reference

    def __str__(self) -> str:
        return f"at {self.share:.0%} of its {'bytes' if self.by_bytes else 'time'}"

    def await_in(
        self,
        scene: Scene,
        process: "subprocess.Popen[str]",
        is_there: Callable[["subprocess.Popen[str]"], bool] | None = None,
    ) -> None:
        """Wait for the moment, and for what is to be struck if that is not there yet, or for the process's end."""
        began = time.monotonic()
        while process.poll() is None and not self._has_come(scene, time.monotonic() - began):
            time.sleep(_POLL_SECONDS)
        while is_there is not None and process.poll() is None and not is_there(process):
            time.sleep(_POLL_SECONDS)

    def _has_come(self, scene: Scene, seconds: float) -> bool:
        if self.by_bytes:
            return scene.partial_bytes() >= self.share * self._reference.size_bytes
        return seconds >= self.share * self._reference.seconds


def kill_dbtui(world: World, trial: Trial, report: Report) -> None:
    """Send dbtui a signal."""
    chance = trial.chance()
    form = chance.choice(world.forms(trial.engine))
    number = chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    moment = Moment(chance, world.reference(trial.engine, form))

    def strike(process: "subprocess.Popen[str]") -> bool:
        process.send_signal(number)
        return process.returncode is None

    with _struck(world, trial.engine, form, moment, strike) as (scene, ran):
        report.fault = f"{' '.join(form) or 'plain'}: {number.name} {moment}"
        killed = number is signal.SIGKILL
        codes = (SUCCEEDED, -number) if killed else (SUCCEEDED, INTERRUPTED, *_before_handlers(number, moment))
        check_aftermath(scene, ran, Expected(codes, leaves_partials=killed), report)


@contextmanager
def _struck(
    world: World,
    engine: str,
    form: tuple[str, ...],
    moment: Moment,
    strike: Callable[["subprocess.Popen[str]"], bool],
    is_there: Callable[["subprocess.Popen[str]"], bool] | None = None,
) -> Iterator[tuple[Scene, Ran]]:
    """A backup that was struck at the moment; yields how it ended. One that was quicker is made again."""
    while True:
        with opened(world, engine, form) as scene:
            with scene.money():
                process = scene.start(*scene.create_words)
                moment.await_in(scene, process, is_there)
                has_hit = strike(process)
                ran = scene.finish(process)
            if has_hit or moment.share < _EARLIEST:
                yield scene, ran
                return
            moment.share *= _EARLIER


def _before_handlers(number: signal.Signals, moment: Moment) -> tuple[int, ...]:
    """Before Python has begun to run dbtui, a signal does what it always does."""
    return (-number,) if not moment.by_bytes else ()


def _children(process: "subprocess.Popen[str]", names: tuple[str, ...]) -> list[psutil.Process]:
    try:
        found = psutil.Process(process.pid).children(recursive=True)
        return [child for child in found if child.name() in names and child.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def _kill_child(
    world: World, trial: Trial, report: Report, names: tuple[str, ...], forms: tuple[tuple[str, ...], ...]
) -> None:
    chance = trial.chance()
    form = chance.choice(forms)
    number = chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    moment = Moment(chance, world.reference(trial.engine, form))

    moment.share *= _TOOL_SHARE

    def strike(process: "subprocess.Popen[str]") -> bool:
        struck = _children(process, names)
        for child in struck:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)
        return bool(struck)

    with _struck(world, trial.engine, form, moment, strike, lambda of: bool(_children(of, names))) as (scene, ran):
        report.fault = f"{' '.join(form) or 'plain'}: {number.name} to {' or '.join(names)} {moment}"
        check_aftermath(scene, ran, Expected((SUCCEEDED, FAILED)), report)


def kill_tool(world: World, trial: Trial, report: Report) -> None:
    """End pg_dump or mariadb-dump."""
    bank = world.bank(trial.engine)
    _kill_child(world, trial, report, bank.tools, world.forms(trial.engine))


def kill_compressor(world: World, trial: Trial, report: Report) -> None:
    """End the zstd that packs what the tool writes."""
    packed = (form for form in world.forms(trial.engine) if "zstd" in form)
    forms = tuple(form for form in packed if "directory" not in form and RECIPIENT not in form)
    _kill_child(world, trial, report, ("zstd",), forms)


def kill_server(world: World, trial: Trial, report: Report) -> None:
    """End the server at once and start it again on the same data."""
    chance = trial.chance()
    bank = world.bank(trial.engine)
    form = chance.choice(world.forms(trial.engine))
    number = chance.choice((signal.SIGKILL, signal.SIGQUIT if bank.engine == "postgresql" else signal.SIGTERM))
    moment = Moment(chance, world.reference(trial.engine, form))
    with opened(world, trial.engine, form) as scene:
        with scene.money():
            process = scene.start(*scene.create_words)
            moment.await_in(scene, process)
            bank.end(number)
            ran = scene.finish(process)
        report.fault = f"{' '.join(form) or 'plain'}: {number.name} to the server {moment}"
        check_aftermath(scene, ran, Expected((SUCCEEDED, FAILED, CANNOT_CONNECT)), report)


KINDS = (
    Kind(
        "kill-dbtui",
        "dbtui ended by SIGKILL, SIGTERM, SIGINT",
        ENGINES,
        kill_dbtui,
        50,
        ("postgresql", "sqlite"),
    ),
    Kind("kill-tool", "dump tool ended", SERVERS, kill_tool, 50, ("mariadb",)),
    Kind("kill-compressor", "compressor ended", ("postgresql",), kill_compressor, 50, ("postgresql",)),
    Kind("kill-server", "server ended and started again", SERVERS, kill_server, 50, ("postgresql",)),
)
