"""Backups that were truncated or altered, in every format: refused before the first statement.

Once as they are: sizes and SHA-256 tell. Once with the manifest forged to fit the damaged file, as if there were no
hash check: then the format's own structure has to tell, and the counts. Thousands of files are tried, so this is done
by the routines behind the commands, in this process.
"""

import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbtui.config import Passwords, load_settings, resolve_target
from dbtui.errors import DbtuiError
from dbtui.identities import Identities
from dbtui.model.backups import MANIFEST_SUFFIX, BackupEntry, RestoreOptions
from dbtui.model.events import Event, ResultT, Routine, StepStarted
from dbtui.routines.backups import apply_restore, collect_entries, plan_restore, verify_backup
from dbtui.routines.context import RoutineContext
from tests.faults.matrix.banks import ENGINES, PURSE
from tests.faults.matrix.ledgers import judge_audit
from tests.faults.matrix.scenes import Scene
from tests.faults.matrix.trials import Kind, Report, Trial
from tests.faults.matrix.worlds import World

Damage = Callable[[random.Random, list[Path]], str]
_FULL, _SHORT = 50, 5
_LAST_BYTES = 80


@dataclass
class Bench:
    """A copy of a small backup that is damaged and mended again and again."""

    scene: Scene
    c: RoutineContext
    entry: BackupEntry
    files: dict[Path, bytes]

    @property
    def data(self) -> list[Path]:
        """The files of the data."""
        return [path for path in self.files if not path.name.endswith(MANIFEST_SUFFIX)]

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return next(path for path in self.files if path.name.endswith(MANIFEST_SUFFIX))

    def mend(self) -> None:
        """Write everything as it was."""
        for path in self.scene.backups.rglob("*"):
            if path.is_file() and path not in self.files:
                path.unlink()
        for path, data in self.files.items():
            path.write_bytes(data)

    def forge(self) -> None:
        """Let the manifest name the files that there are, with the sizes and hashes that they have."""
        document = json.loads(self.files[self.manifest])
        base = self.scene.backups
        for file in document["files"]:
            path = base / file["path"]
            data = path.read_bytes() if path.exists() else b""
            file |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        document["files"] = [file for file in document["files"] if (base / file["path"]).exists()]
        document["size_bytes"] = sum(file["size_bytes"] for file in document["files"])
        self.manifest.write_text(json.dumps(document, indent=2))

    def verify(self) -> bool:
        """Whether `verify` has nothing against it."""
        try:
            return not finish(verify_backup(self.c, self.entry, None)).problems
        except DbtuiError:
            return False

    def restore(self) -> str:
        """Restore into a new database. Returns "refused", "late" (after the first statement), or how it is then."""
        bank, name, events = self.scene.bank, self.scene.new_database(), list[Event]()
        environ = self.scene.environ
        profile = resolve_target(load_settings(environ), self.scene.url, environ)
        try:
            plan = finish(plan_restore(self.c, self.entry, profile, RestoreOptions(into=name)), events)
            finish(apply_restore(self.c, profile, plan), events)
        except DbtuiError:
            has_begun = any(isinstance(event, StepStarted) and event.step == "create" for event in events)
            return "late" if has_begun else "refused"
        try:
            return judge_audit(bank.audit(name)) or "whole"
        finally:
            bank.drop(name)


def open_bench(world: World, engine: str, form: tuple[str, ...]) -> Bench:
    """A small backup in a form."""
    reference = world.reference(engine, form, PURSE)
    scene = Scene(world, world.bank(engine), form)
    scene.url = scene.bank.url(PURSE)
    shutil.copytree(reference.folder, scene.backups, dirs_exist_ok=True)
    passwords = Passwords(scene.environ)
    identities = Identities(scene.environ, passwords)
    c = RoutineContext(password_of=passwords.find, identity_of=identities.find, environ=scene.environ)
    (entry,) = finish(collect_entries(c, scene.backups))
    files = {path: path.read_bytes() for path in sorted(scene.backups.rglob("*")) if path.is_file()}
    return Bench(scene, c, entry, files)


def finish(routine: Routine[ResultT], seen: list[Event] | None = None) -> ResultT:
    """Run a routine to its end and return its result."""
    try:
        while True:
            event = next(routine)
            if seen is not None:
                seen.append(event)
    except StopIteration as end:
        result: ResultT = end.value
        return result
    finally:
        routine.close()


