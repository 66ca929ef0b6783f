"""What must hold after a backup met a fault, and after the next backup."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.matrix.scenes import Ran, Scene, fingerprints, is_quiet, is_server_quiet
from tests.faults.matrix.trials import Report

SUCCEEDED = 0
FAILED = 1
CANNOT_CONNECT = 4
LOCKED = 5
REFUSED = 6
INTERRUPTED = 130


@dataclass(frozen=True)
class Expected:
    """How the run may end, and whether it may leave partial files: only one that was killed outright may."""

    codes: Sequence[int]
    leaves_partials: bool = False


def check_aftermath(scene: Scene, ran: Ran, expected: Expected, report: Report) -> None:
    """Compare everything with what must hold; write each difference down as a loss."""
    report.fault += f", exit {ran.code}"
    if ran.code not in expected.codes:
        report.lose(f"it exited with {ran.code}: {ran.stderr.strip()[-500:]}")
    if not is_quiet(scene):
        report.lose(f"processes were left after 2 s: {scene.descendants()}")
    if not is_server_quiet(scene):
        report.lose(f"sessions were left on the server: {scene.bank.foreign_sessions()}")
    _check_files(scene, ran, expected, report)
    whole = check_entries(scene, report)
    if ran.code == SUCCEEDED and not whole:
        report.lose("it said that it succeeded, and there is no backup")
    check_next_run(scene, report)


def _check_files(scene: Scene, ran: Ran, expected: Expected, report: Report) -> None:
    now = fingerprints(scene.seen)
    changed = [name for name, digest in scene.earlier.items() if now.get(name) != digest]
    if changed:
        report.lose(f"earlier backups were changed: {changed}")
    partials = [path.name for path in scene.seen.iterdir() if path.name.endswith(".partial")]
    if partials and not expected.leaves_partials:
        report.lose(f"partial files were left by a run that could clean up: {partials}")


def check_entries(scene: Scene, report: Report) -> list[dict[str, Any]]:
    """Verify every new backup of the list, restore its ledger, and return them. Earlier ones are still listed."""
    known = {name.split(".")[0] for name in scene.earlier}
    entries = scene.listed()
    if missing := known - {entry["backup_id"] for entry in entries}:
        report.lose(f"earlier backups are not listed any more: {missing}")
    new = []
    for entry in entries:
        if entry["kind"] == "complete" and entry["backup_id"] in known:
            continue
        if entry["kind"] == "complete":
            if said := scene.verify(entry["backup_id"]):
                report.lose(said)
            else:
                new.append(entry)
        elif not _is_unvouched(scene, entry):
            report.lose(f"{entry['backup_id']} is {entry['kind']}: {entry['problem']}")
    for entry in new:
        report.sums += 1
        if said := scene.audit(entry["backup_id"]):
            report.lose(said)
    return new


def _is_unvouched(scene: Scene, entry: dict[str, Any]) -> bool:
    """Whether it is a whole dump whose run was killed after the data had its name and before the manifest had.

    The reservation that is still there tells that; such a file is listed as foreign, and nobody says it is a backup.
    """
    stem = str(entry["backup_id"]).split(".")[0]
    return entry["kind"] == "foreign" and (scene.seen / f"{stem}.manifest.json.partial").exists()


def check_next_run(scene: Scene, report: Report) -> None:
    """The next backup succeeds at once, is whole, and sweeps what the last left."""
    with scene.money():
        ran = scene.create()
    if ran.code != SUCCEEDED:
        report.lose(f"the next backup exited with {ran.code}: {ran.stderr.strip()[-300:]}")
        return
    left = [path.name for path in scene.seen.iterdir() if path.name.endswith(".partial")]
    if left:
        report.lose(f"the next backup left what it should have swept: {left}")
    backup_id = json.loads(ran.stdout.splitlines()[-1])["backup_id"]
    report.sums += 1
    if said := scene.verify(backup_id) or scene.audit(backup_id):
        report.lose(f"the next backup: {said}")
