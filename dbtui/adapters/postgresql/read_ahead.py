"""A packed dump unpacked by a thread, so that unpacking and sending to the server happen side by side."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from dbtui.adapters.streams import CHUNK_BYTES

_WAITING_CHUNKS = 4
_PATIENCE_SECONDS = 0.1


class ReadAhead:
    """Reads a stream up to four MiB ahead. Errors of the stream are raised by `read`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._chunks: queue.Queue[bytes | BaseException] = queue.Queue(_WAITING_CHUNKS)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="unpacking", daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        chunk: bytes | BaseException = b"-"
        while chunk and not isinstance(chunk, BaseException):
            try:
                chunk = self._stream.read(CHUNK_BYTES)
            except Exception as error:
                chunk = error
            while not self._closed.is_set():
                try:
                    self._chunks.put(chunk, timeout=_PATIENCE_SECONDS)
                    break
                except queue.Full:
                    continue
            if self._closed.is_set():
                return

    def read(self, _size: int = -1, /) -> bytes:
        """Return the next chunk, empty at the end."""
        chunk = self._chunks.get()
        if isinstance(chunk, BaseException):
            raise chunk
        if not chunk:
            self._chunks.put(b"")
        return chunk

    def close(self) -> None:
        """End the thread; the stream may be closed then."""
        self._closed.set()
        self._thread.join()


@contextmanager
def read_ahead(stream: BinaryIO) -> Iterator[ReadAhead]:
    """Read a stream ahead while the block runs."""
    reader = ReadAhead(stream)
    try:
        yield reader
    finally:
        reader.close()
