"""Which module serves which kind of remote; it is imported when the first of its kind is opened."""

from collections.abc import Mapping

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.remotes.remote import Remote
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings


def open_remote(
    address: RemoteAddress, settings: RemoteSettings, environ: Mapping[str, str], cancellation: Cancellation
) -> Remote:
    """Open a remote: nothing is sent yet, or no more than a login.

    Raises ConnectError, AuthenticationError, ConfigError (credentials are missing or cannot be read).
    """
    if address.kind is RemoteKind.SFTP:
        from dbtui.adapters.remotes.sftp import SftpRemote

        return SftpRemote(address, settings, environ, cancellation)
    if address.kind is RemoteKind.DIRECTORY:
        from dbtui.adapters.remotes.directories import DirectoryRemote

        return DirectoryRemote(address, cancellation)
    from dbtui.adapters.remotes.objects import open_object_store

    return open_object_store(address, settings, environ, cancellation)
