"""`ReadWriteSession`: writes go to the primary, plain reads to a replica that is well and recent enough.

A transaction moves once at most: it begins on one replica, all its reads stay there, and from its first write, or
anything else that needs the primary, it stays on the primary. What is not plainly a read is not plainly harmless: it
goes to the primary.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from dbtui.errors import UsageError
from dbtui.instrument.routing_errors import Verdict, judge_error
from dbtui.instrument.routing_leases import Lease, borrow
from dbtui.instrument.routing_replicas import ReplicaSet
from dbtui.instrument.routing_statements import OPTION, PRIMARY, is_replica
from dbtui.instrument.routing_states import Replica, describe

_LOG = logging.getLogger("dbtui.instrument")
_NONE: dict[str, Any] = {}
#: What `position` is when the primary could not say where its log ended after a commit.
UNKNOWN = "primary"


class ReadWriteSession(Session):
    """A Session that reads from replicas. `sessionmaker(class_=ReadWriteSession, replicas=replica_set)` makes them."""

    # Of the transaction: what it has borrowed, and whom it need not ask again.
    _lease: Lease | None = None
    _leases: tuple[Lease, ...] = ()
    _tried: tuple[Replica, ...] = ()
    _primary_connection: Connection | None = None
    _may_have_written = False
    _is_flushing = False
    _is_committing = False
    # Of the session.
    _critical = 0
    _wanted: Any = None
    _is_behind_unknown = False

    def __init__(
        self,
        bind: Any = None,
        *,
        replicas: ReplicaSet,
        after: str = "",
        read_your_writes: bool = True,
        **options: Any,
    ) -> None:
        """`replicas`: the process's ReplicaSet. `after`: the `position` of another session, whose commits are to be
        seen. `read_your_writes`: whether this session's reads see its commits. The other options are Session's.

        With a `bind` of its own (a Connection in a test, say), twophase=True, an isolation_level among the
        execution_options, or another join_transaction_mode, nothing is routed: everything goes to `bind`, or the
        primary. Raises UsageError for `binds` and for a position that is none.
        """
        if options.get("binds"):
            raise UsageError("a ReadWriteSession has one primary, and takes no binds", "leave binds out")
        super().__init__(replicas.primary if bind is None else bind, **options)
        self.replicas = replicas
        self._defaults: Mapping[str, Any] = getattr(self, "execution_options", {})  # SQLAlchemy 2.1
        self.read_your_writes = read_your_writes
        self._is_routed = (
            bind is None
            and not self.twophase
            and "isolation_level" not in self._defaults
            and self.join_transaction_mode in ("conditional_savepoint", "rollback_only")
        )
        if after:
            self.read_after(after)

    # --- what the application says -------------------------------------------------------------------------------

    @contextmanager
    def primary(self) -> Iterator[Self]:
        """Read from the primary inside the block, and anew: objects that are known already are loaded again.

        The rest of the transaction stays there, too.
        """
        self._critical += 1
        try:
            yield self
        finally:
            self._critical -= 1

    @property
    def position(self) -> str:
        """What another session, in any process, has to be given as `after` to see this one's commits; "" for none."""
        if self._is_behind_unknown:
            return UNKNOWN
        return "" if self._wanted is None else self.replicas.log.format(self._wanted)

    def read_after(self, position: str) -> None:
        """Let the next transactions' reads see everything up to a `position`. Raises UsageError when it is none."""
        if position == UNKNOWN:
            self._is_behind_unknown = True
        elif position:
            self._want(self.replicas.log.parse(position))

    # --- what SQLAlchemy asks ------------------------------------------------------------------------------------

    def get_bind(self, mapper: Any = None, **arguments: Any) -> Any:
        """Where a statement goes that was not found to be a plain read: a flush, a write, a bare connection."""
        bind = arguments.get("bind")
        if bind is not None:
            return bind
        self._may_have_written = True
        return super().get_bind(mapper, **arguments)

    if not TYPE_CHECKING:  # their types are Session's

        def execute(self, statement, params=None, **options):
            """Execute a statement where it belongs."""
            return self._route(super().execute, statement, params, options)

        def scalar(self, statement, params=None, **options):
            """Execute a statement where it belongs and return the first column of its first row."""
            return self._route(super().scalar, statement, params, options)

        def scalars(self, statement, params=None, **options):
            """Execute a statement where it belongs and return the first column of its rows."""
            return self._route(super().scalars, statement, params, options)

        def get(self, entity, ident, **options):
            """Return an object by its primary key; inside `primary()` as it is now."""
            if self._critical and self._is_clean():
                options["populate_existing"] = True
            return super().get(entity, ident, **options)

        def merge(self, instance, **options):
            """Copy an object's state into this session; what it is compared with comes from the primary."""
            self._may_have_written = True
            return super().merge(instance, **options)

        def delete(self, instance):
            """Mark an object as deleted; what goes with it is looked up on the primary."""
            self._may_have_written = True
            return super().delete(instance)

        def merge_all(self, instances, **options):
            """The same of several objects (SQLAlchemy 2.1)."""
            self._may_have_written = True
            return super().merge_all(instances, **options)

        def delete_all(self, instances):
            """The same of several objects (SQLAlchemy 2.1)."""
            self._may_have_written = True
            return super().delete_all(instances)

    # --- where a statement goes ----------------------------------------------------------------------------------

    def _route(self, run: Callable[..., Any], statement: Any, params: Any, options: dict[str, Any]) -> Any:
        arguments = options.get("bind_arguments")
        bind = arguments.get("bind") if arguments else None
        if not self._is_routed or (bind is not None and not self._is_ours(bind)):
            return run(statement, params, **options)
        given = options.get("execution_options")
        place = given.get(OPTION) if given else None
        if place is None:
            place = getattr(statement, "_execution_options", self._defaults).get(OPTION)
            if place is None and self._defaults:
                place = self._defaults.get(OPTION)
        if not self.replicas.rules.reads(statement, place is not None and is_replica(place)):
            self._may_have_written = True
            return run(statement, params, **options)
        if (
            self._may_have_written
            or self._critical
            or self._primary_connection is not None
            or self._is_behind_unknown
            or place == PRIMARY
            or bind is self.replicas.primary
            or self.in_nested_transaction()
            or not self._is_clean()
        ):
            return self._read_primary(run, statement, params, options)
        return self._read(run, statement, params, options)

    def _is_ours(self, bind: Any) -> bool:
        return bind is self.replicas.primary or any(bind is lease.connection for lease in self._leases)

    def _read_primary(self, run: Callable[..., Any], statement: Any, params: Any, options: dict[str, Any]) -> Any:
        if self._critical and self._is_clean():
            given = options.get("execution_options") or {}
            options = {**options, "execution_options": {**given, "populate_existing": True}}
        arguments = {**(options.get("bind_arguments") or _NONE), "bind": self.replicas.primary}
        return run(statement, params, **{**options, "bind_arguments": arguments})

    def _read(self, run: Callable[..., Any], statement: Any, params: Any, options: dict[str, Any]) -> Any:
        """Read on the transaction's replica; when that fails, on another one or the primary."""
        lease = self._lease
        if lease is None:
            lease, self._tried = borrow(self.replicas, self._wanted, self._tried)
            if lease is None:
                return self._read_primary(run, statement, params, options)
            self._lease = lease
            self._leases = (*self._leases, lease)
        arguments = {**(options.get("bind_arguments") or _NONE), "bind": lease.connection}
        try:
            result = run(statement, params, **{**options, "bind_arguments": arguments})
        except Exception as error:
            if not self._leave(lease, judge_error(error), error):
                raise
            failed = error
        except BaseException:
            self._end_stray_leases()
            raise
        else:
            lease.has_read = True
            return result
        _LOG.debug("a read is repeated elsewhere: %s", describe(failed))
        again = self._read_primary if lease.has_read else self._read
        return again(run, statement, params, options)

    def _leave(self, lease: Lease, verdict: Verdict, error: Exception) -> bool:
        """Whether a read that failed on a replica is to be repeated elsewhere; the lease is then left for good."""
        if verdict is Verdict.RAISE and lease.connection.invalidated:  # lost before, while rows were streamed
            verdict = Verdict.OUTAGE
        if verdict is Verdict.OUTAGE:
            lease.replica.note_failure(error)
        if verdict is Verdict.RAISE or not lease.may_move:
            self._end_stray_leases()
            return False
        self._lease = None
        if verdict is Verdict.PRIMARY:
            self._tried = self.replicas.replicas
        return True

    def _end_stray_leases(self) -> None:
        """Return what was borrowed for a transaction that did not even begin."""
        if not self.in_transaction():
            self._end_leases()

    def _end_leases(self) -> None:
        if self._is_committing and not self._is_flushing and self._may_have_written:
            self._is_behind_unknown = True  # nobody knows whether it was committed
        self._may_have_written = self._is_flushing = self._is_committing = False
        self._primary_connection = self._lease = None
        leases, self._leases, self._tried = self._leases, (), ()
        for lease in leases:
            lease.connection.close()

    # --- after a commit ------------------------------------------------------------------------------------------

    def _want(self, position: Any) -> None:
        self._wanted = position if self._wanted is None else self.replicas.log.join(self._wanted, position)

    def _note_commit(self) -> None:
        """Ask where the log ends, on the connection that has just committed. The commit stands whatever happens now."""
        connection = self._primary_connection
        if connection is None or not self._may_have_written or not self.read_your_writes:
            return
        self._is_behind_unknown = True
        try:
            self._want(self.replicas.log.ask_position(connection.connection.dbapi_connection))
        except Exception as error:
            _LOG.warning("where a commit stands is not known, its session reads from the primary: %s", describe(error))
            connection.invalidate(error)
        else:
            self._is_behind_unknown = False


@event.listens_for(ReadWriteSession, "after_begin")
def _note_begin(session: ReadWriteSession, _transaction: SessionTransaction, connection: Connection) -> None:
    if connection.engine is session.replicas.primary:
        session._primary_connection = connection


@event.listens_for(ReadWriteSession, "before_flush")
def _note_flush(session: ReadWriteSession, *_: object) -> None:
    session._may_have_written = session._is_flushing = True


@event.listens_for(ReadWriteSession, "after_flush")
def _note_flushed(session: ReadWriteSession, *_: object) -> None:
    session._is_flushing = False


@event.listens_for(ReadWriteSession, "before_commit")
def _note_committing(session: ReadWriteSession) -> None:
    session._is_committing = True


@event.listens_for(ReadWriteSession, "after_commit")
def _note_commit(session: ReadWriteSession) -> None:
    session._is_committing = False
    if session._is_routed and not session.in_nested_transaction():
        session._note_commit()


@event.listens_for(ReadWriteSession, "after_transaction_end")
def _note_end(session: ReadWriteSession, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session._end_leases()
