"""Remotes that obstore serves: S3, Google Cloud Storage, Azure.

Every call runs in a loop in a thread of its own, so that whoever waits for it can stop it.
"""

import asyncio
import hashlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent import futures
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.obstore_errors import remote_error
from dbtui.adapters.remotes.receiving import check_received, receiving
from dbtui.adapters.remotes.refusals import UnsupportedError, check_name, is_plain_name, join_key
from dbtui.adapters.remotes.s3_parts import check_hash, check_size, read_stretch
from dbtui.adapters.streams import storage_errors
from dbtui.errors import Cancelled, ConnectError, DbtuiError, RemoteError, RemoteExistsError
from dbtui.model.backups import BackupFile
from dbtui.model.events import Progressed, Routine
from dbtui.model.remotes import Confirmation, RemoteAddress, RemoteObject

Store = S3Store | GCSStore | AzureStore
Call = Callable[[], Awaitable[Any]]
ResultT = TypeVar("ResultT")
_RANGE_BYTES = 8 << 20
_RANGES_AT_ONCE = 4
_PART_BYTES = 5 << 20
_PARTS_AT_ONCE = 4
_MOST_PARTS = 9_000
_TICK_SECONDS = 0.1
_TIDYING_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 0.2
_LISTED_AT_ONCE = 1000


