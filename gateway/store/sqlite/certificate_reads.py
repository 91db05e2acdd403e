"""The store's reads of chargers' certificates, as ``gateway.store.certificates.CertificateStore`` has them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from gateway.domain.signing import SigningRecord
from gateway.store.certificates import DueCertificate
from gateway.store.sqlite import signing

P = ParamSpec("P")
R = TypeVar("R")


class CertificateReads(ABC):
    """A part of the store."""

    @abstractmethod
    def _read(self, query: Callable[Concatenate[apsw.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a query, in a read transaction."""

    def signing(self, signing_id: str) -> SigningRecord | None:
        return self._read(signing.signing, signing_id)

    def unsigned(self, after: str, limit: int) -> list[SigningRecord]:
        return self._read(signing.unsigned, after, limit)

    def overdue_signings(self, at: datetime, limit: int) -> list[SigningRecord]:
        return self._read(signing.overdue_signings, at, limit)

    def due_certificates(self, now: datetime, near: datetime, limit: int) -> list[DueCertificate]:
        return self._read(signing.due_certificates, now, near, limit)
