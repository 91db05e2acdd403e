"""Messages without their secrets: whatever their form, no secret is left and nothing else is lost."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.secrets import hides_names
from gateway.ocpp.redaction import redact, without

KEY = "4f43415050536563726574304b657931"
"""An AuthorizationKey, in hexadecimal."""

SPELLINGS = ["AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY", " AuthorizationKey "]


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_key_that_is_sent_or_reported_is_taken_out_and_distinguished(name):
    """ChangeConfiguration's value, and a value that a charger reports though it must not (WP A01.FR.09)."""
    other = {"key": "X", "value": "60"}
    for payload, shown in (
        ({"key": name, "value": KEY}, {"key": name, "value": "(redacted)"}),
        ({"value": KEY, "key": name}, {"value": "(redacted)", "key": name}),
        (
            {"configurationKey": [{"value": KEY, "readonly": False, "key": name}, other]},
            {"configurationKey": [{"value": "(redacted)", "readonly": False, "key": name}, other]},
        ),
    ):
        redacted = redact(json.dumps([2, "id", "X", payload]).encode())
        assert KEY not in redacted.text
        assert redacted.keys == {KEY}
        assert json.loads(redacted.text) == [2, "id", "X", shown]


def test_what_holds_no_secret_stays_as_it_was_sent():
    """To the last space; numbers keep their spelling, doubled fields their double."""
    sent = b'[2 ,"1",  "Heartbeat",{"a":1.500,"a":1e3, "key":"HeartbeatInterval","value":"300","url":"ws://host/x"}]'
    assert redact(sent).text == sent.decode()


@pytest.mark.parametrize(
    "payload",
    [
        {"key": "WifiPassword", "value": "S3cret"},
        {"key": "apn.pwd", "value": "S3cret"},
        {"key": "FTP passphrase", "value": "S3cret", "value2": "S3cret"},
        {"name": "ApiKey", "value": "S3cret"},
        {"wifi_password": "S3cret"},
        {"credentials": {"user": "S3cret", "more": ["S3cret"]}},
        {"Authorization": "Basic S3cret"},
        {"vendorId": "v", "messageId": "SetPassword", "data": "S3cret"},
        {"key": "WifiPsk", "value": "S3cret"},
        {"psk": "S3cret"},
        {"wpa_psk": "S3cret"},
        {"private key": "S3cret"},
        {"privateKey": "S3cret"},
        {"key": "TLS-Private-Key", "value": "S3cret"},
        {"private_key": ["S3cret"]},
        {"apiKey": "S3cret"},
        {"key": "api.key", "value": "S3cret"},
        {"token": "S3cret"},
        {"accessToken": "S3cret"},
        {"key": "bearer token", "value": "S3cret"},
        {"auth_token": {"inner": "S3cret"}},
        {"refresh-token": "S3cret"},
        {"key": "SimToken", "value": "S3cret"},
        {"clientSecret": "S3cret"},
        {"vendorId": "v", "data": "psk=S3cret"},
        {"vendorId": "v", "data": "private key: S3cret"},
        {"vendorId": "v", "data": "token=S3cret"},
        {"vendorId": "v", "data": '{"password":"S3cret"}'},
        {"vendorId": "v", "data": '{"inner":"{\\"key\\":\\"AuthorizationKey\\",\\"value\\":\\"S3cret\\"}"}'},
        {"vendorId": "v", "data": "user=x;password=S3cret"},
        {"info": "AuthorizationKey: S3cret"},
    ],
)
def test_whatever_is_named_like_a_secret_goes(payload):
    """Vendors have passwords of their own, and places of their own for them."""
    assert "S3cret" not in redact(json.dumps([2, "id", "DataTransfer", payload]).encode()).text


