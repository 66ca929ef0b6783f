"""TLS against real servers: who is let in, who is told apart, and that the tools are as strict as the connection."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtui.adapters.libpq.conninfo import fit_conninfo, parse_conninfo
from dbtui.adapters.mysql.dump import dump as dump_mysql
from dbtui.adapters.mysql.facts import collect_dump_facts
from dbtui.adapters.mysql.options import MysqlOptions, format_tool_options
from dbtui.adapters.mysql.tls_options import TlsOptions
from dbtui.demo.servers import MariaDB, PostgreSQL
from dbtui.errors import AuthenticationError, ConnectError, DbtuiError, ToolError, UsageError
from dbtui.model.backups import DumpRequest
from tests.adapters.mysql_targets import drain, open_mysql
from tests.adapters.postgresql_targets import make_dump, opened, options_of
from tests.fix_tls import TlsFiles, TlsMariaDB, TlsPostgreSQL

Options = Callable[[TlsFiles], dict[str, str]]
COPY_OF_T = "COPY public.t (n) FROM stdin;\n1\n2\n3\n"


def dump_postgresql(url: str, path: Path) -> str:
    """Dump with the real tool and return what it wrote."""
    with opened(url) as target:
        used = target.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")[0]
        assert used.ssl
        make_dump(target, path, options_of("plain"))
    return path.read_text()


def dump_mariadb(url: str, path: Path) -> str:
    target = open_mysql(url)
    try:
        assert target.is_encrypted
        options = options_of("plain")
        facts = collect_dump_facts(target, options)
        drain(dump_mysql(target, DumpRequest(partial_path=str(path), options=options, facts=facts)))
    finally:
        target.close()
    return path.read_text()


def client_of(files: TlsFiles, prefix: str = "ssl") -> dict[str, str]:
    return {f"{prefix}cert": str(files.client_certificate), f"{prefix}key": str(files.client_key)}


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "host", "options"),
    [
        ("joe", "localhost", lambda _: {}),
        ("joe", "localhost", lambda _: {"ssl": "true"}),
        ("joe", "localhost", lambda _: {"sslmode": "require", "channel_binding": "require"}),
        ("joe", "127.0.0.1", lambda files: {"sslmode": "verify-ca", "sslrootcert": str(files.ca)}),
        ("joe", "localhost", lambda files: {"sslmode": "verify-full", "sslrootcert": str(files.ca)}),
        (
            "ann",
            "localhost",
            lambda files: {"sslmode": "verify-full", "sslrootcert": str(files.ca), **client_of(files)},
        ),
        ("eve", "localhost", lambda files: {"sslmode": "require", **client_of(files)}),
    ],
    ids=["prefer", "ssl=true", "binding", "verify-ca", "verify-full", "certificate alone", "password and certificate"],
)
def test_postgresql_and_its_tool_are_let_in(
    tls_postgresql: TlsPostgreSQL, tmp_path: Path, user: str, host: str, options: Options
) -> None:
    url = tls_postgresql.url_of(user, host=host, **options(tls_postgresql.files))
    assert COPY_OF_T in dump_postgresql(url, tmp_path / "dump.sql")


@pytest.mark.parametrize(
    ("user", "host", "options", "said"),
    [
        ("joe", "localhost", lambda _: {"sslmode": "disable"}, 'lets user "joe" in over TLS alone'),
        ("joe", "localhost", lambda files: {"sslmode": "verify-ca", "sslrootcert": str(files.wrong_ca)},
         r"^the certificate of localhost:\d+ is not signed by the authority that was given; correct sslrootcert"),
        ("joe", "127.0.0.1", lambda files: {"sslmode": "verify-full", "sslrootcert": str(files.ca)},
         r"^the certificate of 127.0.0.1:\d+ is for another host name"),
        ("joe", "localhost", lambda _: {"sslmode": "verify-full"}, "no authority to check .* against"),
        ("joe", "localhost", lambda _: {"sslmode": "verify-full", "sslrootcert": "/nowhere.pem"}, "/nowhere.pem"),
        ("joe", "localhost", lambda _: {"sslmode": "strict"}, "invalid sslmode value"),
        ("ann", "localhost", lambda _: {"sslmode": "require"}, "client certificate; give sslcert and sslkey"),
        ("eve", "localhost", lambda _: {"sslmode": "require"}, "asks for a client certificate"),
        ("ann", "localhost", lambda files: {"sslcert": str(files.strange_certificate),
                                            "sslkey": str(files.strange_key)}, "refused the client certificate"),
        ("ann", "localhost", lambda files: {"sslcert": str(files.client_certificate), "sslkey": "/nowhere.key"},
         "client certificate cannot be used"),
    ],
    ids=["none", "wrong authority", "wrong name", "no authority", "missing file", "bad mode", "no certificate",
         "password alone", "strange certificate", "no key"],
)  # fmt: skip
def test_postgresql_refuses_in_one_sentence(
    tls_postgresql: TlsPostgreSQL, user: str, host: str, options: Options, said: str
) -> None:
    url = tls_postgresql.url_of(user, host=host, **options(tls_postgresql.files))
    with pytest.raises(DbtuiError, match=said) as refused, opened(url):
        pass
    assert isinstance(refused.value, ConnectError | UsageError)
    assert "\n" not in str(refused.value)
    assert f"{user}-secret" not in str(refused.value)


def test_a_key_that_others_may_read_is_not_used(tls_postgresql: TlsPostgreSQL, tmp_path: Path) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(tls_postgresql.files.client_key.read_bytes())
    key.chmod(0o644)
    url = tls_postgresql.url_of("ann", **(client_of(tls_postgresql.files) | {"sslkey": str(key)}))
    with pytest.raises(ConnectError, match="wants mode 0600"), opened(url):
        pass


def test_a_postgresql_without_tls_says_so(postgresql_server: PostgreSQL) -> None:
    with (
        pytest.raises(ConnectError, match="speaks no TLS and TLS was asked for"),
        opened(postgresql_server.url(sslmode="require")),
    ):
        pass


def test_a_swapped_authority_stops_the_tool_too(tls_postgresql: TlsPostgreSQL, tmp_path: Path) -> None:
    """The connection stands when the authority's file changes: the tool reads it for itself."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(tls_postgresql.files.ca.read_bytes())
    url = tls_postgresql.url_of("joe", sslmode="verify-full", sslrootcert=str(ca))
    with opened(url) as target:
        ca.write_bytes(tls_postgresql.files.wrong_ca.read_bytes())
        with pytest.raises(DbtuiError, match="is not signed by the authority"):
            make_dump(target, tmp_path / "dump.sql", options_of("plain"))


