"""What happens to an SFTP remote when the link, the keys, the login or the other side fail, or somebody stops it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.sftp_session import SftpSession
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, RemoteError
from dbtui.model.events import Progressed
from dbtui.model.remotes import Confirmation
from tests import costs
from tests.cut_network import CutNetwork
from tests.fix_sshd import Sshd
from tests.frozen_network import FrozenNetwork
from tests.sftp_remotes import Vault, drive, drive_to_progress, make_file, ssh_processes

SIZE_BYTES = 24_000_000
CUT_BYTES = 15_000_000
LOST = r"the connection was lost: .*; run the same again; it goes on from there"


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert not ssh_processes()


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is told after each piece, so that a test can stop in the middle however quick the machine is."""
    monkeypatch.setattr("dbtui.adapters.remotes.sftp_upload.TICK_SECONDS", 0.0)
    monkeypatch.setattr("dbtui.adapters.remotes.sftp.TICK_SECONDS", 0.0)


@pytest.fixture(params=["shell", "no shell"])
def vault(request: pytest.FixtureRequest, sshd: Sshd, sftp_only_sshd: Sshd, tmp_path: Path) -> Vault:
    return Vault(sshd if request.param == "shell" else sftp_only_sshd, tmp_path, tmp_path / "vault")


@pytest.fixture
def plain_vault(sftp_only_sshd: Sshd, tmp_path: Path) -> Vault:
    return Vault(sftp_only_sshd, tmp_path, tmp_path / "vault")


def test_an_upload_that_was_cut_goes_on_where_it_was(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "erp.dump", SIZE_BYTES)
    with (
        CutNetwork(vault.sshd.port, CUT_BYTES) as network,
        vault.open(network.port) as remote,
        pytest.raises(ConnectError, match=LOST),
    ):
        drive(remote.upload(tmp_path / "erp.dump", "erp.dump", file))
    assert not (vault.path / "erp.dump").exists(), "under the name there is nothing or everything"
    there = vault.partials[0].stat().st_size
    assert 1_000_000 < there < CUT_BYTES
    with CutNetwork(vault.sshd.port) as network, vault.open(network.port) as remote:
        confirmation, events = drive(remote.upload(tmp_path / "erp.dump", "erp.dump", file))
    assert confirmation is (Confirmation.CHECKSUM if vault.sshd.name == "sshd" else Confirmation.READ_BACK)
    assert (vault.path / "erp.dump").read_bytes() == (tmp_path / "erp.dump").read_bytes()
    assert network.sent_bytes < SIZE_BYTES - there + 1_000_000, "what was there is not sent again"
    assert any(isinstance(event, Progressed) and event.done == there and "goes on" in event.detail for event in events)
    assert not vault.partials


