"""Certificates of a throwaway authority, and servers that speak TLS with them. Needs the openssl program."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.adapters.throwaway.accounts import Account, choose_account
from dbtui.demo.servers import MariaDB, PostgreSQL, ServerDirectory
from tests.fix_servers import unique_name

HOST_NAME = "localhost"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Authority:
    """An authority that signs certificates, in a directory of its own."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.directory, self.name = directory, name
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        self._make(self._key, self.certificate, f"/CN={name}", "basicConstraints=critical,CA:TRUE")

    def sign(self, stem: str, common_name: str, *alternative_names: str) -> tuple[Path, Path]:
        """Make a certificate and its key for `common_name`; return their paths."""
        certificate, key = self.directory / f"{stem}.pem", self.directory / f"{stem}.key"
        names = f"subjectAltName={','.join(alternative_names)}" if alternative_names else "keyUsage=digitalSignature"
        signer = ("-CA", str(self.certificate), "-CAkey", str(self._key))
        self._make(key, certificate, f"/CN={common_name}", names, "basicConstraints=CA:FALSE", signer=signer)
        return certificate, key

    def _make(self, key: Path, certificate: Path, subject: str, *extensions: str, signer: tuple[str, ...] = ()) -> None:
        added = [word for extension in extensions for word in ("-addext", extension)]
        argv = ["openssl", "req", "-x509", *_KEY, "-subj", subject, *added, *signer]
        subprocess.run([*argv, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
        key.chmod(0o600)


class TlsFiles:
    """What a server and its clients need. `certificate` of the server is good for `localhost`, and no other name."""

    def __init__(self, directory: Path, account: Account | None, user: str) -> None:
        self.authority = Authority(directory / "ours", "authority")
        self.stranger = Authority(directory / "theirs", "stranger")
        self.certificate, self.key = self.authority.sign("server", HOST_NAME, f"DNS:{HOST_NAME}")
        self.client_certificate, self.client_key = self.authority.sign("client", user)
        self.strange_certificate, self.strange_key = self.stranger.sign("client", user)
        if account:
            for path in (self.certificate, self.key):
                os.chown(path, account.uid, account.gid)
        self.ca, self.wrong_ca = self.authority.certificate, self.stranger.certificate


@pytest.fixture(scope="session")
def tls_directory(server_directory: ServerDirectory) -> Path:
    """Where certificates are: a directory that servers under another account can enter."""
    directory = server_directory.path / "tls"
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    return directory


class TlsPostgreSQL(PostgreSQL):
    """Encrypted logins alone over TCP: `joe` by a password, `ann` by a certificate alone, `eve` by both."""

    files: TlsFiles

    def url_of(self, user: str, database: str = "erp", host: str = HOST_NAME, **options: str) -> str:
        """A URL for a login, with TLS options."""
        password = "" if user == "ann" else f"{user}-secret"
        return self.url(database, user, password, socket=False, **options).replace("@127.0.0.1:", f"@{host}:")


@pytest.fixture(scope="session")
def tls_postgresql(server_directory: ServerDirectory, tls_directory: Path) -> Iterator[TlsPostgreSQL]:
    """A PostgreSQL that takes nothing but TLS over TCP, and a database erp with a table of three rows."""
    name = unique_name("tlspg")
    account = choose_account(*PostgreSQL.accounts)
    files = TlsFiles(tls_directory / name, account, "ann")
    rules = tls_directory / name / "pg_hba.conf"
    rules.write_text(
        "local all all trust\n"
        "hostssl all ann all cert\n"
        "hostssl all eve all scram-sha-256 clientcert=verify-ca\n"
        "hostssl all all all scram-sha-256\n"
    )
    settings = {
        "ssl": "on",
        "ssl_cert_file": files.certificate,
        "ssl_key_file": files.key,
        "ssl_ca_file": files.ca,
        "hba_file": rules,
    }
    config = [f"{key} = '{value}'" for key, value in settings.items()]
    with TlsPostgreSQL(server_directory, name=name, config=config) as server:
        server.files = files
        for user in ("joe", "ann", "eve"):
            server.execute(f"CREATE ROLE {user} LOGIN CREATEDB PASSWORD '{user}-secret'")
        server.execute("CREATE DATABASE erp OWNER joe")
        server.execute("CREATE TABLE t AS SELECT generate_series(1, 3) AS n", database="erp")
        server.execute("GRANT SELECT ON t TO PUBLIC", database="erp")
        yield server


class TlsMariaDB(MariaDB):
    """`joe` logs in by a password, `eve` by a password and a certificate; both over TLS alone."""

    files: TlsFiles

    def url_of(self, user: str, database: str = "erp", host: str = HOST_NAME, **options: str) -> str:
        """A URL for a login, with TLS options."""
        return self.url(database, user, f"{user}-secret", socket=False, **options).replace("@127.0.0.1:", f"@{host}:")


@pytest.fixture(scope="session")
def tls_mariadb(server_directory: ServerDirectory, tls_directory: Path) -> Iterator[TlsMariaDB]:
    """A MariaDB with certificates, and a database erp with a table of three rows."""
    name = unique_name("tlsmy")
    files = TlsFiles(tls_directory / name, choose_account(*MariaDB.accounts), "eve")
    options = [f"--ssl-cert={files.certificate}", f"--ssl-key={files.key}", f"--ssl-ca={files.ca}"]
    with TlsMariaDB(server_directory, name=name, options=options) as server:
        server.files = files
        server.execute("CREATE DATABASE erp")
        for user, wanted in (("joe", "SSL"), ("eve", "X509")):
            for host in ("localhost", "127.0.0.1"):
                server.execute(f"CREATE USER '{user}'@'{host}' IDENTIFIED BY '{user}-secret' REQUIRE {wanted}")
                server.execute(f"GRANT ALL ON `erp%%`.* TO '{user}'@'{host}'", [])
        server.execute("CREATE TABLE t AS SELECT seq AS n FROM seq_1_to_3", database="erp")
        yield server
