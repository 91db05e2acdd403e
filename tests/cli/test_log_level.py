"""`gateway log-level`: what is asked, and what is shown."""

from gateway.api.v1 import diagnostics_pb2 as api
from tests.cli.fakes import at

HELD = api.LogOverride(charge_point="CP1", level=api.LOG_LEVEL_DEBUG, end_time=at("2024-05-01T10:00:00Z"))


def test_the_levels_that_hold_are_shown(fake, run):
    """The settings' one for all others."""
    process = api.LogOverride(level=api.LOG_LEVEL_ERROR, end_time=at("2024-05-01T11:00:00Z"))
    fake.answers["GetLogLevels"] = api.GetLogLevelsResponse(
        settings_level=api.LOG_LEVEL_INFO, overrides=[process, HELD]
    )
    result = run("log-level")
    assert [" ".join(line.split()) for line in result.stdout.splitlines()[1:]] == [
        "all others info",
        "the process error 2024-05-01 11:00:00",
        "CP1 debug 2024-05-01 10:00:00",
    ]
    assert '"charge_point": "CP1"' in run("log-level", "--json").stdout


def test_a_level_is_set_for_a_while_or_taken_back(fake, run):
    """Of the process, or of one charger."""
    fake.answers["SetLogLevel"] = api.SetLogLevelResponse(settings_level=api.LOG_LEVEL_INFO, overrides=[HELD])
    assert run("log-level", "debug", "--charger", "CP1", "--for", "60").exit_code == 0
    request = fake.asked("SetLogLevel")[-1]
    assert (request.charge_point, request.level, request.duration.seconds) == ("CP1", api.LOG_LEVEL_DEBUG, 60)
    assert run("log-level", "default").exit_code == 0
    request = fake.asked("SetLogLevel")[-1]
    assert (request.charge_point, request.level, request.HasField("duration")) == ("", 0, False)
    assert run("log-level", "loud").exit_code == 2
