"""How long an upload to an SFTP server takes beside the bare client's `put`, in one run, in turns, at one sshd.

Both log in first. Ours is all that `backup push` does for a file: it looks at what is there and how much room there is,
sends, has it written to the disk, has the other side compute the SHA-256, and renames. `put` writes to the final name
and checks nothing. "sent" is ours up to the last byte that the server acknowledged. Run with
`python -m tests.benchmarks.bench_sftp`.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.sftp import SftpRemote
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.model.backups import BackupFile
from dbtui.model.events import Progressed
from dbtui.model.remotes import Confirmation, RemoteAddress, RemoteKind, RemoteSettings
from tests.fix_sshd import Sshd

LIMIT_RATIO = 0.9


def put(config: Path, source: Path, target: Path) -> float:
    """Return the seconds that the bare client takes."""
    began = time.monotonic()
    subprocess.run(
        ["sftp", "-q", "-F", str(config), "-b", "-", "vault"],
        input=f"put {source} {target / 'bare'}\n".encode(), stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    taken = time.monotonic() - began
    (target / "bare").unlink()
    return taken


def upload(config: Path, source: Path, target: Path, file: BackupFile) -> tuple[float, float]:
    """Return the seconds until all is sent, and until it is confirmed and named."""
    address = RemoteAddress(RemoteKind.SFTP, "vault", str(target))
    began = time.monotonic()
    sent = 0.0
    remote = SftpRemote(address, RemoteSettings(ssh_config_file=config), dict(os.environ), Cancellation())
    routine = remote.upload(source, "ours", file)
    try:
        while True:
            event = next(routine)
            if not sent and isinstance(event, Progressed) and event.done == file.size_bytes:
                sent = time.monotonic() - began
    except StopIteration as ended:
        if ended.value is not Confirmation.CHECKSUM:
            raise SystemExit("the upload was not confirmed by a checksum") from None
    taken = time.monotonic() - began
    remote.close()
    (target / "ours").unlink()
    return sent, taken


def make_source(path: Path, megabytes: int) -> BackupFile:
    """Write bytes that do not shrink."""
    piece = random.Random(1).randbytes(1_000_000)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(piece)
            digest.update(piece)
    return BackupFile(path.name, megabytes * 1_000_000, digest.hexdigest())


def main() -> int:
    """Print the table; returns 1 when sending is slower than promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    directory = ServerDirectory.create()
    try:
        with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as name, Sshd(directory) as server:
            config = server.write_client_config(Path(name, "config"))
            file = make_source(Path(name, "source"), options.megabytes)
            bare: list[float] = []
            ours: list[tuple[float, float]] = []
            turns: list[Callable[[], None]] = [
                lambda: bare.append(put(config, Path(name, "source"), Path(name))),
                lambda: ours.append(upload(config, Path(name, "source"), Path(name), file)),
            ]
            for number in range(options.repeat):
                for turn in turns if number % 2 else reversed(turns):
                    turn()
    finally:
        directory.close()
    best = min(bare)
    sent, whole = (min(each[at] for each in ours) for at in (0, 1))
    print(f"{options.megabytes} MB, best of {options.repeat}        seconds    ratio")
    for label, seconds in (("sftp put", best), ("ours, sent", sent), ("ours, confirmed", whole)):
        print(f"{label:24} {seconds:12.2f} {best / seconds:8.2f}")
    return int(best / sent < LIMIT_RATIO)


if __name__ == "__main__":
    sys.exit(main())
