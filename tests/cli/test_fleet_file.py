"""A fleet in a file: the rows read, and the report of what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.v1.common_pb2 import Registration
from gateway.cli import fleet_file
from gateway.cli.fleet_file import COLUMNS, FleetFile, read_fleet
from gateway.cli.output import CommandFailed


def read(*lines: str, encoding: str = "utf-8", ending: str = "\n") -> FleetFile:
    return read_fleet(ending.join(lines).encode(encoding))


def keys(fleet: FleetFile) -> list[bytes]:
    return [row.charge_point.authorization_key for row in fleet.rows]


def reasons(fleet: FleetFile) -> list[str]:
    return [str(each) for each in fleet.wrong]


def test_a_key_is_read_as_its_column_says() -> None:
    """Digits may be meant as text: nothing is guessed."""
    digits = "00ff" * 10
    fleet = read("identity,key_hex,key_text", f"CP1,{digits},", f"CP2,,{digits}", 'CP3,,"a ""b"", c: ü "')
    assert keys(fleet) == [bytes.fromhex(digits), digits.encode(), 'a "b", c: ü '.encode()]
    assert not fleet.wrong


def test_columns_come_in_any_order_and_some_may_be_left_out() -> None:
    """Fields left out or empty have the gateway's default."""
    fleet = read(
        "Description, registration ,key_text,assume_subprotocol,IDENTITY",
        "garage,Pending,password1,TRUE, CP1 ",
        ",,password2,,CP2",
    )
    first, second = (row.charge_point.charge_point for row in fleet.rows)
    assert (first.identity, first.description, first.assume_subprotocol) == ("CP1", "garage", True)
    assert first.registration == Registration.REGISTRATION_PENDING
    assert (second.identity, second.description, second.assume_subprotocol) == ("CP2", "", False)
    assert second.registration == Registration.REGISTRATION_UNSPECIFIED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_files_of_spreadsheets_are_read(encoding: str, ending: str) -> None:
    """A byte order mark, lines that end as on Windows, empty lines, lines of commas."""
    fleet = read("identity,key_text", "", "CP1,password1", ",", "CP2,password2", "", encoding=encoding, ending=ending)
    assert [(row.line, row.charge_point.charge_point.identity) for row in fleet.rows] == [(3, "CP1"), (5, "CP2")]
    assert not fleet.wrong


def test_columns_of_labels_are_named_by_their_key() -> None:
    """In any case but the key's; an empty cell is no label."""
    fleet = read("identity,key_text,LABEL:Site,label: a/b", "CP1,password,north,", "CP2,password,,x y ")
    assert fleet.wrong == ()
    assert [dict(row.charge_point.charge_point.labels) for row in fleet.rows] == [{"Site": "north"}, {"a/b": "x y"}]


def test_every_wrong_line_is_reported_by_number_column_and_reason() -> None:
    """A line is counted as an editor does, also after a text of several lines."""
    fleet = read(
        "identity,key_hex,key_text,registration,assume_subprotocol,description",
        'CP1,00ff,,,,"two',
        'lines"',
        "CP2,xyz,,,,",
        "CP3,00f,,,,",
        "CP4,,,,,",
        "CP5,00ff,text,,,",
        "CP6,00 ff,,,,",
        "CP7,00ff,,perhaps,no,",
        "CP8,00ff",
        "CP9,00ff,,,,,,",
    )
    hexadecimal = "key_hex: must have hexadecimal digits only, two for each byte"
    assert reasons(fleet) == [
        f"line 4: {hexadecimal}",
        f"line 5: {hexadecimal}",
        "line 6: key_hex: must be set (key_hex or key_text): an import is for chargers that have their keys",
        "line 7: key_hex: there is a key_text too: a charger has one key",
        f"line 8: {hexadecimal}",
        "line 9: registration: must be accepted, pending or rejected, or empty for accepted",
        "line 9: assume_subprotocol: must be true or false, or empty for false",
        "line 10: has 2 columns, and the header has 6",
        "line 11: has 8 columns, and the header has 6",
    ]
    assert [row.line for row in fleet.rows] == [2, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no header"),
        (["", ","], "no header"),
        (["CP1,secret-key-1", "CP2,secret-key-2"], "line 1: column 1 has a name that is not known"),
        (["identity,key"], "line 1: column 2 has a name that is not known"),
        (["identity;key_text"], "separated by commas"),
        (["identity,key_text,secret-key-1"], "line 1: column 3 has a name that is not known"),
        (["identity,key_text,identity"], "line 1: column 3 is there twice"),
        (["key_text"], "no column identity"),
        (["identity,description"], "no column with keys"),
        (['"identity'], "line 1: is not CSV"),
    ],
)
def test_without_a_header_that_can_be_gone_by_nothing_is_read(lines: list[str], reason: str) -> None:
    """And what stands there is not shown: it may be a key."""
    with pytest.raises(CommandFailed, match=reason) as caught:
        read(*lines)
    assert "secret" not in str(caught.value)


def test_what_is_not_utf_8_is_reported_by_its_line() -> None:
    """Guessing an encoding would change keys."""
    with pytest.raises(CommandFailed, match="line 3: is not UTF-8"):
        read("identity,key_text", "CP1,password1", "CP2,pässword2", encoding="latin-1")


def test_what_is_not_csv_ends_the_reading_and_is_reported() -> None:
    """Behind a quote that is never closed no line can be distinguished from another."""
    fleet = read("identity,key_text", "CP1,password1", 'CP2,"secret-key', "CP3,password3")
    assert [row.line for row in fleet.rows] == [2]
    (reason,) = reasons(fleet)
    assert reason.startswith("line 3: is not CSV, and the lines after it were not read")
    assert "secret" not in reason


def test_a_file_has_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held in memory."""
    monkeypatch.setattr(fleet_file, "MAX_FILE_BYTES", 30)
    with pytest.raises(CommandFailed, match="larger"):
        read("identity,key_text", "CP1,password1")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_fleet_or_a_clear_refusal(data: bytes) -> None:
    """Never another exception."""
    try:
        read_fleet(data)
    except CommandFailed:
        pass


CELLS = st.text(max_size=12) | st.sampled_from(["CP1", "00ff", "accepted", "true", '"', "\n", ","])


@given(st.lists(st.lists(CELLS, min_size=6, max_size=6).map(",".join), max_size=8))
def test_any_lines_are_read_or_reported_and_no_key_is_shown(lines: list[str]) -> None:
    """Each row has a line of the file; every fault too."""
    fleet = read(",".join(COLUMNS), *(line + ",SECRETSECRET" for line in lines), encoding="utf-8")
    assert "SECRETSECRET" not in " ".join(reasons(fleet))


@given(st.binary(min_size=1, max_size=40), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_key_comes_out_as_it_went_in(key: bytes, password: str) -> None:
    """As hexadecimal digits, and as text with all that CSV can quote."""
    quoted = '"' + password.replace('"', '""') + '"'
    fleet = read("identity,key_hex,key_text", f"CP1,{key.hex()},", f"CP2,,{quoted}")
    assert keys(fleet) == [key, password.encode()]
