"""What the check-up says of versions, terminals, files, TLS, poolers and clocks."""

from dataclasses import replace

import pytest

from dbtui.analysis.doctor import (
    assess_capabilities,
    assess_credential_file,
    assess_directory,
    assess_terminal,
    assess_tools,
    format_grants,
    has_psql_hole,
)
from dbtui.model.connections import ConnectionProfile, EngineName, ServerInfo
from dbtui.model.doctor import (
    Capabilities,
    Capability,
    CredentialFile,
    DirectoryFacts,
    Finding,
    InstalledTool,
    TerminalFacts,
)

PROFILE = ConnectionProfile(name="erp", engine=EngineName.POSTGRESQL, url="postgresql://erp@db1/erp")
INFO = ServerInfo(engine=EngineName.POSTGRESQL, flavour="PostgreSQL", version="16.4", version_number=160004, user="erp")
FOUND = Capabilities(info=INFO, where="db1:5432", is_tls=True, is_tls_verified=True, tls_detail="TLSv1.3")
TERMINAL = TerminalFacts(term="xterm-256color", terminfo_colours=256, locale="C.UTF-8", columns=120, lines=40)


def by_subject(facts: Capabilities) -> dict[str, Finding]:
    return {finding.subject: finding for finding in assess_capabilities(facts, PROFILE)}


def terminal(**changes: object) -> dict[str, Finding]:
    return {finding.subject: finding for finding in assess_terminal(replace(TERMINAL, **changes))}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("version", "is_open"),
    [
        (130022, True), (140023, True), (140024, False), (150018, True), (150019, False), (160014, True),
        (160015, False), (170010, True), (170011, False), (180005, True), (180006, False), (190000, False), (0, False),
    ],
)  # fmt: skip
def test_versions_of_psql_that_run_commands(version: int, is_open: bool) -> None:
    assert has_psql_hole(version) is is_open


def test_tools() -> None:
    tools = [InstalledTool(name="mysqldump", path="/b/mysqldump", version="8.0.36", flavour="MySQL")]
    found = list(assess_tools(tools, ["zstd", "pg_dump", "tmux"]))
    assert [(each.subject, each.level.value) for each in found] == [
        ("mysqldump", "ok"), ("zstd", "remark"), ("pg_dump", "remark"), ("tmux", "ok"),
    ]  # fmt: skip
    assert "slower" in found[1].sentence
    assert "MySQL's 8.0.36" in found[0].sentence


@pytest.mark.parametrize(
    ("changes", "subject", "level", "words"),
    [
        ({}, "TERM", "ok", "xterm-256color"),
        ({"term": ""}, "TERM", "remark", "not set"),
        ({"term": "xterm-ghostty", "terminfo_colours": None}, "TERM", "remark", "does not know"),
        ({"no_color": True, "colorterm": "truecolor"}, "colours", "ok", "NO_COLOR"),
        ({"colorterm": "truecolor"}, "colours", "ok", "16 million"),
        ({"term": "linux", "terminfo_colours": 8}, "colours", "ok", "16:"),
        ({"term": "linux", "terminfo_colours": 8}, "copy (OSC 52)", "remark", "no clipboard"),
        ({"is_screen": True}, "copy (OSC 52)", "remark", "GNU screen"),
        ({"is_tmux": True, "tmux_settings": (("set-clipboard", "external"), ("allow-passthrough", "off"))},
         "copy (OSC 52)", "remark", "set-clipboard external"),
        ({"is_tmux": True, "tmux_settings": (("set-clipboard", "external"), ("allow-passthrough", "on"))},
         "copy (OSC 52)", "ok", "sent"),
        ({"columns": 60}, "size", "remark", "60x40"),
        ({"locale": "POSIX"}, "characters", "remark", "POSIX"),
        ({"ssh_client": "192.0.2.1"}, "SSH", "ok", "192.0.2.1"),
    ],
)  # fmt: skip
def test_terminals(changes: dict[str, object], subject: str, level: str, words: str) -> None:
    found = terminal(**changes)[subject]
    assert (found.level.value, words in found.sentence) == (level, True), found


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "ok"),
        ({"mode": 0o640}, "trouble"),
        ({"mode": 0o644, "holds_secret": False}, "ok"),
        ({"is_ours": False}, "remark"),
        ({"is_read": False}, "remark"),
        ({"exists": False}, "ok"),
    ],
)
def test_files_with_logins(changes: dict[str, object], level: str) -> None:
    facts = replace(CredentialFile(kind="password file", path="/h/.pgpass", exists=True, mode=0o600), **changes)  # type: ignore[arg-type]
    assert assess_credential_file(facts).level.value == level


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "ok"),
        ({"exists": False}, "ok"),
        ({"is_writable": False}, "trouble"),
        ({"free_bytes": 1000}, "remark"),
        ({"is_open_to_others": True}, "remark"),
    ],
)
def test_directories(changes: dict[str, object], level: str) -> None:
    facts = DirectoryFacts(purpose="backups", path="/b", exists=True, is_writable=True, free_bytes=10**12)
    assert assess_directory(replace(facts, **changes)).level.value == level  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "subject", "level"),
    [
        ({}, "TLS", "ok"),
        ({"is_tls_verified": False}, "TLS", "remark"),
        ({"is_tls_verified": False, "is_local": True}, "TLS", "ok"),
        ({"is_tls": False}, "TLS", "trouble"),
        ({"is_tls": False, "is_local": True}, "TLS", "ok"),
        ({"is_pooled": True}, "pooler", "remark"),
        ({"is_pooled": True, "passes_pooler": True}, "pooler", "ok"),
        ({"clock_skew_seconds": -1.0}, "clock", "ok"),
        ({"clock_skew_seconds": 30.0}, "clock", "remark"),
        ({"clock_skew_seconds": 30.0, "round_trip_seconds": 28.0}, "clock", "ok"),
        ({"clock_skew_seconds": -3600.0}, "clock", "trouble"),
        ({"troubles": ("no pg_dump",)}, "backup", "trouble"),
    ],
)
def test_the_way_to_a_server(changes: dict[str, object], subject: str, level: str) -> None:
    assert by_subject(replace(FOUND, **changes))[subject].level.value == level  # type: ignore[arg-type]


def test_what_a_login_lacks() -> None:
    items = (
        Capability(name="A", purpose="look", is_held=True, grant="GRANT a"),
        Capability(name="B", purpose="look", is_held=False, without="b is hidden", grant="GRANT b"),
        Capability(name="C", purpose="act", is_held=None, without="c", grant="GRANT c"),
        Capability(
            name="D", purpose="dump", is_held=False, without="a backup fails", grant="GRANT d;\nGRANT e", is_vital=True
        ),
    )  # fmt: skip
    found = by_subject(replace(FOUND, items=items))
    assert [found[name].level.value for name in "ABCD"] == ["ok", "remark", "remark", "trouble"]
    assert found["B"].sentence == "lacking: b is hidden"
    script = format_grants(replace(FOUND, items=items))
    assert [line for line in script if line and not line.startswith("-- ")] == [
        "GRANT b;", "GRANT c;", "GRANT d;", "GRANT e;",
    ]  # fmt: skip
    assert "-- has it already: GRANT a;" in script
