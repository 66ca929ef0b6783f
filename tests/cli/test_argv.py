"""A password typed in a URL does not stay where `ps` shows it."""

import socket
import subprocess
from pathlib import Path

import pytest

from dbtui.cli.argv import mask_logins
from tests.cli.program import argv, environment


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (b"dbtui\0postgresql://erp:hunter2@db1/erp\0", b"dbtui\0postgresql://erp:*******@db1/erp\0"),
        (b"mysql://u:p@s/w@h/d\0x\0", b"mysql://u:*****@h/d\0x\0"),
        (b"postgresql://h/d?user=u&password=hunter2&a=b\0", b"postgresql://h/d?user=u&password=*******&a=b\0"),
        (b"postgresql://erp@h/d\0a:b@c\0", b"postgresql://erp@h/d\0a:b@c\0"),
        (b"sqlite:///a:b.db\0", b"sqlite:///a:b.db\0"),
    ],
)
def test_passwords_become_stars_of_the_same_length(typed: bytes, shown: bytes) -> None:
    assert mask_logins(typed) == shown


def test_the_running_program_hides_it(tmp_path: Path) -> None:
    """It hangs on a server that never answers; meanwhile its argv is read as any user of this host can."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://erp:hunter2@127.0.0.1:{silent.getsockname()[1]}/erp"
        words = argv("backup", "create", url)
        with subprocess.Popen(words, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE) as process:
            silent.settimeout(30)
            client, _ = silent.accept()
            shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            client.close()
            process.wait(30)
    assert b"hunter2" not in shown
    assert b"postgresql://erp:*******@127.0.0.1" in shown
