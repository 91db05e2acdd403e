"""The measurement of resumed handshakes measures resumed ones, of each kind."""

import pytest

from bench import resumption


def test_each_kind_is_measured_full_and_resumed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A handshake of the other sort would be an error."""
    monkeypatch.setattr("sys.argv", ["resumption", "--count", "2"])
    resumption.main()
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row[:22].strip() for row in rows] == list(resumption.KINDS)
    assert all("full" in row and "resumed" in row for row in rows)
