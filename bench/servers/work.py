"""The work that the bare transports do: a message read, held against its schema, answered.

As the gateway reads it: orjson, then the gateway's own compiled schema. Nothing is decided, kept or looked up; answers
are encoded anew each time. ``options`` and ``tune`` are what the servers' processes have in common.
"""

import argparse
import base64
import binascii
import gc
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from gateway.ocpp.v16.schemas import REQUESTS
from gateway.transport.certificate_files import CertificateFiles
from gateway.transport.tls import build_context

THRESHOLD = 100_000
"""Allocations before the collector looks: it finds nothing in sessions, and each look costs what all of them hold."""

_transactions = count(1)


class Unanswerable(Exception):
    """No CALL of a known action with a valid payload."""


def answer(message: bytes) -> bytes:
    """The confirmation of a CALL. Raises ``Unanswerable``."""
    try:
        kind, message_id, action, payload = orjson.loads(message)
        is_valid, reply = _ACTIONS[action]
    except (ValueError, KeyError, TypeError) as error:
        raise Unanswerable from error
    if kind != 2 or not is_valid(payload):
        raise Unanswerable
    return orjson.dumps((3, message_id, reply()))


def admitted(identity: str, authorization: str | None) -> bool:
    """Return true if Basic authentication names this identity and brings a password, whichever it is."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        user, colon, password = base64.b64decode(token, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return user == identity.encode() and bool(colon and password)


def options(description: str | None) -> argparse.Namespace:
    """Arguments of every server: the folder of certificates that ``gateway certs dev`` has made."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("certificates", type=Path, help="folder with the server's certificates and keys")
    return parser.parse_args()


def tls(certificates: Path) -> ssl.SSLContext:
    """The context that the gateway would serve these certificates with."""
    return build_context(
        [
            CertificateFiles(certificates / f"server-{kind}.pem", certificates / f"server-{kind}.key")
            for kind in ("ecdsa", "rsa")
        ]
    )


def tune() -> None:
    """The collector's policy of a process that holds thousands of sessions.

    What the imports made is frozen, so that no collection looks at it again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, 50, 1000)


def ready(port: int) -> None:
    print(f"ready {port}", flush=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _empty() -> dict[str, Any]:
    return {}


def _boot() -> dict[str, Any]:
    return {"currentTime": _now(), "interval": 300, "status": "Accepted"}


def _heartbeat() -> dict[str, Any]:
    return {"currentTime": _now()}


def _start() -> dict[str, Any]:
    return {"idTagInfo": {"status": "Accepted"}, "transactionId": next(_transactions)}


_REPLIES: dict[str, Callable[[], dict[str, Any]]] = {
    "BootNotification": _boot,
    "Heartbeat": _heartbeat,
    "MeterValues": _empty,
    "StartTransaction": _start,
    "StatusNotification": _empty,
    "StopTransaction": _empty,
}

_ACTIONS = {action: (REQUESTS[action].is_valid, reply) for action, reply in _REPLIES.items()}
