"""What all trials of one run share: a directory, the engines that are asked for, and a good backup of each form."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbtui.demo.servers import ServerDirectory
from tests.faults.matrix.banks import DATABASE, Bank, MariadbBank, PostgresqlBank, SqliteJournalBank, SqliteWalBank
from tests.faults.matrix.trials import Lost


@dataclass(frozen=True)
class Reference:
    """A good backup, alone in `folder`: how long its run took, and how large it is on the disk."""

    folder: Path
    backup_id: str
    seconds: float
    size_bytes: int


class World:
    """Makes engines and reference backups when they are first wanted. Use as a context manager."""

    def __init__(
        self, directory: ServerDirectory, folder: Path, megabytes: int = 24, *, is_short: bool = False
    ) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.scenes = 0
        self.is_short = is_short
        makers: dict[str, Callable[[], Bank]] = {
            "postgresql": lambda: PostgresqlBank(directory, megabytes),
            "mariadb": lambda: MariadbBank(directory, max(1, megabytes // 2)),
            "sqlite": lambda: SqliteWalBank(folder, megabytes),
            "sqlite-journal": lambda: SqliteJournalBank(folder, megabytes),
        }
        self._makers = makers
        self._banks: dict[str, Bank] = {}
        self.identity = folder / "key.txt"
        subprocess.run(["age-keygen", "-o", self.identity], check=True, capture_output=True)
        self.identity.chmod(0o600)
        shown = subprocess.run(["age-keygen", "-y", self.identity], check=True, capture_output=True, text=True)
        self.recipient = shown.stdout.strip()
        self.restore_seconds: dict[tuple[str, tuple[str, ...]], float] = {}
        self._references: dict[tuple[str, tuple[str, ...], str], Reference] = {}

    def bank(self, engine: str) -> Bank:
        """The engine's database."""
        if engine not in self._banks:
            self._banks[engine] = self._makers[engine]()
        return self._banks[engine]

    def forms(self, engine: str) -> tuple[tuple[str, ...], ...]:
        """The ways to write a backup that are tried."""
        bank = self.bank(engine)
        return bank.short_forms if self.is_short else bank.forms

    def reference(self, engine: str, form: tuple[str, ...], database: str = DATABASE) -> Reference:
        """A good backup in a form, made without any fault the first time it is asked for."""
        from tests.faults.matrix.scenes import Scene

        key = engine, form, database
        if key not in self._references:
            scene = Scene(self, self.bank(engine), form)
            scene.url = scene.bank.url(database)
            with scene.money():
                began = time.monotonic()
                ran = scene.create()
                seconds = time.monotonic() - began
            if ran.code != 0:
                raise Lost(f"a backup of {engine} {' '.join(form)} without any fault failed: {ran.stderr}")
            entry = scene.listed()[0]
            if said := scene.audit(entry["backup_id"]):
                raise Lost(f"a backup of {engine} {' '.join(form)} without any fault: {said}")
            self._references[key] = Reference(scene.backups, entry["backup_id"], seconds, entry["size_bytes"])
        return self._references[key]

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_exception: object) -> None:
        for bank in self._banks.values():
            bank.close()
        shutil.rmtree(self.folder, ignore_errors=True)
