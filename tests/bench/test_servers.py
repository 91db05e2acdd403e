"""The servers that the gateway is held against: each answers what a charger says, and refuses who shows no key."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.processes import gateway
from bench.servers import process
from bench.servers.process import Running
from tests.bench.blocking_charger import MESSAGES, Charger


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(params=process.NAMES, scope="module")
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[Running]:
    missing = process.why_unavailable(request.param)
    if missing is not None:
        pytest.skip(f"{request.param}: {missing}")
    with process.running(request.param, folder) as running:
        yield running


def test_all_that_a_charger_says_is_confirmed(server: Running) -> None:
    """Every message of the measurements is answered by a CALLRESULT with its id."""
    with Charger(server) as charger:
        assert charger.head.startswith(b"HTTP/1.1 101")
        assert b"ocpp1.6" in charger.head
        for action, payload in MESSAGES.items():
            answer = charger.call(action, payload)
            assert answer[:2] == [3, "19223201"], action


def test_a_charger_without_a_key_is_refused(server: Running) -> None:
    """Basic authentication is looked at."""
    with Charger(server, key=b"") as charger:
        assert b"101" not in charger.head.partition(b"\r\n")[0]


def test_one_that_leaves_without_a_word_ends_no_other(server: Running) -> None:
    """A connection that breaks ends itself."""
    with Charger(server, identity="CP2") as gone, Charger(server, identity="CP3") as stays:
        gone.close()
        assert stays.call("Heartbeat", {})[0] == 3
        with Charger(server, identity="CP4") as later:
            assert later.call("Heartbeat", {})[0] == 3


def test_the_gateway_serves_over_trio_websocket_as_over_its_own_transport(tmp_path: Path) -> None:
    """Its transport is one seam: chargers are admitted and refused, answered, and closed in order at the end."""
    launcher = ("-m", "bench.servers.gateway_trio_websocket")
    with gateway(tmp_path, launcher=launcher) as running, ExitStack() as chargers:
        [known] = running.provision(1)

        def connected(identity: str, **key: bytes) -> Charger:
            return chargers.enter_context(Charger(running, identity=identity, **key))

        assert connected("STRANGER").head.startswith(b"HTTP/1.1 404")
        assert connected(known.identity).head.startswith(b"HTTP/1.1 401")
        charger = connected(known.identity, key=known.key)
        assert charger.head.startswith(b"HTTP/1.1 101")
        for action, payload in MESSAGES.items():
            assert charger.call(action, payload)[:2] == [3, "19223201"], action
        newer = connected(known.identity, key=known.key)
        assert newer.call("Heartbeat", {})[0] == 3
        assert charger.closed_with() == 1008
        charger.close()
        running.stop()
        assert newer.closed_with() == 1001


def test_a_server_that_cannot_run_here_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Without Node there is no row for ocpp-rpc, and a reason."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(process.Unavailable, match="node was not found"), process.running("ocpp_rpc", folder):
        pass


def test_a_program_that_is_not_built_is_left_out_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without Go it can't be; a source that Go refuses is named by Go's words; what needs no build has none."""
    monkeypatch.setattr(process, "BUILT", tmp_path)
    assert process.why_unavailable("ocpp_go") == "it is not built (python -m bench peers builds it, where Go is there)"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert process.build("ocpp_go") == "go was not found"
    assert process.build("bare") is None
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'main.go:1: no such thing' >&2\nexit 1\n", encoding="utf-8")
    go.chmod(0o755)
    assert process.build("ocpp_go") == "it can't be built: main.go:1: no such thing"
    go.write_text('#!/bin/sh\n: > "$4"\n', encoding="utf-8")
    assert process.build("ocpp_go") is None
    assert process.why_unavailable("ocpp_go") is None
