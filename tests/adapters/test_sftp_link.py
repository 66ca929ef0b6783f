"""The command line of the ssh that carries SFTP, and what its last words mean."""

from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.registry import open_remote
from dbtui.adapters.remotes.sftp import SftpRemote
from dbtui.adapters.remotes.sftp_link import SshLink
from dbtui.errors import AuthenticationError, ConnectError, DbtuiError, UsageError
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings


def link(host: str, port: int | None = None, settings: RemoteSettings | None = None) -> SshLink:
    return SshLink(RemoteAddress(RemoteKind.SFTP, host, "/srv", port), settings or RemoteSettings(), {})


def test_what_an_unattended_run_needs_is_on_the_command_line() -> None:
    settings = RemoteSettings(
        identity_file=Path("/keys/backup"), ssh_config_file=Path("/etc/dbtui/ssh"), timeout_seconds=60
    )
    argv = link("dba@vault", 2222, settings).argv(("-s", "sftp"))
    assert argv[0] == "ssh" and argv[-4:] == ["-s", "--", "dba@vault", "sftp"]
    for option in (
        "BatchMode=yes", "StrictHostKeyChecking=yes", "NoHostAuthenticationForLocalhost=no", "ConnectTimeout=15",
        "ServerAliveInterval=15", "ServerAliveCountMax=3", "IdentitiesOnly=yes", "ControlMaster=no",
    ):  # fmt: skip
        assert f"-o{option}" in argv
    text = " ".join(argv)
    assert "-F /etc/dbtui/ssh" in text and "-i /keys/backup" in text and "-p 2222" in text
    assert link("vault").argv(("exec sh",))[-3:] == ["--", "vault", "exec sh"]


@pytest.mark.parametrize(
    "host", ["vault", "dba@vault", "dba@10.0.0.1", "CORP\\dba@vault", "a@b@vault", "::1", "dba@[::1]"]
)
def test_destinations_as_people_have_them(host: str) -> None:
    assert link(host).argv(("exec sh",))[-2] == host.replace("[", "").replace("]", "")


@pytest.mark.parametrize(
    "host", ["", "-oProxyCommand=id", "a@-oProxyCommand=id", "-l@vault", "a b", "v$(id)", "a;b@c", "a\n"]
)
def test_what_is_no_destination_is_refused_at_once(host: str) -> None:
    address = RemoteAddress(RemoteKind.SFTP, host, "/srv")
    with pytest.raises(UsageError, match="names no SSH host"):
        open_remote(address, RemoteSettings(), {}, Cancellation())


def test_the_registry_opens_it_without_a_login() -> None:
    remote = open_remote(RemoteAddress(RemoteKind.SFTP, "vault", "/srv"), RemoteSettings(), {}, Cancellation())
    assert isinstance(remote, SftpRemote) and str(remote.address) == "sftp://vault/srv"
    remote.close()


def test_the_agent_is_passed_on_and_nothing_strange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    environ = {"SSH_AUTH_SOCK": "/run/agent", "PGPASSWORD": "secret"}
    address = RemoteAddress(RemoteKind.SFTP, "vault", "/srv")
    given = SshLink(address, RemoteSettings(), environ).environment()
    assert given["SSH_AUTH_SOCK"] == "/run/agent" and "PGPASSWORD" not in given


@pytest.mark.parametrize(
    ("said", "kind", "shown"),
    [
        (
            "ssh: Could not resolve hostname vault: Name or service not known",
            ConnectError,
            "Could not resolve hostname",
        ),
        ("ssh: connect to host vault port 22: No route to host", ConnectError, "cannot be reached: No route to host"),
        ("Timeout, server vault not responding.", ConnectError, "does not answer any more"),
        (
            "kex_exchange_identification: Connection closed by remote host",
            ConnectError,
            "cannot be reached: kex_exchange",
        ),
        (
            'Load key "/k": error in libcrypto\ndba@vault: Permission denied (publickey).',
            AuthenticationError,
            'refuses this login: Load key "/k": error in libcrypto; dba@vault: Permission denied',
        ),
        (
            "No ED25519 host key is known for [vault]:2222 and you have requested strict checking.\n"
            "Host key verification failed.",
            ConnectError,
            "no host key of [vault]:2222 is known; run `ssh -p 2222 vault` once",
        ),
        (
            "Host key for [vault]:2222 has changed and you have requested strict checking.\n"
            "Host key verification failed.",
            ConnectError,
            "run `ssh-keygen -R '[vault]:2222'`",
        ),
        ("Host key verification failed.", ConnectError, "its host key was refused"),
        (
            "Warning: the ECDSA host key for 'vault' differs from the key for the IP address\n"
            "dba@vault: Permission denied (publickey).",
            AuthenticationError,
            "refuses this login",
        ),
        ("", ConnectError, "ssh ended without a word"),
    ],
)
def test_its_last_words(said: str, kind: type[DbtuiError], shown: str) -> None:
    error = link("vault", 2222).failure(said.splitlines(), was_connected=False)
    assert type(error) is kind and shown in str(error)
