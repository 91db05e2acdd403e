"""The key set of callers' JWTs, read again under a running gateway as certificates are."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from gateway.app.from_settings import jwt_keys
from gateway.app.settings.callers import JwtSettings
from gateway.control.jwt_callers import JwtKey
from gateway.transport.certificate_files import FileStates, TlsFault, states_of


class JwtKeyFile:
    """The keys in the JWKS file. ``take`` is called with what was read anew, in the thread that ``reload`` is called
    in."""

    def __init__(self, settings: JwtSettings, take: Callable[[tuple[JwtKey, ...]], None]) -> None:
        """Raises ``SettingsError``."""
        self._settings = settings
        self._take = take
        self.looked_at = self.states()
        self.keys = jwt_keys(settings)
        """Those that were taken last."""

    def states(self) -> FileStates:
        """Return the states of the file now."""
        return states_of(self._settings.jwks_file)

    def reload(self, now: datetime) -> None:
        """Read the file again, and take what is there. Raises ``SettingsError``; then all stays as it is."""
        self.looked_at = self.states()
        self.keys = jwt_keys(self._settings)
        self._take(self.keys)

    def renew(self) -> None:
        """Nothing: there are no tickets."""

    def validity(self, now: datetime) -> Iterator[TlsFault]:
        """Nothing: public keys have no end."""
        yield from ()

    def expiries(self) -> Iterator[tuple[str, Path, datetime]]:
        """The same."""
        yield from ()
