"""Planning a capture by PostgreSQL's log: what would be changed, what it costs, and why it may not be done."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbtui.adapters.postgresql.auto_conf import read_auto_conf
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.pools import is_local_process
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.adapters.postgresql.top_queries import collect_totals, hush
from dbtui.errors import ServerError
from dbtui.model.captures import CaptureWish
from dbtui.model.queries import CapturePlan, CaptureWay, SettingChange
from dbtui.model.text import format_bytes, format_untrusted

DESTINATION = "log_destination"
DURATION = "log_min_duration_statement"
SAMPLING = "log_transaction_sample_rate"
PARAMETERS = "log_parameter_max_length"
_NAMES = (DESTINATION, DURATION, SAMPLING, PARAMETERS)
_ROLE_NAMES = (*_NAMES, "log_min_duration_sample", "log_statement_sample_rate")
_PARAMETER_BYTES = "64"
_JSON_SINCE, _PARAMETERS_SINCE, _SAMPLING_SINCE, _GRANTS_SINCE = 150000, 130000, 120000, 150000
_LOOK_SECONDS = 1.0
#: A part of the transactions tells enough, and costs nothing to speak of; fewer statements a second are all logged.
_SAMPLE = 0.1
_QUIET = 200.0
#: Room that must be free where the server logs: a server whose disk is full stops, and others write there too.
_ROOM = 4
_LEAST_FREE_BYTES = 256_000_000
#: What a statement adds to its text in each format, and how many lines the extended protocol may write for it.
_LINE_BYTES = {"jsonlog": 420, "csvlog": 220, "stderr": 120}
_LINES = 2
_UNCHANGEABLE = ("command line", "environment variable", "override")
_FUNCTIONS = (
    ("can_reload", "pg_reload_conf()"),
    ("can_find_log", "pg_current_logfile(text)"),
    ("can_list_log", "pg_ls_logdir()"),
    ("can_read_log", "pg_read_binary_file(text, bigint, bigint, boolean)"),
)
_IMPORT = "take the log from there and read it with: dbtui queries inspect FILE"
_MANAGERS = {
    "rds": ("Amazon RDS or Aurora", "a parameter group"),
    "cloudsql": ("Google Cloud SQL", "its database flags"),
    "azure": ("Azure Database", "its server parameters"),
    "alloydb": ("AlloyDB", "its database flags"),
    "neon": ("Neon", "its console"),
    "aiven": ("Aiven", "its console"),
    "crunchybridge": ("Crunchy Bridge", "its configuration parameters"),
}


@dataclass(frozen=True)
class _Facts:
    """What a plan is made from. `held`: of ALTER SYSTEM, by name. `shown`: what is in effect."""

    row: Any
    settings: dict[str, Any]
    held: dict[str, str]
    rights: dict[str, bool]
    free_bytes: int | None


def plan_capture(target: PostgresqlTarget, wish: CaptureWish) -> CapturePlan:
    """Look for about a second at what capturing needs and costs; a refusal is in the plan. Changes nothing."""
    row = target.collect_one("collect_capture_facts")
    found = target.collect("collect_capture_settings", names=list(_NAMES))
    hush(target)
    settings = {each.name: each for each in found}
    held = read_auto_conf(target, _NAMES) if row.can_read_log else {}
    rights = {each.name: each.can_alter for each in target.collect("collect_setting_rights", names=list(_NAMES))}
    if target.info.is_superuser:
        rights = dict.fromkeys(_NAMES, True)
    free_bytes = _find_free_bytes(row) if wish.free_bytes is None else wish.free_bytes
    facts = _Facts(row, settings, held, rights, free_bytes)
    format_name = _choose_format(target, row)
    sample_rate = _choose_rate(target, 0.0) if wish.sample_rate is None else wish.sample_rate
    changes = tuple(_changes(target, facts, sample_rate, format_name))
    refusal = _refuse(target, facts, wish, sample_rate, changes)
    rate, text_bytes = (None, 0.0) if refusal else _measure_rate(target)
    if wish.sample_rate is None and not refusal:
        sample_rate = _choose_rate(target, rate)
        changes = tuple(_changes(target, facts, sample_rate, format_name))
        refusal = _refuse(target, facts, wish, sample_rate, changes)
    destinations = {*_split(row.destinations), format_name} & _LINE_BYTES.keys()
    each_bytes = _LINES * sum(_LINE_BYTES[name] + text_bytes for name in destinations)
    bytes_rate = None if rate is None else rate * sample_rate * each_bytes
    return CapturePlan(
        profile=target.profile.name,
        way=CaptureWay.POSTGRESQL_LOG,
        seconds=wish.seconds,
        most_bytes=wish.most_bytes,
        sample_rate=sample_rate,
        changes=changes,
        statements_per_second=rate,
        bytes_per_second=bytes_rate,
        free_bytes=free_bytes,
        cost="" if refusal else _describe_cost(sample_rate, rate, bytes_rate),
        warnings=() if refusal else tuple(_warnings(target, facts, sample_rate)),
        refusal=refusal,
        server=identify(row),
        format=format_name,
    )


def identify(row: Any) -> str:
    """Return what tells this server from any other, also from a replica that took its place."""
    return f"PostgreSQL {row.system_identifier}, timeline {row.timeline}, port {row.port}"


def _split(destinations: str) -> list[str]:
    return [each.strip().lower() for each in destinations.split(",") if each.strip()]


def _choose_format(target: PostgresqlTarget, row: Any) -> str:
    there = _split(row.destinations)
    if "jsonlog" in there or (target.info.version_number >= _JSON_SINCE and "csvlog" not in there):
        return "jsonlog"
    return "csvlog"


# ---------------------------------------------------------------- changes


def _choose_rate(target: PostgresqlTarget, statements_per_second: float | None) -> float:
    """Every statement where few run: a tenth of them might hold no loop at all."""
    is_quiet = statements_per_second is not None and statements_per_second < _QUIET
    return 1.0 if is_quiet or target.info.version_number < _SAMPLING_SINCE else _SAMPLE


def _changes(target: PostgresqlTarget, facts: _Facts, sample_rate: float, format_name: str) -> Iterator[SettingChange]:
    """What is not as it should be already. `log_statement` stays: its lines would have no duration."""
    if sample_rate >= 1:
        yield from _change(facts, DURATION, "0")
    elif facts.settings[DURATION].setting != "0" and not _samples(facts, sample_rate):
        yield from _change(facts, SAMPLING, f"{sample_rate:g}")
    if target.info.version_number >= _PARAMETERS_SINCE and facts.rights[PARAMETERS]:
        shown = facts.settings[PARAMETERS].setting
        if not 0 <= int(shown) <= int(_PARAMETER_BYTES):
            yield from _change(facts, PARAMETERS, _PARAMETER_BYTES)
    there = facts.row.destinations
    if format_name not in _split(there):
        yield from _change(facts, DESTINATION, ",".join((*_split(there), format_name)))


def _samples(facts: _Facts, rate: float) -> bool:
    """Whether the server logs that many transactions already."""
    now = facts.settings.get(SAMPLING)
    return now is not None and float(now.setting) >= rate


def _change(facts: _Facts, name: str, value: str) -> Iterator[SettingChange]:
    """Nothing when the value is in effect already, or is held and only waits for a reload."""
    now = facts.settings.get(name)
    if now is not None and now.setting != value:
        yield SettingChange(name=name, value=value, before=facts.held.get(name), current=now.shown)


# ---------------------------------------------------------------- refusals


def _refuse(
    target: PostgresqlTarget, facts: _Facts, wish: CaptureWish, sample_rate: float, changes: Sequence[SettingChange]
) -> str:  # fmt: skip
    """Return the first reason why not, with what to do; empty when there is none."""
    row = facts.row
    if target.profile.read_only:
        return f"profile {format_untrusted(target.profile.name)} is read-only; use another profile"
    if managed := _describe_manager(row):
        return managed
    if row.allows_alter == "off":
        return f"allow_alter_system is off: whoever manages this server sets its parameters; {_IMPORT}"
    if row.is_replica:
        why = "its postgresql.auto.conf makes it a replica, and failover tools rewrite that file"
        return f"this server is a replica, and {why}; capture on its primary, or {_IMPORT}"
    if target.works_pooled:
        return "this login goes through a pooler; use a profile with the server's own address"
    if row.collects != "on":
        say = "ALTER SYSTEM SET logging_collector = on, then restart the server"
        return f"logging_collector is off, so that its log cannot be read over a connection; {say}, or {_IMPORT}"
    if sample_rate < 1 and target.info.version_number < _SAMPLING_SINCE:
        return "this version cannot log a sample of transactions; capture everything (a sample of 1), for a short time"
    return _refuse_rights(target, facts, changes) or _refuse_settings(facts, changes) or _refuse_room(facts, wish)


def _describe_manager(row: Any) -> str:
    for name in row.managers:
        for stem, (service, place) in _MANAGERS.items():
            if name.startswith(stem):
                say = f"set {SAMPLING} or {DURATION} in {place} for a while"
                return f"this is {service}: ALTER SYSTEM and its log's files are out of reach; {say}, and {_IMPORT}"
    return ""


def _refuse_rights(target: PostgresqlTarget, facts: _Facts, changes: Sequence[SettingChange]) -> str:
    if target.info.is_superuser:
        return ""
    login = quote_name(target.info.user)
    lacking = [change.name for change in changes if not facts.rights[change.name]]
    functions = [signature for right, signature in _FUNCTIONS if not getattr(facts.row, right)]
    if lacking and target.info.version_number < _GRANTS_SINCE:
        return f"only a superuser may change {', '.join(lacking)} before PostgreSQL 15; use a profile of one"
    grants = [f"GRANT ALTER SYSTEM, SET ON PARAMETER {', '.join(lacking)} TO {login}"] if lacking else []
    if functions:
        database = quote_name(target.info.database)
        grants.append(f"in database {database} GRANT EXECUTE ON FUNCTION {', '.join(functions)} TO {login}")
    return f"this login lacks rights; a superuser runs: {'; '.join(grants)}" if grants else ""


def _refuse_settings(facts: _Facts, changes: Sequence[SettingChange]) -> str:
    for change in changes:
        source = facts.settings[change.name].source
        if source in _UNCHANGEABLE:
            return f"{change.name} comes from the server's {source}, which wins over ALTER SYSTEM; change it there"
    return ""


def _refuse_room(facts: _Facts, wish: CaptureWish) -> str:
    needed = max(_ROOM * wish.most_bytes, _LEAST_FREE_BYTES)
    where = format_untrusted(_log_directory(facts.row) or "its log directory", 200)
    if facts.free_bytes is None:
        why = "and a server whose disk is full stops"
        say = f"look there ({where}), and say how much is free (--free SIZE); {format_bytes(needed)} is enough"
        return f"how much room there is where the server logs cannot be told from here, {why}; {say}"
    if facts.free_bytes < needed:
        free = f"{format_bytes(facts.free_bytes)} are free in {where}"
        return f"{free}, and a capture wants {format_bytes(needed)}; make room, or capture fewer bytes"
    return ""


def _log_directory(row: Any) -> str:
    if not row.log_directory or not row.data_directory:
        return ""
    return str(Path(row.data_directory) / row.log_directory)


def _find_free_bytes(row: Any) -> int | None:
    """Ask this machine, if the server runs on it; a directory that cannot be seen from here is not guessed at."""
    directory = _log_directory(row)
    if not directory or not is_local_process(row.process_id):
        return None
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


# ---------------------------------------------------------------- cost


def _measure_rate(target: PostgresqlTarget) -> tuple[float | None, float]:
    """Statements a second, and the bytes of their texts; where they are not counted, transactions."""
    try:
        first = collect_totals(target)
        before = first[0] if first else target.collect_one("count_transactions").transactions
        target.cancellation.wait(_LOOK_SECONDS)
        last = collect_totals(target) if first else None
        after = last[0] if last else target.collect_one("count_transactions").transactions
    except ServerError:
        return None, 0.0
    return max(0.0, after - before) / _LOOK_SECONDS, last[1] if last else 200.0


def _describe_cost(sample_rate: float, rate: float | None, bytes_rate: float | None) -> str:
    if sample_rate >= 1:
        cost = "every statement is logged: a server that runs many tiny ones may do half as many meanwhile"
    else:
        cost = f"{sample_rate:.0%} of the transactions are logged, whole: no cost was measured"
    if rate is None or bytes_rate is None:
        return cost
    return f"{cost}; about {rate:.0f} statements/s run now, so that the log grows by {format_bytes(bytes_rate)}/s"


def _warnings(target: PostgresqlTarget, facts: _Facts, sample_rate: float) -> Iterator[str]:
    yield "the text and the values of statements are written into the server's log, and stay there"
    yield "while the server cannot be reached it goes on logging: the guard puts it back when it can be again"
    if sample_rate < 1:
        yield "statements outside of transactions are sampled one by one, and so are no sequence"
    if facts.row.log_statement != "none":
        yield f"log_statement is {facts.row.log_statement}: statements are logged twice, and some without duration"
    for row in target.collect("collect_settings_of_roles", names=list(_ROLE_NAMES)):
        whose = " in ".join(part for part in (_name("role", row.login), _name("database", row.database)) if part)
        setting = format_untrusted(f"{row.name} = {row.value}", 80)
        yield f"{whose or 'every role'} has {setting} of its own: its sessions are logged as that says"
    try:
        for row in target.collect("collect_unloaded_files"):
            shown = format_untrusted(row.name, 200)
            if row.is_wrong:
                yield f"{shown} has an error: the server may refuse to read its settings anew; see pg_file_settings"
            elif row.is_newer:
                yield f"{shown} was changed and not reloaded since: a capture reloads it with these changes"
    except ServerError as error:
        if error.code != "42501":
            raise


def _name(kind: str, name: str) -> str:
    return f"{kind} {format_untrusted(name, 80)}" if name else ""
