"""The frame of a plain dump: its first and last comments, and the psql commands that may stand between."""

import re

from dbtui.adapters.postgresql.sql_lexer import Statement
from dbtui.adapters.postgresql.sql_tokens import head_words
from dbtui.model.text import format_untrusted

_HEAD = b"PostgreSQL database dump"
_TRAILER = b"-- PostgreSQL database dump complete"
_CLUSTER = b"PostgreSQL database cluster dump"
_RESTRICT = re.compile(rb"\\(un)?restrict ([A-Za-z0-9]+)")
_CONNECT = re.compile(rb"\\connect\s+(?:-reuse-previous=on\s+)?\S.*")
_SERVER_VERSION = re.compile(rb"^-- Dumped from database version (\S+)", re.MULTILINE)
_TOOL_VERSION = re.compile(rb"^-- Dumped by pg_dump version (\S+)", re.MULTILINE)


class DumpFrame:
    """Follows a dump from its head to its trailer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._statements = 0
        self._key: bytes | None = None
        self._unrestricted = False
        self._created_database = False
        self._connects: list[bytes] = []
        self._complete = False
        self.is_foreign = False
        self.server_version = ""
        self.tool_version = ""

    def follow(self, statement: Statement) -> str:
        """Take one statement or psql command; returns what is wrong with its being here, or nothing."""
        problem = self._read_comments(statement)
        if not problem and statement.is_command:
            problem = self._follow_command(statement.text)
        elif not problem:
            if self._complete or self._unrestricted:
                problem = "statements follow after the end of the dump"
            if statement.text[:6].upper() == b"CREATE":
                self._created_database |= head_words(statement.text, 2) == ("CREATE", "DATABASE")
        self._statements += 1
        return f"{self._name}:{statement.line}: {problem}" if problem else ""

    def _read_comments(self, statement: Statement) -> str:
        comments = statement.comments
        if self._statements == 0:
            if _CLUSTER in comments:
                self.is_foreign = True
                return "this is a dump of a whole server, made by pg_dumpall: restore one database's own dump"
            if _HEAD not in comments:
                self.is_foreign = True
                return "this is not a dump made by pg_dump"
        if not comments:
            return ""
        self._complete |= _TRAILER in comments
        for pattern, attribute in ((_SERVER_VERSION, "server_version"), (_TOOL_VERSION, "tool_version")):
            if (found := pattern.search(comments)) and not getattr(self, attribute):
                setattr(self, attribute, format_untrusted(found[1].decode("utf-8", "replace"), 40))
        return ""

    def _follow_command(self, text: bytes) -> str:
        restrict = _RESTRICT.fullmatch(text)
        if restrict is None:
            return self._follow_connect(text)
        if restrict[1] is None:
            if self._key is not None or (self._statements > 0 and not self._connects):
                return "\\restrict stands where pg_dump does not write it"
            self._key, self._unrestricted = restrict[2], False
        elif self._key != restrict[2]:
            return "\\unrestrict does not match \\restrict: the file was altered or cut off"
        else:
            self._key, self._unrestricted = None, True
        return ""

    def _follow_connect(self, text: bytes) -> str:
        """`pg_dump -C` writes \\connect to the database it has just created, and again after that got its settings."""
        if not _CONNECT.fullmatch(text):
            shown = format_untrusted(text.split()[0].decode("utf-8", "replace"), 40)
            return f"the psql command {shown} stands in the dump, which pg_dump never writes"
        is_first = not self._connects
        is_again = len(self._connects) == 1 and text == self._connects[0]
        if not (is_first or is_again) or not self._created_database or self._key is not None:
            return "\\connect stands where pg_dump does not write it"
        self._connects.append(text)
        self._unrestricted = False
        return ""

    def close(self, trailing_comments: bytes) -> list[str]:
        """Return what is wrong now that the file has ended."""
        if self._statements == 0 and _HEAD not in trailing_comments:
            return [f"{self._name}: this is not a dump made by pg_dump"]
        if not (self._complete or _TRAILER in trailing_comments):
            return [f"{self._name}: the dump does not end with pg_dump's last line: it was cut off"]
        if self._key is not None:
            return [f"{self._name}: \\unrestrict is missing at the end: the file was cut off"]
        return []