def cut_off(chance: random.Random, files: list[Path]) -> str:
    """Truncate a file anywhere; a quarter of them among its last bytes."""
    path = chance.choice(files)
    data = path.read_bytes()
    last = chance.random() < 0.25
    kept = max(0, len(data) - chance.randint(1, _LAST_BYTES)) if last else chance.randrange(max(1, len(data)))
    path.write_bytes(data[:kept])
    return f"{path.name} cut to {kept} of {len(data)} bytes"


def take_apart(chance: random.Random, files: list[Path]) -> str:
    """Truncate a file; of a directory, sometimes empty one, remove one, or let two change places."""
    way = chance.random() if len(files) > 1 else 1.0
    one, other = chance.sample(files, 2) if len(files) > 1 else (files[0], files[0])
    if way < 0.1:
        one.write_bytes(b"")
        return f"{one.name} emptied"
    if way < 0.2:
        one.unlink()
        return f"{one.name} removed"
    if way < 0.3 and one.read_bytes() != other.read_bytes():
        (one_data, other_data) = one.read_bytes(), other.read_bytes()
        one.write_bytes(other_data)
        other.write_bytes(one_data)
        return f"{one.name} and {other.name} exchanged"
    return cut_off(chance, files)


def flip(chance: random.Random, files: list[Path]) -> str:
    """Flip one bit."""
    path = chance.choice([file for file in files if file.stat().st_size])
    data = bytearray(path.read_bytes())
    place, bit = chance.randrange(len(data)), chance.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {place} of {path.name} flipped"


def _damage(
    world: World, trial: Trial, report: Report, damage: Damage, after: Callable[[Bench, str, Report], str]
) -> None:
    """Damage one backup again and again; `after` is what is tried with a forged manifest, and says how that went."""
    chance = trial.chance()
    forms = world.forms(trial.engine)
    form = forms[trial.number % len(forms)]
    report.fault = f"{' '.join(form) or 'plain'}"
    report.tried = _SHORT if world.is_short else _FULL
    bench = open_bench(world, trial.engine, form)
    ends: Counter[str] = Counter()
    try:
        for _ in range(report.tried):
            done = damage(chance, bench.data)
            if bench.verify():
                report.lose(f"{done}: verify has nothing against it")
            bench.forge()
            ends[after(bench, done, report)] += 1
            bench.mend()
    finally:
        bench.scene.close()
    report.fault += f"; without the hash check: {', '.join(f'{count} {end}' for end, count in sorted(ends.items()))}"


def truncate(world: World, trial: Trial, report: Report) -> None:
    """Truncate, and try to restore it although its manifest fits."""

    def restore(bench: Bench, done: str, report: Report) -> str:
        databases = bench.scene.bank.databases()
        end = bench.restore()
        if extra := bench.scene.bank.databases() - databases:
            report.lose(f"{done}, and the manifest forged: it left {sorted(extra)}")
        if end == "late" and not _shows_only_in_its_rows(bench, done):
            end = "not refused before the first statement"
        if end not in ("refused", "whole", "late"):
            report.lose(f"{done}, and the manifest forged: {end}")
        elif end == "whole":
            report.remarks.append(f"{done}: nothing that counts was lost")
        return end

    _damage(world, trial, report, take_apart, restore)


def _shows_only_in_its_rows(bench: Bench, done: str) -> bool:
    """Whether whoever forges the manifest can hide it until the rows arrive, where they are counted.

    Files of a directory that changed places are whole, and what gzip cut short is known when it is unpacked.
    """
    return "exchanged" in done or ("directory" in bench.scene.form and "gzip" in bench.scene.form)


def flip_bits(world: World, trial: Trial, report: Report) -> None:
    """Flip single bits; a format without checksums of its own cannot notice all of them when the hash is forged."""

    def verify(bench: Bench, _done: str, _report: Report) -> str:
        return "unnoticed" if bench.verify() else "noticed"

    _damage(world, trial, report, flip, verify)


KINDS = (
    Kind("truncation", "backup truncated, or files of it lost", ENGINES, truncate, 30, ("postgresql", "sqlite")),
    Kind("bit-flip", "one bit of a backup flipped", ENGINES, flip_bits, 30, ("mariadb",)),
)
