"""The measurement of a fleet that comes back: each kind of handshake is the one that it says."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import trio
from attrs import frozen

from bench.processes import Credentials, Usage
from bench.reconnect_storm import VERSIONS, Charger, Storm
from gateway.domain.credentials import generate_key, make_credential
from gateway.domain.records import CredentialKind
from gateway.store.commits import AddCredential
from tests.app.running import running, settings
from tests.endtoend.gateway_process import development_certificates, free_port


@frozen
class Here:
    """A gateway of this process, as far as a storm uses one."""

    port: int
    ca_file: Path
    host: str = "127.0.0.1"
    path: str = "/ocpp"
    pid: int = 0

    def usage(self) -> Usage:
        raise AssertionError("no CPU is measured")


async def test_a_storm_with_tickets_resumes_and_one_without_does_not(tmp_path: Path) -> None:
    """In both versions of TLS; a kept ticket is of the last handshake."""
    certificates = development_certificates(tmp_path / "certs")
    here, key = Here(free_port(), certificates / "ca.pem"), generate_key()
    async with running(settings(tmp_path, certificates, port=here.port)) as made:
        credential = make_credential(key, CredentialKind.GENERATED, datetime.now(UTC))
        made.disk.commit([AddCredential("CP1", credential)])
        for version in VERSIONS.values():
            context = ssl.create_default_context(cafile=str(here.ca_file))
            context.minimum_version = context.maximum_version = version
            chargers = [Charger(Credentials("CP1", key))]
            for with_tickets in (False, True, True):
                storm = Storm(here, context, with_tickets)
                await storm.run(chargers)
                assert (len(storm.seconds), storm.others) == (1, 0)
                assert chargers[0].session is not None
                await trio.aclose_forcefully(chargers[0].stream)
