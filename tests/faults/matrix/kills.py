"""Kills: dbtui itself, its dump tool, its compressor, the server, at random moments of a backup."""

import random
import signal
import subprocess
import time
from collections.abc import Callable

import psutil

from tests.faults.matrix.aftermath import CANNOT_CONNECT, FAILED, INTERRUPTED, SUCCEEDED, Expected, check_aftermath
from tests.faults.matrix.banks import ENGINES, SERVERS
from tests.faults.matrix.scenes import Scene, opened
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.worlds import Reference, World

_POLL_SECONDS = 0.001


class Moment:
    """A random moment of a run: after a share of its usual time, or of its usual bytes."""

    def __init__(self, chance: random.Random, reference: Reference) -> None:
        self.share = chance.random()
        self.by_bytes = chance.random() < 0.5
        self._reference = reference

    def __str__(self) -> str:
        return f"at {self.share:.0%} of its {'bytes' if self.by_bytes else 'time'}"

    def await_in(self, scene: Scene, process: "subprocess.Popen[str]", *, at_least: Callable[[], bool] = bool) -> None:
        """Wait for the moment, and for `at_least` if it is given, or for the end of the process."""
        began = time.monotonic()
        while process.poll() is None and not self._has_come(scene, time.monotonic() - began):
            time.sleep(_POLL_SECONDS)
        while at_least is not bool and process.poll() is None and not at_least():
            time.sleep(_POLL_SECONDS)

    def _has_come(self, scene: Scene, seconds: float) -> bool:
        if self.by_bytes:
            return scene.partial_bytes() >= self.share * self._reference.size_bytes
        return seconds >= self.share * self._reference.seconds


def kill_dbtui(world: World, trial: Trial, report: Report) -> None:
    """Send dbtui a signal; half of the gentle ones are followed by a second, as by somebody who is impatient."""
    chance = trial.chance()
    form = chance.choice(world.forms(trial.engine))
    number = chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
    moment = Moment(chance, world.reference(trial.engine, form))
    with opened(world, trial.engine, form) as scene:
        with scene.money():
            process = scene.start(*scene.create_words)
            moment.await_in(scene, process)
            process.send_signal(number)
            ran = scene.finish(process)
        report.fault = f"{' '.join(form) or 'plain'}: {number.name} {moment}"
        killed = number is signal.SIGKILL
        codes = (SUCCEEDED, -number) if killed else (SUCCEEDED, INTERRUPTED, *_before_handlers(number, moment))
        check_aftermath(scene, ran, Expected(codes, leaves_partials=killed), report)


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
    with opened(world, trial.engine, form) as scene:
        with scene.money():
            process = scene.start(*scene.create_words)
            moment.await_in(scene, process, at_least=lambda: bool(_children(process, names)))
            struck = _children(process, names)
            for child in struck:
                child.send_signal(number)
            ran = scene.finish(process)
        report.fault = f"{' '.join(form) or 'plain'}: {number.name} to {' or '.join(names)} {moment}"
        if not struck:
            report.fault += " (it had ended already)"
        check_aftermath(scene, ran, Expected((SUCCEEDED, FAILED)), report)


def kill_tool(world: World, trial: Trial, report: Report) -> None:
    """End pg_dump or mariadb-dump."""
    bank = world.bank(trial.engine)
    _kill_child(world, trial, report, bank.tools, world.forms(trial.engine))


def kill_compressor(world: World, trial: Trial, report: Report) -> None:
    """End the zstd that packs what the tool writes."""
    forms = tuple(form for form in world.forms(trial.engine) if "zstd" in form)
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
