"""Networks that fail between dbtui, its dump tool and the server, at random moments of a backup."""

from collections.abc import Callable

from tests.faults.matrix.aftermath import CANNOT_CONNECT, FAILED, SUCCEEDED, Expected, check_aftermath
from tests.faults.matrix.banks import SERVERS
from tests.faults.matrix.kills import Moment
from tests.faults.matrix.scenes import opened
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.wires import Wire
from tests.faults.matrix.worlds import World

#: With connect_timeout=1 in the URL: some seconds of silence, and some in which the server is asked whether it lives.
_BLACK_HOLE_SECONDS = 70.0


def _fail(
    world: World, trial: Trial, report: Report, what: str, strike: Callable[[Wire], None], seconds: float
) -> None:
    chance = trial.chance()
    bank = world.bank(trial.engine)
    form = chance.choice(world.forms(trial.engine))
    moment = Moment(chance, world.reference(trial.engine, form))
    with opened(world, trial.engine, form) as scene:
        report.fault = f"{' '.join(form) or 'plain'}: the link {what} {moment}"
        with scene.money(), Wire(bank.port) as wire:
            scene.url = f"{bank.url(port=wire.port)}?connect_timeout=1"
            process = scene.start(*scene.create_words)
            moment.await_in(scene, process)
            strike(wire)
            ran = scene.finish(process, seconds)
        scene.url = bank.url()
        check_aftermath(scene, ran, Expected((SUCCEEDED, FAILED, CANNOT_CONNECT)), report)


def cut(world: World, trial: Trial, report: Report) -> None:
    """Reset all connections at once."""
    _fail(world, trial, report, "cut", Wire.cut, 30.0)


def black_hole(world: World, trial: Trial, report: Report) -> None:
    """Swallow everything: no end of connection is ever heard of."""
    _fail(world, trial, report, "black-holed", Wire.freeze, _BLACK_HOLE_SECONDS)


KINDS = (
    Kind("link-cut", "network cut", SERVERS, cut, 30, ("postgresql",)),
    Kind("link-black-hole", "network that swallows everything", SERVERS, black_hole, 10, ()),
)
