"""Where a login comes from, in the order that is promised, against real servers and through the real program.

The URL, then password_env, then password_command, then the files and variables of libpq and the mysql client, then a
prompt, but only on a terminal.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import ptyprocess
import pytest

from dbtui.demo.servers import MariaDB, PostgreSQL
from dbtui.errors import AuthenticationError, ConfigError, UsageError
from tests.adapters.mysql_targets import open_mysql
from tests.adapters.postgresql_targets import opened
from tests.cli.program import Ran, environment, run
from tests.fix_servers import unique_name

PASSWORD = "s3cret:\\ '\"#% ä"


@pytest.fixture
def home(own_home: None) -> Path:
    return Path(os.environ["HOME"])


@pytest.fixture
def login(postgresql_server: PostgreSQL, postgresql_database: str) -> Iterator[tuple[str, str]]:
    """A login with an awkward password that owns its database: its name, and a URL without the password."""
    name, database = unique_name("joe"), postgresql_database.rpartition("/")[2]
    postgresql_server.execute(f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD %s", [PASSWORD])
    postgresql_server.execute(f'ALTER DATABASE "{database}" OWNER TO {name}')
    yield name, postgresql_server.url(database, name)
    postgresql_server.execute(f'ALTER DATABASE "{database}" OWNER TO postgres')


@pytest.fixture
def account(mariadb_server: MariaDB, mariadb_database: str) -> tuple[str, str]:
    """An account with an awkward password: its name, and a URL without the password."""
    name, database = unique_name("joe"), mariadb_database.rpartition("/")[2]
    mariadb_server.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY %s", [PASSWORD])
    mariadb_server.execute(f"GRANT ALL ON *.* TO '{name}'@'127.0.0.1'")
    return name, f"mariadb://{name}@127.0.0.1:{mariadb_server.port}/{database}"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def passfile_line(server: PostgreSQL, user: str, database: str = "*", password: str = PASSWORD) -> str:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"127.0.0.1:{server.port}:{database}:{user}:{escaped}\n"


def configured(directory: Path, url: str, *lines: str) -> dict[str, str]:
    """A configuration with the profile `it`; returns the variable that names it."""
    text = "\n".join([f'[profiles.it]\nurl = "{url}"', *lines]) + "\n"
    return {"DBTUI_CONFIG": str(write(directory / "config.toml", text))}


def look(cwd: Path, **environ: str) -> Ran:
    """Look at the profile `it` as its owner would at three in the morning."""
    ran = run("connections", "--json", cwd=cwd, **environ)
    assert ran.code == 0, ran.stderr
    assert PASSWORD not in ran.stdout + ran.stderr
    return ran


def is_let_in(ran: Ran) -> bool:
    return bool(ran.document["connections"][0]["reachable"])


# --- the profile's own places -------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["login", "account"])
def test_the_order_of_the_profile(engine: str, request: pytest.FixtureRequest, tmp_path: Path, home: Path) -> None:
    """Each place alone lets in; an earlier one that is wrong is not made good by a later one that is right."""
    _, url = request.getfixturevalue(engine)
    secret = write(tmp_path / "secret", PASSWORD + "\n")
    command = f'password_command = ["cat", "{secret}"]'
    variable = {"IT_PASSWORD": PASSWORD}
    assert is_let_in(look(tmp_path, **configured(tmp_path, url, 'password_env = "IT_PASSWORD"'), **variable))
    assert is_let_in(look(tmp_path, **configured(tmp_path, url, command)))
    files = {"PGPASSWORD": PASSWORD, "MYSQL_PWD": PASSWORD}
    assert is_let_in(look(tmp_path, **configured(tmp_path, url), **files))
    wrong = {"IT_PASSWORD": "wrong"}
    assert not is_let_in(look(tmp_path, **configured(tmp_path, url, 'password_env = "IT_PASSWORD"'), **wrong, **files))
    assert not is_let_in(look(tmp_path, **configured(tmp_path, url, 'password_command = ["echo", "no"]'), **files))
    in_url = url.replace("@", ":wrong@", 1)
    assert not is_let_in(look(tmp_path, **configured(tmp_path, in_url, 'password_env = "IT_PASSWORD"'), **variable))


def test_a_password_in_a_url_earns_a_warning(login: tuple[str, str], tmp_path: Path) -> None:
    from urllib.parse import quote

    url = login[1].replace("@", f":{quote(PASSWORD, safe='')}@", 1)
    ran = look(tmp_path, **configured(tmp_path, url))
    assert is_let_in(ran)
    assert "its password stands in" in ran.document["connections"][0]["warnings"][0]


# --- libpq's places -----------------------------------------------------------------------------------------------


def test_password_files(postgresql_server: PostgreSQL, login: tuple[str, str], home: Path, tmp_path: Path) -> None:
    user, url = login
    write(home / ".pgpass", passfile_line(postgresql_server, user))
    with opened(url) as target:
        assert target.info.user == user
    write(home / ".pgpass", passfile_line(postgresql_server, user, password="wrong"))
    named = write(tmp_path / "elsewhere", passfile_line(postgresql_server, user))
    with pytest.raises(AuthenticationError), opened(url):
        pass
    with opened(f"{url}?passfile={named}"):
        pass
    with opened(url, environ={**os.environ, "PGPASSFILE": str(named)}):
        pass


def test_a_line_for_one_database_serves_a_restore_into_another(
    postgresql_server: PostgreSQL, login: tuple[str, str], home: Path, tmp_path: Path
) -> None:
    user, url = login
    database = url.rpartition("/")[2]
    postgresql_server.execute("CREATE TABLE t AS SELECT 1 AS n", database=database)
    postgresql_server.execute(f"ALTER TABLE t OWNER TO {user}", database=database)
    write(home / ".pgpass", passfile_line(postgresql_server, user, database))
    made = run("backup", "create", url, "--dir", tmp_path, "--format", "custom", "--json", cwd=tmp_path)
    assert made.code == 0, made.stderr
    backup = next(tmp_path.glob("*.dump"))
    verified = run("backup", "verify", backup, "--restore", "--to", url, cwd=tmp_path)
    assert verified.code == 0, verified.stderr


def test_services(
    postgresql_server: PostgreSQL, login: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, url = login
    text = f"[it]\nhost=127.0.0.1\nport={postgresql_server.port}\nuser={user}\ndbname={url.rpartition('/')[2]}\n"
    services = write(tmp_path / "services", text + "password=" + PASSWORD + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    with opened("postgresql:///?service=it") as target:
        assert target.info.user == user
    monkeypatch.setenv("PGSERVICE", "it")
    monkeypatch.setenv("PGPASSWORD", "the service has its own")
    with opened("postgresql:///") as target:
        assert target.info.user == user
    write(services, text)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with opened("postgresql:///") as target, target.tool_arguments(target.info.database) as (arguments, environ):
        assert PASSWORD not in " ".join([*arguments, *environ.values()])


# --- the mysql client's places ------------------------------------------------------------------------------------


def option_file(*lines: str) -> str:
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join(line.replace("PASSWORD", f'"{quoted}"') for line in lines) + "\n"


@pytest.mark.parametrize("group", ["client", "client-server", "client-mariadb"])
def test_option_files(account: tuple[str, str], home: Path, group: str) -> None:
    write(home / ".my.cnf", option_file(f"[{group}]", "password=PASSWORD", "[mysqld]", "password=wrong"))
    open_mysql(account[1]).close()


def test_option_files_elsewhere(
    account: tuple[str, str], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, url = account
    bare = url.replace(f"{name}@", "")
    (tmp_path / "d").mkdir()
    write(tmp_path / "d" / "a.cnf", option_file("[clientnight]", "password=PASSWORD"))
    named = write(tmp_path / "own.cnf", f"[clientnight]\nuser={name}\n!includedir {tmp_path}/d\n")
    open_mysql(f"{bare}?read_default_file={named}&read_default_group=clientnight").close()
    write(home / ".my.cnf", f"[client]\nuser={name}\n!include {named}\n")
    with pytest.raises(AuthenticationError):
        open_mysql(bare)
    ran = configured(tmp_path, bare) | {"MYSQL_GROUP_SUFFIX": "night"}
    assert is_let_in(look(tmp_path, **ran))
    write(home / ".my.cnf", "[client]\n!include /nowhere.cnf\n")
    with pytest.raises(ConfigError, match=r"/nowhere.cnf does not exist; correct !include"):
        open_mysql(bare)


def test_what_is_not_supported_says_so(account: tuple[str, str], home: Path) -> None:
    write(home / ".mylogin.cnf", "scrambled")
    with pytest.raises(AuthenticationError, match=r"logins in .*\.mylogin\.cnf are not read here"):
        open_mysql(account[1])
    with pytest.raises(UsageError, match=r"login paths \(mysql_config_editor\) are not read"):
        open_mysql(f"{account[1]}?login-path=night")
    with pytest.raises(UsageError, match="ssl_key_password: it is a secret that would be shown") as refused:
        open_mysql(f"{account[1]}?ssl_key_password=hidden")
    assert "hidden" not in str(refused.value)
    found = run("doctor", account[1], "--json", cwd=home).document["findings"]
    assert [each["level"] for each in found if each["subject"] == "login path file"] == ["remark"]


# --- the prompt ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["login", "account"])
def test_a_prompt_on_a_terminal_only(engine: str, request: pytest.FixtureRequest, tmp_path: Path, home: Path) -> None:
    _, url = request.getfixturevalue(engine)
    refused = run("backup", "create", url, "--dry-run", cwd=tmp_path)
    assert refused.code == 4
    assert "asks for a password and none was given" in refused.sentence
    argv = [sys.executable, "-m", "dbtui", "backup", "create", url, "--dir", str(tmp_path)]
    process = ptyprocess.PtyProcessUnicode.spawn(argv, cwd=str(tmp_path), env=environment(TERM="xterm"))
    seen = read_until(process, "Password for ")
    process.write(PASSWORD + "\n")
    seen += read_until(process, "")
    process.wait()
    assert process.exitstatus == 0, seen
    assert PASSWORD not in seen
    assert list(tmp_path.glob("*.manifest.json"))


def read_until(process: ptyprocess.PtyProcessUnicode, words: str) -> str:
    """Everything on the screen until `words` are there; until the end when they are empty."""
    seen = ""
    while not words or words not in seen:
        try:
            seen += process.read(1024)
        except EOFError:
            assert not words, seen
            return seen
    return seen
