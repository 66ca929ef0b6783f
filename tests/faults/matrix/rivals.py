"""Two runs at once: two backups of one database, retention beside a backup, a deletion beside a restore."""

import json
import random
import shutil
import signal
import time
from pathlib import Path

from tests.faults.matrix.aftermath import FAILED, LOCKED, REFUSED, SUCCEEDED, check_entries, check_next_run
from tests.faults.matrix.banks import ENGINES
from tests.faults.matrix.ledgers import judge_audit
from tests.faults.matrix.scenes import Scene, fingerprints, is_quiet, opened, wait_until
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.worlds import World


def two_runs(world: World, trial: Trial, report: Report) -> None:
    """Choose one of the pairs."""
    chance = trial.chance()
    form = chance.choice(world.forms(trial.engine))
    pairs = (two_backups, two_logins, backup_and_expire, restore_and_delete)
    pair = pairs[trial.number % len(pairs)]
    with opened(world, trial.engine, form) as scene:
        report.fault = f"{' '.join(form) or 'plain'}: {pair.__name__.replace('_', ' ')}"
        pair(scene, chance, report)
        if not is_quiet(scene):
            report.lose(f"processes were left after 2 s: {scene.descendants()}")


def two_backups(scene: Scene, chance: random.Random, report: Report) -> None:
    """Two backups of one database by one login: never two at a time; the one that is refused changes nothing.

    In half of the trials the first is stopped where it is until the second has ended.
    """
    stopped = chance.random() < 0.5
    with scene.money():
        first = scene.start(*scene.create_words)
        if stopped:
            wait_until(lambda: scene.partial_bytes() > 0 or first.poll() is not None, 30)
            first.send_signal(signal.SIGSTOP)
        else:
            time.sleep(chance.random() * 0.2)
        second = scene.start(*scene.create_words, into="second")
        codes = [scene.finish(second, into="second").code]
        first.send_signal(signal.SIGCONT)
        codes.insert(0, scene.finish(first).code)
    report.fault += f", {'the first stopped meanwhile, ' if stopped else ''}exits {codes}"
    if sorted(codes) != [SUCCEEDED, LOCKED] and (stopped or codes != [SUCCEEDED, SUCCEEDED]):
        report.lose(f"they exited with {codes}")
    if len(check_entries(scene, report)) != codes.count(SUCCEEDED):
        report.lose("the new backups are not those that were said to be made")
    check_next_run(scene, report)


def two_logins(scene: Scene, chance: random.Random, report: Report) -> None:
    """Two backups into one directory by two logins, whose locks do not meet: both are made, each with its own name."""
    home = scene.home
    with scene.money():
        first = scene.start(*scene.create_words)
        scene.home = scene.folder / "another"
        scene.make_home(scene.home)
        time.sleep(chance.random() * 0.2)
        second = scene.start(*scene.create_words, into="second")
        codes = [scene.finish(first).code, scene.finish(second, into="second").code]
    scene.home = home
    report.fault += f", exits {codes}"
    if codes != [SUCCEEDED, SUCCEEDED]:
        report.lose(f"they exited with {codes}: {(scene.folder / 'err').read_text()}")
    if len(check_entries(scene, report)) != 2:
        report.lose("there are not exactly two new backups")
    check_next_run(scene, report)


def backup_and_expire(scene: Scene, chance: random.Random, report: Report) -> None:
    """Retention while a backup is written: it takes the old ones that its plan names, and nothing else."""
    old = [_age(scene, days) for days in (300, 301, 302)]
    with scene.money():
        making = scene.start(*scene.create_words)
        time.sleep(chance.random() * scene.world.reference(scene.bank.engine, scene.form).seconds)
        words = ("backup", "expire", "--dir", scene.backups, "--keep-last", 1, "--trust-clock")
        expiring = scene.start(*words, "--yes", "bank", into="second")
        codes = [scene.finish(making).code, scene.finish(expiring, into="second").code]
    report.fault += f", exits {codes}"
    if codes[1] != SUCCEEDED:
        report.remarks.append((scene.folder / "seconderr").read_text().strip())
    if codes[0] != SUCCEEDED or codes[1] not in (SUCCEEDED, LOCKED):
        report.lose(f"they exited with {codes}: {(scene.folder / 'err').read_text()}")
    scene.earlier = {}
    left = {entry["backup_id"] for entry in check_entries(scene, report)}
    if codes[1] == SUCCEEDED and left & set(old):
        report.lose(f"it kept {sorted(left & set(old))}, which have no place")
    if not left - set(old):
        report.lose("no good backup is left")
    check_next_run(scene, report)


def _age(scene: Scene, days: int) -> str:
    """Add a copy of the earlier backup that was made so many days before; return its id."""
    (manifest,) = [name for name in scene.earlier if name.endswith(".manifest.json")]
    old_id = manifest.split(".")[0]
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - days * 86_400))
    new_id = f"{old_id.rpartition('-')[0]}-{stamp}"
    for path in list(scene.backups.iterdir()):
        if path.name.startswith(old_id):
            copy = path.with_name(path.name.replace(old_id, new_id))
            if path.is_dir():
                shutil.copytree(path, copy)
            else:
                shutil.copy(path, copy)
    _redate(scene.backups / manifest.replace(old_id, new_id), old_id, new_id, days)
    return new_id


def _redate(manifest: Path, old_id: str, new_id: str, days: int) -> None:
    document = json.loads(manifest.read_text().replace(old_id, new_id))
    began = time.time() - days * 86_400
    for name, moment in (("begin_time", began), ("end_time", began + 2)):
        document[name] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    manifest.write_text(json.dumps(document, indent=2))


def restore_and_delete(scene: Scene, chance: random.Random, report: Report) -> None:
    """A deletion while its backup is restored: either is refused, or comes after the other; nothing is half done."""
    (manifest,) = [name for name in scene.earlier if name.endswith(".manifest.json")]
    backup_id, name = manifest.split(".")[0], scene.new_database()
    place = ("--dir", str(scene.backups))
    restoring = scene.start("backup", "restore", backup_id, *place, "--to", scene.url, "--into", name)
    time.sleep(chance.random() * 1.5)
    deleting = scene.start("backup", "delete", backup_id, *place, "--yes", backup_id, into="second")
    restored, deleted = scene.finish(restoring).code, scene.finish(deleting, into="second").code
    report.fault += f", exits {[restored, deleted]}"
    try:
        if restored == SUCCEEDED:
            report.sums += 1
            if said := judge_audit(scene.bank.audit(name)):
                report.lose(f"what was restored has the wrong money: {said}")
        elif restored not in (FAILED, LOCKED, REFUSED) or deleted != SUCCEEDED:
            report.lose(f"the restore exited with {restored}: {(scene.folder / 'err').read_text()}")
    finally:
        scene.bank.drop(name)
    if deleted == SUCCEEDED:
        if any(scene.backups.iterdir()):
            report.lose(f"the deletion left {sorted(path.name for path in scene.backups.iterdir())}")
    elif deleted != LOCKED or fingerprints(scene.backups) != scene.earlier:
        report.lose(f"the deletion exited with {deleted} and left {sorted(fingerprints(scene.backups))}")


KINDS = (Kind("two-runs", "two runs at once", ENGINES, two_runs, 24, ("mariadb",)),)
