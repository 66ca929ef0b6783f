"""Private sshds on the loopback address: logins with a shell, such that may do nothing but SFTP, a small disk."""

import getpass
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.demo.servers import ServerDirectory
from dbtui.demo.servers.base import HOST, Server, find_program

# OpenSSH as root wants this directory of the system's (sshd(8), FILES).
PRIVILEGE_SEPARATION = Path("/run/sshd")


class Sshd(Server):
    """An OpenSSH server that lets this account in with one key. `settings`: more lines of its configuration."""

    kind = "sshd"
    superuser = ""
    # What the host is called in known_hosts, by whatever port it is reached.
    alias = "dbtui-test"

    def __init__(self, directory: ServerDirectory, name: str = "sshd", settings: str = "") -> None:
        super().__init__(directory, name=name)
        self._more = settings
        self.account = None  # it logs this account in, so it runs under it
        os.chown(self.home, os.geteuid(), os.getegid())
        self.key = self.home / "key"

    def prepare(self) -> None:
        for key in (self.key, self.home / "host_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self.write_private("config", self._format_settings() + self._more)

    def command(self) -> list[str]:
        return [str(find_program("sshd")), "-D", "-e", "-f", str(self.home / "config"), "-p", str(self.port)]

    def is_ready(self) -> bool:
        return "Server listening" in self.read_log()

    def client(self, *command: str, terminal: bool = False) -> list[str]:
        """The argv of an ssh that runs `command` over there, in a terminal or not."""
        options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        words = ["ssh", "-F", "none", "-i", str(self.key), "-p", str(self.port)]
        for option in options:
            words += ["-o", option]
        if terminal:
            words.append("-tt")
        return [*words, f"{getpass.getuser()}@{HOST}", shlex.join(command)]

    def _format_settings(self) -> str:
        lines = [
            f"ListenAddress {HOST}",
            f"HostKey {self.home / 'host_key'}",
            f"AuthorizedKeysFile {self.key}.pub",
            f"PidFile {self.home / 'server.pid'}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            "Subsystem sftp internal-sftp",
            "MaxStartups 100",
        ]
        return "\n".join(lines) + "\n"

    def write_client_config(self, path: Path, port: int = 0, **changes: str) -> Path:
        """Write what a user would have in ~/.ssh/config, with this host's key known; its host is called `vault`.

        `port`: one that leads there, such as a proxy's. `changes` replace settings, or add some.
        """
        known = path.with_suffix(".known_hosts")
        kind, key = (self.home / "host_key.pub").read_text().split()[:2]
        known.write_text(f"{self.alias} {kind} {key}\n")
        settings = {
            "HostName": HOST,
            "Port": str(port or self.port),
            "User": getpass.getuser(),
            "IdentityFile": str(self.key),
            "IdentityAgent": "none",
            "HostKeyAlias": self.alias,
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": "/dev/null",
        }
        lines = [f"    {name} {value}" for name, value in (settings | changes).items()]
        path.write_text("\n".join(["Host vault", *lines, ""]))
        return path


class SmallDiskSshd(Sshd):
    """An sshd that alone sees a disk of 4 MiB at `disk`, in mounts of its own; its logins may do nothing but SFTP."""

    def __init__(self, directory: ServerDirectory) -> None:
        super().__init__(directory, name="sshd-small-disk", settings="ForceCommand internal-sftp\n")
        self.disk = self.home / "disk"
        self.disk.mkdir()

    def words_before(self) -> list[str]:
        mounting = 'mount -t tmpfs -o size=4m dbtui-test "$1" && shift && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mounting, "sh", str(self.disk)]


@pytest.fixture(scope="session")
def sshd(server_directory: ServerDirectory) -> Iterator[Sshd]:
    """`subprocess.run(sshd.client("echo", "hello"))` runs a command through it."""
    with Sshd(server_directory) as server:
        yield server


@pytest.fixture(scope="session")
def sftp_only_sshd(server_directory: ServerDirectory) -> Iterator[Sshd]:
    """One whose logins have no shell."""
    with Sshd(server_directory, "sshd-sftp-only", "ForceCommand internal-sftp -u 000\n") as server:
        yield server


@pytest.fixture(scope="session")
def small_disk_sshd(server_directory: ServerDirectory) -> Iterator[SmallDiskSshd]:
    """One with a disk that is soon full."""
    with SmallDiskSshd(server_directory) as server:
        yield server
