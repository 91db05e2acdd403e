"""Texts over HTTP that no text of the contract can be: half a surrogate pair is refused, wherever it is."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.control.fakes import control
from tests.control.http.client import client, settings

CREATE = "/v1/ChargePointService/CreateChargePoint"
LIST = "/v1/ChargePointService/ListChargePoints"

BODIES = [
    rb'{"identity":"\ud800"}',
    rb'{"identity":"CP1\udfff"}',
    rb'{"description":"\ud800","identity":"CP1"}',
    rb'{"labels":{"site":"\ud800"},"identity":"CP1"}',
    rb'{"labels":{"\ud800":"site"},"identity":"CP1"}',
    rb'{"\ud800":1}',
    rb'{"identity":"CP1","registration":"\ud800"}',
    rb'{"authorizationKey":"\ud800","identity":"CP1"}',
    b'{"identity":"\xed\xa0\x80"}',
    b'{"identity":"\xff"}',
]


@pytest.mark.parametrize("body", BODIES)
async def test_half_a_pair_is_refused(tmp_path: Any, body: bytes) -> None:
    """By 400, and the connection goes on; nothing was done, and it is no failure of the gateway's."""
    with capture_logs() as logs:
        async with control(tmp_path, settings()) as gateway, client(gateway) as http:
            await http.send("POST", CREATE, body, {"content-type": "application/json"})
            answer = await http.answer()
            assert (answer.code, answer.ending[1]) == (400, "INVALID_ARGUMENT")
            for query in ("page_size=%ed%a0%80", "%ed%a0%80=1", "filter=%ed%a0%80", "filter=%ff"):
                answer = await http.get(f"{LIST}?{query}")
                assert (answer.code, answer.ending[1]) == (400, "INVALID_ARGUMENT")
            assert gateway.store.charge_points("", 10) == []
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("text", ["\x00", "a\u2028b", "\U0001f600", "\ufffe"])
async def test_what_is_a_text_is_kept_or_refused_by_its_field(tmp_path: Any, text: str) -> None:
    """Never half of it, and never a failure."""
    with capture_logs() as logs:
        async with control(tmp_path, settings()) as gateway, client(gateway) as http:
            answer = await http.post(CREATE, {"identity": "CP1", "description": text})
            assert answer.code in (200, 400)
            found = [each.description for each in gateway.store.charge_points("", 10)]
            assert found == ([text] if answer.code == 200 else [])
    assert [line for line in logs if line["log_level"] == "error"] == []
