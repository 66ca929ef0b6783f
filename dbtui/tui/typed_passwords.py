"""Passwords typed in the terminal UI: kept in memory until it ends, used before any other source."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dbtui.model.connections import ConnectionProfile, Secret


@dataclass
class TypedPasswords:
    """Answers like the function it stands in front of, unless a password was typed for the profile."""

    otherwise: Callable[[ConnectionProfile], Secret | None]
    _typed: dict[str, Secret] = field(default_factory=dict, repr=False)

    def __call__(self, profile: ConnectionProfile) -> Secret | None:
        """Return a profile's password."""
        return self._typed.get(profile.name) or self.otherwise(profile)

    @property
    def known(self) -> tuple[str, ...]:
        """Every password that was typed."""
        return tuple(secret.reveal() for secret in self._typed.values())

    def remember(self, profile: ConnectionProfile, password: str) -> None:
        """Use this password for a profile from now on; an empty one is forgotten."""
        if password:
            self._typed[profile.name] = Secret(password)
        else:
            self._typed.pop(profile.name, None)
