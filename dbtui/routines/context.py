"""What a routine is given by its runner: targets that close themselves, and the wish to stop."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from dbtui.adapters.adapter import Adapter, BackupAdapter, Target
from dbtui.adapters.adapter import Unfinished as Unfinished
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.registry import adapter_for, proofs_for
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.remotes import RemoteAddress, RemoteSettings

if TYPE_CHECKING:
    from dbtui.adapters.remotes.remote import Remote
    from dbtui.adapters.throwaway.adapter import ProofAdapter


def _now() -> datetime:
    return datetime.now(UTC)


def _stored_password(profile: ConnectionProfile) -> Secret | None:
    return profile.password


def _forget_nothing(_profile: ConnectionProfile) -> None:
    return


def _no_identity(_profile_name: str) -> Secret | None:
    return None


def _no_settings(_address: RemoteAddress) -> RemoteSettings:
    return RemoteSettings()


class Removable(Unfinished, Protocol):
    """What a routine makes for a while."""

    def close(self) -> None:
        """Remove it, however far it came; a second time does nothing."""
        ...


RemovableT = TypeVar("RemovableT", bound=Removable)


@contextmanager
def removed_after(c: "RoutineContext", made: RemovableT) -> Iterator[RemovableT]:
    """Remove what was made when the block ends; who waits for the run's end can say what for."""
    c.unfinished.append(made)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True)
class RoutineContext:
    """One run's surroundings. `password_of` finds a profile's password, `forget_password` has it looked up anew.

    `now` is the clock (UTC). `identity_of` finds what opens the encrypted backups of a profile, `remote_settings` tells
    how a remote is reached, with its secret.

    Routines add to `unfinished` what they make, so that who waits for their end can say what for.
    """

    cancellation: Cancellation = field(default_factory=Cancellation)
    password_of: Callable[[ConnectionProfile], Secret | None] = _stored_password
    forget_password: Callable[[ConnectionProfile], None] = _forget_nothing
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: Callable[[], datetime] = _now
    unfinished: list[Unfinished] = field(default_factory=list)
    remote_settings: Callable[[RemoteAddress], RemoteSettings] = _no_settings
    identity_of: Callable[[str], Secret | None] = _no_identity

    @contextmanager
    def open_target(self, profile: ConnectionProfile) -> Iterator[Target]:
        """Connect to a profile's server and close the connection when the block ends."""
        adapter = adapter_for(profile.engine)
        with self.cancellation.governing():  # a password_command may take its time
            password = self.password_of(profile)
        target = adapter.open_target(profile, password, self.cancellation, self.environ)
        try:
            yield target
        finally:
            target.close()

    @contextmanager
    def open_remote(self, address: RemoteAddress) -> "Iterator[Remote]":
        """Reach a remote and close it when the block ends. Raises ConnectError, ConfigError, ToolError."""
        from dbtui.adapters.remotes.registry import open_remote  # the first screen has no use for it

        with self.cancellation.governing():  # a secret_command may take its time
            settings = self.remote_settings(address)
        remote = open_remote(address, settings, self.environ, self.cancellation)
        try:
            yield remote
        finally:
            remote.close()

    def adapter(self, engine: EngineName) -> Adapter:
        """Return the adapter of an engine."""
        return adapter_for(engine)

    def backups(self, engine: EngineName) -> BackupAdapter:
        """Return the backup half of an engine's adapter."""
        return adapter_for(engine).backups

    def proofs(self, engine: EngineName) -> "ProofAdapter":
        """Return what proves backups of an engine."""
        return proofs_for(engine)
