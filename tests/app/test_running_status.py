"""The status of a gateway, of its figures and of the ends of its certificates."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.app.certificate_watch import CertificateWatch
from gateway.app.figures import StoreFiles
from gateway.app.running_status import RunningStatus
from gateway.domain.gateway_status import ServedCertificate, StoreStatus
from gateway.observability.metrics import Metrics

ENDS = datetime(2027, 1, 1, tzinfo=UTC)


class Served:
    """The certificate of one listener."""

    def expiries(self) -> Any:
        yield "ECDSA", Path("gateway.pem"), ENDS


@pytest.mark.parametrize(
    ("on_disk", "expected"),
    [
        (True, StoreStatus(True, 10, 2, 30, 40, 5)),
        (False, StoreStatus(True, 10, None, None, None, 5)),
    ],
)
def test_a_status_is_put_together_of_the_parts(on_disk: bool, expected: StoreStatus) -> None:
    """Of a store on a server no disk is known."""
    served: Any = Served()
    watch = CertificateWatch([("main", served)], metrics=Metrics(), clock=lambda: ENDS)
    of: Any = SimpleNamespace(
        journal=SimpleNamespace(waiting=5),
        endpoints=SimpleNamespace(certificates=watch),
        figures=SimpleNamespace(on_disk=on_disk, files=StoreFiles(10, 2, 30, 40)),
        store_is_well=True,
    )
    status = RunningStatus(of)
    assert status.store() == expected
    assert status.certificates() == [ServedCertificate("main", "ECDSA", ENDS)]
