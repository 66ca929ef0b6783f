"""Proofs: what restoring a backup has shown, and the throwaway server that it is shown on.

A proof is kept as evidence beside the manifest; its fields are the file format (version 1) described in the README.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from dbtui.model.backups import Flaw

PROOFS_VERSION = 1
PROOFS_SUFFIX = ".proofs.json"
#: How many proofs of one backup are kept, the newest first.
MOST_PROOFS = 20
#: How many sentences of each kind a proof keeps.
MOST_SENTENCES = 50


class ProofOutcome(StrEnum):
    """What a restore has shown."""

    EQUAL = "equal"
    DIFFERENT = "different"
    UNPROVEN = "unproven"  # it cannot be tried here, which says nothing against the backup


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrowawayPlan:
    """A throwaway server that can be had here. `programs` is the directory of its programs; empty for a file.

    `account` is the one it runs under; empty: our own. `parent` is where its directory is made.
    """

    server: str  # "PostgreSQL 15.18"
    version: str
    programs: str = ""
    account: str = ""
    parent: str
    needed_bytes: int | None = None
    preloaded: tuple[str, ...] = ()  # libraries that the backup's extensions want at the server's start
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Soundness:
    """What was looked at in a restored database, and what was found. `checked` counts by kind: ("constraints", 12)."""

    checked: tuple[tuple[str, int], ...] = ()
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One try to restore a backup: what, when, how long, where, and what came of it. Times are ISO 8601 in UTC."""

    outcome: ProofOutcome
    began_at: str
    ended_at: str
    seconds: float
    where: str  # "a throwaway PostgreSQL 15.18", "a scratch database on staging"
    host: str = ""
    server_version: str = ""
    backup_version: str = ""
    dbtui_version: str = ""
    files: int = 0
    tables: int = 0
    rows: int | None = None
    checked: dict[str, int] = field(default_factory=dict)  # by kind: constraints, indexes, sequences …
    steps: dict[str, float] = field(default_factory=dict)  # seconds by step
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
