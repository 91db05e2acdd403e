"""TLS as a scanner of other people finds it: sslscan, against the running gateway, suite by suite.

In CI sslscan has to be there (`make test` installs it where it may); elsewhere the test says why it is skipped.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from attrs import frozen

from tests.endtoend.gateway_process import MakeGateway
from tests.support import promised

SCAN_SECONDS = 120
"""A guard against hanging: a scan on loopback takes a second."""


@frozen
class Scan:
    """Findings of sslscan: versions that are spoken, suites by version in the server's order, groups, findings."""

    versions: frozenset[str]
    suites: dict[str, list[str]]
    groups: frozenset[str]
    renegotiates: bool
    bleeds: bool


def scanned(port: int) -> Scan:
    """Scan a port of the loopback interface. Raises subprocess.CalledProcessError."""
    program = sslscan()
    assert program is not None
    done = subprocess.run(
        [program, "--xml=-", "--no-colour", "--no-check-certificate", f"127.0.0.1:{port}"],
        capture_output=True,
        check=True,
        timeout=SCAN_SECONDS,
    )
    return read(done.stdout)


def read(report: bytes) -> Scan:
    """Read sslscan's XML."""
    [test] = ElementTree.fromstring(report).iter("ssltest")
    suites: dict[str, list[str]] = {}
    for each in test.iter("cipher"):
        suites.setdefault(each.attrib["sslversion"], []).append(each.attrib["cipher"])
    return Scan(
        frozenset(
            f"{each.attrib['type']} {each.attrib['version']}"
            for each in test.iter("protocol")
            if each.attrib["enabled"] == "1"
        ),
        suites,
        frozenset(each.attrib["name"] for each in test.iter("group")),
        any(each.attrib["supported"] == "1" for each in test.iter("renegotiation")),
        any(each.attrib["vulnerable"] == "1" for each in test.iter("heartbleed")),
    )


def sslscan() -> str | None:
    """The path of sslscan, if it is there."""
    return shutil.which("sslscan")


def require_sslscan() -> None:
    """Skip the test where there is no sslscan, saying so; fail it in CI."""
    if sslscan() is None:
        without: Callable[[str], None] = pytest.fail if os.environ.get("CI") else pytest.skip
        without("sslscan is not installed: TLS is not scanned (`make test` installs it where it may)")


@pytest.mark.parametrize("policy", promised.POLICIES)
def test_a_scanner_finds_what_the_policy_promises(make_gateway: MakeGateway, policy: str) -> None:
    """Exactly its suites in its order, TLS 1.2 and 1.3 and nothing older, three groups, no renegotiation."""
    require_sslscan()
    gateway = make_gateway()
    settings = gateway.config.read_text()
    gateway.config.write_text(settings.replace("[[listeners]]\n", f'[[listeners]]\ntls_policy = "{policy}"\n'))
    gateway.start()
    found = scanned(gateway.port)
    assert found.suites["TLSv1.2"] == list(promised.POLICIES[policy])
    assert set(found.suites["TLSv1.3"]) == set(promised.TLS_1_3_SUITES)
    assert found.suites.keys() == {"TLSv1.2", "TLSv1.3"}
    assert found.versions == {"tls 1.2", "tls 1.3"}
    assert found.groups == {"x25519", "secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)"}
    assert not found.renegotiates
    assert not found.bleeds


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)], ids=["elsewhere", "in CI"]
)
def test_without_sslscan_the_scan_is_skipped_with_its_reason_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    """So that it is never left out unsaid where it counts."""
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(outcome, match="sslscan is not installed"):
        require_sslscan()
