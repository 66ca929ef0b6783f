"""Judgements of the check-up: what is well, what deserves a remark, what is trouble, and the command that helps."""

import shlex
from collections.abc import Iterator, Sequence

from dbtui.analysis.copying import assess_copying
from dbtui.model.connections import ConnectionProfile
from dbtui.model.doctor import (
    Capabilities,
    Capability,
    CredentialFile,
    DirectoryFacts,
    Finding,
    InstalledTool,
    TerminalFacts,
)
from dbtui.model.findings import FindingLevel
from dbtui.model.policies import PartitionPolicy
from dbtui.model.text import format_bytes, format_duration, format_untrusted

OK, REMARK, TROUBLE = FindingLevel.OK, FindingLevel.REMARK, FindingLevel.TROUBLE

_LEAST_COLUMNS, _LEAST_LINES = 80, 24
_SLOW_ESCAPE_MILLISECONDS = 100
#: The first release of each major version whose psql does not run commands out of `\unrestrict` (CVE-2026-18408).
_PSQL_MENDED = {14: 140024, 15: 150019, 16: 160015, 17: 170011, 18: 180006}
_SCARCE_BYTES = 1_000_000_000
_SKEW_REMARK_SECONDS, _SKEW_TROUBLE_SECONDS = 5.0, 300.0


# --- terminal -------------------------------------------------------------------------------------------------------


def assess_terminal(facts: TerminalFacts) -> Iterator[Finding]:
    """Judge the terminal: TERM, colours, size, characters, SSH, copying, tmux."""
    yield _assess_term(facts)
    yield _assess_colours(facts)
    size = f"{facts.columns}x{facts.lines}"
    if facts.columns < _LEAST_COLUMNS or facts.lines < _LEAST_LINES:
        yield _terminal(REMARK, "size", f"{size} is small: panes leave columns out", "enlarge it to 80x24 or more")
    else:
        yield _terminal(OK, "size", size)
    if "utf-8" in facts.locale.lower() or "utf8" in facts.locale.lower():
        yield _terminal(OK, "characters", f"UTF-8 ({facts.locale})")
    else:
        said = f"the locale is {facts.locale or 'not set'}: lines and accents may be garbled"
        yield _terminal(REMARK, "characters", said, "export LC_ALL=C.UTF-8")
    if facts.ssh_client:
        said = f"from {facts.ssh_client}: looks every 2 s, no mouse, no animation (dbtui --rich turns all on)"
        yield _terminal(OK, "SSH", said, "ssh -C compresses what is drawn to a tenth")
    yield _assess_copying(facts)
    if facts.is_tmux:
        yield from _assess_tmux(facts)


def _terminal(level: FindingLevel, subject: str, sentence: str, remedy: str = "") -> Finding:
    return Finding(level, "terminal", subject, sentence, remedy)


def _assess_term(facts: TerminalFacts) -> Finding:
    if facts.term in ("", "dumb", "unknown"):
        said = f"TERM is {facts.term or 'not set'}: the terminal UI refuses to start, the commands work"
        return _terminal(REMARK, "TERM", said, "export TERM=xterm-256color")
    if facts.terminfo_colours is None:
        said = f"this machine does not know TERM={facts.term}: dbtui draws, other programs may not"
        return _terminal(REMARK, "TERM", said, f"on your own machine: infocmp -x {facts.term} | ssh HOST tic -x -")
    known = "" if facts.is_terminal else " (standard output is no terminal now)"
    return _terminal(OK, "TERM", f"{facts.term}{known}")


def _assess_colours(facts: TerminalFacts) -> Finding:
    if facts.no_color:
        return _terminal(OK, "colours", "none, because NO_COLOR is set")
    if facts.colorterm in ("truecolor", "24bit"):
        return _terminal(OK, "colours", f"16 million (COLORTERM={facts.colorterm})")
    if "256color" in facts.term or (facts.terminfo_colours or 0) >= 256:
        return _terminal(OK, "colours", "256")
    return _terminal(OK, "colours", "16: the terminal's own palette", "export COLORTERM=truecolor if it has more")


def _assess_copying(facts: TerminalFacts) -> Finding:
    way = assess_copying(facts)
    if way.sentence:
        return _terminal(REMARK, "copy (OSC 52)", way.sentence, way.remedy)
    said = "sent to the terminal; whether it takes it only the terminal knows (GNOME Terminal does not)"
    return _terminal(OK, "copy (OSC 52)", said)


def _assess_tmux(facts: TerminalFacts) -> Iterator[Finding]:
    settings = dict(facts.tmux_settings)
    shown = ", ".join(f"{name} {value}" for name, value in facts.tmux_settings) or "its settings cannot be read"
    yield _terminal(OK, "tmux settings", f"{facts.tmux_version or 'version unknown'}: {shown}")
    escape = settings.get("escape-time", "")
    if escape.isdecimal() and int(escape) > _SLOW_ESCAPE_MILLISECONDS:
        said = f"tmux holds Esc back for {escape} ms: leaving a dialog feels slow"
        yield _terminal(REMARK, "tmux escape-time", said, "tmux set -s escape-time 10")


