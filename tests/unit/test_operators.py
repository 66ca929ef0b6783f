"""Who is written into history: the login, who became it, and where they came from."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from dbtui.operators import format_operator

LOGIN = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of a kernel that remembers no login and shows no ancestors."""
    return tmp_path


def let_log_in(proc: Path, number: int) -> None:
    (proc / "self").mkdir()
    (proc / "self" / "loginuid").write_text(str(number))


def let_descend(proc: Path, *environs: dict[str, str] | None) -> None:
    """Ancestors, the nearest first; None: its environment may not be read."""
    numbers = [os.getppid(), *range(900_001, 900_000 + len(environs))]
    for place, environ in enumerate(environs):
        folder = proc / str(numbers[place])
        folder.mkdir()
        above = numbers[place + 1] if place + 1 < len(numbers) else 1
        (folder / "stat").write_text(f"{numbers[place]} (a ) name) S {above} 1 1")
        if environ is not None:
            (folder / "environ").write_bytes("\0".join(f"{name}={value}" for name, value in environ.items()).encode())


def test_a_login_and_its_ssh_client(proc: Path) -> None:
    assert format_operator({}, proc) == LOGIN
    assert format_operator({"SSH_CONNECTION": "10.0.0.7 51234 10.0.0.1 22"}, proc) == f"{LOGIN} from 10.0.0.7"
    assert format_operator({"SSH_CLIENT": "fe80::1 51234 22"}, proc) == f"{LOGIN} from fe80::1"


def test_who_used_sudo(proc: Path) -> None:
    assert format_operator({"SUDO_USER": "alice"}, proc) == f"alice as {LOGIN}"
    assert format_operator({"SUDO_USER": LOGIN}, proc) == LOGIN


def test_the_login_that_the_kernel_remembers_wins(proc: Path) -> None:
    let_log_in(proc, pwd.getpwnam("nobody").pw_uid)
    assert format_operator({"SUDO_USER": "mallory"}, proc) == f"nobody as {LOGIN}"


def test_no_login_is_remembered_of_a_cron_job(proc: Path) -> None:
    let_log_in(proc, 4294967295)
    assert format_operator({}, proc) == LOGIN


def test_the_client_that_sudo_took_away_is_found_above(proc: Path) -> None:
    let_descend(proc, {"TERM": "xterm"}, None, {"SSH_CONNECTION": "10.0.0.9 1 10.0.0.1 22"})
    assert format_operator({"SUDO_USER": "alice"}, proc) == f"alice as {LOGIN} from 10.0.0.9"
    assert format_operator({}, proc) == LOGIN


def test_nothing_of_it_can_draw_on_the_screen(proc: Path) -> None:
    said = format_operator({"SSH_CONNECTION": "\x1b[31m" + "x" * 500, "SUDO_USER": "a\nb"}, proc)
    assert said.isprintable()
    assert len(said) <= 120


def test_a_real_ancestor_is_asked() -> None:
    code = "import os; from dbtui.operators import format_operator; print(format_operator(os.environ))"
    shell = f"env -u SSH_CONNECTION SUDO_USER=alice {sys.executable} -c '{code}'; true"
    environ = {**os.environ, "SSH_CONNECTION": "10.1.2.3 1 10.0.0.1 22"}
    said = subprocess.run(["/bin/sh", "-c", shell], env=environ, capture_output=True, text=True, check=True).stdout
    assert said.rstrip().endswith(f"as {LOGIN} from 10.1.2.3")
