"""Certificates and keys in PEM that a command is given: what isn't one is named before it is used."""

import re
import ssl
from pathlib import Path
from typing import Final

from gateway.cli.output import fail

MAX_BYTES: Final = 1_048_576
"""All authorities of a system take a quarter of it; a larger file is some other one."""

CERTIFICATE: Final = re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----")
KEY: Final = re.compile(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----")
ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


def read_authority(path: Path) -> bytes:
    """A file of CA certificates. Raises CommandFailed that names it."""
    data = _read(path, CERTIFICATE, "certificate")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        fail(f"{path}: a certificate in it is damaged: {_why(error)}")
    return data


def read_pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """A file with a certificate and its chain, and one with its private key. Raises CommandFailed that names the one
    that is wrong, or both where they don't belong together; the key is not repeated."""
    pair = _read(certificate, CERTIFICATE, "certificate"), _read(key, KEY, "private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")  # whether a key is long enough is the gateway's to say
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            fail(f"{key}: not the key of the certificate in {certificate}")
        fail(f"{certificate} and {key}: can't be used: {_why(error)}")
    return pair


def _read(path: Path, begins: "re.Pattern[bytes]", what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        fail(f"{path}: can't be read: {error.strerror or error}")
    if len(data) > MAX_BYTES:
        fail(f"{path}: no {what} in PEM: larger than {MAX_BYTES} bytes")
    if any(sign in data for sign in ENCRYPTED) and what == "private key":
        fail(f"{path}: the private key is encrypted: give one that is not")
    if begins.search(data) is None:
        fail(f"{path}: no {what} in PEM")
    return data


def _why(error: ssl.SSLError) -> str:
    return (error.reason or "not known to OpenSSL").lower().replace("_", " ")
