"""Replicas in the configuration file: `replicas = ["erp-replica"]` names the profiles of a profile's replicas."""

import difflib
from collections.abc import Mapping, Sequence

from dbtui.errors import ConfigError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.text import format_untrusted


def find_replicas(profile: ConnectionProfile, profiles: Sequence[ConnectionProfile]) -> tuple[ConnectionProfile, ...]:
    """Return the profiles of a profile's replicas, each once.

    Raises ConfigError: there is no such profile, it is the profile itself, or of another engine.
    """
    known = {each.name: each for each in profiles}
    return tuple(_find(profile, name, known) for name in dict.fromkeys(profile.replicas))


def _find(profile: ConnectionProfile, name: str, known: Mapping[str, ConnectionProfile]) -> ConnectionProfile:
    where, shown = f"profile {format_untrusted(profile.name)!r}: replicas", repr(format_untrusted(name))
    if name == profile.name:
        raise ConfigError(f"{where}: it names itself", "name the replica's own profile")
    found = known.get(name)
    if found is None:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {format_untrusted(near[0])}?" if near else f"write [profiles.{shown}] with its url"
        raise ConfigError(f"{where}: no profile is called {shown}", hint)
    if found.engine is not profile.engine:
        said = f"{where}: {shown} is {found.engine.value}, and this one {profile.engine.value}"
        raise ConfigError(said, "name a profile of the same engine")
    return found
