"""Keys of age for tests, made by age's own program, and the rows of a sample restored under another name."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cli.program import Ran, run
from tests.cli.samples import Rows, Sample


@dataclass(frozen=True)
class Key:
    """A key pair: the file of its identity, and its recipient."""

    file: Path
    recipient: str

    @property
    def secret(self) -> str:
        """The line that nobody may see."""
        return next(line for line in self.file.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-"))


def make_key(folder: Path, name: str = "key") -> Key:
    """Make a key pair with age-keygen."""
    file = folder / f"{name}.txt"
    subprocess.run(["age-keygen", "-o", file], check=True, capture_output=True)
    file.chmod(0o600)
    shown = subprocess.run(["age-keygen", "-y", file], check=True, capture_output=True, text=True)
    return Key(file, shown.stdout.strip())


def make_ssh_key(folder: Path, kind: str) -> Key:
    """Make a key pair of SSH."""
    file = folder / kind
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{kind} of tests", "-f", file], check=True)
    return Key(file, file.with_suffix(".pub").read_text().strip())


def create(sample: Sample, folder: Path, *words: object) -> Path:
    """Make a backup of a sample and return the path of its data."""
    ran = run("backup", "create", *words, "-q", cwd=folder, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    return Path(ran.stdout.strip())


def restore(sample: Sample, folder: Path, backup: Path, name: str, *words: object) -> Ran:
    """Restore a backup beside the sample, into a database of that name."""
    into = f"{name}.db" if sample.engine == "sqlite" else name
    return run("backup", "restore", backup, "--into", into, *words, cwd=folder, DATABASE_URL=sample.url)


def restored_rows(sample: Sample, name: str) -> Rows:
    """What is in a database that `restore` made."""
    return sample.rows(f"{name}.db" if sample.engine == "sqlite" else name)
