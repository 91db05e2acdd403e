"""`gateway chargers import`: what is sent, and what is said of its outcome."""

import json
from pathlib import Path

import grpc
import pytest

from gateway.api.v1 import charge_point_pb2 as api
from gateway.cli import fleet_import
from tests.cli.fakes import Failure

DONE = api.ImportChargePointsResponse(result=api.ImportResult(charge_point_count=3))
HASHING = api.ImportChargePointsResponse(
    progress=api.ImportProgress(stage=api.IMPORT_STAGE_HASHING, done_count=1, total_count=3)
)
FLEET = "identity,key_hex,key_text\nCP1,00ff00ff00ff00ff,\nCP2,,password-2\nCP3,,password-3\n"


def faults(*given: api.ImportFault) -> api.ImportChargePointsResponse:
    return api.ImportChargePointsResponse(faults=api.ImportFaults(faults=given))


def refused(count: int, reason: str = "IMPORT_REFUSED") -> Failure:
    return Failure(
        grpc.StatusCode.INVALID_ARGUMENT, "can't be imported", reason, {"wrong_count": str(count), "total_count": "3"}
    )


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A file with three chargers."""
    path = tmp_path / "fleet.csv"
    path.write_text(FLEET)
    return path


def sent(fake) -> tuple[api.ImportHeader, list[api.ImportedChargePoint]]:
    """The header and the charge points of the one import."""
    (requests,) = fake.asked("ImportChargePoints")
    header, *batches = requests
    return header.header, [each for batch in batches for each in batch.batch.charge_points]


def test_a_fleet_is_sent_whole_and_its_import_reported(fake, run, fleet, monkeypatch):
    """In batches, announced by their number; no key is shown."""
    monkeypatch.setattr(fleet_import, "BATCH", 2)
    fake.answers["ImportChargePoints"] = [HASHING, DONE]
    result = run("chargers", "import", fleet)
    assert result.exit_code == 0, result.output
    assert result.stdout == "3 chargers imported\n"
    header, charge_points = sent(fake)
    assert (header.charge_point_count, header.validate_only) == (3, False)
    assert [each.charge_point.identity for each in charge_points] == ["CP1", "CP2", "CP3"]
    assert [each.authorization_key for each in charge_points] == [b"\x00\xff" * 4, b"password-2", b"password-3"]
    assert "00ff" not in result.output
    assert "password" not in result.output


def test_a_terminal_sees_how_far_it_has_come(fake, run, fleet, monkeypatch):
    """On standard error, so that the result can be piped."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    fake.answers["ImportChargePoints"] = [HASHING, DONE]
    result = run("chargers", "import", fleet)
    assert result.exit_code == 0, result.output
    assert "hashing keys" in result.stderr
    assert "1/3" in result.stderr
    assert "hashing" not in result.stdout


def test_a_dry_run_asks_for_nothing_but_a_check(fake, run, fleet):
    """The request says so."""
    fake.answers["ImportChargePoints"] = [DONE]
    result = run("chargers", "import", fleet, "--dry-run", "--json")
    assert json.loads(result.stdout) == {"charge_points": 3, "dry_run": True}
    assert sent(fake)[0].validate_only


def test_a_fleet_comes_from_standard_input(fake, run):
    """Keys need not lie in a file."""
    fake.answers["ImportChargePoints"] = [DONE]
    result = run("chargers", "import", "-", input=FLEET)
    assert result.exit_code == 0, result.output
    assert sent(fake)[0].charge_point_count == 3


def test_what_the_gateway_finds_wrong_is_reported_by_line_and_column(fake, run, fleet):
    """All of it, in the file's order; and nothing else."""
    fake.answers["ImportChargePoints"] = [
        faults(
            api.ImportFault(index=2, field="charge_point.identity", description="is that of an earlier one too",
                            duplicate_of_index=0),
            api.ImportFault(index=1, field="charge_point.identity", description="is taken", exists=True),
        ),
        faults(
            api.ImportFault(index=0, field="authorization_key", description="must have 8 to 40 bytes"),
            api.ImportFault(index=1, field="authorization_key", description="must have 8 to 40 bytes"),
        ),
        refused(3),
    ]  # fmt: skip
    result = run("chargers", "import", fleet)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: nothing was imported: 3 lines are wrong",
        "  line 2: key_hex: must have 8 to 40 bytes",
        "  line 3: identity: is taken",
        "  line 3: key_text: must have 8 to 40 bytes",
        "  line 4: identity: is that of line 2 too",
    ]


