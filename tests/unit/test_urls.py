"""URLs as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.errors import UsageError
from dbtui.model.connections import EngineName
from dbtui.model.urls import parse_database_url, redact_url


@pytest.mark.parametrize(
    ("text", "canonical", "database", "password"),
    [
        ("postgres://u:p@h/db", "postgresql://u@h/db", "db", "p"),
        ("postgresql+asyncpg://u:p@h:5432/db?sslmode=require", "postgresql://u@h:5432/db?sslmode=require", "db", "p"),
        ("postgresql+psycopg2://h/db", "postgresql://h/db", "db", None),
        ("  postgresql://h/db\n", "postgresql://h/db", "db", None),
        ("PostgreSQL://h/db", "postgresql://h/db", "db", None),
        ("postgresql://u:p#a?b@h/db", "postgresql://u@h/db", "db", "p#a?b"),
        ("postgresql://u:p/w@host/db", "postgresql://u@host/db", "db", "p/w"),
        ("postgresql://u:12/3@host/db", "postgresql://u@host/db", "db", "12/3"),
        ("postgresql://u:p@ss/word@host:1/db", "postgresql://u@host:1/db", "db", "p@ss/word"),
        ("postgresql://u:a@b@c@host/db", "postgresql://u@host/db", "db", "a@b@c"),
        ("postgresql://u:100%@h/db", "postgresql://u@h/db", "db", "100%"),
        ("postgresql://u:x%40%2F@h/db", "postgresql://u@h/db", "db", "x@/"),
        ("postgresql://u:p@host/db@x", "postgresql://u@host/db%40x", "db@x", "p"),
        ("postgresql://host:5432/a@b", "postgresql://host:5432/a%40b", "a@b", None),
        ("postgresql://h/db?user=u&password=s3", "postgresql://h/db?user=u", "db", "s3"),
        ("postgresql:///db?host=/run/pg&port=5433", "postgresql:///db?host=/run/pg&port=5433", "db", None),
        ("postgresql://%2Frun%2Fpg:5433/db", "postgresql:///db?host=/run/pg&port=5433", "db", None),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db", "db", None),
        ("postgresql://u:p@[fe80::1%25eth0]/db", "postgresql://u@[fe80::1%25eth0]/db", "db", "p"),
        ("postgresql://h1:1,h2:2/db", "postgresql://h1:1,h2:2/db", "db", None),
        ("postgresql://host", "postgresql://host/", "", None),
        ("postgresql://host:/", "postgresql://host/", "", None),
        ("postgresql:///", "postgresql:///", "", None),
        ("mariadb://root@localhost/my%20db", "mysql://root@localhost/my%20db", "my db", None),
        ("mysql+pymysql://root:x@localhost/a b", "mysql://root@localhost/a%20b", "a b", "x"),
        ("mysql:///d?unix_socket=/run/m.sock", "mysql:///d?unix_socket=/run/m.sock", "d", None),
        ("postgresql://h/%0A%5Bred%5D%22", "postgresql://h/%0A%5Bred%5D%22", '\n[red]"', None),
        ("postgresql://h/a\nb", "postgresql://h/a%0Ab", "a\nb", None),
        ("sqlite:///erp.db", "sqlite:///erp.db", "erp.db", None),
        ("sqlite:////var/a b#.db", "sqlite:////var/a%20b%23.db", "/var/a b#.db", None),
        ("sqlite+pysqlite:////var/x%3F.db?mode=ro", "sqlite:////var/x%3F.db?mode=ro", "/var/x?.db", None),
    ],
)
def test_a_url_is_understood(text: str, canonical: str, database: str, password: str | None) -> None:
    url = parse_database_url(text)
    assert (str(url), url.database) == (canonical, database)
    assert (url.password.reveal() if url.password else None) == password
    assert str(parse_database_url(str(url))) == canonical


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("oracle://scott:tiger@h/x", "use postgresql://, postgres://, mysql://, mariadb:// or sqlite:///"),
        ("h:5432/db", "is not a URL"),
        ("", "is not a URL"),
        ("postgresql:/h/db", "is not a URL"),
        ("postgresql://erp:s3cret/db", "host or port"),
        ("postgresql://a b/db", "host or port"),
        ("postgresql://[::1/db", "host or port"),
        ("postgresql://h:99999/db", "between 1 and 65535"),
        ("postgresql://h:0/db", "between 1 and 65535"),
        ("postgresql://h/%FF", "not UTF-8"),
        ("postgresql://h/a%00b", "NUL"),
        ("postgresql://h/d?sslpassword=s3cret", "sslpassword"),
        ("sqlite://erp.db", "sqlite:///file.db"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///file:erp.db?uri=true", "plain path"),
    ],
)
def test_a_wrong_url_gets_one_sentence_without_secrets(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_database_url(text)
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert "tiger" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_mariadb_is_a_flavour_of_mysql() -> None:
    assert parse_database_url("mariadb://h/d").engine is EngineName.MYSQL


@pytest.mark.parametrize("text", ["x://u:hidden@h/d", "x://h/d?password=hidden&a=b", "://u:hidden@", "x://a:hid@den@h"])
def test_a_redacted_url_shows_no_login(text: str) -> None:
    assert "hid" not in redact_url(text)


_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)


@settings(deadline=None)
@given(user=_names, password=_names, database=_names)
def test_encoded_parts_come_back_whole(user: str, password: str, database: str) -> None:
    from urllib.parse import quote

    text = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@db1:5432/{quote(database, safe='')}"
    url = parse_database_url(text)
    assert (url.user, url.hosts, url.database) == (user, "db1:5432", database)
    assert url.password is not None
    assert url.password.reveal() == password
    again = parse_database_url(str(url))
    assert (again.user, again.database, again.password) == (user, database, None)


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_a_url_or_a_sentence(text: str) -> None:
    for scheme in ("postgresql://", "mysql://", "sqlite:///", ""):
        try:
            parse_database_url(scheme + text)
        except UsageError as error:
            assert str(error)


@settings(deadline=None)
@given(password=st.text("abc#?/@:% &=", min_size=1, max_size=12))
def test_no_password_stays_in_the_url_however_it_was_written(password: str) -> None:
    secret = f"q{password}q"
    try:
        url = parse_database_url(f"postgresql://erp:{secret}@db1/erp")
    except UsageError as error:
        assert secret not in str(error)
        return
    assert secret not in str(url)
    assert secret not in repr(url)