def test_a_download_that_was_cut_leaves_nothing_and_works_again(plain_vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", SIZE_BYTES)
    with plain_vault.open() as remote:
        drive(remote.upload(tmp_path / "a", "a", file))
        download = remote.download("a", tmp_path / "back", file)
        assert drive_to_progress(download).done < SIZE_BYTES
        end_ssh()
        with pytest.raises(ConnectError, match=LOST):
            drive(download)
        assert not (tmp_path / "back").exists()
        drive(remote.download("a", tmp_path / "back", file))
        end_ssh()
        assert remote.find_object("a"), "a connection that ended while nobody used it is made anew"
    assert (tmp_path / "back").read_bytes() == (tmp_path / "a").read_bytes()


def end_ssh() -> None:
    for process in ssh_processes():
        process.kill()
        process.wait()


def test_two_runs_that_send_the_same_file_are_both_right(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", SIZE_BYTES)
    with vault.open() as one, vault.open() as other:
        first = one.upload(tmp_path / "a", "a", file)
        assert drive_to_progress(first).done < SIZE_BYTES
        assert drive(other.upload(tmp_path / "a", "a", file))[0]
        assert drive(first)[0]
        assert (vault.path / "a").read_bytes() == (tmp_path / "a").read_bytes()
        assert [each.name for each in vault.path.iterdir()] == ["a"]


def test_a_run_that_begins_at_the_same_moment_takes_nothing_away(
    plain_vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_file(tmp_path / "a", 1000)
    with plain_vault.open() as one:
        first = one.upload(tmp_path / "a", "a", file)
        next(first)
        # The other one looked before anything was there.
        monkeypatch.setattr(SftpSession, "find_both", lambda self, a, b: (None, None))
        with plain_vault.open() as other, pytest.raises(RemoteError, match=r"another run has just begun to send .*a"):
            drive(other.upload(tmp_path / "a", "a", file))
        assert drive(first)[0] is Confirmation.READ_BACK


def test_an_ssh_that_is_killed_in_the_middle_is_started_again(plain_vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", SIZE_BYTES)
    with plain_vault.open() as remote:
        upload = remote.upload(tmp_path / "a", "a", file)
        assert drive_to_progress(upload).done < SIZE_BYTES
        end_ssh()
        with pytest.raises(ConnectError, match=LOST):
            drive(upload)
        assert not (plain_vault.path / "a").exists() and plain_vault.partials
        assert drive(remote.upload(tmp_path / "a", "a", file))[0] is Confirmation.READ_BACK
    assert (plain_vault.path / "a").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_link_that_carries_nothing_ends_in_bounded_time(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", SIZE_BYTES)
    with FrozenNetwork(vault.sshd.port) as network, vault.open(network.port, seconds=2) as remote:
        upload = remote.upload(tmp_path / "a", "a", file)
        drive_to_progress(upload)
        network.freeze()
        with pytest.raises(ConnectError, match="does not answer any more; run the same again when the network is back"):
            drive(upload)
        with pytest.raises(ConnectError, match=r"cannot be reached: .*timed out|did not finish the login within 2 s"):
            remote.find_object("a")
    assert not (vault.path / "a").exists()


def test_a_login_that_hangs_ends_in_bounded_time(plain_vault: Vault) -> None:
    # The greeting comes, and then nothing more: neither side's timers of the connection run yet.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        greeted: list[socket.socket] = []

        def greet() -> None:
            client = listener.accept()[0]
            client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            greeted.append(client)

        thread = threading.Thread(target=greet)
        thread.start()
        slow = r"did not finish the login within 2 s; try `ssh "
        with plain_vault.open(port, seconds=2) as remote, pytest.raises(ConnectError, match=slow):
            remote.find_object("a")
        thread.join()
        for each in greeted:
            each.close()


@pytest.mark.parametrize("where", ["unknown", "changed"])
def test_a_host_key_that_is_not_known_is_refused_and_said(plain_vault: Vault, tmp_path: Path, where: str) -> None:
    known = tmp_path / "other_hosts"
    if where == "changed":
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
        known.write_text(f"dbtui-test {(tmp_path / 'key.pub').read_text()}")
    what = {
        "unknown": r"no host key of dbtui-test is known; run `ssh -F .* vault` once and compare the fingerprint",
        "changed": r"the host key of dbtui-test is not the one that is known; ask .* `ssh-keygen -R 'dbtui-test'`",
    }[where]
    refusing = plain_vault.open(UserKnownHostsFile=str(known), StrictHostKeyChecking="no")
    with refusing as remote, pytest.raises(ConnectError, match=what) as caught:
        remote.create("a", b"x")
    assert not isinstance(caught.value, AuthenticationError)
    assert not plain_vault.path.exists()
    assert where == "changed" or not known.exists(), "no key is taken on trust"


def test_a_login_that_is_refused_says_so(plain_vault: Vault, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    refused = r"refuses this login: .*Permission denied \(publickey"
    with (
        plain_vault.open(IdentityFile=str(tmp_path / "key")) as remote,
        pytest.raises(AuthenticationError, match=refused),
    ):
        list(remote.list_objects())


def test_a_port_that_nobody_serves(plain_vault: Vault) -> None:
    with CutNetwork(plain_vault.sshd.port) as network:
        closed = network.port
    with plain_vault.open(closed) as remote, pytest.raises(ConnectError, match="cannot be reached: Connection refused"):
        list(remote.list_objects())


def test_a_wish_to_stop_ends_it_at_once(vault: Vault, tmp_path: Path) -> None:
    file = make_file(tmp_path / "a", SIZE_BYTES)

    def measure() -> float:
        vault.cancellation = Cancellation()
        with FrozenNetwork(vault.sshd.port) as network, vault.open(network.port) as remote:
            upload = remote.upload(tmp_path / "a", "a", file)
            drive_to_progress(upload)
            network.freeze()
            timer = threading.Timer(0.3, vault.cancellation.request)
            timer.start()
            began = time.monotonic()
            with pytest.raises(Cancelled):
                drive(upload)
            taken = time.monotonic() - began
            timer.join()
            with pytest.raises(Cancelled):
                remote.find_object("a")
        return taken

    assert costs.least(measure, 1.3) <= 1.3
    assert not (vault.path / "a").exists()


def test_programs_end_with_a_process_that_is_killed(plain_vault: Vault, tmp_path: Path) -> None:
    config = plain_vault.sshd.write_client_config(tmp_path / "ssh_config")
    program = f"""
import os, sys
from pathlib import Path
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.sftp import SftpRemote
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings
address = RemoteAddress(RemoteKind.SFTP, "vault", {str(tmp_path)!r})
remote = SftpRemote(address, RemoteSettings(ssh_config_file=Path({str(config)!r})), dict(os.environ), Cancellation())
remote.find_object("a")
print("connected", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "connected\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert [each.name() for each in children] == ["ssh"]
        process.send_signal(signal.SIGKILL)
        _gone, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
    assert not os.path.lexists(f"/tmp/dbtui-{process.pid}")


# --- strange other sides


def test_a_login_that_prints_something_is_named_as_the_cause(server_directory: ServerDirectory, tmp_path: Path) -> None:
    with Sshd(server_directory, "sshd-chatty", "ForceCommand echo welcome; exec cat\n") as server:
        cause = r"sends something that is not SFTP; .* must print nothing"
        with Vault(server, tmp_path, tmp_path).open() as remote, pytest.raises(ConnectError, match=cause):
            list(remote.list_objects())


def test_a_host_without_sftp_is_named_as_that(server_directory: ServerDirectory, tmp_path: Path) -> None:
    with Sshd(server_directory, "sshd-plain") as server:
        settings = server.home / "config"
        server.stop()
        settings.write_text(settings.read_text().replace("Subsystem", "# Subsystem"))
        server.launch()
        server.wait_until_ready()
        cause = r"offers no SFTP; have `Subsystem sftp` set"
        with Vault(server, tmp_path, tmp_path).open() as remote, pytest.raises(RemoteError, match=cause):
            list(remote.list_objects())


def test_a_shell_that_computes_something_else_is_not_believed(
    server_directory: ServerDirectory, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("openssl", "sha256sum", "shasum", "sha256"):
        (programs / name).write_text(f"#!/bin/sh\necho {'0' * 64} '*stdin'\n")
        (programs / name).chmod(0o755)
    file = make_file(tmp_path / "a", 1_000_000)
    with Sshd(server_directory, "sshd-liar", f"SetEnv PATH={programs}:/usr/bin:/bin\n") as server:
        vault = Vault(server, tmp_path, tmp_path / "vault")
        with vault.open() as remote:
            assert drive(remote.upload(tmp_path / "a", "a", file))[0] is Confirmation.READ_BACK
        assert (vault.path / "a").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_server_without_extensions_will_do(server_directory: ServerDirectory, tmp_path: Path) -> None:
    settings = "ForceCommand internal-sftp -P posix-rename,statvfs,fstatvfs,hardlink,fsync,limits\n"
    file = make_file(tmp_path / "a", 1_000_000)
    with Sshd(server_directory, "sshd-bare", settings) as server:
        vault = Vault(server, tmp_path, tmp_path / "vault")
        with vault.open() as remote:
            vault.path.mkdir()
            (vault.path / "a").write_text("an older one")
            assert drive(remote.upload(tmp_path / "a", "a", file))[0] is Confirmation.READ_BACK
            remote.create("b", b"x")
            drive(remote.download("a", tmp_path / "back", file))
        assert (tmp_path / "back").read_bytes() == (tmp_path / "a").read_bytes()
        assert sorted(each.name for each in vault.path.iterdir()) == ["a", "b"]


# --- the user's own ways there


def test_a_way_through_another_host_and_nothing_of_it_stays(sshd: Sshd, plain_vault: Vault, tmp_path: Path) -> None:
    between = sshd.write_client_config(tmp_path / "between")
    file = make_file(tmp_path / "a", 1_000_000)
    with plain_vault.open(ProxyCommand=f"ssh -F {between} -W %h:%p vault") as remote:
        assert drive(remote.upload(tmp_path / "a", "a", file))[0] is Confirmation.READ_BACK
        programs = ssh_processes()
        assert len(programs) > 1
    _gone, alive = psutil.wait_procs(programs, timeout=30)
    assert not alive
    assert (plain_vault.path / "a").read_bytes() == (tmp_path / "a").read_bytes()


def test_a_connection_that_the_user_opened_is_used_and_left_open(
    sshd: Sshd, tmp_path: Path, server_directory: ServerDirectory
) -> None:
    vault = Vault(sshd, tmp_path, tmp_path / "vault")
    socket_path = server_directory.path / "control"
    config = sshd.write_client_config(tmp_path / "own_config")
    argv = ["ssh", "-F", str(config), "-M", "-S", str(socket_path), "-N", "vault"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as master:
        try:
            wait_until(socket_path.exists)
            # With this key alone the login would be refused.
            with vault.open(ControlPath=str(socket_path), IdentityFile="/dev/null") as remote:
                remote.create("a", b"x")
                assert remote.read("a", 1) == b"x"
            assert master.poll() is None
        finally:
            master.kill()  # it may sleep over a SIGTERM


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
