"""What a server that is to be copied says: limits, privileges, sizes, files; and whether it lets a copy begin."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extras import PhysicalReplicationConnection

from dbtui.adapters.libpq.conninfo import fit_conninfo, format_conninfo
from dbtui.adapters.libpq.failures import translate_connect
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.pools import is_local_process
from dbtui.errors import UsageError
from dbtui.model.replica_facts import SourceFacts

_TRY_SECONDS = "5"
_MEGABYTE = 1 << 20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: What only concerns dbtui's own connection, and a replica's does without: it looks its source's name up each time.
_OWN_WORDS = ("dbname", "client_encoding", "options", "passfile", "application_name", "target_session_attrs",
              "hostaddr", "load_balance_hosts", "fallback_application_name", "replication", "servicefile",
              "service")  # fmt: skip
#: What a service file or a variable may say of how strict a connection is, with libpq's own defaults.
_STRICTNESS = {"sslmode": "prefer", "sslrootcert": "", "sslcert": "", "sslkey": "", "sslcrl": "", "sslcrldir": "",
               "ssl_min_protocol_version": "TLSv1.2", "ssl_max_protocol_version": "", "channel_binding": "prefer",
               "gssencmode": "prefer", "krbsrvname": "postgres", "requirepeer": "", "require_auth": ""}  # fmt: skip
_SECRETS = frozenset({"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
#: Of these a replica must have as much as its source (manual, "Hot Standby", "Administrator's Overview").
LIMITS = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
          "max_locks_per_transaction")  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Settings of the source by name; those that the login may not see are missing. `configured`: set in its file."""

    values: Mapping[str, str]
    configured: frozenset[str]

    @property
    def data_directory(self) -> str:
        """Where its data is; empty when that is not told."""
        return self.values.get("data_directory", "")

    @property
    def checkpoint_seconds(self) -> float | None:
        """How long a spread checkpoint may take; None: that is not told."""
        try:
            return float(self.values["checkpoint_timeout"]) * float(self.values["checkpoint_completion_target"])
        except (KeyError, ValueError):
            return None

    @property
    def outside_files(self) -> tuple[str, ...]:
        """Its configuration files outside its data directory: a copy has none of them."""
        home = self.data_directory
        if not home:
            return ()
        found = (self.values.get(name, "") for name in ("config_file", "hba_file"))
        return tuple(each for each in found if each and not Path(each).is_relative_to(home))


def collect_settings(target: PostgresqlTarget) -> SourceSettings:
    """Ask where the source keeps its files and what its limits are."""
    rows = target.collect("collect_source_settings")
    return SourceSettings(
        {row.name: row.setting or "" for row in rows}, frozenset(row.name for row in rows if row.is_configured)
    )


def collect_source(target: PostgresqlTarget, settings: SourceSettings, skew_seconds: float) -> SourceFacts:
    """Ask everything that planning needs; a connection for replication is really tried. Raises ServerError."""
    row = target.collect_one("collect_source_facts")
    place = target.collect_one("collect_replication")
    slots = tuple(each.slot_name for each in target.collect("collect_replication_slots"))
    kept = row.kept_megabytes
    return SourceFacts(
        address=target.where,
        login=target.info.user,
        system=place.system,
        is_replica=place.is_replica,
        is_pooled=target.is_pooled,
        wal_level=row.wal_level,
        senders=(row.senders, row.most_senders),
        slots=(len(slots), row.most_slots),
        slot_names=slots,
        replica_names=tuple(row.replica_names),
        synchronous_names=row.synchronous_names,
        may_replicate=bool(row.may_replicate),
        replication_problem="" if target.is_pooled or not row.may_replicate else try_replication(target),
        size_bytes=None if row.unmeasured else row.size_bytes,
        kept_bytes=None if kept is None or kept < 0 else kept * _MEGABYTE,
        has_full_pages=bool(row.has_full_pages),
        clock_skew_seconds=skew_seconds,
        tablespaces=tuple(each.name for each in target.collect("collect_tablespace_places")),
        outside_files=settings.outside_files,
        checkpoint_seconds=settings.checkpoint_seconds,
        is_tunnelled=target.host in _LOOPBACK and not is_local_process(place.process_id),
    )


def replication_parameters(target: PostgresqlTarget, passfile: str, major: int) -> dict[str, str]:
    """Return libpq's parameters by which a replica, and the copy before it, reach the source. No secret is in them.

    Raises UsageError for a secret that cannot be given in a file, ToolError for what this version's libpq lacks.
    """
    words, _ = target.login_parameters()
    for keyword in _SECRETS & words.keys():
        raise UsageError(f"a replica cannot be given {keyword} safely", "use a login that does without it")
    told = {keyword: value for keyword, value in target.wire.dsn_parameters.items() if keyword in _STRICTNESS}
    kept = {keyword: value for keyword, value in told.items() if value and value != _STRICTNESS[keyword]}
    kept |= {keyword: value for keyword, value in words.items() if keyword not in _OWN_WORDS}
    if passfile:
        kept["passfile"] = passfile
    return fit_conninfo(kept, major)


def try_replication(target: PostgresqlTarget) -> str:
    """Open a connection for replication as the copy will; return why it was refused, empty when it was not."""
    words, password = target.login_parameters()
    asked = {keyword: value for keyword, value in words.items() if keyword not in ("dbname", "options")}
    asked |= {"connect_timeout": _TRY_SECONDS}
    secret = {"password": password.reveal()} if password is not None else {}
    try:
        made = psycopg2.connect(format_conninfo({**asked, **secret}), connection_factory=PhysicalReplicationConnection)
    except psycopg2.Error as error:
        return str(translate_connect(error, asked))
    try:
        with made.cursor() as cursor:
            cursor.execute("IDENTIFY_SYSTEM")
    except psycopg2.Error as error:
        return str(translate_connect(error, asked))
    finally:
        made.close()
    return ""