# --- tools ----------------------------------------------------------------------------------------------------------


def assess_tools(tools: Sequence[InstalledTool], names: Sequence[str]) -> Iterator[Finding]:
    """Judge the programs that were found; `names` are those that were looked for."""
    for tool in tools:
        yield _assess_tool(tool)
    for name in names:
        if not any(tool.name == name for tool in tools):
            yield _assess_missing(name)


def _tool(level: FindingLevel, subject: str, sentence: str, remedy: str = "") -> Finding:
    return Finding(level, "tools", subject, sentence, remedy)


def _assess_tool(tool: InstalledTool) -> Finding:
    found = f"{tool.version or 'version unknown'} ({tool.path})"
    if tool.name == "psql" and has_psql_hole(tool.version_number):
        said = f"{found} runs commands out of hostile dumps (CVE-2026-18408); dbtui does not use psql"
        return _tool(REMARK, "psql", said, "give psql no dump that others made, and update the PostgreSQL client")
    flavour = f"{tool.flavour}'s " if tool.flavour in ("MySQL", "MariaDB") else ""
    return _tool(OK, tool.name, f"{flavour}{found}")


def has_psql_hole(version_number: int) -> bool:
    r"""Whether this psql runs a command that stands behind `\unrestrict` in a dump.

    Mended in 14.24, 15.19, 16.15, 17.11 and 18.6; versions that are no longer maintained stay as they are.
    """
    major = version_number // 10000
    return 0 < version_number < _PSQL_MENDED.get(major, 0) or 0 < major < min(_PSQL_MENDED)


_MISSING = {
    "pg_dump": (REMARK, "PostgreSQL cannot be backed up from here", "apt-get install postgresql-client"),
    "pg_restore": (REMARK, "archives of PostgreSQL cannot be restored from here", "apt-get install postgresql-client"),
    "mariadb-dump": (REMARK, "MySQL and MariaDB cannot be backed up from here", "apt-get install mariadb-client"),
    "zstd": (REMARK, "zstd is packed inside dbtui, which is slower", "apt-get install zstd"),
    "setpriv": (REMARK, "a tool outlives a dbtui that is killed", "apt-get install util-linux"),
}


def _assess_missing(name: str) -> Finding:
    level, said, remedy = _MISSING.get(name, (OK, "not installed, and not needed", ""))
    return _tool(level, name, f"not found: {said}" if name in _MISSING else said, remedy)


# --- files ----------------------------------------------------------------------------------------------------------


def assess_directory(facts: DirectoryFacts) -> Finding:
    """Judge a directory that is written to."""
    where, quoted = facts.purpose, shlex.quote(facts.path)
    if not facts.is_writable:
        said = f"{facts.path} " + ("cannot be written" if facts.exists else "does not exist and cannot be made")
        return Finding(TROUBLE, "directories", where, said, f"sudo install -d -m 700 -o $USER {quoted}")
    free = "" if facts.free_bytes is None else f"{format_bytes(facts.free_bytes)} free"
    if facts.free_bytes is not None and facts.free_bytes < _SCARCE_BYTES:
        return Finding(
            REMARK, "directories", where, f"{facts.path}: only {free}", "free some space, or choose another backup_dir"
        )
    if facts.is_open_to_others:
        said = f"{facts.path}: writable, {free}; other users may look into it"
        return Finding(REMARK, "directories", where, said, f"chmod 700 {quoted}")
    made = "" if facts.exists else ", made when it is needed"
    return Finding(OK, "directories", where, f"{facts.path}: writable, {free}{made}")


def assess_credential_file(facts: CredentialFile) -> Finding:
    """Judge a file that logins are read from."""
    where, quoted = facts.kind, shlex.quote(facts.path)
    if not facts.exists:
        return Finding(OK, "credentials", where, f"{facts.path} is not there")
    if not facts.is_read:
        said = f"{facts.path}: logins in it are not read by dbtui"
        return Finding(REMARK, "credentials", where, said, "put the login into ~/.my.cnf or use password_command")
    if not facts.is_ours:
        return Finding(REMARK, "credentials", where, f"{facts.path} belongs to somebody else", f"ls -l {quoted}")
    is_open = bool(facts.mode & 0o077) and facts.holds_secret
    if is_open and facts.is_ignored_when_open:
        said = f"{facts.path}: mode {facts.mode:04o}: left out by the driver, because others may read it"
        return Finding(TROUBLE, "credentials", where, said, f"chmod 600 {quoted}")
    if is_open:
        said = f"{facts.path}: mode {facts.mode:04o}: others may read the password in it"
        return Finding(TROUBLE, "credentials", where, said, f"chmod 600 {quoted}")
    return Finding(OK, "credentials", where, f"{facts.path}: mode {facts.mode:04o}")


# --- targets --------------------------------------------------------------------------------------------------------


