"""How `ssh` is called for a remote, and what its last words mean.

The user's own configuration holds: aliases, jump hosts, ports, identities, agents, a connection that is already open
(ControlPath). What an unattended run must not leave to it is said on the command line, which wins: nothing is asked
for, an unknown host key is refused, and a link that carries nothing is noticed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbtui.adapters.processes import tool_environment
from dbtui.errors import AuthenticationError, ConnectError, RemoteError, UsageError
from dbtui.model.remotes import RemoteAddress, RemoteSettings

_DESTINATION = re.compile(r"(?:(?!-)[^\s\x00-\x1f'\"`;&<>|(){}]+@)?(?!-)[A-Za-z0-9._:%-]+")
_FOR_SSH = ("SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")
_NO_KEY = re.compile(r"No \S+ host key is known for (\S+) and you have requested strict checking")
_OTHER_KEY = re.compile(r"Host key for (\S+) has changed and you have requested strict checking")
_UNREACHED = re.compile(
    r"Could not resolve hostname[^\n]*|(?:Connection refused|Connection timed out|No route to host"
    r"|Network is unreachable|Operation timed out)",
    re.IGNORECASE,
)
_LOGIN_REFUSED = re.compile(
    r"Permission denied \(|Too many authentication failures|No supported authentication methods"
)
_OF_KEYS = re.compile(r"Identity file |Load key |UNPROTECTED PRIVATE KEY|sign_and_send_pubkey|agent refused")


#: Until something asked for is answered on a link that lives: an fsync of much data on a slow disk.
LONGEST_ANSWER_SECONDS = 900.0
_LONGEST_CONNECT_SECONDS = 15.0
_QUESTIONS = 3  # whether the other side lives; the link is given up when none is answered


@dataclass(frozen=True, slots=True)
class SshLink:
    """An SSH destination, and how to call it."""

    address: RemoteAddress
    settings: RemoteSettings
    environ: Mapping[str, str]

    def argv(self, words: Sequence[str]) -> list[str]:
        """Return the command line of an ssh; `words` are its last ones, behind the destination.

        Raises UsageError for a destination that is none.
        """
        options = [f"-o{each}" for each in self._options()]
        if self.settings.ssh_config_file:
            options = ["-F", str(self.settings.ssh_config_file.expanduser()), *options]
        if self.settings.identity_file:
            options += ["-i", str(self.settings.identity_file.expanduser()), "-oIdentitiesOnly=yes"]
        if self.address.port is not None:
            options += ["-p", str(self.address.port)]
        return ["ssh", "-T", "-a", "-x", *options, *words[:-1], "--", self.destination, words[-1]]

    def _options(self) -> tuple[str, ...]:
        return (
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "NoHostAuthenticationForLocalhost=no",
            f"ConnectTimeout={max(1, round(min(self.settings.timeout_seconds / 2, _LONGEST_CONNECT_SECONDS)))}",
            "ConnectionAttempts=1",
            f"ServerAliveInterval={max(1, round(self.settings.timeout_seconds / (_QUESTIONS + 1)))}",
            f"ServerAliveCountMax={_QUESTIONS}",
            "ControlMaster=no",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "LogLevel=INFO",
        )

    @property
    def destination(self) -> str:
        """The host with its login, as ssh takes it. Raises UsageError."""
        host = re.sub(r"\[([0-9A-Fa-f:.%\w]+)\]$", r"\1", self.address.host)
        if not _DESTINATION.fullmatch(host):
            raise UsageError(f"{self.address} names no SSH host", "write sftp://USER@HOST:PORT/DIRECTORY")
        return host

    def environment(self) -> dict[str, str]:
        """Return the environment for ssh: that of any tool, and where the agent is."""
        return tool_environment({name: self.environ[name] for name in _FOR_SSH if name in self.environ})

    def by_hand(self) -> str:
        """Return the command that a person would type to see for themselves."""
        port = f"-p {self.address.port} " if self.address.port is not None else ""
        config = f"-F {self.settings.ssh_config_file} " if self.settings.ssh_config_file else ""
        return f"ssh {config}{port}{self.destination}"

    def failure(self, messages: Sequence[str], *, was_connected: bool) -> ConnectError | RemoteError:
        """Return the error that an ssh which ended by itself means, from what it wrote to stderr."""
        text = "\n".join(messages)
        if "Host key verification failed" in text:
            return self._key_failure(text)
        if _LOGIN_REFUSED.search(text):
            return self._login_failure(messages)
        if found := _UNREACHED.search(text):
            return ConnectError(f"{self.address} cannot be reached: {found[0]}", f"try `{self.by_hand()}`")
        if "subsystem request failed" in text:
            return RemoteError(
                f"the host of {self.address} offers no SFTP", "have `Subsystem sftp` set in its sshd_config"
            )
        if "Timeout, server" in text:
            return self.silent()
        last = messages[-1] if messages else "ssh ended without a word"
        if was_connected:
            hint = "run the same again; it goes on from there"
            return ConnectError(f"{self.address}: the connection was lost: {last}", hint)
        return ConnectError(f"{self.address} cannot be reached: {last}", f"try `{self.by_hand()}`")

    def silent(self) -> ConnectError:
        """Return the error for a link that carries nothing any more."""
        return ConnectError(f"{self.address} does not answer any more", "run the same again when the network is back")

    def slow_login(self) -> ConnectError:
        """Return the error for a host that took the connection and did not finish the login."""
        return ConnectError(
            f"{self.address} did not finish the login within {self.settings.timeout_seconds:.0f} s",
            f"try `{self.by_hand()}`",
        )

    def chatty(self) -> ConnectError:
        """Return the error for a login whose shell prints something before SFTP begins."""
        return ConnectError(
            f"{self.address} sends something that is not SFTP",
            f"`{self.by_hand()} true` must print nothing: look into the start files of that login's shell",
        )

    def _key_failure(self, text: str) -> ConnectError:
        if other := _OTHER_KEY.search(text):
            return ConnectError(
                f"{self.address}: the host key of {other[1]} is not the one that is known",
                f"ask who runs that host why; if it is right, run `ssh-keygen -R '{other[1]}'` and `{self.by_hand()}`",
            )
        if unknown := _NO_KEY.search(text):
            return ConnectError(
                f"{self.address}: no host key of {unknown[1]} is known",
                f"run `{self.by_hand()}` once and compare the fingerprint that it shows with that host's",
            )
        return ConnectError(f"{self.address}: its host key was refused", f"`{self.by_hand()}` says why")

    def _login_failure(self, messages: Sequence[str]) -> AuthenticationError:
        keys = [each for each in messages if _OF_KEYS.search(each)]
        refused = next(each for each in messages if _LOGIN_REFUSED.search(each))
        return AuthenticationError(
            f"{self.address} refuses this login: {'; '.join([*keys, refused])}",
            f"it is never asked for a password: `{self.by_hand()} -o BatchMode=yes` has to work, by an agent or a key",
        )
