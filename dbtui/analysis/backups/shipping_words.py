"""What was sent to a remote or fetched from it, in words."""

from dbtui.model.shipping import ShippingResult
from dbtui.model.text import format_bytes, format_duration

PUSH_CANCELLING = "What was sent stays; the next push goes on from there."
_CONFIRMED = {"checksum": "its checksum", "read back": "reading it back", "size": "its size alone"}


def describe_push(done: ShippingResult) -> str:
    """Return what a push has done, in a line."""
    if done.was_there:
        return f"{done.backup_id}: a whole copy is in {done.remote} already"
    how = f", confirmed by {_CONFIRMED[done.confirmation]}" if done.confirmation else ""
    return f"{done.backup_id}: {_describe_moved(done)} sent to {done.remote}{_describe_time(done)}{how}"


def describe_pull(done: ShippingResult) -> str:
    """Return what a pull has done, in a line."""
    if done.was_there:
        return f"{done.backup_id}: is here already, the same: {done.path}"
    return (
        f"{done.backup_id}: {_describe_moved(done)} fetched from {done.remote}{_describe_time(done)}, checksums equal"
    )


def _describe_moved(done: ShippingResult) -> str:
    if done.moved_files < done.files:
        return f"{format_bytes(done.moved_bytes)} that were missing of {format_bytes(done.size_bytes)}"
    return format_bytes(done.size_bytes)


def _describe_time(done: ShippingResult) -> str:
    if done.seconds < 1:
        return ""
    return f" in {format_duration(done.seconds)} ({format_bytes(round(done.moved_bytes / done.seconds))}/s)"