def assess_capabilities(found: Capabilities, profile: ConnectionProfile) -> Iterator[Finding]:
    """Judge a login: what it may do, TLS, a pooler in the path, the clocks."""
    info = found.info
    said = f"{info.flavour} {info.version}, {info.role}, at {found.where}, as {info.user or 'this user'}"
    yield _target(OK, "server", said + (", read-only" if profile.read_only else ""))
    yield from (_target(TROUBLE, "backup", each) for each in found.troubles)
    yield from (_target(REMARK, "server", each) for each in found.remarks)
    for item in found.items:
        yield _assess_capability(item)
    yield from _assess_way(found)
    yield from _assess_clock(found)


def _target(level: FindingLevel, subject: str, sentence: str, remedy: str = "") -> Finding:
    return Finding(level, "target", subject, sentence, remedy)


def _assess_capability(item: Capability) -> Finding:
    if item.is_held:
        return _target(OK, item.name, "held")
    if item.is_held is None:
        said = f"may come from a role, which the server does not spell out; without it {item.without}"
        return _target(REMARK, item.name, said, item.grant)
    return _target(TROUBLE if item.is_vital else REMARK, item.name, f"lacking: {item.without}", item.grant)


def _assess_way(found: Capabilities) -> Iterator[Finding]:
    if found.is_tls:
        proven = "the server has proved who it is" if found.is_tls_verified else "the server has not proved who it is"
        is_fine = found.is_tls_verified or found.is_local
        remedy = "" if is_fine else "sslmode=verify-full&sslrootcert=FILE in the URL (MySQL: ssl_ca=FILE)"
        yield _target(OK if is_fine else REMARK, "TLS", f"{found.tls_detail}; {proven}", remedy)
    elif found.is_tls is not None and not found.is_local:
        said = "not used: passwords and rows cross the network in the clear"
        yield _target(TROUBLE, "TLS", said, "sslmode=verify-full in the URL (MySQL: ssl_mode=verify_identity)")
    elif found.is_tls is not None:
        yield _target(OK, "TLS", "not used, on this machine alone")
    if found.is_pooled and found.passes_pooler:
        yield _target(OK, "pooler", "in the path; backups and restores go past it, straight to the server")
    elif found.is_pooled:
        said = "in the path, and no way past it was found: dumps through a transaction pooler disturb other clients"
        yield _target(REMARK, "pooler", said, "give the server's own address in the profile's url")
    elif found.is_pooled is not None:
        yield _target(OK, "pooler", "none in the path")


def _assess_clock(found: Capabilities) -> Iterator[Finding]:
    if found.clock_skew_seconds is None:
        return
    skew = abs(found.clock_skew_seconds)
    if skew - found.round_trip_seconds < _SKEW_REMARK_SECONDS:
        yield _target(OK, "clock", f"the server's and this machine's agree within {max(skew, 0.1):.1f} s")
        return
    side = "ahead of" if found.clock_skew_seconds > 0 else "behind"
    said = f"the server's is {format_duration(skew)} {side} this machine's"
    yield _target(TROUBLE if skew >= _SKEW_TROUBLE_SECONDS else REMARK, "clock", said, "timedatectl set-ntp true")


def assess_policy(policy: PartitionPolicy, *, missing: str = "", refusals: Sequence[str] = ()) -> Finding:
    """Judge a policy of the profile. `missing`: why there is no such partitioned table; `refusals`: why no plan can be
    made by it."""
    subject = f"partitions of {policy.table}"
    where = f" ({policy.origin})" if policy.origin else ""
    if missing:
        said = f"the policy{where} names no partitioned table: {missing}"
        return _target(TROUBLE, subject, said, "correct the name in the configuration, or take the policy out")
    if refusals:
        more = f"; and {len(refusals) - 1} more" if len(refusals) > 1 else ""
        return _target(REMARK, subject, f"the policy{where} is refused: {refusals[0]}{more}")
    return _target(OK, subject, f"the policy{where} fits what is there")


def assess_policies_unseen(reason: str, remedy: str) -> Finding:
    """Judge policies whose tables could not be looked at."""
    return _target(REMARK, "partitions", f"the profile's policies could not be checked: {reason}", remedy)


# --- grants ---------------------------------------------------------------------------------------------------------

_PURPOSES = {
    "look": "to see other logins' sessions, statements and replication",
    "act": "to cancel and terminate other logins' sessions",
    "dump": "to make complete backups",
    "restore": "to restore into new databases",
}


def format_grants(found: Capabilities) -> list[str]:
    """Return a script with the least this login needs, by purpose; what it has already is commented out."""
    who, where = format_untrusted(found.info.user), format_untrusted(found.where)
    lines = [f"-- what {who} needs on {where}, to be run by somebody who may grant it"]
    for purpose, words in _PURPOSES.items():
        items = [item for item in found.items if item.purpose == purpose and item.grant]
        if items:
            lines += ["", f"-- {words}"]
        grants = dict.fromkeys((item.grant, bool(item.is_held)) for item in items)
        lines += [f"-- has it already: {grant};" if is_held else f"{grant};" for grant, is_held in grants]
    return [format_untrusted(line) for text in lines for line in text.split("\n")]