@pytest.mark.parametrize(
    "payload", [{"idTag": "04A3"}, {"idToken": "04A3"}, {"id_token": "04A3"}, {"key": "Tok", "value": "04A3"}]
)
def test_what_a_driver_holds_to_the_reader_is_no_secret(payload):
    """It is what an operator looks for."""
    assert "04A3" in redact(json.dumps([2, "id", "DataTransfer", payload]).encode()).text


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("ftp://user:S3cret@host/dir", "ftp://user:(redacted)@host/dir"),
        ("ftp://user:S3:c/r@e t@host/dir", "ftp://user:(redacted)@host/dir"),
        ("https://S3cret@host/dir", "https://(redacted)@host/dir"),
        ("https://host/fw.bin?X-Signature=S3cret&x=1", "https://host/fw.bin?(redacted)"),
        ("ftp://a:S3cret@one/ ftp://b:S3cret@two/", "ftp://a:(redacted)@two/"),
        ("https://host:8443/fw.bin", "https://host:8443/fw.bin"),
    ],
)
def test_urls_show_the_place_and_no_password(location, shown):
    """GetDiagnostics and UpdateFirmware, in a frame that can be parsed and in one that is cut short."""
    frame = json.dumps([2, "id", "GetDiagnostics", {"location": location}])
    assert json.loads(redact(frame.encode()).text)[3] == {"location": shown}
    broken = redact(frame[:-1].encode()).text
    assert "S3cret" not in broken
    assert shown in broken


@pytest.mark.parametrize(
    "frame",
    [
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s"}',
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s',
        '[2,"1","ChangeConfiguration",{"key":"Authorization\\u004bey","value":"%s"}',
        "[2,'1','ChangeConfiguration',{'key':'AuthorizationKey','value':'%s'}]",
        "[2,1,ChangeConfiguration,{key:AuthorizationKey,value:%s}]",
        '{"AuthorizationKey" : "%s"',
        '[3,"1",{"configurationKey":[{"value":"%s","key":"AuthorizationKey"}]',
        '[2,"1","DataTransfer",{"data":"{\\"key\\":\\"AuthorizationKey\\",\\"value\\":\\"%s\\"}"}',
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"%s"}]]',
    ],
)
def test_frames_that_can_not_be_parsed_give_nothing_away(frame):
    """They are searched for what looks like a secret's field."""
    redacted = redact((frame % KEY).encode()).text
    assert KEY not in redacted
    assert "(redacted)" in redacted


@given(at=st.integers(1, 200))
def test_a_frame_that_is_cut_anywhere_gives_nothing_away(at):
    """Not even where the name that makes it a secret is what was cut off."""
    frame = f'[3,"1",{{"configurationKey":[{{"key":"A","value":"1"}},{{"value":"{KEY}","key":"AuthorizationKey"}}]}}]'
    shown = redact(frame.encode()[:at], cut=True).text
    assert KEY[:4] not in shown
    assert shown.startswith(frame[: min(at, frame.index("1", 4))])


def test_a_cut_character_is_no_trouble():
    """A cut may fall into the middle of one."""
    assert redact('["ü'.encode()[:3], cut=True).text == '["'


def test_a_key_that_a_charger_repeats_is_taken_out_too():
    """In hexadecimal of either case, and decoded."""
    decoded = bytes.fromhex(KEY).decode()
    text = without(f"refused {KEY}, {KEY.upper()} and {decoded}, as ever", [KEY])
    assert text == "refused (redacted), (redacted) and (redacted), as ever"
    assert without("an x stays", ["x"]) == "an x stays"


def test_whether_a_command_names_a_key_is_seen_cheaply():
    """Only these are read before they are kept."""
    assert hides_names('[2,"1","ChangeConfiguration",{"key":"authorizationKEY","value":"00"}]')
    assert not hides_names('[2,"1","ChangeConfiguration",{"key":"HeartbeatInterval","value":"300"}]')


JSONS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(SPELLINGS), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSONS, st.booleans())
@example([{"\ud800": "password=\ud800"}], False)
def test_any_json_is_shown_as_text(value, cut):
    """Never an exception, and always something that a protobuf message takes."""
    redact(json.dumps(value).encode(), cut=cut).text.encode()


@given(st.binary(max_size=300) | st.text(alphabet='valuepsword:"\\ {}[],=@/?.0', max_size=300).map(str.encode))
def test_any_bytes_are_shown_as_text(data):
    """Bytes that are no JSON, and bytes made to be hard to search."""
    redact(data).text.encode()
    redact(data, cut=True).text.encode()
