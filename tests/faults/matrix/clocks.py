"""Clocks that jump, by seconds or by years, while a backup runs; and retention by a clock that is wrong."""

from tests.faults.matrix.aftermath import REFUSED, SUCCEEDED, Expected, check_aftermath, check_entries
from tests.faults.matrix.banks import ENGINES
from tests.faults.matrix.scenes import Scene, opened
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.worlds import World

_DAY = 86_400
_JUMPS = (-730 * _DAY, -_DAY, -3600, -3, 3, 3600, _DAY, 730 * _DAY)


def jump(world: World, trial: Trial, report: Report) -> None:
    """Let the clock jump while a backup is made; then let retention run by the clock that jumped."""
    chance = trial.chance()
    form = chance.choice(world.forms(trial.engine))
    seconds = chance.random() * world.reference(trial.engine, form).seconds
    offset = chance.choice(_JUMPS)
    with opened(world, trial.engine, form) as scene:
        report.fault = f"{' '.join(form) or 'plain'}: the clock jumps by {offset:+d} s after {seconds:.2f} s"
        true_program = scene.program
        scene.program = ("-m", "tests.faults.matrix.clocked", f"{seconds:.3f}", str(offset))
        with scene.money():
            ran = scene.create()
        scene.program = true_program
        check_aftermath(scene, ran, Expected((SUCCEEDED,)), report)
        _expire(scene, offset, report)


def _expire(scene: Scene, offset: int, report: Report) -> None:
    before = {entry["backup_id"] for entry in scene.listed()}
    scene.program = ("-m", "tests.faults.matrix.clocked", "0", str(offset))
    ran = scene.run("backup", "expire", "--dir", scene.backups, "--keep-daily", 2, "--yes", "bank", "--json")
    scene.program = ("-m", "dbtui")
    if ran.code not in (SUCCEEDED, REFUSED):
        report.lose(f"expire by that clock exited with {ran.code}: {ran.stderr.strip()[-300:]}")
    scene.earlier = {}
    left = check_entries(scene, report)
    report.fault += f"; expire by that clock: exit {ran.code}, {len(left)} of {len(before)} are left"
    if not left:
        report.lose("expire by that clock left no good backup")


KINDS = (Kind("clock-jump", "clock that jumps by seconds to years", ENGINES, jump, 16, ("sqlite",)),)
