"""Planning a capture on MySQL or MariaDB: from the ring of statements in memory, else from the general log's table."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.privileges import format_account, format_grant, has_roles, lacks, privileges_on
from dbtui.adapters.mysql.top_queries import REFUSED, collect_settings
from dbtui.errors import ServerError
from dbtui.model.captures import CaptureWish
from dbtui.model.queries import CapturePlan, CaptureWay, SettingChange
from dbtui.model.text import format_bytes, format_untrusted

#: Everything that must be on for a statement to come into the ring (manual, "Pre-Filtering by Consumer").
CONSUMERS = ("global_instrumentation", "thread_instrumentation", "events_statements_current",
             "events_statements_history_long")  # fmt: skip
CONSUMER = "setup_consumers."
OUTPUT, GENERAL, ROWS = "log_output", "general_log", "rows of mysql.general_log"
NO_ROWS = "none"
_LOOK_SECONDS = 1.0
_ROOM = 4
_LEAST_FREE_BYTES = 256_000_000
_ROW_BYTES = 400
_POLL_SECONDS = 0.1
_IMPORT = "take a log from there and read it with: dbtui queries inspect FILE"


def identify(settings: Mapping[str, str]) -> str:
    """Return what tells this server from any other."""
    known = settings.get("server_uuid") or f"{settings.get('hostname', '')} {settings.get('datadir', '')}"
    return f"MySQL {format_untrusted(known, 200)}, port {settings.get('port', '')}"


def plan_capture(target: MysqlTarget, wish: CaptureWish) -> CapturePlan:
    """Look for about a second at what capturing needs and costs; a refusal is in the plan. Changes nothing."""
    settings = collect_settings(target)
    is_measuring = settings.get("performance_schema") == "ON"
    way = wish.way or (CaptureWay.MYSQL_HISTORY if is_measuring else CaptureWay.MYSQL_GENERAL)
    if target.profile.read_only:
        refusal = f"profile {format_untrusted(target.profile.name)} is read-only; use another profile"
        found = _Found(refusal=refusal)
    elif way is CaptureWay.MYSQL_GENERAL:
        found = _plan_general(target, wish, settings)
    elif is_measuring:
        found = _plan_history(target, settings)
    else:
        say = "put performance_schema = ON below [mysqld] in the server's option file and restart it"
        found = _Found(refusal=f"performance_schema is off: {say}")
    rate = None if found.refusal else _measure_rate(target)
    return CapturePlan(
        profile=target.profile.name,
        way=way,
        seconds=wish.seconds,
        most_bytes=wish.most_bytes,
        sample_rate=1.0,
        changes=found.changes,
        statements_per_second=rate,
        bytes_per_second=None if rate is None else rate * (_ROW_BYTES if way is CaptureWay.MYSQL_GENERAL else 0),
        free_bytes=found.free_bytes,
        cost="" if found.refusal else _describe_cost(way, rate),
        warnings=() if found.refusal else (*found.warnings, *_warn_of_rate(way, rate, found.ring)),
        refusal=found.refusal,
        server=identify(settings),
        format=way.value,
    )


@dataclass(frozen=True)
class _Found:
    """What looking for one way has found. `ring`: how many statements the server keeps."""

    changes: tuple[SettingChange, ...] = ()
    warnings: tuple[str, ...] = ()
    refusal: str = ""
    ring: int = 0
    free_bytes: int | None = None


# ---------------------------------------------------------------- the ring in memory


def _plan_history(target: MysqlTarget, settings: Mapping[str, str]) -> _Found:
    ring = int(settings.get("performance_schema_events_statements_history_long_size", "0"))
    if ring <= 0:
        option = "performance_schema_events_statements_history_long_size"
        return _Found(refusal=f"the server keeps no statements: set {option} in its option file and restart it")
    account = format_account(target.info.user)
    try:
        enabled = {str(row["name"]): str(row["enabled"]) for row in target.collect("statement_consumers")}
        target.collect("switch_consumer", consumer="", enabled="YES")
        warnings = tuple(_warn_of_blind_spots(target))
    except ServerError as error:
        if error.code not in REFUSED:
            raise
        reading = f"GRANT SELECT ON performance_schema.* TO {account}"
        switching = f"GRANT UPDATE ON performance_schema.setup_consumers TO {account}"
        return _Found(refusal=f"this login lacks rights; run {reading}; {switching}")
    changes = tuple(
        SettingChange(name=f"{CONSUMER}{name}", value="YES", before=enabled[name], current=enabled[name])
        for name in CONSUMERS
        if enabled.get(name, "YES") != "YES"
    )
    return _Found(changes=changes, warnings=warnings, ring=ring)


def _warn_of_blind_spots(target: MysqlTarget) -> Iterator[str]:
    if kinds := int(target.collect_one("unmeasured_statements")["instruments"]):
        yield f"{kinds} kinds of statements are not looked at: they are off in performance_schema.setup_instruments"
    if sessions := int(target.collect_one("unmeasured_sessions")["sessions"]):
        yield f"{sessions} sessions are not looked at: performance_schema.threads says INSTRUMENTED = 'NO' of them"


# ---------------------------------------------------------------- the general log


def _plan_general(target: MysqlTarget, wish: CaptureWish, settings: Mapping[str, str]) -> _Found:
    """Without performance_schema: every statement into a table, for a while."""
    if settings.get("basedir", "").startswith("/rdsdbbin") or "aurora_version" in settings:
        say = "set general_log in its parameter group for a while"
        return _Found(refusal=f"this is Amazon RDS or Aurora: its settings are out of reach; {say}, and {_IMPORT}")
    if refusal := _refuse_general(target):
        return _Found(refusal=refusal)
    logged = int(target.collect_one("count_general_log")["logged"])
    free_bytes = wish.free_bytes if wish.free_bytes is not None else _find_free_bytes(target, settings)
    needed = max(_ROOM * wish.most_bytes, _LEAST_FREE_BYTES)
    where = format_untrusted(settings.get("datadir", ""), 200)
    if free_bytes is None:
        say = f"look there ({where}), and say how much is free; {format_bytes(needed)} is enough"
        return _Found(refusal=f"how much room the server has cannot be told from here; {say}")
    if free_bytes < needed:
        free = f"{format_bytes(free_bytes)} are free in {where}"
        return _Found(refusal=f"{free}, and a capture wants {format_bytes(needed)}; make room, or capture fewer bytes")
    outputs = [each for each in settings["log_output"].upper().split(",") if each != "NONE"]
    is_slow_log_filed = settings["slow_query_log"] == "ON" and "FILE" in outputs
    is_general_filed = settings[GENERAL] == "ON" and "FILE" in outputs
    wanted = "FILE,TABLE" if is_slow_log_filed or is_general_filed else "TABLE"
    changes = tuple(_general_changes(settings, wanted, logged))
    return _Found(changes, tuple(_warn_of_general(settings, wanted, logged, is_general_filed)), "", 0, free_bytes)


def _refuse_general(target: MysqlTarget) -> str:
    grants = target.collect_grants()
    held = privileges_on([grant for grant in grants if " ON *.* " in grant], "")
    names = ("SUPER",) if target.is_mariadb else ("SUPER", "SYSTEM_VARIABLES_ADMIN")
    if all(lacks(held, name) for name in names) and not has_roles(grants):
        grant = format_grant([names[-1]], "", target.info.user)
        return f"without performance_schema the general log is needed, and this login may not switch it: {grant}"
    try:
        target.collect("count_general_log")
    except ServerError as error:
        if error.code not in REFUSED:
            raise
        account = format_account(target.info.user)
        return f"this login may not read the general log: GRANT SELECT, DROP ON mysql.general_log TO {account}"
    return ""


def _general_changes(settings: Mapping[str, str], wanted: str, logged: int) -> Iterator[SettingChange]:
    """In the order in which they are made; they are put back the other way round."""
    if not logged and settings[GENERAL] != "ON":
        yield SettingChange(name=ROWS, value="the capture's", before=NO_ROWS, current=NO_ROWS)
    if "TABLE" not in settings[OUTPUT].upper().split(","):
        yield SettingChange(name=OUTPUT, value=wanted, before=settings[OUTPUT], current=settings[OUTPUT])
    if settings[GENERAL] != "ON":
        yield SettingChange(name=GENERAL, value="ON", before=settings[GENERAL], current=settings[GENERAL])


def _warn_of_general(settings: Mapping[str, str], wanted: str, logged: int, is_filed: bool) -> Iterator[str]:
    yield "the general log knows no durations and no rows: what a cure saves is not known from it"
    if logged:
        yield f"mysql.general_log holds {logged} rows: those of the capture stay there with them"
    if "FILE" in wanted and not is_filed:
        file = format_untrusted(settings.get("general_log_file", ""), 200)
        yield f"the slow log goes to a file, and so the general log does too: {file} stays there"


def _find_free_bytes(target: MysqlTarget, settings: Mapping[str, str]) -> int | None:
    """Ask this machine, if the server runs on it."""
    if not target.options.is_local or settings.get("hostname") != os.uname().nodename:
        return None
    try:
        found = os.statvfs(settings.get("datadir", ""))
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


# ---------------------------------------------------------------- cost


def _measure_rate(target: MysqlTarget) -> float:
    before = _questions(target)
    target.cancellation.wait(_LOOK_SECONDS)
    return max(0.0, _questions(target) - before - 1) / _LOOK_SECONDS


def _questions(target: MysqlTarget) -> int:
    return int(target.collect_one("questions_asked")["Value"])


def _describe_cost(way: CaptureWay, rate: float | None) -> str:
    if way is CaptureWay.MYSQL_HISTORY:
        cost = "statements are kept in memory, with their rows and durations, and read ten times a second"
    else:
        cost = "every statement is written into a table, without rows and durations: the server may do a third less"
    return cost if rate is None else f"{cost}; about {rate:.0f} statements/s run now"


def _warn_of_rate(way: CaptureWay, rate: float | None, ring: int) -> Sequence[str]:
    if way is CaptureWay.MYSQL_HISTORY and rate is not None and rate * _POLL_SECONDS > ring / 2:
        return (f"the server keeps {ring} statements, {ring / rate:.2f} s of them: some are lost, and counted",)
    return ()