def test_an_older_tool_gets_what_it_understands() -> None:
    words = parse_conninfo("postgresql://h/d?sslrootcert=system&sslnegotiation=postgres")
    fitting = fit_conninfo(words, 15)
    assert fitting["sslmode"] == "verify-full" and Path(fitting["sslrootcert"]).is_absolute()
    assert "sslnegotiation" not in fitting
    assert fit_conninfo(words, 17) == words
    with pytest.raises(ToolError, match="do not know require_auth"):
        fit_conninfo({"require_auth": "scram-sha-256"}, 15)


# --- MariaDB ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "host", "options"),
    [
        ("joe", "localhost", lambda _: {}),
        ("joe", "localhost", lambda files: {"ssl_mode": "REQUIRED", "ssl_ca": str(files.wrong_ca)}),
        ("joe", "127.0.0.1", lambda files: {"ssl_ca": str(files.ca)}),
        ("joe", "127.0.0.1", lambda files: {"ssl-ca": str(files.ca), "ssl-mode": "VERIFY_CA"}),
        ("joe", "localhost", lambda files: {"ssl_ca": str(files.ca), "sslmode": "verify-full"}),
        ("eve", "localhost", lambda files: client_of(files, "ssl_")),
        ("eve", "localhost", lambda files: {"ssl_ca": str(files.ca), "ssl_verify_identity": "true",
                                            **client_of(files, "ssl_")}),
    ],
    ids=["preferred", "required", "ca", "verify_ca", "verify_identity", "certificate", "certificate, verified"],
)  # fmt: skip
def test_mariadb_and_its_tool_are_let_in(
    tls_mariadb: TlsMariaDB, tmp_path: Path, user: str, host: str, options: Options
) -> None:
    url = tls_mariadb.url_of(user, host=host, **options(tls_mariadb.files))
    assert "INSERT INTO `t` VALUES" in dump_mariadb(url, tmp_path / "dump.sql")


@pytest.mark.parametrize(
    ("user", "host", "options", "said"),
    [
        ("joe", "localhost", lambda _: {"ssl_disabled": "true"}, "if the account REQUIREs SSL"),
        ("joe", "localhost", lambda files: {"ssl_ca": str(files.wrong_ca)},
         r"^the certificate of localhost:\d+ is not signed by the authority that was given; correct ssl_ca"),
        ("joe", "127.0.0.1", lambda files: {"ssl_ca": str(files.ca), "ssl_check_hostname": "true"},
         r"^the certificate of 127.0.0.1:\d+ is for another host name"),
        ("joe", "localhost", lambda _: {"ssl_ca": "/nowhere.pem"}, "the file /nowhere.pem that ssl_ca names"),
        ("joe", "localhost", lambda files: {"ssl_ca": str(files.key.with_name("none.pem"))}, "cannot be read"),
        ("eve", "localhost", lambda files: {"ssl_ca": str(files.ca)}, "if the account REQUIREs X509, give ssl_cert"),
        ("eve", "localhost", lambda files: {"ssl_cert": str(files.strange_certificate),
                                            "ssl_key": str(files.strange_key)}, "refuse[sd]? a? ?(?:the )?client cert"),
        ("eve", "localhost", lambda files: {"ssl_cert": str(files.client_certificate),
                                            "ssl_key": str(files.strange_key)}, "ssl_key is not the key of"),
    ],
    ids=["none", "wrong authority", "wrong name", "missing file", "missing file too", "no certificate",
         "strange certificate", "another's key"],
)  # fmt: skip
def test_mariadb_refuses_in_one_sentence(
    tls_mariadb: TlsMariaDB, user: str, host: str, options: Options, said: str
) -> None:
    url = tls_mariadb.url_of(user, host=host, **options(tls_mariadb.files))
    with pytest.raises(DbtuiError, match=said) as refused:
        open_mysql(url)
    assert isinstance(refused.value, ConnectError | UsageError)
    assert "\n" not in str(refused.value)
    assert f"{user}-secret" not in str(refused.value)


