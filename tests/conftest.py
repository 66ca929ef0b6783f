"""What every test gets: an environment without this machine in it, a home of its own, and servers on request.

The folders of tests are packages, so that `tests.fix_postgresql` is the same module for pytest (which imports by
path, see --import-mode in pyproject.toml), for mypy, and for a test that imports a name from it.
"""

import os
import signal
from collections.abc import Iterator

import pytest

pytest_plugins = [
    "tests.fix_servers",
    "tests.fix_postgresql",
    "tests.fix_mysql",
    "tests.fix_pgbouncer",
    "tests.fix_remotes",
    "tests.fix_repositories",
    "tests.fix_sshd",
    "tests.fix_tls",
    "tests.fix_web",
]

STRANGERS = (
    "PG", "MYSQL", "MARIADB", "TEXTUAL", "XDG_", "DBTUI", "DB_", "AWS_", "AZURE_", "GOOGLE_", "SSL_CERT", "COLUMNS",
    "LINES",
)  # fmt: skip
HOME_FOLDERS = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_STATE_HOME": ".local/state",
    "XDG_DATA_HOME": ".local/share",
    "XDG_CACHE_HOME": ".cache",
    "XDG_RUNTIME_DIR": "run",
}


def _is_strange(name: str) -> bool:
    upper = name.upper()
    return upper.startswith(STRANGERS) or upper.endswith("_PROXY") or upper in ("DATABASE_URL", "NO_COLOR")


for _name in [name for name in os.environ if _is_strange(name)]:
    del os.environ[_name]

# Under nohup, or in the background of a script, these are ignored, and every program started here would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every test has an empty home, so that neither this machine's settings nor another test's are seen."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(home))
        for variable, folder in HOME_FOLDERS.items():
            (home / folder).mkdir(parents=True, mode=0o700)
            environment.setenv(variable, str(home / folder))
        yield
