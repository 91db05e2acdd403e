"""The measurement of guesses checks wrong keys, each of both kinds."""

import pytest

from bench import guessing


def test_each_guess_is_measured_at_both_kinds_of_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is taken would be an error, and is tried."""
    monkeypatch.setattr("sys.argv", ["guessing", "--count", "1"])
    guessing.main()
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row[:24].strip() for row in rows] == list(guessing.GUESSES)
    assert all(len(row[24:].split()) == 2 for row in rows)
    monkeypatch.setitem(guessing.GUESSES, "right", guessing.KEY)
    with pytest.raises(RuntimeError, match="was taken"):
        guessing.main()
