"""A private sshd on the loopback address, for tests that look at the screen through a real connection."""

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
    """An OpenSSH server that lets this account in with one key."""

    kind = "sshd"
    superuser = ""

    def __init__(self, directory: ServerDirectory) -> None:
        super().__init__(directory, name="sshd")
        self.account = None  # it logs this account in, so it runs under it
        os.chown(self.home, os.geteuid(), os.getegid())
        self.key = self.home / "key"

    def prepare(self) -> None:
        for key in (self.key, self.home / "host_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self.write_private("config", self._format_settings())

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
        ]
        return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def sshd(server_directory: ServerDirectory) -> Iterator[Sshd]:
    """`subprocess.run(sshd.client("echo", "hello"))` runs a command through it."""
    with Sshd(server_directory) as server:
        yield server