class ObjectStoreRemote:
    """A bucket or container, by obstore. Owned by one thread."""

    def __init__(
        self, address: RemoteAddress, store: Store, timeout_seconds: float, cancellation: Cancellation
    ) -> None:
        self._address = address
        self._store = store
        self._timeout_seconds = timeout_seconds
        self._cancellation = cancellation
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="object store", daemon=True)
        self._thread.start()

    @property
    def address(self) -> RemoteAddress:
        """Where it is."""
        return self._address

    # --- small things ------------------------------------------------------------------------------------------

    def list_objects(self) -> Iterator[RemoteObject]:
        """List everything under the path. Names that no run of ours can have written are left out."""
        prefix = f"{self._address.path}/" if self._address.path else ""
        pages = obstore.list(self._store, prefix or None, chunk_size=_LISTED_AT_ONCE)
        while True:
            page = self._ask(lambda: _next_page(pages), "list it")
            if page is None:
                return
            for entry in page:
                name = str(entry["path"]).removeprefix(prefix)
                if is_plain_name(name):
                    yield RemoteObject(name, entry["size"], _in_utc(entry["last_modified"]))

    def find_object(self, name: str) -> RemoteObject | None:
        """Return one object, None when there is none of that name."""
        key = join_key(self._address, check_name(self._address, name))
        try:
            found = self._ask(lambda: obstore.head_async(self._store, key), f"look for {name}", absent_is_error=False)
        except FileNotFoundError:
            return None
        return RemoteObject(name, found["size"], _in_utc(found["last_modified"]))

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return a small object whole. Raises RemoteError when it is absent or larger than the limit."""
        key = join_key(self._address, check_name(self._address, name))
        data: bytes = self._ask(lambda: self._read(key, name, limit_bytes), f"read {name}")
        return data

    async def _read(self, key: str, name: str, limit_bytes: int) -> bytes:
        found = await obstore.get_async(self._store, key)
        if found.meta["size"] > limit_bytes:
            raise RemoteError(
                f"{name} in {self._address} is larger than it can be", f"the limit is {limit_bytes} bytes"
            )
        return bytes(await found.bytes_async())

    def create(self, name: str, data: bytes) -> None:
        """Write a small object at once, never over another. Raises RemoteExistsError when the name is taken."""
        if self._seems_taken(name):  # some servers heed no condition, and write over it
            raise RemoteExistsError(f"{self._address} holds {name} already")
        try:
            done = self._put_small(name, data, "create")
        except UnsupportedError:
            done = self._put_small(name, data, "overwrite")
        if done == hashlib.md5(data, usedforsecurity=False).hexdigest():
            return
        if self.read(name, max(len(data), 1) * 2) != data:
            self.remove(name)
            raise RemoteError(
                f"{name} did not arrive in {self._address} as it was sent; it was removed there", "try again"
            )

    def _seems_taken(self, name: str) -> bool:
        try:
            return self.find_object(name) is not None
        except RemoteError:  # a login may be allowed to write and not to look; what else is wrong, writing tells
            check_name(self._address, name)
            return False

    def _put_small(self, name: str, data: bytes, mode: Literal["create", "overwrite"]) -> str:
        """Write; return the ETag, which may be the MD5."""
        key = join_key(self._address, name)
        put = self._ask(
            lambda: obstore.put_async(self._store, key, data, mode=mode, use_multipart=False), f"write {name}"
        )
        return (put["e_tag"] or "").strip('"')

    def remove(self, name: str) -> None:
        """Remove one object; no error when it is gone already."""
        key = join_key(self._address, check_name(self._address, name))
        try:
            self._ask(lambda: obstore.delete_async(self._store, key), f"remove {name}", absent_is_error=False)
        except FileNotFoundError:
            return

    def close(self) -> None:
        """End what is under way."""
        if self._loop.is_closed():
            return
        futures.wait([asyncio.run_coroutine_threadsafe(_end_others(), self._loop)], 2 * _TIDYING_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # --- files -------------------------------------------------------------------------------------------------

    def upload(self, source: Path, name: str, file: BackupFile) -> Routine[Confirmation]:
        """Send a file, then read it back and hash it: these stores tell no checksum that could be compared."""
        key = join_key(self._address, check_name(self._address, name))
        feed = _Feed(source, file)
        yield from self._follow(lambda: self._put(key, feed), feed, file, f"write {name}")
        yield from self._check_there(name, file)
        return Confirmation.READ_BACK

    async def _put(self, key: str, feed: "_Feed") -> None:
        part = max(_PART_BYTES, -(-feed.file.size_bytes // _MOST_PARTS))
        multipart = feed.file.size_bytes > part
        await obstore.put_async(
            self._store, key, feed.chunks(), use_multipart=multipart, chunk_size=part, max_concurrency=_PARTS_AT_ONCE
        )

    def _check_there(self, name: str, file: BackupFile) -> Routine[None]:
        """Read an object back and hash it; one that is not what was sent is removed."""
        try:
            hashed = hashlib.sha256()
            size = 0
            for data in self._ranges(name, file):
                hashed.update(data)
                size += len(data)
                yield Progressed(size, file.size_bytes, "bytes", f"reading {name} back")
            check_received(self._address, name, file, size, hashed.hexdigest())
        except RemoteError:
            self.remove(name)
            raise

    def download(self, name: str, destination: Path, file: BackupFile) -> Routine[None]:
        """Fetch an object, several stretches at a time, into a new private file and check size and SHA-256."""
        check_name(self._address, name)
        with receiving(destination) as received:
            for data in self._ranges(name, file):
                received.write(data)
                yield Progressed(received.received_bytes, file.size_bytes, "bytes", name)
            received.finish(self._address, name, file)

    def _ranges(self, name: str, file: BackupFile) -> Iterator[bytes]:
        """Yield an object's bytes in order. Raises RemoteError at once when it is absent or of another size."""
        found = self.find_object(name)
        if found is None:
            raise RemoteError(f"{self._address} holds no {name}", "use another copy")
        check_received(self._address, name, file, found.size_bytes, file.sha256)
        key = join_key(self._address, name)
        starts = iter(range(0, file.size_bytes, _RANGE_BYTES))
        waiting: deque[Any] = deque()
        try:
            while True:
                while len(waiting) < _RANGES_AT_ONCE and (start := next(starts, None)) is not None:
                    length = min(_RANGE_BYTES, file.size_bytes - start)
                    waiting.append(self._begin(partial(self._fetch, key, start, length)))
                if not waiting:
                    return
                yield self._await(waiting.popleft(), f"read {name}")
        finally:
            for future in waiting:
                future.cancel()

    async def _fetch(self, key: str, start: int, length: int) -> bytes:
        """Return a stretch of an object, asked for again when the connection breaks meanwhile."""
        deadline = self._loop.time() + self._timeout_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                data = bytes(await obstore.get_range_async(self._store, key, start=start, length=length))
                if len(data) == length:
                    return data
                raise RemoteError(f"{self._address} sent {len(data)} bytes instead of {length}", "try again")
            except (BaseError, OSError) as error:
                found = remote_error(self._address, error, "read it")
                if not isinstance(found, ConnectError) or self._loop.time() + pause > deadline:
                    raise found from None
            await asyncio.sleep(pause)
            pause *= 2

    # --- the loop ----------------------------------------------------------------------------------------------

    def _begin(self, call: Call) -> Any:
        return asyncio.run_coroutine_threadsafe(_awaited(call), self._loop)

    def _ask(self, call: Call, doing: str, *, absent_is_error: bool = True) -> Any:
        return self._await(self._begin(call), doing, absent_is_error=absent_is_error)

    def _await(self, future: Any, doing: str, *, absent_is_error: bool = True) -> Any:
        """Wait for an answer. Raises our errors; FileNotFoundError where nothing there is an answer, too."""
        try:
            with self._cancellation.interrupting(future.cancel):
                return future.result()
        except CancelledError:
            self._cancellation.check()
            raise Cancelled(f"stopped while {self._address} was asked to {doing}") from None
        except DbtuiError:
            future.cancel()
            raise
        except (BaseError, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and not absent_is_error and "<Code>NoSuchBucket" not in str(error):
                raise
            raise remote_error(self._address, error, doing) from None

    def _follow(self, call: Call, feed: "_Feed", file: BackupFile, doing: str) -> Routine[None]:
        """Run a long call and tell how far it is. One that is stopped ends by its feed, so that it tidies up."""
        future = self._begin(call)
        try:
            while not futures.wait([future], _TICK_SECONDS).done:
                self._cancellation.check()
                yield Progressed(feed.sent_bytes, file.size_bytes, "bytes", file.path)
        finally:
            feed.stop()
            futures.wait([future], _TIDYING_SECONDS)
            future.cancel()
        self._await(future, doing)


class _Feed:
    """A file's bytes for a call in another thread, hashed on their way."""

    def __init__(self, source: Path, file: BackupFile) -> None:
        self.source, self.file = source, file
        self.sent_bytes = 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Have it raise when it is asked for more."""
        self._stopped.set()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes. Raises StorageError, also when they are not what the manifest says."""
        hashed = hashlib.sha256()
        with storage_errors(self.source), self.source.open("rb") as opened:
            check_size(self.source, opened.fileno(), self.file)
            for chunk in read_stretch(opened.fileno(), self.source, 0, self.file.size_bytes):
                if self._stopped.is_set():
                    raise Cancelled(f"stopped while {self.file.path} was sent")
                hashed.update(chunk)
                if self.sent_bytes + len(chunk) == self.file.size_bytes:
                    check_hash(self.source, hashed.hexdigest(), self.file)
                yield chunk
                self.sent_bytes += len(chunk)


async def _end_others() -> None:
    """Cancel what still runs in this loop, and let it end: a task that is merely dropped complains."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=_TIDYING_SECONDS)


async def _awaited(call: Call) -> Any:
    return await call()


async def _next_page(pages: AsyncIterator[ResultT]) -> ResultT | None:
    return await anext(pages, None)


def _in_utc(when: datetime) -> datetime:
    return when.astimezone(UTC)
