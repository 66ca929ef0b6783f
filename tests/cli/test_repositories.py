"""What `dbtui backup …` does about repositories when something is wrong: the tool, the settings, the run itself."""

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import argv, environment, run
from tests.cli.repository_runs import dbtui
from tests.fix_repositories import RepositoryWorld
from tests.fix_servers import processes_in, wait_until

#: Stands before the tool: its restore writes half of something, and then hangs or fails.
WRAPPER = """#!/bin/sh
case " $* " in *" restore "*)
    for word in "$@"; do case "$word" in --pg1-path=*) place="${{word#--pg1-path=}}" ;; esac; done
    {run_as} sh -c 'mkdir -p "$1/base" && echo half > "$1/base/half"' sh "$place"
    if [ {ending} = fail ]; then echo "ERROR: [082]: the link broke" >&2; exit 82; fi
    exec sleep 60 ;;
esac
exec "$@"
"""


def wrapped(world: RepositoryWorld, directory: Path, ending: str) -> None:
    """Settings by which the tool's restore hangs or fails half way."""
    script = directory / "wrapper"
    script.write_text(WRAPPER.format(run_as=shlex.join(world.run_as), ending=ending))
    script.chmod(0o755)
    world.write_settings(directory, run_as=[str(script), *world.run_as])


def test_an_interrupted_restore_leaves_nothing(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    wrapped(pgbackrest_world, tmp_path, "hang")
    place = pgbackrest_world.place()
    words = ("backup", "restore", pgbackrest_world.reference(0), "--into", place, "--yes", place.name)
    environ = environment(DBTUI_CONFIG=str(tmp_path / "config.toml"))
    with subprocess.Popen(argv(*words), cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as program:
        try:
            wait_until(lambda: (place / "base/half").exists() or program.poll() is not None)
            program.send_signal(signal.SIGINT)
            _out, said = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 130, said
    assert not place.exists()
    wait_until(lambda: processes_in(place) == [])


def test_an_interrupted_trial_leaves_nothing(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    wrapped(pgbackrest_world, tmp_path, "hang")
    environ = environment(DBTUI_CONFIG=str(tmp_path / "config.toml"), TMPDIR="/tmp")
    words = argv("backup", "verify", pgbackrest_world.reference(0), "--restore")
    with subprocess.Popen(words, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as program:

        def own() -> list[Path]:
            owned = {path.parent for path in Path("/tmp").glob("dbtui-*/owner.pid") if _is_of(path, program.pid)}
            return [path for path in owned if (path / "throwaway/data/base/half").exists()]

        try:
            wait_until(lambda: bool(own()) or program.poll() is not None)
            (place,) = own()
            program.send_signal(signal.SIGTERM)
            _out, said = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 130, said
    assert not place.exists()
    wait_until(lambda: processes_in(place) == [])
    assert "not proven" in dbtui(pgbackrest_world, tmp_path, "backup", "list").stdout


def _is_of(path: Path, pid: int) -> bool:
    try:
        return path.read_text().split()[:1] == [str(pid)]
    except OSError:  # of another test, gone meanwhile
        return False


def test_what_was_there_comes_back_when_the_tool_fails(pgbackrest_world: RepositoryWorld, tmp_path: Path) -> None:
    world, place = pgbackrest_world, pgbackrest_world.place()
    words = ("backup", "restore", world.reference(0), "--into", place, "--yes", place.name)
    assert dbtui(world, tmp_path, *words).code == 0
    (place / "base/letter").write_text("old")
    wrapped(world, tmp_path, "fail")
    ran = dbtui(world, tmp_path, *words, "--replace")
    assert (ran.code, "the link broke" in ran.sentence) == (1, True)
    assert (place / "base/letter").read_text() == "old"
    assert not (place / "base/half").exists()
    assert not list(place.parent.glob(f"{place.name}.before-*"))
    ran = dbtui(world, tmp_path, *words, "--delta")
    assert (ran.code, "neither the old nor the new cluster" in ran.sentence) == (1, True)


@pytest.mark.parametrize("kind", ["pgbackrest", "barman"])
def test_a_tool_that_is_missing(kind: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.erp]\nurl = "postgresql://db1/erp"\nrepository = "{kind}:main"\n')
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = run("backup", "list", cwd=tmp_path, DBTUI_CONFIG=str(config), PATH=str(empty))
    assert ran.code == 3, ran.stderr
    assert f"{kind} cannot be started: there is no such program; install it" in ran.stderr
    (report,) = run("backup", "list", "--json", cwd=tmp_path, DBTUI_CONFIG=str(config), PATH=str(empty)).document[
        "repositories"
    ]
    assert (report["backups"], report["findings"][0]["kind"]) == ([], "unreachable")
    ran = run("backup", "show", f"{kind}:main/latest", cwd=tmp_path, DBTUI_CONFIG=str(config), PATH=str(empty))
    assert (ran.code, "no such program" in ran.sentence) == (1, True)


def test_an_answer_that_is_none(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, said in (("pgbackrest", "[{not json"), ("barman", '{"main": "\x1b[31mred"}')):
        (programs / name).write_text(f"#!/bin/sh\nprintf '%s' '{said}'\n")
        (programs / name).chmod(0o755)
    config = tmp_path / "config.toml"
    config.write_text(
        '[profiles.erp]\nurl = "postgresql://db1/erp"\nrepository = "pgbackrest:main"\n'
        '[profiles.crm]\nurl = "postgresql://db1/crm"\nrepository = "barman:main"\n'
    )
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    ran = run("backup", "list", cwd=tmp_path, DBTUI_CONFIG=str(config), PATH=path)
    assert (ran.code, "\x1b" in ran.stderr, "Traceback" in ran.stderr) == (3, False, False)
    assert ran.stderr.count("is not understood") == 2


def test_what_is_asked_wrongly(tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        ran = run("backup", *words, cwd=tmp_path, PATH="/nonexistent")
        assert ran.code == 2, ran
        return ran.sentence

    reference = "pgbackrest:main/20261123-093000F"
    assert "fills a whole data directory" in refused("restore", reference)
    assert "--to is not for" in refused("restore", reference, "--into", "x", "--to", "erp")
    assert "--table is not for" in refused("restore", reference, "--into", "x", "--table", "t")
    assert "has no time zone" in refused("restore", reference, "--into", "x", "--target-time", "2026-11-23T09:24:00")
    assert "is no time" in refused("restore", reference, "--into", "x", "--target-time", "yesterday")
    assert "keep one of them" in refused("restore", reference, "--into", "x", "--replace", "--delta")
    assert "for backups of pgBackRest and Barman alone" in refused("restore", "erp-20261123T093000Z", "--delta")
    assert "names no repository" in refused("show", "barman:")
    assert "kept by Barman" in refused("diff", "barman:main/20261123T093000", "erp")
    assert "kept by pgBackRest" in refused("delete", reference)
