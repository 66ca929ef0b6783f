"""A shell at the other side, where the login has one: it computes checksums where the data lies.

One shell answers all questions, over its stdin and stdout; its answers stand between marks that nobody can guess, and
what is not exactly one checksum is none. A login that has no shell (ForceCommand internal-sftp, nologin) is found out
by the first question and never asked again.
"""

import re
import secrets
import shlex
import time
from collections.abc import Generator

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.sftp_channel import SshChannel
from dbtui.adapters.remotes.sftp_link import SshLink

Answer = Generator[None, None, str | None]

_DIGEST = re.compile(rb"([0-9a-f]{64})(?: [ *](?:-|stdin))?")
_LONGEST_ANSWER_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 18
#: Whichever of these the system over there has reads its stdin and writes a SHA-256. OpenSSL, which uses what the
#: processor has for it, is often several times as quick as the others.
_DEFINE = """\
if openssl dgst -sha256 -r </dev/null >/dev/null 2>&1; then digest() { openssl dgst -sha256 -r; }
elif command -v sha256sum >/dev/null 2>&1; then digest() { sha256sum; }
elif command -v shasum >/dev/null 2>&1; then digest() { shasum -a 256; }
elif command -v sha256 >/dev/null 2>&1; then digest() { sha256 -q; }
else exit 3; fi
"""
#: Reads as many blocks of a file as each line of stdin says, until one says 0; such lines are no commands, whether
#: the shell may read the file or not.
_FOLLOW = """\
if test -r {path}; then {{ while read blocks && test "$blocks" -gt 0; do \
dd bs={block} count="$blocks" <&3 2>/dev/null; done; }} 3< {path}; \
else while read blocks && test "$blocks" -gt 0; do :; done; fi | digest"""


class RemoteShell:
    """Asks for SHA-256 checksums of files over there. It logs in when it is first asked."""

    def __init__(self, link: SshLink, cancellation: Cancellation) -> None:
        self._link = link
        self._cancellation = cancellation
        self._mark = secrets.token_hex(16)
        self._is_absent = False
        self._is_proven = False
        self._number = 0
        self.channel: SshChannel | None = None

    def digest(self, path: bytes, count: int | None = None) -> Answer:
        """Return the SHA-256 of a file, None where it cannot be had; yields while it is computed.

        `path` is absolute; `count`: of so many bytes from the beginning of the file. Raises Cancelled.
        """
        quoted = _quote(path)
        question = self.ask(f"digest < {quoted}" if count is None else f"head -c {count} < {quoted} | digest")
        return (yield from question.wait()) if question else None

    def follow(self, path: bytes) -> "Following | None":
        """Begin to compute the checksum of a file that grows; None where that cannot be done."""
        question = self.ask(_FOLLOW.format(path=_quote(path), block=_BLOCK_BYTES))
        return Following(question) if question else None

    def ask(self, command: str) -> "Question | None":
        """Have a command run; None when it is known that there is no shell."""
        if self._is_absent:
            return None
        if self.channel is None:
            self.channel = SshChannel(self._link, ("exec sh",), self._cancellation)
            # Whatever the start files of the login print comes before the first mark.
            self.channel.send(_DEFINE.encode())
        self._number += 1
        begin, end = (f"{self._mark} {self._number} {each}" for each in ("begins", "ends"))
        # In one line: some shells read ahead, and what a command is to read must not be taken for the next line.
        text = f"printf '\\n%s\\n' '{begin}'; {command}; printf '\\n%s\\n' '{end}'\n"
        self.channel.send(text.encode("utf-8", "surrogateescape"))
        seconds = None if self._is_proven else self._link.settings.timeout_seconds
        return Question(self, f"\n{begin}\n".encode(), f"\n{end}\n".encode(), seconds)

    def note_answer(self) -> None:
        """Remember that there is a shell that answers."""
        self._is_proven = True

    def give_up(self) -> None:
        """End a shell that does not answer. One that never did is none; another is begun again when it is asked."""
        self._is_absent = not self._is_proven
        self.end()

    def end(self) -> None:
        """End the shell; another is begun when it is asked."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def close(self) -> None:
        """End the shell; it is not begun again."""
        self._is_absent = True
        self.end()


class Question:
    """A command that was sent to a shell, and its answer between two marks."""

    def __init__(self, shell: RemoteShell, begin: bytes, end: bytes, seconds: float | None) -> None:
        self._shell = shell
        self._begin, self._end = begin, end
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._has_begun = False

    def send(self, text: str) -> None:
        """Give the command something to read. Only once it has begun."""
        if self._shell.channel is not None:
            self._shell.channel.send(text.encode())

    def look(self, seconds: float = 0.0) -> bool:
        """Move what can be moved, waiting at most so long; return whether the command has begun. Raises Cancelled."""
        if (channel := self._shell.channel) is None:
            return False
        channel.turn(seconds)
        if not self._has_begun and (at := channel.received.find(self._begin)) >= 0:
            del channel.received[: at + len(self._begin)]
            self._has_begun = True
            self._shell.note_answer()
        return self._has_begun

    @property
    def is_lost(self) -> bool:
        """Whether there will be no answer: the shell went, never was one, or writes something else."""
        channel = self._shell.channel
        if channel is None or channel.has_ended or len(channel.received) > _LONGEST_ANSWER_BYTES:
            return True
        return not self._has_begun and self._deadline is not None and time.monotonic() >= self._deadline

    def wait_begun(self) -> Generator[None, None, bool]:
        """Wait until the command runs; return False when it never will."""
        while not self.look(0.2):
            if self.is_lost:
                self._shell.give_up()
                return False
            yield
        return True

    def wait(self) -> Answer:
        """Return the checksum that the command wrote, None when it wrote anything else."""
        if not (yield from self.wait_begun()):
            return None
        while (channel := self._shell.channel) is not None:
            if (at := channel.received.find(self._end)) >= 0:
                lines = [line for line in bytes(channel.received[:at]).splitlines() if line]
                del channel.received[: at + len(self._end)]
                found = _DIGEST.fullmatch(lines[0]) if len(lines) == 1 else None
                return found[1].decode() if found else None
            if self.is_lost:
                self._shell.give_up()
                break
            channel.turn()
            yield
        return None

    def end(self) -> None:
        """End the command, and the shell with it."""
        self._shell.end()


class Following:
    """The checksum of a file that grows, computed as it does, so that little is left to do when it is whole."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._blocks = 0

    def advance(self, size_bytes: int) -> None:
        """Say how many bytes are there by now; does not wait. Raises Cancelled."""
        blocks = size_bytes // _BLOCK_BYTES - self._blocks
        if self._question.look() and blocks > 0:
            self._question.send(f"{blocks}\n")
            self._question.look()
            self._blocks += blocks

    def finish(self, size_bytes: int) -> Answer:
        """Return the checksum of the whole file, of `size_bytes`; None where it cannot be had."""
        if not (yield from self._question.wait_begun()):
            return None
        if (blocks := -(-size_bytes // _BLOCK_BYTES) - self._blocks) > 0:
            self._question.send(f"{blocks}\n")
        self._question.send("0\n")
        return (yield from self._question.wait())

    def abandon(self) -> None:
        """Compute no more."""
        self._question.end()


def _quote(path: bytes) -> str:
    return shlex.quote(path.decode("utf-8", "surrogateescape"))
