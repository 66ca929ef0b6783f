"""What one run has made, and how it is removed again: server, files, password, slot; its note last."""

import time
from dataclasses import dataclass, replace

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.replica_files import identity_of, passfile_path, remove_contents
from dbtui.adapters.postgresql.replica_marker import Marker, remove_marker, write_marker
from dbtui.adapters.postgresql.replica_streaming import open_beside
from dbtui.adapters.postgresql.replica_workshop import Workshop
from dbtui.errors import DbtuiError, ServerError, StorageError
from dbtui.model.text import format_untrusted

_SLOT_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_NO_OBJECT, _IN_USE = "42704", "55006"


@dataclass
class Makings:
    """What there is to be removed. `marker` says where; `is_slot_new`: this run made it, its readers are ours."""

    room: Workshop
    marker: Marker
    has_slot: bool = False
    is_slot_new: bool = False
    has_passfile: bool = False
    is_started: bool = False

    def remove(self) -> list[str]:
        """Remove everything; return what could not be, a sentence each. Never raises."""
        left: list[str] = []
        for undo in (self._stop, self._remove_files, self._remove_passfile, self._drop_slot):
            try:
                undo()
            except (DbtuiError, OSError) as error:
                left.append(format_untrusted(error.message if isinstance(error, DbtuiError) else str(error), 300))
        try:
            if left:  # nobody is at it any more: the next run may remove what is left, and nothing else
                write_marker(self._what_is_left())
            else:
                remove_marker(self.room.directory)
        except StorageError as error:
            left.append(error.message)
        return left

    def _what_is_left(self) -> Marker:
        """The note without what is gone, or was never ours: a slot of that name may be somebody else's by then."""
        return replace(
            self.marker,
            process_began="",
            slot=self.marker.slot if self.has_slot else "",
            passfile=self.marker.passfile if self.has_passfile else "",
        )

    def _stop(self) -> None:
        if self.is_started and not self.room.server().stop():
            raise StorageError(f"the server in {self.room.directory} does not stop")

    def _remove_files(self) -> None:
        """Only the very directories that were made, or taken empty."""
        marker, directory = self.marker, self.room.directory
        if marker.directory_id is not None and identity_of(directory) == marker.directory_id:
            if self.room.server().process() is not None:
                raise StorageError(f"{directory}: a server runs in it")
            remove_contents(directory, itself=not marker.had_directory)
        beside = self.room.tablespace_directory
        if marker.tablespaces_id is not None and identity_of(beside) == marker.tablespaces_id:
            remove_contents(beside, itself=True)

    def _remove_passfile(self) -> None:
        passfile = passfile_path(self.room.directory)
        if self.has_passfile and self.marker.passfile == str(passfile):
            passfile.unlink(missing_ok=True)
            self.has_passfile = False

    def _drop_slot(self) -> None:
        """Drop it over a connection that no cancel interrupts."""
        if not self.has_slot:
            return
        source, slot = self.room.target, self.marker.slot
        try:
            with open_beside(source, Cancellation()) as undisturbed:
                self._drop_slot_of(undisturbed, slot)
            self.has_slot = False
        except DbtuiError as error:
            said = f"slot {slot} on {source.where} ({error.message}): drop it, or the server keeps its log for it"
            raise ServerError(said) from error

    def _drop_slot_of(self, target: PostgresqlTarget, slot: str) -> None:
        """Its sender may take a moment to see that nobody reads any more."""
        ends = time.monotonic() + _SLOT_SECONDS
        while target.collect("look_at_slot", slot=slot):
            if self.is_slot_new:  # else somebody else may read it by now
                target.collect("terminate_copy", slot=slot, copy=self.room.copy_name)
            try:
                target.collect("drop_replication_slot", slot=slot)
            except ServerError as error:
                if error.code == _NO_OBJECT:
                    return
                if error.code != _IN_USE or time.monotonic() > ends:
                    raise
                time.sleep(_LOOK_SECONDS)
