"""Commands run with a profile that names a repository."""

from pathlib import Path

from tests.cli.program import Ran, run
from tests.fix_repositories import RepositoryWorld


def dbtui(world: RepositoryWorld, directory: Path, *words: object, **options: str) -> Ran:
    """Run a command with a profile `erp` that names the repository."""
    config = directory / "config.toml"
    if not config.exists():
        world.write_settings(directory)
    return run(*words, cwd=directory, DBTUI_CONFIG=str(config), COLUMNS="200", **options)


def flip_byte(path: Path) -> None:
    """Change one byte in the middle of a file, as a bad disk does."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