def test_a_file_that_is_no_certificate(tls_mariadb: TlsMariaDB, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    with pytest.raises(ConnectError, match="holds no PEM certificate"):
        open_mysql(tls_mariadb.url_of("joe", ssl_ca=str(tmp_path / "ca.pem")))


def test_a_mariadb_without_tls_says_so(mariadb_server: MariaDB) -> None:
    with pytest.raises(ConnectError, match="speaks no TLS and TLS was asked for"):
        open_mysql(mariadb_server.url(ssl_mode="required"))


def test_a_swapped_authority_stops_the_mariadb_tool_too(tls_mariadb: TlsMariaDB, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    for host, mode in (("localhost", "verify_identity"), ("127.0.0.1", "verify_ca")):
        ca.write_bytes(tls_mariadb.files.ca.read_bytes())
        target = open_mysql(tls_mariadb.url_of("joe", host=host, ssl_ca=str(ca), ssl_mode=mode))
        options = options_of("plain")
        facts = collect_dump_facts(target, options)
        ca.write_bytes(tls_mariadb.files.wrong_ca.read_bytes())
        with pytest.raises(DbtuiError, match="TLS/SSL error"):
            drain(dump_mysql(target, DumpRequest(partial_path=str(tmp_path / mode), options=options, facts=facts)))
        target.close()


def test_a_mariadb_option_file_says_it_all(tls_mariadb: TlsMariaDB, tmp_path: Path) -> None:
    """TLS out of ~/.my.cnf, with an included file; the URL holds nothing but the address."""
    files, home = tls_mariadb.files, Path(os.environ["HOME"])
    tls_lines = ["[client]", f"ssl-ca={files.ca}", "ssl-verify-server-cert", f"ssl-cert={files.client_certificate}"]
    (tmp_path / "tls.cnf").write_text("\n".join(tls_lines) + "\n")
    lines = [
        "[client]",
        "user=eve",
        "password=eve-secret",
        f"ssl-key={files.client_key}",
        f"!include {tmp_path}/tls.cnf",
    ]
    (home / ".my.cnf").write_text("\n".join(lines) + "\n")
    assert "INSERT INTO `t`" in dump_mariadb(f"mariadb://localhost:{tls_mariadb.port}/erp?", tmp_path / "dump.sql")
    with pytest.raises(ConnectError, match="is for another host name"):
        open_mysql(f"mariadb://127.0.0.1:{tls_mariadb.port}/erp")
    with pytest.raises(AuthenticationError):
        open_mysql(f"mariadb://localhost:{tls_mariadb.port}/erp?ssl_mode=disabled")


@pytest.mark.parametrize(
    ("tls", "version", "there", "absent"),
    [
        (TlsOptions(mode="verify_ca", ca="/ca"), 101100, ['ssl-ca="/ca"'], ["ssl-verify-server-cert"]),
        (TlsOptions(mode="verify_ca", ca="/ca"), 110402, ['ssl-ca="/ca"', "ssl-verify-server-cert"], []),
        (TlsOptions(mode="verify_ca", ca="/ca"), None, ["ssl-mode=VERIFY_CA"], ["ssl"]),
        (TlsOptions(mode="verify_identity"), 101100, ["ssl-verify-server-cert"], ["skip-ssl"]),
        (TlsOptions(mode="required", ca="/ca"), 110402, ["loose-disable-ssl-verify-server-cert"], ['ssl-ca="/ca"']),
        (TlsOptions(mode="disabled", ca="/ca"), 110402, ["skip-ssl"], ['ssl-ca="/ca"', "ssl"]),
    ],
)
def test_what_tools_of_each_version_are_told(
    tls: TlsOptions, version: int | None, there: list[str], absent: list[str]
) -> None:
    options = MysqlOptions(user="u", host="h", port=1, tls=tls)
    text = format_tool_options(options, is_encrypted=tls.mode != "disabled", mariadb_version=version)
    lines = text.splitlines()
    assert set(there) <= set(lines)
    assert not set(absent) & set(lines)
