"""The configuration file, the environment, and what a TARGET means."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.config import (
    Passwords,
    config_path,
    find_password,
    load_settings,
    parse_compression,
    parse_url,
    resolve_target,
    state_dir,
)
from dbtui.errors import Cancelled, ConfigError, UsageError
from dbtui.model.backups import Compression, CompressionKind
from dbtui.model.connections import EngineName, Environment, Secret
from dbtui.routines.context import RoutineContext

WHOLE = """\
backup_dir = "backups"
format = "plain"
compress = "none"

[profiles.erp]
url = "postgresql://erp@db1:5432/erp"
password_env = "ERP_PASSWORD"
environment = "production"
read_only = true
pgbouncer_url = "postgresql://stats@db1:6432/pgbouncer"
replicas = ["erp-replica"]
app_pools = ["unix:///run/user/1000/dbtui/*.sock", "http://127.0.0.1:9187/metrics"]
remote = "s3://backups/erp"

[profiles.erp.partitions."public.audit_logs"]
interval = "1 month"
premake = 4
retention = "12 months"
archive = true

[profiles.app]
url = "sqlite:////srv/app.db"
backup_dir = "/var/backups/app"
compress = "zstd:3"
"""


def write(folder: Path, text: str) -> dict[str, str]:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return {"DBTUI_CONFIG": str(path)}


def test_the_whole_example_is_read(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, WHOLE))
    assert [profile.name for profile in settings.profiles] == ["erp", "app"]
    erp, app = settings.profiles
    assert (erp.engine, erp.url, erp.database) == (EngineName.POSTGRESQL, "postgresql://erp@db1:5432/erp", "erp")
    assert (erp.environment, erp.read_only, erp.password_env) == (Environment.PRODUCTION, True, "ERP_PASSWORD")
    assert erp.pgbouncer_url == "postgresql://stats@db1:6432/pgbouncer"
    assert erp.app_pools == ("unix:///run/user/1000/dbtui/*.sock", "http://127.0.0.1:9187/metrics")
    assert erp.app_pools == ("unix:///run/user/1000/dbtui/*.sock", "http://127.0.0.1:9187/metrics")
    assert (erp.backup_dir, erp.format, erp.compress, erp.origin) == ("backups", "plain", "none", "config.toml")
    assert (app.engine, app.database) == (EngineName.SQLITE, "/srv/app.db")
    assert (app.backup_dir, app.compress) == ("/var/backups/app", "zstd:3")
    assert settings.warnings == ()
    assert erp.warnings == ()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("backup_dir = \n", 1, "not TOML"),
        ("[profiles.erp\n", 1, "not TOML"),
        ('bakcup_dir = "x"\n', 1, "did you mean backup_dir?"),
        ("\n\nbackup_dir = 3\n", 3, "expected text in quotes"),
        ('format = "tar"\n', 1, "use plain, custom, directory"),
        ('compress = "lz4"\n', 1, "use none, gzip[:1-9] or zstd[:1-19]"),
        ('compress = "zstd:99"\n', 1, "not a compression level"),
        ("profiles = 3\n", 1, "expected a table"),
        ('[profiles.erp]\nread_only = true\n', 1, "url is missing"),
        ('[profiles.erp]\nurl = "postgresql://h/d"\nread_only = "yes"\n', 3, "expected true or false"),
        ('[profiles.erp]\nurl = "postgresql://h/d"\nreadonly = true\n', 3, "did you mean read_only?"),
        ('[profiles.erp]\nurl = "postgresql://h/d"\nenvironment = "prod"\n', 3, "production, staging, development"),
        ('[profiles.erp]\nurl = "oracle://h/d"\n', 2, "use postgresql://"),
        ('[profiles.erp]\nurl = "postgresql://h/d"\npgbouncer_url = "nonsense"\n', 3, "pgbouncer_url"),
        ('[profiles.erp]\nurl = "postgresql://h/d"\npassword_command = "pass erp"\n', 3, "expected a list"),
        ('[profiles.erp]\nurl = "sqlite:///d"\ncompress = "best"\n', 3, "compress"),
        ('[profiles."my erp"]\nurl = "sqlite:///d"\nwat = 1\n', 3, "unknown key 'wat'"),
        ('[profiles.a]\nurl = "sqlite:///d"\n[profiles.a.partitions."p.t"]\npremake = "4"\n', 4, "expected a number"),
        ('[profiles.a]\nurl = "sqlite:///d"\n[profiles.a.partitions."p.t"]\nevery = "day"\n', 4, "unknown key 'every'"),
        ('[profiles]\na = {url = "sqlite:///d", wat = 1}\n', 2, "unknown key 'wat'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    environ = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_settings(environ)
    message = str(raised.value)
    assert message.startswith(f"{environ['DBTUI_CONFIG']}, line {line}: ")
    assert said in message
    assert "\n" not in message


def test_both_ways_to_a_password_are_one_too_many(tmp_path: Path) -> None:
    text = '[profiles.a]\nurl = "postgresql://h/d"\npassword_env = "A"\npassword_command = ["b"]\n'
    with pytest.raises(ConfigError, match=r"line 4.*keep one"):
        load_settings(write(tmp_path, text))


def test_no_file_is_no_error_but_a_named_one_must_exist(tmp_path: Path) -> None:
    settings = load_settings({"XDG_CONFIG_HOME": str(tmp_path)})
    assert (settings.profiles, settings.path, settings.backup_dir) == ((), None, "backups")
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        load_settings({"DBTUI_CONFIG": str(tmp_path / "nowhere.toml")})


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings({}, path)
    with pytest.raises(ConfigError, match="Is a directory"):
        load_settings({}, tmp_path)


def test_where_files_are() -> None:
    assert config_path({"DBTUI_CONFIG": "/a/b.toml", "XDG_CONFIG_HOME": "/x"}) == Path("/a/b.toml")
    assert config_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/dbtui/config.toml")
    assert state_dir({"XDG_STATE_HOME": "/s"}) == Path("/s/dbtui")
    assert config_path({"XDG_CONFIG_HOME": "relative"}).is_absolute()
    assert state_dir({"XDG_STATE_HOME": "relative"}).is_absolute()


def test_a_password_in_a_url_works_warns_and_does_not_show(tmp_path: Path) -> None:
    environ = write(tmp_path, '[profiles.erp]\nurl = "postgresql://erp:hunter2@db1/erp"\n')
    (erp,) = load_settings(environ).profiles
    assert erp.password == Secret("hunter2")
    assert len(erp.warnings) == 1
    assert "password_command" in erp.warnings[0]
    assert "hunter2" not in repr(erp)
    Path(environ["DBTUI_CONFIG"]).chmod(0o644)
    (erp,) = load_settings(environ).profiles
    assert any("chmod 600" in warning for warning in erp.warnings)


def test_the_password_of_a_pooler_leaves_its_url_and_earns_a_warning(tmp_path: Path) -> None:
    text = '[profiles.a]\nurl = "postgresql://h/d"\npgbouncer_url = "postgresql://s:hunter2@h:6432/pgbouncer"\n'
    (profile,) = load_settings(write(tmp_path, text)).profiles
    assert profile.pgbouncer_url == "postgresql://s@h:6432/pgbouncer"
    assert profile.pgbouncer_password == Secret("hunter2")
    assert "hunter2" not in repr(profile)
    assert "pgbouncer_url" in profile.warnings[0]


@pytest.mark.parametrize("place", [
    "/run/x.sock", "unix://relative/x.sock", "https://h/metrics", "http://", "http://u:hunter2@h/metrics", "ftp://h/x",
    "http://h:99999/", "http://[::1/metrics", "",
])  # fmt: skip
def test_a_place_of_application_pools_that_cannot_be_read_is_refused(tmp_path: Path, place: str) -> None:
    text = f'[profiles.a]\nurl = "postgresql://h/d"\napp_pools = ["unix:///ok/*.sock", "{place}"]\n'
    with pytest.raises(ConfigError, match=r"line 3.*app_pools") as caught:
        load_settings(write(tmp_path, text))
    assert "hunter2" not in str(caught.value)


def test_a_pooler_is_no_mysql(tmp_path: Path) -> None:
    text = '[profiles.a]\nurl = "postgresql://h/d"\npgbouncer_url = "mysql://h/d"\n'
    with pytest.raises(ConfigError, match=r"line 3.*another engine"):
        load_settings(write(tmp_path, text))


def test_database_url_is_a_profile_with_the_defaults(tmp_path: Path) -> None:
    environ = write(tmp_path, 'backup_dir = "/b"\ncompress = "gzip"\n')
    settings = load_settings({**environ, "DATABASE_URL": "postgres://u:hunter2@h/d"})
    (profile,) = settings.profiles
    assert (profile.name, profile.backup_dir, profile.compress) == ("DATABASE_URL", "/b", "gzip")
    assert profile.password == Secret("hunter2")
    assert profile.warnings == ()


def test_a_wrong_database_url_does_not_stop_other_targets(tmp_path: Path) -> None:
    environ = {**write(tmp_path, WHOLE), "DATABASE_URL": "oracle://u:hunter2@h/d"}
    settings = load_settings(environ)
    assert resolve_target(settings, "app", environ).name == "app"
    assert "DATABASE_URL" in settings.warnings[0]
    assert "hunter2" not in settings.warnings[0]
    with pytest.raises(UsageError):
        resolve_target(settings, None, environ)


def test_what_a_target_means(tmp_path: Path) -> None:
    environ = write(tmp_path, WHOLE)
    settings = load_settings(environ)
    assert resolve_target(settings, "erp", environ).name == "erp"
    typed = resolve_target(settings, "mysql://root:x@h:3307/shop", environ)
    assert (typed.name, typed.engine, typed.database) == ("shop@h:3307", EngineName.MYSQL, "shop")
    assert "command line" in typed.warnings[0]
    with pytest.raises(UsageError, match="name one of the profiles erp, app"):
        resolve_target(settings, None, environ)
    with pytest.raises(UsageError, match="did you mean erp"):
        resolve_target(settings, "erpp", environ)
    with pytest.raises(UsageError, match=r"sqlite:///my\.db"):
        resolve_target(settings, "my.db", environ)
    chosen = {**environ, "DATABASE_URL": "sqlite:///x.db"}
    assert resolve_target(load_settings(chosen), None, chosen).name == "DATABASE_URL"


def test_the_only_profile_is_the_default(tmp_path: Path) -> None:
    environ = write(tmp_path, '[profiles.erp]\nurl = "postgresql://h/erp"\n')
    assert resolve_target(load_settings(environ), None, environ).name == "erp"
    with pytest.raises(UsageError, match="DATABASE_URL"):
        resolve_target(load_settings({}), None, {})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("none", Compression()),
        ("gzip", Compression(CompressionKind.GZIP)),
        ("gzip:9", Compression(CompressionKind.GZIP, 9)),
        ("ZSTD:3", Compression(CompressionKind.ZSTD, 3)),
    ],
)
def test_compressions(text: str, meant: Compression) -> None:
    assert parse_compression(text) == meant


@pytest.mark.parametrize("text", ["", "lz4", "gzip:0", "gzip:10", "zstd:", "zstd:x", "zstd:-1", "none:1", "zstd:²"])
def test_wrong_compressions(text: str) -> None:
    with pytest.raises(UsageError):
        parse_compression(text)


# --- passwords -----------------------------------------------------------------------------------------------


def profile_with(tmp_path: Path, setting: str, url: str = "postgresql://h/d"):  # type: ignore[no-untyped-def]
    return load_settings(write(tmp_path, f'[profiles.a]\nurl = "{url}"\n{setting}\n')).profiles[0]


def test_a_password_comes_from_the_variable(tmp_path: Path) -> None:
    profile = profile_with(tmp_path, 'password_env = "A_PASSWORD"')
    assert find_password(profile, {"A_PASSWORD": "hunter2"}) == Secret("hunter2")
    with pytest.raises(ConfigError, match="A_PASSWORD"):
        find_password(profile, {})


def test_the_url_comes_first(tmp_path: Path) -> None:
    profile = profile_with(tmp_path, 'password_env = "A_PASSWORD"', "postgresql://u:first@h/d")
    assert find_password(profile, {"A_PASSWORD": "second"}) == Secret("first")


def test_without_any_it_is_left_to_password_files() -> None:
    assert find_password(parse_url("postgresql://h/d"), {}) is None


def command_of(code: str) -> str:
    return f"password_command = {[sys.executable, '-c', code]!r}"


def test_a_password_comes_from_a_command_run_without_a_shell(tmp_path: Path) -> None:
    profile = profile_with(tmp_path, command_of("import os; print(os.environ['WHO'] + ' $HOME')"))
    assert find_password(profile, {"WHO": "x"}) == Secret("x $HOME")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; print('hunter2'); sys.exit(3)", "exit code 3"),
        ("", "printed nothing"),
        ("import sys; sys.stdout.buffer.write(bytes([255]))", "not UTF-8"),
    ],
)
def test_a_failing_command_is_told_without_its_output(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        find_password(profile_with(tmp_path, command_of(code)), {})
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.passwords.COMMAND_SECONDS", 0.2)
    with pytest.raises(ConfigError, match="took longer"):
        find_password(profile_with(tmp_path, command_of("import time; time.sleep(600)")), {})


def test_a_command_that_hangs_ends_with_the_run_that_waits_for_it(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    profile = profile_with(tmp_path, command_of(code))
    cancellation = Cancellation()

    def request() -> None:
        while not (started.exists() and started.read_text()):
            time.sleep(0.01)
        cancellation.request("Ctrl-C")

    threading.Thread(target=request, daemon=True).start()
    began = time.monotonic()
    context = RoutineContext(cancellation=cancellation, password_of=Passwords(os.environ).find)
    with pytest.raises(Cancelled), context.open_target(profile):
        pass
    assert time.monotonic() - began < 20
    assert not Path(f"/proc/{started.read_text()}").exists()


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/nowhere/pass"):
        find_password(profile_with(tmp_path, 'password_command = ["/nowhere/pass"]'), {})


def test_a_password_is_looked_up_once_and_a_typed_one_is_remembered(tmp_path: Path) -> None:
    log = tmp_path / "log"
    profile = profile_with(tmp_path, command_of(f"open({str(log)!r}, 'a').write('x'); print('hunter2')"))
    passwords = Passwords({})
    assert passwords.find(profile) == passwords.find(profile) == Secret("hunter2")
    assert log.read_text() == "x"
    assert passwords.known == ("hunter2",)
    passwords.remember(profile, Secret("typed"))
    assert passwords.find(profile) == Secret("typed")
    assert "typed" not in repr(passwords)


def test_thresholds_of_pools(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, "[pools]\nwarn = 0.5\nhigh_seconds = 3\ncpu = 0.8\n"))
    assert settings.thresholds is not None
    assert (settings.thresholds.warn_utilisation, settings.thresholds.high_seconds) == (0.5, 3)
    assert (settings.thresholds.host_cpu, settings.thresholds.pooler_cpu) == (0.8, 0.8)
    assert settings.thresholds.high_utilisation == 0.85
    assert load_settings(write(tmp_path, "")).thresholds is None


@pytest.mark.parametrize(
    ("line", "said", "hint"),
    [
        ("warn = 70", "warn is 70", "0.85 is 85 %"),
        ("warn = nan", "warn is nan", "0.85 is 85 %"),
        ("warn = 0.9", "warn is 0.9 and high is 0.85", "lower"),
        ("high = 0.5", "warn is 0.7 and high is 0.5", "lower"),
        ("clear_seconds = -1", "clear_seconds is -1", "0 to 3600 seconds"),
        ('high = "much"', "expected a number", ""),
        ("hihg = 0.9", "unknown key 'hihg'", "did you mean high?"),
    ],
)
def test_thresholds_that_cannot_be(tmp_path: Path, line: str, said: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="line 3") as caught:
        load_settings(write(tmp_path, f"[pools]\ntarget = 0.75\n{line}\n"))
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_pgbouncer_before_another_engine(tmp_path: Path) -> None:
    text = '[profiles.a]\nurl = "mysql://h/d"\npgbouncer_url = "postgresql://h:6432/pgbouncer"\n'
    with pytest.raises(ConfigError, match=r"line 3.*PostgreSQL alone"):
        load_settings(write(tmp_path, text))
