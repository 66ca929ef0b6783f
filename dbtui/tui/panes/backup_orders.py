"""What the backups pane orders: to make a backup, restore, verify, delete or pin one, to remove many by a policy."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dbtui.identities import VARIABLE
from dbtui.jobs import JobRunner
from dbtui.model.backups import BackupEntry, TableName
from dbtui.model.connections import ConnectionProfile
from dbtui.model.repositories import RepositoryBackup
from dbtui.tui import far_requests, requests
from dbtui.tui.cells import dim, line, strong
from dbtui.tui.dialogs.backup import BackupDialog
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.dialogs.prove import Place, ask_where_to_prove
from dbtui.tui.dialogs.restore import RestoreDialog
from dbtui.tui.dialogs.typed_names import TypeToConfirm
from dbtui.tui.messages import JobWanted
from dbtui.tui.panes import backup_clusters as clusters
from dbtui.tui.panes import backup_retention as retention
from dbtui.tui.panes.backup_comparing import ComparingPane

if TYPE_CHECKING:
    from dbtui.config import Settings


class BackupOrders(ComparingPane):
    """A pane with a list of backups, about which orders are given: each is asked for first, then is a job."""

    def __init__(self, runner: JobRunner, profiles: Sequence[ConnectionProfile], settings: "Settings") -> None:
        super().__init__(profiles)
        self._runner, self._settings = runner, settings
        self.directory = Path(settings.backup_dir)

    @property
    def selected(self) -> BackupEntry | None:
        """The backup that orders are about."""
        return self.cursor_entry

    @property
    def physical(self) -> RepositoryBackup | None:
        """The backup under the cursor, if a repository keeps it."""
        row = self.history.cursor_row
        return row if isinstance(row, RepositoryBackup) else None

    @property
    def remotes(self) -> tuple[str, ...]:
        """The remotes whose backups belong to this history: the open target's, else all that are configured."""
        if self.opened is not None:
            names = [self.opened.remote]
        else:
            names = [self._settings.remote, *(profile.remote for profile in self._profiles)]
        return tuple(dict.fromkeys(name for name in names if name))

    def opens_with(self, entry: BackupEntry) -> str:
        """Return where the key comes from that opens an encrypted backup; empty when none is named here."""
        if self._runner.context.environ.get(VARIABLE):
            return VARIABLE
        profile = next((each for each in self._profiles if each.name == entry.profile), None)
        place = profile or self._settings
        owner = f"profile {profile.name}" if profile is not None else "the configuration"
        named = "identity" if place.identity else "identity_command" if place.identity_command else ""
        return f"{named} of {owner}" if named else ""

    @property
    def ticked_tables(self) -> tuple[TableName, ...]:
        """The tables of it that a restore is limited to; empty: all."""
        return ()

    def act_backup(self) -> None:
        """Ask how, then back up the open target."""
        if self.opened is not None:
            ask_in_background(self, "backup dialog", self._backup, self.opened)

    async def _backup(self, profile: ConnectionProfile) -> None:
        plan = await ask(self, BackupDialog(self._runner, profile))
        if plan is not None:
            self.post_message(JobWanted(requests.create(profile, plan)))

    def act_restore(self) -> None:
        """Ask where to, show the plan, then restore."""
        entry = self.selected
        if entry is not None:
            ask_in_background(self, "restore dialog", self._restore, entry, self.ticked_tables)
        elif self.physical is not None:
            ask_in_background(self, "restore dialog", clusters.restore, self, self._runner, self.physical,
                              self._profiles)  # fmt: skip

    async def _restore(self, entry: BackupEntry, ticked: tuple[TableName, ...]) -> None:
        writable = [profile for profile in self._profiles if not profile.read_only]
        chosen = await ask(self, RestoreDialog(self._runner, entry, writable, self.opened, ticked, self.directory))
        if chosen is None:
            return
        if entry.remote:
            request = far_requests.restore(entry, chosen.profile, chosen.plan, self.directory)
        else:
            request = requests.restore(chosen.profile, chosen.plan)
        self.post_message(JobWanted(request))

    def act_verify(self) -> None:
        """Check the backup."""
        if self.selected is not None:
            self._verify(self.selected, None)
        elif self.physical is not None:
            clusters.verify(self, self._runner, self.physical, self._profiles)

    def _verify(self, entry: BackupEntry, place: Place | None) -> None:
        if entry.remote:
            self.post_message(JobWanted(far_requests.verify(entry, place, self.directory)))
        else:
            self.post_message(JobWanted(requests.verify(entry, place)))

    def act_prove(self) -> None:
        """Ask where, then check the backup by restoring it."""
        if self.selected is not None:
            ask_in_background(self, "prove dialog", self._prove, self.selected)
        elif self.physical is not None:
            ask_in_background(self, "prove dialog", clusters.prove, self, self._runner, self.physical,
                              self._profiles)  # fmt: skip

    async def _prove(self, entry: BackupEntry) -> None:
        usable = [p for p in self._profiles if p.engine is entry.engine and not p.read_only]
        best = sorted(usable, key=lambda profile: (profile != self.opened, profile.name != entry.profile))
        place = await ask_where_to_prove(self, self._runner, entry, best)
        if place is not None:
            self._verify(entry, place)

    def act_push(self) -> None:
        """Ask where to, show what is sent, then send it."""
        if self.selected is not None:
            ask_in_background(self, "push dialog", self._push, self.selected)

    async def _push(self, entry: BackupEntry) -> None:
        from dbtui.tui.dialogs.ship_backup import PushDialog

        plan = await ask(self, PushDialog(self._runner, entry, self._push_places(entry)))
        if plan is not None:
            from dbtui.tui import place_requests

            self.post_message(JobWanted(place_requests.push(plan)))

    def _push_places(self, entry: BackupEntry) -> list[str]:
        """Where a backup can go: to its profile's remote first, then to all others that are configured."""
        own = [profile.remote for profile in self._profiles if profile.name == entry.profile]
        known = [*own, *self.remotes, self._settings.remote, *(profile.remote for profile in self._profiles)]
        return list(dict.fromkeys(name for name in known if name))

    def act_pull(self) -> None:
        """Show what is fetched, then fetch it."""
        if self.selected is not None:
            ask_in_background(self, "pull dialog", self._pull, self.selected)

    async def _pull(self, entry: BackupEntry) -> None:
        from dbtui.tui.dialogs.ship_backup import PullDialog

        plan = await ask(self, PullDialog(self._runner, entry, self.directory))
        if plan is not None:
            from dbtui.tui import place_requests

            self.post_message(JobWanted(place_requests.pull(plan)))

    def act_delete(self) -> None:
        """Ask for the backup's name, then delete it."""
        if self.selected is not None:
            ask_in_background(self, "delete dialog", self._delete, self.selected)

    async def _delete(self, entry: BackupEntry) -> None:
        text = [
            line("Deletes ", strong(entry.backup_id), " and its manifest. There is no undo."),
            line(dim("file  "), entry.data_path or "already gone"),
            *(line(dim("a copy stays in  "), copy) for copy in entry.copies),
        ]
        names = [("backup's name", entry.backup_id)]
        if await ask(self, TypeToConfirm("Delete a backup", text, names, "Delete")):
            self.post_message(JobWanted(far_requests.delete(entry) if entry.remote else requests.delete(entry)))

    def act_expire(self) -> None:
        """Ask by which policy, show what survives, remove the rest."""
        ask_in_background(self, "expire dialog", retention.expire, self, self._runner, self.directory, self.opened,
                          self._profiles, self._settings.keep)  # fmt: skip

    def act_pin(self) -> None:
        """Pin the backup, or take its pin away."""
        if self.selected is not None:
            ask_in_background(self, "pin", retention.change_pin, self, self.selected)
