"""`AsyncReadWriteSession`: the same for asyncio. The choosing and waiting is done by the session inside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from sqlalchemy.ext.asyncio import AsyncSession

from dbtui.instrument.routing import ReadWriteSession
from dbtui.instrument.routing_replicas import ReplicaSet


class AsyncReadWriteSession(AsyncSession):
    """An AsyncSession that reads from replicas; `async_sessionmaker(class_=AsyncReadWriteSession, replicas=...)`."""

    sync_session_class = ReadWriteSession
    sync_session: ReadWriteSession

    def __init__(self, bind: Any = None, *, replicas: ReplicaSet, **options: Any) -> None:
        """The arguments are those of ReadWriteSession. Raises UsageError as it does."""
        super().__init__(bind, replicas=replicas, **options)

    @contextmanager
    def primary(self) -> Iterator[Self]:
        """Read from the primary inside the (plain) `with` block, and anew; the rest of the transaction stays there."""
        with self.sync_session.primary():
            yield self

    @property
    def position(self) -> str:
        """What another session has to be given as `after` to see this one's commits; "" for none."""
        return self.sync_session.position

    def read_after(self, position: str) -> None:
        """Let the next transactions' reads see everything up to a `position`. Raises UsageError when it is none."""
        self.sync_session.read_after(position)
