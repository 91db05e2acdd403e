"""The gateway's cost of a TLS handshake, full and resumed: ``python -m bench.resumption``.

In memory, by the processor's time of the server's end alone; the client's runs in the same process and is not counted.
"""

import argparse
import ssl
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.openssl import arrange

arrange()  # before OpenSSL starts, as the gateway itself does it

from gateway.cli.certificates import Issuing, development_set, write  # noqa: E402
from gateway.transport.certificate_files import CertificateFiles  # noqa: E402
from gateway.transport.tls import build_context  # noqa: E402
from gateway.transport.tls_records import TlsRecords  # noqa: E402

KINDS: Final = {
    "TLS 1.2, ECDHE-ECDSA": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    "TLS 1.2, ECDHE-RSA": (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256"),
    "TLS 1.2, static RSA": (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256"),
    "TLS 1.3": (ssl.TLSVersion.TLSv1_3, ""),
}
"""Name → version and suite of a client that knows nothing else."""

ROUNDS: Final = 5
"""Flights of a handshake, at most."""


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[int, ssl.SSLSession | None, bool]:
    """One handshake: nanoseconds of the server's end, the session to resume, and whether it was resumed."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end, records, spent = client.wrap_bio(incoming, outgoing, session=session), TlsRecords(server), 0
    for _ in range(ROUNDS):
        try:
            end.do_handshake()
            is_done = True
        except ssl.SSLWantReadError:
            is_done = False
        data = outgoing.read()
        began = time.process_time_ns()
        records.feed(data)
        is_done = records.handshake() and is_done
        answer = records.pending()
        spent += time.process_time_ns() - began
        incoming.write(answer)
        if is_done:
            break
    incoming.write(records.encrypt(b"."))  # in TLS 1.3 the ticket comes with what follows
    end.read(1)
    return spent, end.session, bool(end.session_reused)


def microseconds(server: ssl.SSLContext, version: ssl.TLSVersion, suite: str, count: int, *, resumed: bool) -> float:
    """The mean of ``count`` handshakes."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    if suite:
        client.set_ciphers(suite)
    _, session, _ = handshake(server, client, None)
    total = 0
    for _ in range(count):
        spent, _, was_resumed = handshake(server, client, session if resumed else None)
        if was_resumed != resumed:
            raise RuntimeError("a handshake was not of the kind that is measured")
        total += spent
    return total / count / 1000


def main() -> None:
    """Measure each kind and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.resumption", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="handshakes of each kind")
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        issuing = Issuing("Bench", datetime.now(UTC), timedelta(days=2))
        write(folder, development_set(["localhost"], issuing), force=False)
        server = build_context(
            [
                CertificateFiles(folder / f"server-{kind}.pem", folder / f"server-{kind}.key")
                for kind in ("ecdsa", "rsa")
            ]
        )
        print(f"{ssl.OPENSSL_VERSION}; microseconds of the server's end")
        for kind, (version, suite) in KINDS.items():
            full, again = (microseconds(server, version, suite, count, resumed=each) for each in (False, True))
            print(f"{kind:22} full {full:6.0f}   resumed {again:6.0f}")


if __name__ == "__main__":
    main()
