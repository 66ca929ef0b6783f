"""DB_POOL_*: read from the environment, wrong ones named."""

import pytest

from dbtui.errors import UsageError
from dbtui.instrument.routing_settings import read_limits
from dbtui.instrument.settings import read_pool_options


def test_what_is_not_set_has_its_default() -> None:
    assert read_pool_options({}) == {"pool_size": 5, "max_overflow": 10, "pool_timeout": 30.0}
    assert read_pool_options({"DB_POOL_SIZE": " ", "DB_POOL_TIMEOUT": ""})["pool_size"] == 5


def test_variables_are_read() -> None:
    environ = {"DB_POOL_SIZE": " 8 ", "DB_MAX_OVERFLOW": "-1", "DB_POOL_TIMEOUT": "0.5"}
    assert read_pool_options(environ) == {"pool_size": 8, "max_overflow": -1, "pool_timeout": 0.5}


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("DB_POOL_SIZE", "ten", "a whole number from 0 to 100000"),
        ("DB_POOL_SIZE", "5.0", "a whole number"),
        ("DB_POOL_SIZE", "-1", "from 0"),
        ("DB_POOL_SIZE", "1_000", "a whole number"),
        ("DB_POOL_SIZE", "٥", "a whole number"),
        ("DB_POOL_SIZE", "9" * 5000, "a whole number"),
        ("DB_POOL_SIZE", "100001", "from 0 to 100000"),
        ("DB_MAX_OVERFLOW", "-2", "from -1"),
        ("DB_MAX_OVERFLOW", "many\x1b[31m", "a whole number"),
        ("DB_POOL_TIMEOUT", "-1", "seconds from 0"),
        ("DB_POOL_TIMEOUT", "30s", "seconds"),
        ("DB_POOL_TIMEOUT", "nan", "seconds"),
        ("DB_POOL_TIMEOUT", "inf", "seconds"),
        ("DB_POOL_TIMEOUT", "1e999", "to 86400"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_variable(name: str, value: str, accepted: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_pool_options({name: value})
    said = str(caught.value)
    assert said.startswith(f"{name} is '")
    assert accepted in said
    assert said.isprintable()
    assert len(said) < 200


def test_an_option_that_was_chosen_otherwise_is_not_looked_up() -> None:
    environ = {"DB_POOL_SIZE": "wrong", "DB_MAX_OVERFLOW": "2"}
    assert read_pool_options(environ, {"pool_size", "echo"}) == {"max_overflow": 2, "pool_timeout": 30.0}


@pytest.mark.parametrize("value", ["0", "0.0", "-1", "1e-9"])
def test_a_lag_of_nothing_is_refused_by_the_name_of_its_variable(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_limits({"DB_REPLICA_LAG_SECONDS": value}, {})
    assert str(caught.value).startswith(f"DB_REPLICA_LAG_SECONDS is '{value}', which is out of range; ")
    assert "from 0.001" in str(caught.value)
    assert read_limits({"DB_REPLICA_LAG_SECONDS": "0.5", "DB_REPLICA_WAIT_SECONDS": "0"}, {}).lag_seconds == 0.5
