"""Where a password comes from: the URL, a variable, a command, or the operator's hands. It is never written down.

Password files (.pgpass, .my.cnf, service files) are the drivers' business and come after these.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from dbtui.adapters.cancellation import current_cancellation
from dbtui.errors import ConfigError
from dbtui.model.connections import ConnectionProfile, Secret

COMMAND_SECONDS = 30.0


def find_password(profile: ConnectionProfile, environ: Mapping[str, str]) -> Secret | None:
    """Return a profile's password from its URL, `password_env` or `password_command`; None: left to password files.

    Raises ConfigError when the variable is not set or the command fails.
    """
    if profile.password is not None:
        return profile.password
    if profile.password_env:
        value = environ.get(profile.password_env, "")
        if not value:
            raise ConfigError(
                f"profile {profile.name!r}: the variable {profile.password_env} that password_env names is not set",
                f"export {profile.password_env}, or take password_env out of the profile",
            )
        return Secret(value)
    if profile.password_command:
        what = f"profile {profile.name!r}: its password_command {profile.password_command[0]!r}"
        return Secret(_run_command(profile.password_command, what, environ))
    return None


def find_secret(whose: str, variable: str, command: tuple[str, ...], environ: Mapping[str, str]) -> Secret | None:
    """Return the secret that `secret_env` or `secret_command` of a remote leads to, None when it has neither.

    Raises ConfigError, Cancelled.
    """
    if variable:
        value = environ.get(variable, "")
        if not value:
            raise ConfigError(f"{whose}: the variable {variable} that secret_env names is not set",
                              f"export {variable}, or take secret_env out of the configuration")  # fmt: skip
        return Secret(value)
    return Secret(_run_command(command, f"{whose}: its secret_command {command[0]!r}", environ)) if command else None


def _run_command(command: tuple[str, ...], what: str, environ: Mapping[str, str]) -> str:
    """Run a command without a shell. What it prints may be the secret, so no error repeats it.

    Raises ConfigError, Cancelled.
    """
    try:
        process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(f"{what} cannot be started: {error.strerror}", "mend that command") from None
    cancellation = current_cancellation()
    with process:
        try:
            with cancellation.interrupting(lambda: _end(process)):
                output, _ = process.communicate(timeout=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            raise ConfigError(f"{what} took longer than {COMMAND_SECONDS:.0f} seconds", "run it by hand") from None
        finally:
            _end(process)
    cancellation.check()
    if process.returncode != 0:
        raise ConfigError(f"{what} failed with exit code {process.returncode}", "run it by hand to see why")
    try:
        password = output.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(f"{what} printed something that is not UTF-8", "run it by hand to see why") from None
    if not password:
        raise ConfigError(f"{what} printed nothing", "run it by hand to see why")
    return password


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # ended meanwhile
            os.killpg(process.pid, signal.SIGKILL)


@dataclass(eq=False)
class Passwords:
    """The passwords of one run: each is looked up once, and one that was typed is remembered until the end."""

    environ: Mapping[str, str]
    _found: dict[tuple[str, str], Secret | None] = field(default_factory=dict, repr=False)
    _typed: set[tuple[str, str]] = field(default_factory=set, repr=False)

    def find(self, profile: ConnectionProfile) -> Secret | None:
        """Return a profile's password, or None. Raises ConfigError."""
        key = (profile.name, profile.url)
        if key not in self._found:
            self._found[key] = find_password(profile, self.environ)
        return self._found[key]

    def find_secret(self, whose: str, variable: str, command: tuple[str, ...]) -> Secret | None:
        """Return the secret of a remote, looked up once. Raises ConfigError, Cancelled."""
        key = (whose, "secret")
        if key not in self._found:
            self._found[key] = find_secret(whose, variable, command, self.environ)
        return self._found[key]

    def note_secret(self, whose: str, secret: Secret) -> None:
        """Keep a secret that was found elsewhere, so that a traceback is cleaned of it too."""
        self._found[(f"{whose} {len(self._found)}", "secret")] = secret

    def remember(self, profile: ConnectionProfile, password: Secret) -> None:
        """Use this password, which the operator typed, from now on."""
        self._found[(profile.name, profile.url)] = password
        self._typed.add((profile.name, profile.url))

    def forget(self, profile: ConnectionProfile) -> None:
        """Look this profile's password up anew when it is next asked for, unless it was typed."""
        key = (profile.name, profile.url)
        if key not in self._typed:
            self._found.pop(key, None)

    @property
    def known(self) -> tuple[str, ...]:
        """Every password found so far, so that a traceback can be cleaned of them."""
        return tuple(secret.reveal() for secret in self._found.values() if secret is not None)
