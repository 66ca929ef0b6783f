"""Which adapter speaks to which kind of repository."""

from collections.abc import Mapping

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.repositories.barman import Barman
from dbtui.adapters.repositories.pgbackrest import PgBackRest
from dbtui.adapters.repositories.repository import RepositoryAdapter
from dbtui.model.repositories import Repository, RepositoryKind


def open_repository(
    repository: Repository, environ: Mapping[str, str], cancellation: Cancellation
) -> RepositoryAdapter:  # fmt: skip
    """Return what speaks to a repository; nothing is asked yet."""
    if repository.kind is RepositoryKind.PGBACKREST:
        return PgBackRest(repository, environ, cancellation)
    return Barman(repository, environ, cancellation)
