"""Options that count for nothing beside others, or say the opposite of them: refused, and nothing is asked."""

import pytest

from gateway.api.v1 import charge_point_pb2 as charge_points
from gateway.api.v1 import diagnostics_pb2 as diagnostics

ELSEWHERE = "127.0.0.1:1"

IGNORED = {
    "call --timeout 5": "--timeout",
    f"call --target {ELSEWHERE}": "--target",
    "callers add bob --role read --config other.toml": "--config",
    f"callers add bob --role read --offline --target {ELSEWHERE}": "--target",
    "certs sign --refuse no --days 10": "--days",
    f"commands --target {ELSEWHERE} list": "--target",
    "commands --json list": "--json",
    "log-level --for 60": "--for",
    "log-level --charger CP1 --for 60": "--for",
    "log-level default --for 60": "--for",
    "log-level default --charger CP1 --for 60": "--for",
    f"simulate --key-text sixteen-bytes-it-has --target {ELSEWHERE}": "--target",
    f"transactions --target {ELSEWHERE} list": "--target",
    "transactions --json list": "--json",
    "transactions close tx_1 --reason r --insist": "--insist",
    "transactions show tx_1 --no-readings --limit 5": "--limit",
}
"""What is typed, and the option of it that would not count."""

OPPOSED = {
    "chargers update CP1 --label a=1 --label b=2 --remove-label b": ("--label", "--remove-label", "b"),
    "chargers update CP1 --key-text sixteen-bytes-it-has --new-key": ("--new-key", "--key-text"),
    "commands show cmd_1 --charger CP1 --request-id r": ("--charger", "--request-id"),
    "fleet renew-certificates --expiring-within 5 --every": ("--expiring-within", "--every"),
    "limit CP1 --clear --amps 6": ("--clear",),
    "limit CP1 --amps 6 --watts 100": ("--amps", "--watts"),
    "local-list send CP1 --version 2 --full --remove T": ("--full", "--remove"),
    "stop CP1 --transaction tx_1 --connector 1": ("--transaction", "--connector"),
    "stop CP1 --foreign-number 5 --transaction tx_1": ("--foreign-number", "--transaction"),
    "tags update T --expires 2037-01-01 --never-expires": ("--expires", "--never-expires"),
    "transactions estimate tx_1 --full --soc 80": ("--full", "--soc"),
    "watch --from-beginning --after AAAA": ("--from-beginning", "--after"),
    "watch --live --json": ("--live", "--json"),
}
"""What is typed, and the words of it that the error names."""


def words(text: str) -> str:
    """An error's text without the box around it."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("typed", IGNORED)
def test_an_option_that_would_not_count_is_refused(fake, run, tmp_path, monkeypatch, typed):
    """By its name, and nothing is asked of the gateway."""
    monkeypatch.chdir(tmp_path)
    result = run(*typed.split())
    assert (result.exit_code, result.stdout, fake.requests) == (2, "", [])
    assert f"Invalid value for {IGNORED[typed]}: " in words(result.stderr).replace("'", "")


@pytest.mark.parametrize("typed", OPPOSED)
def test_options_that_exclude_each_other_are_refused_by_name(fake, run, typed):
    """None of them prevails."""
    result = run(*typed.split())
    assert (result.exit_code, result.stdout, fake.requests) == (2, "", [])
    assert [each for each in OPPOSED[typed] if each not in words(result.stderr)] == []


def test_the_environment_and_defaults_are_not_taken_for_typed(fake, run):
    """GATEWAY_TARGET is there, and every option has its default."""
    for typed in ("transactions list", "commands list", "callers add bob --role read", "call", "log-level default"):
        assert run(*typed.split()).exit_code == 0, typed


def test_a_label_is_set_while_another_is_removed(fake, run):
    """They say nothing of each other."""
    present = charge_points.ChargePoint(identity="CP1", labels={"a": "0", "b": "0"}, etag="7")
    fake.answers["GetChargePoint"] = charge_points.GetChargePointResponse(charge_point=present)
    assert run("chargers", "update", "CP1", "--label", "a=1", "--remove-label", "b").exit_code == 0
    assert dict(fake.asked("UpdateChargePoint")[0].charge_point.labels) == {"a": "1"}


@pytest.mark.parametrize("held", [True, False])
def test_the_level_of_one_charger_is_shown(fake, run, held):
    """Without a level to be set; its own, or that of the process where it has none."""
    levels = [diagnostics.LogOverride(level=diagnostics.LOG_LEVEL_ERROR)]
    levels += [diagnostics.LogOverride(charge_point=each, level=diagnostics.LOG_LEVEL_DEBUG) for each in ("CP1", "CP2")]
    fake.answers["GetLogLevels"] = diagnostics.GetLogLevelsResponse(
        settings_level=diagnostics.LOG_LEVEL_INFO, overrides=levels
    )
    charger = "CP2" if held else "CP3"
    result = run("log-level", "--charger", charger)
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()[1:]]
    assert shown == ["all others info", "the process error", *(["CP2 debug"] if held else [])]
    assert [each.identity for each in fake.asked("GetChargePoint")] == ([] if held else ["CP3"])
    assert fake.asked("SetLogLevel") == []
