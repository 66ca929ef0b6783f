"""A timer finer than the event loop's millisecond: the kernel's own, as a descriptor that becomes readable."""

import ctypes
import os

_MONOTONIC = 1
_ABSOLUTE = 1
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Moment), ("first", _Moment))


class Timer:
    """Becomes readable at a moment of CLOCK_MONOTONIC and then each `interval_seconds` (timerfd_create(2))."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self.descriptor: int = self._library.timerfd_create(_MONOTONIC, _FLAGS)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "no timer")

    def set(self, first: float, interval_seconds: float) -> None:
        """Begin at `first`. A moment that has passed is now."""
        setting = _Setting(_split(interval_seconds), _split(first))
        self._library.timerfd_settime(self.descriptor, _ABSOLUTE, ctypes.byref(setting), None)

    def stop(self) -> None:
        """Be silent until set again."""
        self._library.timerfd_settime(self.descriptor, 0, ctypes.byref(_Setting()), None)

    def read(self) -> None:
        """Take note, so that it is not readable until the next time."""
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            return


def _split(seconds: float) -> _Moment:
    nanoseconds = max(1, int(seconds * 1e9))
    return _Moment(nanoseconds // 10**9, nanoseconds % 10**9)
