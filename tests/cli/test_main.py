"""The program as a whole: help, version, first words, exit codes of what is typed wrong, completion."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import dbtui
from dbtui.cli.main import COMMANDS
from tests.cli.program import ROOT, argv, environment, run

HELPED = [
    [],
    ["backup"],
    ["backup", "create"],
    ["backup", "list"],
    ["backup", "show"],
    ["backup", "verify"],
    ["backup", "restore"],
    ["backup", "delete"],
    ["connections"],
    ["demo"],
    ["history"],
]


@pytest.mark.parametrize("words", HELPED, ids=" ".join)
def test_every_command_has_help_with_an_example(words: list[str], tmp_path: Path) -> None:
    ran = run(*words, "--help", cwd=tmp_path)
    assert (ran.code, ran.stderr) == (0, "")
    assert "Example" in ran.stdout


def test_the_help_names_every_command_and_exit_code(tmp_path: Path) -> None:
    text = run("--help", cwd=tmp_path).stdout
    for name in COMMANDS:
        assert f"\n  {name} " in text
    for code in (0, 1, 2, 3, 4, 5, 6, 7, 130):
        assert f"{code} " in text.partition("Exit codes:")[2]
    assert "_DBTUI_COMPLETE=bash_source" in text


def test_a_group_alone_shows_its_help(tmp_path: Path) -> None:
    ran = run("backup", cwd=tmp_path)
    assert (ran.code, ran.stdout) == (2, "")
    assert "\n  create " in ran.stderr


def test_the_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"dbtui {dbtui.__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["backup", "create", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = f"""
import sys
from dbtui.cli.main import main
try:
    main({words!r})
finally:
    print(*sys.modules, file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"textual", "rich", "sqlalchemy", "psycopg2", "pymysql", "zstandard", "msgspec", "sqlite3", "platformdirs"}
    assert not heavy & set(ran.stderr.split())


@pytest.mark.parametrize("words", [[], ["postgresql://erp@127.0.0.1:1/erp"], ["nosuch"], ["bakcup"]], ids=" ".join)
def test_the_ui_is_opened_without_what_reads_options(words: list[str], tmp_path: Path) -> None:
    """What is said is the same as with an option, which says nothing here that is not so anyway."""
    code = """
import sys
from dbtui.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("with click" if "click" in sys.modules else "without click")
"""

    def said(*typed: str) -> tuple[int, list[str]]:
        argv = [sys.executable, "-c", code, *typed]
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
        ran = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return ran.returncode, [*ran.stderr.splitlines(), *ran.stdout.splitlines()]

    code_without, without = said(*words)
    code_with, with_click = said("--rich", *words)
    assert (without[-1], with_click[-1]) == ("without click", "with click")
    assert (code_without, without[:-1]) == (code_with, with_click[:-1])
    assert code_without == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch"], "no profile is called 'nosuch'"),
        (["bakcup", "list"], "Got unexpected extra argument"),
        (["bakcup"], "did you mean dbtui backup?"),
        (["--nosuch"], "No such option"),
        (["backup", "crate"], "No such command"),
        (["backup", "create", "--format", "tar"], "'plain', 'custom', 'directory'"),
        (["backup", "create", "--jobs", "0"], "--jobs"),
        (["backup", "create", "--jobs", "many"], "--jobs"),
        (["backup", "create", "sqlite:///x.db", "--compress", "best"], "--compress: 'best' is not a compression"),
        (["backup", "create"], "no TARGET was given"),
        (["backup", "show"], "Missing argument 'BACKUP'"),
        (["backup", "show", "nosuch"], "there is no backup"),
        (["backup", "show", "nosuch", "--rows", "3"], "--rows needs --table"),
        (["backup", "verify", "nosuch", "--to", "x"], "--restore"),
        (["oracle://u:hidden@h/x"], "use postgresql://"),
    ],
    ids=str,
)
def test_what_is_typed_wrong_gets_a_sentence_and_exit_code_2(words: list[str], said: str, tmp_path: Path) -> None:
    ran = run(*words, cwd=tmp_path)
    assert ran.code == 2
    assert said in ran.sentence
    assert ran.stdout == ""
    assert "hidden" not in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["backup", "create"],
        ["backup", "create", "--nosuch"],
        ["backup", "list", "nosuch"],
        ["backup", "show", "nosuch"],
        ["backup", "restore", "nosuch"],
        ["backup", "delete", "nosuch"],
        ["backup", "verify", "nosuch"],
    ],
    ids=str,
)
def test_json_ends_with_a_result_also_then(words: list[str], tmp_path: Path) -> None:
    ran = run(*words, "--json", cwd=tmp_path)
    assert ran.code == 2
    assert ran.result["outcome"] == "failed"
    assert ran.result["error_kind"] == "UsageError"
    assert ran.result["error"] in ran.sentence


