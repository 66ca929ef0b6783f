"""What the program prints as the way back after a replacement is run as it stands: the old rows are there again."""

import shlex
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.cli.program import argv, environment, run
from tests.cli.samples import Sample


def _log_in_by_file(sample: Sample, home: Path) -> None:
    """Write the login where the server's own tools look for it."""
    url = urlsplit(sample.url)
    lines = [f"host={url.hostname}", f"port={url.port}", f"user={url.username}"]
    (home / ".my.cnf").write_text("\n".join(["[client]", *lines, f"password={unquote(url.password or '')}", ""]))
    (home / ".my.cnf").chmod(0o600)


def _run_in_shell(sample: Sample, command: str, directory: Path, name: str) -> None:
    """Run commands as somebody would who is asked for the name afterwards."""
    if sample.engine == "mysql":
        _log_in_by_file(sample, directory)
    program = f'dbtui() {{ {shlex.join(argv())} "$@" --yes {shlex.quote(name)}; }}\n'
    words = environment(DATABASE_URL=sample.url, HOME=str(directory))
    done = subprocess.run(
        ["sh", "-e", "-c", program + command], cwd=directory, env=words, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_printed_way_back_works(sample: Sample, tmp_path: Path) -> None:
    path = run("backup", "create", "--quiet", cwd=tmp_path, DATABASE_URL=sample.url).stdout.strip()
    sample.execute("DELETE FROM orders WHERE id > 7")
    later = sample.rows()
    before = sample.databases()
    words = ["backup", "restore", path, "--replace", "--json", "--yes", sample.url.rpartition("/")[2]]
    ran = run(*words, cwd=tmp_path, DATABASE_URL=sample.url)
    assert ran.code == 0, ran.stderr
    assert sample.rows() != later
    way_back = ran.result["restore"]["undo"].partition("to go back: ")[2]
    if sample.engine == "postgresql":
        sample.execute(way_back, "postgres")
    else:
        _run_in_shell(sample, way_back, tmp_path, words[-1])
    assert sample.rows() == later
    for left in sample.databases() - before:
        sample.drop(left)
