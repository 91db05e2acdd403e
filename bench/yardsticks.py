"""Cost of the parts below the gateway alone, measured in the run that they are held against."""

import ssl
import statistics
import time
from pathlib import Path

from bench import cores

HANDSHAKES = 400
WARM_UP = 50
BATCHES = 8
"""The middle one of so many is taken: what else the machine does meanwhile falls on a few of them."""


def handshake_milliseconds(certificates: Path, handshakes: int = HANDSHAKES) -> float:
    """The server's CPU for one full TLS 1.3 handshake by OpenSSL alone, in milliseconds.

    Both ends are in this process, over memory BIOs, and only the server's half is on the clock: making the object, the
    key exchange, the signature, the client's Finished, two session tickets. ``certificates`` is the folder that
    ``gateway certs dev`` makes; the certificate is its ECDSA one, which the gateway serves to all who know ECDSA. Runs
    on the server's core. Raises ssl.SSLError, OSError.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    server.load_cert_chain(certificates / "server-ecdsa.pem", certificates / "server-ecdsa.key")
    client = ssl.create_default_context(cafile=certificates / "ca.pem")
    with cores.on([cores.server_core()]):
        for _ in range(WARM_UP):
            _server_nanoseconds(server, client)
        batches = [
            statistics.fmean(_server_nanoseconds(server, client) for _ in range(max(1, handshakes // BATCHES)))
            for _ in range(BATCHES)
        ]
    return statistics.median(batches) / 1e6


def _server_nanoseconds(server: ssl.SSLContext, client: ssl.SSLContext) -> int:
    """This thread's CPU time in the server's half of one handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    began = time.thread_time_ns()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    spent = time.thread_time_ns() - began
    for end in (theirs, ours, theirs, ours):  # hello; hello to Finished; Finished; tickets
        began = time.thread_time_ns()
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
        if end is ours:
            spent += time.thread_time_ns() - began
    assert ours.version() == "TLSv1.3", "the handshake did not come to its end"
    return spent