def test_a_wrong_configuration_is_exit_code_2_and_names_the_line(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[profiles.erp]\nurl = "postgresql://h/d"\nreadonly = true\n')
    for words in (["connections"], ["backup", "list"], ["history"], ["erp"]):
        ran = run(*words, cwd=tmp_path, DBTUI_CONFIG=str(config))
        assert ran.code == 2
        assert f"{config}, line 3: profile 'erp': unknown key 'readonly'; did you mean read_only?" == ran.sentence


def test_the_terminal_ui_needs_a_terminal(tmp_path: Path) -> None:
    ran = run(cwd=tmp_path)
    assert ran.code == 2
    assert "needs a terminal" in ran.sentence
    ran = run("sqlite:///x.db", cwd=tmp_path)
    assert ran.code == 2
    assert "needs a terminal" in ran.sentence


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        argv("backup", "list", "--json"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_a_full_disk_behind_stdout_is_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            argv("history", "--json"), cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ran.returncode == 1
    assert "standard output cannot be written" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_debug_adds_a_traceback_without_secrets(tmp_path: Path) -> None:
    words = ["backup", "create", "postgresql://erp:hunter2@127.0.0.1:1/erp"]
    plain = run(*words, cwd=tmp_path)
    assert plain.code == 4
    assert "Traceback" not in plain.stderr
    ran = run(*words, cwd=tmp_path, DBTUI_DEBUG="1")
    assert ran.code == 4
    assert "Traceback" in ran.stderr
    assert "hunter2" not in ran.stdout + ran.stderr + plain.stderr


def test_completion_is_offered(tmp_path: Path) -> None:
    ran = run(cwd=tmp_path, _DBTUI_COMPLETE="bash_source")
    assert "_DBTUI_COMPLETE=bash_complete" in ran.stdout
    config = tmp_path / "config.toml"
    config.write_text('[profiles.erp]\nurl = "postgresql://h/d"\n[profiles.shop]\nurl = "mysql://h/d"\n')
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "erp-20261122T150000Z.manifest.json").write_text("{}")

    def complete(line: str) -> list[str]:
        ran = run(cwd=tmp_path, DBTUI_CONFIG=str(config), _DBTUI_COMPLETE="bash_complete",
                  COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1))  # fmt: skip
        assert ran.stderr == ""
        return [each.partition(",")[2] for each in ran.stdout.splitlines()]

    assert complete("dbtui ba") == ["backup"]
    assert complete("dbtui backup cr") == ["create"]
    assert complete("dbtui backup create e") == ["erp"]
    assert complete("dbtui backup show er") == ["erp-20261122T150000Z"]


def test_history_and_connections_begin_empty(tmp_path: Path) -> None:
    assert run("history", "--json", cwd=tmp_path).document == {"version": 1, "history": []}
    assert run("connections", "--json", cwd=tmp_path).document == {"version": 1, "connections": []}
    listed = run("backup", "list", "--json", cwd=tmp_path).document
    assert listed == {"version": 1, "backups": [], "repositories": [], "remotes": [], "freshness": []}
    for words in (["history"], ["connections"], ["backup", "list"]):
        ran = run(*words, cwd=tmp_path)
        assert (ran.code, ran.stdout) == (0, "")
        assert ran.stderr.count("\n") == 1


def test_json_is_ascii_whatever_the_names(tmp_path: Path) -> None:
    name = "b\u009b31m\u202eackups"
    (tmp_path / name).mkdir()
    (tmp_path / name / "x\udcff.sql").write_text("")
    ran = run("backup", "list", "--dir", name, "--json", cwd=tmp_path)
    assert ran.stdout.isascii()
    assert json.loads(ran.stdout)["backups"][0]["backup_id"] == "x\udcff.sql"
    text = run("backup", "list", "--dir", name, cwd=tmp_path).stdout
    assert "x?.sql" in text


def test_directories_on_the_way_to_ours_are_not_the_worlds_to_write(tmp_path: Path) -> None:
    made = sqlite3.connect(tmp_path / "a.db")
    made.execute("CREATE TABLE t (a)")
    made.close()
    deep = tmp_path / "one" / "two" / "backups"
    words = ("backup", "create", f"sqlite:///{tmp_path}/a.db", "--dir", deep)
    ran = run(*words, cwd=tmp_path, before=("sh", "-c", 'umask 000; exec "$@"', "sh"))
    assert ran.code == 0, ran.stderr
    assert [path.stat().st_mode & 0o022 for path in (deep, deep.parent, deep.parent.parent)] == [0, 0, 0]
