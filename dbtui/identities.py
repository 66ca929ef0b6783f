"""Where the keys come from that open encrypted backups: --identity, DBTUI_AGE_IDENTITY, the configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dbtui.errors import ConfigError
from dbtui.model.connections import ConnectionProfile, Secret
from dbtui.passwords import Passwords

VARIABLE = "DBTUI_AGE_IDENTITY"
OPTION = "--identity"


@dataclass(eq=False)
class Identities:
    """The identities of one run; each source is read once, when an encrypted backup is to be opened.

    `files` are those of the command line. `fallback` is what the configuration says outside of profiles. `ask` asks for
    a passphrase, where somebody sits there: it is given what it is for.
    """

    environ: Mapping[str, str]
    passwords: Passwords
    profiles: Sequence[ConnectionProfile] = ()
    fallback: tuple[str, tuple[str, ...]] = ("", ())  # identity, identity_command
    files: tuple[str, ...] = ()
    ask: Callable[[str], Secret] | None = None
    _found: dict[tuple[str, ...], Secret] = field(default_factory=dict, repr=False)

    def find(self, profile_name: str) -> Secret | None:
        """Return what may open the backups of a profile; None: nothing is named. Raises ConfigError, Cancelled."""
        if self.files:
            return self._read(self.files, OPTION)
        if named := self.environ.get(VARIABLE, ""):
            return self._read((named,), VARIABLE)
        profile = next((each for each in self.profiles if each.name == profile_name), None)
        path, command = (profile.identity, profile.identity_command) if profile else self.fallback
        if path:
            return self._read((path,), "identity of the configuration")
        return self._run(command) if command else None

    def _read(self, names: tuple[str, ...], place: str) -> Secret:
        from dbtui.adapters.age_keys import join_identities  # most commands have no use for it

        if names not in self._found:
            self._found[names] = self._keep(names, join_identities([self._read_one(name, place) for name in names]))
        return self._found[names]

    def _read_one(self, name: str, place: str) -> Secret:
        from dbtui.adapters.age_keys import is_encrypted, parse_identity, read_identity, unlock_identity

        path = Path(name).expanduser()
        content = read_identity(path, place)
        where = f"{place}: {path}"
        if is_encrypted(content) and self.ask is not None:
            content = unlock_identity(content, self.ask(f"Passphrase for {path}"), where)
        return parse_identity(content, where)

    def _run(self, command: tuple[str, ...]) -> Secret:
        from dbtui.adapters.age_keys import parse_identity

        if command not in self._found:
            printed = self.passwords.find_secret("identity_command", "", command)
            if printed is None:
                raise ConfigError("identity_command names no program", "mend identity_command")
            found = parse_identity((printed.reveal() + "\n").encode(), f"what identity_command {command[0]!r} printed")
            self._found[command] = self._keep(command, found)
        return self._found[command]

    def _keep(self, source: tuple[str, ...], found: Secret) -> Secret:
        for line in found.reveal().splitlines():
            if line.startswith("AGE-SECRET-KEY-"):
                self.passwords.note_secret(f"identity {source}", Secret(line))
        return found