def test_a_file_with_a_wrong_line_is_checked_to_its_end_and_not_imported(fake, run, tmp_path):
    """The gateway finds what only it can know; nothing is reported twice."""
    path = tmp_path / "fleet.csv"
    path.write_text("identity,key_hex\nCP1,xyz\nCP2,00\nCP3,00ff,\nCP4,00ff00ff00ff00ff\n")
    fake.answers["ImportChargePoints"] = [
        faults(
            api.ImportFault(index=0, field="authorization_key", description="must be set"),
            api.ImportFault(index=1, field="authorization_key", description="must have 8 to 40 bytes"),
            api.ImportFault(index=2, field="charge_point.identity", description="is taken", exists=True),
        ),
        refused(3),
    ]
    result = run("chargers", "import", path)
    assert result.exit_code == 1
    assert sent(fake)[0].validate_only
    assert result.stderr.splitlines() == [
        "error: nothing was imported: 4 lines are wrong",
        "  line 2: key_hex: must have hexadecimal digits only, two for each byte",
        "  line 3: key_hex: must have 8 to 40 bytes",
        "  line 4: has 3 columns, and the header has 2",
        "  line 5: identity: is taken",
    ]


def test_wrong_lines_are_violations_for_programs(fake, run, tmp_path):
    """Each with its place, beside the text for people; a header that is none, too."""
    path = tmp_path / "fleet.csv"
    path.write_text("identity,key_hex\nCP1,xyz\nCP3,00ff,\n")
    fake.answers["ImportChargePoints"] = [refused(2)]
    error = json.loads(run("chargers", "import", path, "--json").stderr)["error"]
    assert (error["exit_code"], error["reason"]) == (1, "WRONG_LINES")
    assert error["violations"] == [
        {"field": "line 2: key_hex", "description": "must have hexadecimal digits only, two for each byte"},
        {"field": "line 3", "description": "has 3 columns, and the header has 2"},
    ]
    path.write_text("identity\nCP1\n")
    error = json.loads(run("chargers", "import", path, "--json").stderr)["error"]
    assert [each["field"] for each in error["violations"]] == ["line 1"]


def test_wrong_lines_are_reported_also_where_no_gateway_answers(fake, run, tmp_path):
    """Lines are checked as far as that goes without a gateway."""
    path = tmp_path / "fleet.csv"
    path.write_text("identity,key_hex\nCP1,xyz\n")
    fake.answers["ImportChargePoints"] = [
        Failure(grpc.StatusCode.FAILED_PRECONDITION, "another import is running", "IMPORT_RUNNING")
    ]
    result = run("chargers", "import", path)
    assert result.exit_code == 1
    assert "line 2: key_hex" in result.stderr
    assert "the gateway did not check the rest: another import is running [IMPORT_RUNNING]" in result.stderr


def test_a_gateway_that_can_not_is_reported_in_one_line(fake, run, fleet):
    """As for every command."""
    fake.answers["ImportChargePoints"] = [
        Failure(grpc.StatusCode.FAILED_PRECONDITION, "another import is running", "IMPORT_RUNNING")
    ]
    result = run("chargers", "import", fleet)
    assert (result.exit_code, result.stderr) == (1, "error: another import is running [IMPORT_RUNNING]\n")


@pytest.mark.parametrize("text", ["", "identity,key_hex\n"])
def test_a_file_without_chargers_is_refused(fake, run, tmp_path, text):
    """Nothing is asked of the gateway."""
    path = tmp_path / "fleet.csv"
    path.write_text(text)
    result = run("chargers", "import", path)
    assert result.exit_code == 1
    assert not fake.requests


def test_a_file_that_is_not_there_is_wrong_usage(fake, run, tmp_path):
    """Exit code 2."""
    assert run("chargers", "import", tmp_path / "none.csv").exit_code == 2


def test_a_wrong_label_is_reported_by_its_column(fake, run, tmp_path):
    """As the file names it."""
    path = tmp_path / "fleet.csv"
    path.write_text("identity,key_hex,label:site\nCP1,00ff00ff00ff00ff,north\n")
    wrong = api.ImportFault(index=0, field="charge_point.labels[site]", description="must be short")
    fake.answers["ImportChargePoints"] = [faults(wrong), refused(1)]
    result = run("chargers", "import", path)
    assert result.exit_code == 1
    assert "line 2: label:site: must be short" in result.stderr
