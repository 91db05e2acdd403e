"""The yardsticks that need no server."""

from pathlib import Path

from bench import processes, yardsticks


def test_a_handshake_costs_a_part_of_a_millisecond(tmp_path: Path) -> None:
    """The server's half is measured, and both ends come to the end of the handshake."""
    certificates = processes.certificates(tmp_path).parent
    assert 0.01 < yardsticks.handshake_milliseconds(certificates, handshakes=16) < 50
