"""How a server is reached: URL, option file, environment; and the option file that a tool is given."""

from pathlib import Path

import pytest

from dbtui.adapters.mysql.option_files import parse_option_file
from dbtui.adapters.mysql.options import MysqlOptions, collect_options, format_tool_options
from dbtui.adapters.mysql.tls_options import TlsOptions
from dbtui.errors import ConfigError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName, Secret


def options(url: str, password: Secret | None = None, database: str = "", **environ: str) -> MysqlOptions:
    profile = ConnectionProfile(name="p", engine=EngineName.MYSQL, url=url, database=database)
    return collect_options(profile, password, environ)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
def test_urls(scheme: str) -> None:
    found = options(f"{scheme}://us%40er@db1:3307/my%20db", Secret("s3"))
    assert (found.user, found.host, found.port, found.database) == ("us@er", "db1", 3307, "my db")
    assert found.password == Secret("s3")
    assert found.server == "db1:3307"
    assert not found.is_local
    assert "s3" not in repr(found)


def test_query_parameters() -> None:
    words = "unix_socket=/run/x.sock&charset=latin1&connect_timeout=3&ssl_ca=/ca.pem&ssl_verify_identity=1"
    found = options(f"mysql://u@h/d?{words}")
    assert (found.socket, found.charset, found.connect_timeout) == ("/run/x.sock", "latin1", 3)
    assert (found.tls.mode, found.tls.ca) == ("verify_identity", "/ca.pem")
    assert (found.server, found.is_local) == ("/run/x.sock", True)
    assert options("mysql://u@h/d?ssl_ca=/ca.pem").tls.mode == "verify_ca"
    assert options("mysql://u@h/d?ssl_mode=DISABLED").tls.mode == "disabled"
    assert options("mysql://u@h/d").tls.mode == "preferred"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u@h:no/d", "cannot be understood"),
        ("mysql://u@h/d?colour=red", "unknown parameter colour"),
        ("mysql+asyncmy://u@h/d", "is not a MySQL URL"),
        ("oracle://u@h/d", "is not a MySQL URL"),
        ("mysql://u@h/d?connect_timeout=soon", "connect_timeout"),
        ("mysql://u@h/d?ssl_mode=maybe", "ssl_mode"),
    ],
)
def test_bad_urls(url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        options(url)


def test_the_option_file_completes_the_url(tmp_path: Path) -> None:
    (tmp_path / ".my.cnf").write_text(
        "# a comment\n!includedir /etc/mysql/conf.d\n[mysqld]\nuser=wrong\n"
        '[client]\nuser = dba\npassword="p#1 \\\\ \\" x" # why\nhost=db9\nport=3399\nquick\n'
        "[client-mariadb]\nssl_ca=/ca.pem\n[clientprod]\nuser=prod\npassword='it''s'\n"
    )
    home = str(tmp_path)
    found = options("mysql:///erp", HOME=home)
    assert (found.user, found.host, found.port, found.tls.ca) == ("dba", "db9", 3399, "/ca.pem")
    assert found.password == Secret('p#1 \\ " x')
    assert options("mysql://me@h/erp", Secret("given"), HOME=home).password == Secret("given")
    assert options("mysql://me@h:3306/erp", HOME=home).host == "h"
    file = f"read_default_file={tmp_path}/.my.cnf&read_default_group=clientprod"
    assert options(f"mysql:///erp?{file}").user == "prod"
    with pytest.raises(ConfigError, match="does not exist"):
        options("mysql:///erp?read_default_file=/nowhere/my.cnf")


def test_the_environment_is_the_last_resort(tmp_path: Path) -> None:
    assert options("mysql://u@h/d", HOME=str(tmp_path), MYSQL_PWD="env").password == Secret("env")
    assert options("mysql://u@h/d", HOME=str(tmp_path)).password is None


def test_what_a_tool_reads_back_is_what_was_meant() -> None:
    secret = Secret('a"b\\c#d\ne')
    tls = TlsOptions(mode="verify_identity", ca="/my ca.pem")
    meant = MysqlOptions(user="u\"s'er", password=secret, host="h", port=3307, tls=tls)
    text = format_tool_options(meant, is_encrypted=True, mariadb_version=101119)
    read = parse_option_file(text, ("client",))
    assert (read["user"], read["password"], read["ssl-ca"]) == ("u\"s'er", 'a"b\\c#d\ne', "/my ca.pem")
    assert "ssl-verify-server-cert" in read
    assert "ssl-mode=VERIFY_IDENTITY" in format_tool_options(meant, is_encrypted=True, mariadb_version=None)
    plain = MysqlOptions(user="u", host="h", port=1)
    assert "skip-ssl" in format_tool_options(plain, is_encrypted=False, mariadb_version=101119)
    by_socket = MysqlOptions(user="u", host="localhost", port=1, socket="/s")
    assert "protocol=socket" in format_tool_options(by_socket, is_encrypted=False, mariadb_version=101119)
