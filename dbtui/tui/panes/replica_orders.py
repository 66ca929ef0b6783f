"""What the replicas pane starts: adding and promoting a replica, dropping a slot, pausing and resuming replay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbtui.model.replicas import ReplicaAction, ReplicaState
from dbtui.tui import replica_requests as requests
from dbtui.tui.dialogs.dialog import ask, ask_in_background
from dbtui.tui.messages import JobWanted
from dbtui.tui.panes.pane import Pane
from dbtui.tui.panes.replica_rows import RowKind

if TYPE_CHECKING:
    from dbtui.jobs import JobRunner
    from dbtui.model.connections import ConnectionProfile
    from dbtui.tui.actions import Situation
    from dbtui.tui.panes.replica_groups import Group
    from dbtui.tui.panes.replica_rows import ReplicaRow


class ReplicaOrders(Pane):
    """The orders of the replicas pane. What they are about is the pane's."""

    runner: JobRunner

    if TYPE_CHECKING:

        @property
        def row(self) -> ReplicaRow | None:
            """The row under the cursor."""
            ...

        @property
        def group(self) -> Group | None:
            """Its group."""
            ...

    # ------------------------------------------------------------ what may be ordered

    @property
    def primary(self) -> ConnectionProfile | None:
        """The profile of the primary of the group under the cursor."""
        group = self.group
        if group is None:
            return None
        if group.assessment is None:
            return group.profile
        return group.profiles.get(group.assessment.primary)

    @property
    def replica(self) -> ConnectionProfile | None:
        """The profile of the replica under the cursor."""
        row, group = self.row, self.group
        if row is None or group is None or row.verdict is None or row.kind is not RowKind.REPLICA:
            return None
        return group.profiles.get(row.verdict.profile)

    def with_orders(self, base: Situation) -> Situation:
        """Say what may be ordered, and why not."""
        row = self.row
        return replace(
            base,
            no_replica=self._no_replica(),
            no_promotion=self._no_promotion(),
            no_slot_drop=self._no_slot_drop(),
            no_hold=self._no_hold(),
            no_resume=self._no_resume(),
            slot_row=row is not None and row.kind is RowKind.SLOT,
            held_replica=self._is_held(),
        )

    def _no_replica(self) -> str:
        primary = self.primary
        if primary is None:
            return "the primary is not among the profiles that are asked"
        return f"{primary.name} is read-only" if primary.read_only else ""

    def _no_order(self) -> str:
        """Why nothing can be ordered of the replica under the cursor."""
        row = self.row
        if row is None or row.kind is not RowKind.REPLICA:
            return "this is no replica"
        if self.replica is None:
            return "it has no profile of its own: name one in `replicas`"
        if row.verdict is not None and row.verdict.state is ReplicaState.DOWN:
            return "it cannot be asked"
        return f"{self.replica.name} is read-only" if self.replica.read_only else ""

    def _no_promotion(self) -> str:
        row = self.row
        if found := self._no_order():
            return found
        return "" if row is not None and row.server is not None and row.server.is_replica else "it is no replica"

    def _is_held(self) -> bool:
        applier = self.row.server.applier if self.row is not None and self.row.server is not None else None
        return applier is not None and applier.is_held

    def _no_hold(self) -> str:
        return self._no_promotion() or ("replay is paused already" if self._is_held() else "")

    def _no_resume(self) -> str:
        return self._no_promotion() or ("" if self._is_held() else "its replay is not paused")

    def _no_slot_drop(self) -> str:
        row = self.row
        if row is None or row.kind is not RowKind.SLOT or row.slot is None:
            return "this is no slot"
        if row.slot.slot.is_active:
            return "this slot is being read: end its reader first"
        owner = self._owner(row)
        if owner is None:
            return "its server has no profile"
        return f"{owner.name} is read-only" if owner.read_only else ""

    def _owner(self, row: ReplicaRow) -> ConnectionProfile | None:
        """The profile of the server that a slot is of."""
        group = self.group
        return group.profiles.get(row.slot.server) if group is not None and row.slot is not None else None

    # ------------------------------------------------------------ keys

    def act_add(self) -> None:
        """Ask where, show a plan, then add it."""
        primary, group = self.primary, self.group
        if primary is not None and group is not None:
            ask_in_background(self, "add dialog", self._ask_add, primary, group)

    async def _ask_add(self, primary: ConnectionProfile, group: Group) -> None:
        from dbtui.tui.dialogs.add_replica import AddReplicaDialog

        others = tuple(each for each in group.profiles.values() if each is not primary)
        plan = await ask(self, AddReplicaDialog(self.runner, primary, others))
        if plan is not None:
            self.post_message(JobWanted(requests.apply(primary, plan, others)))

    def act_promote(self) -> None:
        """Ask, then make it a primary."""
        self._order_replica(ReplicaAction.PROMOTE)

    def act_hold(self) -> None:
        """Ask, then have it apply nothing."""
        self._order_replica(ReplicaAction.PAUSE)

    def act_resume(self) -> None:
        """Ask, then have it apply again."""
        self._order_replica(ReplicaAction.RESUME)

    def act_drop(self) -> None:
        """Ask, then drop the slot under the cursor."""
        row = self.row
        if row is not None and row.slot is not None:
            self._order(self._owner(row), ReplicaAction.DROP_SLOT, row.slot.slot.name)

    def _order_replica(self, action: ReplicaAction) -> None:
        group, replica = self.group, self.replica
        if group is not None and replica is not None:
            self._order(group.profile, action, replica.name)

    def _order(self, profile: ConnectionProfile | None, action: ReplicaAction, subject: str) -> None:
        group = self.group
        if profile is not None and group is not None:
            others = tuple(each for each in group.profiles.values() if each is not profile)
            ask_in_background(self, "replica dialog", self._ask_order, profile, action, subject, others)

    async def _ask_order(
        self, profile: ConnectionProfile, action: ReplicaAction, subject: str, others: tuple[ConnectionProfile, ...]
    ) -> None:
        from dbtui.tui.dialogs.replica_order import ReplicaOrderDialog

        plan = await ask(self, ReplicaOrderDialog(self.runner, profile, action, subject, others))
        if plan is not None:
            self.post_message(JobWanted(requests.apply(profile, plan, others)))
