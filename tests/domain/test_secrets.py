"""The one table of what must not be shown: which names are secrets, which stay readable, and what of values goes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.secret_names import (
    SECRET_ENDINGS,
    SECRET_PAIRS,
    SECRET_WORDS,
    WHOLE_NAMES,
    names_secret,
    words,
)
from gateway.domain.secrets import (
    MAX_ASSIGNED,
    MAX_READ,
    MAX_RUNS,
    REDACTED,
    searched,
    secrets_in_location,
    shown_data,
    shown_location,
    shown_setting,
    shown_text,
)


def listed(text: str) -> list[str]:
    """The names of a list."""
    return text.split()


HIDDEN = listed("""
StationPassword WifiPSK AdminPin BasicAuthPassword AuthorizationKey authorizationkey AUTHORIZATIONKEY
authorization_key AuthorisationKey WiFiPassword wifi_password wifi-psk wlan.psk WPA2Key WPA2Passphrase WepKey PSK
Psk1 PSK2 psk PIN Pin pin pin1 PINCode SimPIN sim_pin UserPin PUK1 ApnPassword apn.pwd FTPPass ftp_pass DBPass
Passcode PassWord passWord PASSWORD stationpassword wifipassword adminpin simpin userpassword APIKEY ApiKey api_key
X-Api-Key AccessToken access_token Token token authtoken RefreshToken BearerToken OAuthToken ClientSecret
client-secret secret SecretKey PrivateKey private-key privatekey PreSharedKey SharedAccessKey EncryptionKey
SigningKey HMACKey MasterKey Credentials credential Authorization Proxy-Authorization X-Amz-Signature
X-Amz-Credential X-Amz-Security-Token sig Passwort wlan_passwort OCPPPassword OcppAuthKey AuthKey
CentralSystemPassword InstallerPIN ServicePIN NewPassword OldPassword Password2 MqttPassword VpnPsk HttpAuthPassword
networkkey WifiKey
SIMpin FTPpassword WIFIpassword WIFIpsk WLANpsk APpsk APNpassword OCPPpassword ADMINpassword USERpin APItoken APIkey
EVSEtoken AUTHkey HTTPpass FTPpwd GUIpassword PINcode PASSWORDwifi WiFipassword WiFipsk MyWiFiKey wi-fi-key wi_fi_key
X-Goog-Signature X-Ms-Signature SharedAccessSignature X-Oss-Signature WiFiKey PINCODE pincode TLSKey SSLKey VPNKey
SSHKey WireGuardKey HotspotKey WifiAPKey DeviceKey SignKey EncKey DecryptKey MacKey RFIDKey MifareKey MifareKeyA
DESFireKey DesfireKey PairingKey AccessCode UnlockCode SecurityCode InstallerCode ServiceCode PairingCode OTP JWT Bearer
BasicAuth HttpBasicAuth Cookie SessionCookie SNMPCommunity SnmpReadCommunity ConnectionString pswd passw wachtwoord
MotDePasse hotspotpassword modempin gsmpin sshpass smtppassword gprspass supportpassword dealerpin screenpassword
guipassword softappassword technicianpin accesscode tlskey SSHkey
""")

READABLE = listed("""
WebSocketPingInterval GetConfigurationMaxKeys AuthorizeRemoteTxRequests AllowOfflineTxForUnknownId
AuthorizationCacheEnabled BlinkRepeat ClockAlignedDataInterval ConnectionTimeOut ConnectorPhaseRotation
ConnectorPhaseRotationMaxLength HeartbeatInterval LightIntensity LocalAuthorizeOffline LocalPreAuthorize
MaxEnergyOnInvalidId MeterValuesAlignedData MeterValuesAlignedDataMaxLength MeterValuesSampledData
MeterValuesSampledDataMaxLength MeterValueSampleInterval MinimumStatusDuration NumberOfConnectors ResetRetries
StopTransactionOnEVSideDisconnect StopTransactionOnInvalidId StopTxnAlignedData StopTxnSampledData
SupportedFeatureProfiles SupportedFeatureProfilesMaxLength TransactionMessageAttempts
TransactionMessageRetryInterval UnlockConnectorOnEVSideDisconnect LocalAuthListEnabled LocalAuthListMaxLength
SendLocalListMaxLength ReserveConnectorZeroSupported ChargeProfileMaxStackLevel
ChargingScheduleAllowedChargingRateUnit ChargingScheduleMaxPeriods ConnectorSwitch3to1PhaseSupported
MaxChargingProfilesInstalled AdditionalRootCertificateCheck CertificateSignedMaxChainSize CertificateStoreMaxLength
CpoName SecurityProfile SupportedFileTransferProtocols websocketpinginterval getconfigurationmaxkeys
authorizeremotetxrequests authorizationcacheenabled idTag IdToken idtoken parentIdTag PlugAndChargeIdentifier
SpinUpDelay ShippingMode PingTimeout pings Compass Passenger BypassMode PassThrough passthrough Keyboard KeyLock
MonkeyMode Turnkey Tokenizer StackLevel Opinion Pinnacle PasswordMinLength PinEnabled PinRequired TokenExpiry
TokenType PasswordPolicy secretariat SpecialPhase url location fileName firmwareVersion chargePointSerialNumber
meterSerialNumber iccid imsi
errorCode vendorErrorCode countryCode stationCode pinned pinpoint spinning keypad monkey passive bypass compass
passenger signatureVerification FirmwareSignature EVSEids SPINtime MACaddress IDtoken idTAG WiFiSSID WiFiChannel
WIFIssid PASSWORDlength TLSPublicKey publicKey BasicAuthUser BasicAuthEnabled KeyName AuthorizationTimeout NetworkBearer
communityName otpravka StopTransactionSignature unlockConnector accessPoint securityLevel WebPaymentTimeout
""")


@pytest.mark.parametrize("name", HIDDEN)
def test_the_values_of_these_names_are_hidden(name):
    """By the words of a name, in whichever way it is written."""
    assert names_secret(name)
    assert shown_setting(name, "hunter2") == REDACTED


@pytest.mark.parametrize("name", READABLE)
def test_the_values_of_these_names_stay_readable(name):
    """The standard's own configuration keys among them: never by a part of a word."""
    assert not names_secret(name)
    assert shown_setting(name, "300") == "300"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("WifiPSK", ("wifi", "psk")),
        ("WPA2Key", ("wpa", "key")),
        ("PINCode", ("pin", "code")),
        ("wlan.psk_2", ("wlan", "psk")),
        ("stationpassword", ("station", "password")),
        ("HTTPSProxyURL", ("https", "proxy", "url")),
        ("ünïcode", ("n", "code")),
        ("", ()),
        ("123", ()),
    ],
)
def test_a_name_is_split_at_case_digits_and_punctuation(name, expected):
    """And, where it has none of them, into words that are known."""
    assert words(name) == expected


@pytest.mark.parametrize(
    "data",
    [
        {"StationPassword": "S3cret"},
        {"key": "WifiPSK", "value": "S3cret"},
        {"value": "S3cret", "name": "AdminPin"},
        [{"deep": [{"access_token": "S3cret"}]}],
        '{"wifiPassword":"S3cret"}',
        '{"inner":"{\\"pin\\":\\"S3cret\\"}"}',
        "ssid=home;psk=S3cret",
        "Pin: S3cret",
        "upload to ftp://user:S3cret@host/dir",
        "https://bucket/x?X-Amz-Signature=S3cret",
        {"url": "wss://u:S3cret@host/ocpp"},
        {"token": ["S3cret"]},
        {"pin": {"a": "S3cret"}},
        {"keyName": "AdminPin", "value": "S3cret"},
        {"setting": "StationPassword", "value": "S3cret"},
        {"id": "AdminPin", "val": "S3cret"},
        {"val": "S3cret", "id": "AdminPin"},
        {"configKey": "WifiPSK", "configValue": "S3cret"},
        {"k": "AdminPin", "v": "S3cret"},
        {"field": "AdminPin", "content": "S3cret"},
        {"anything": "AdminPin", "other": "S3cret"},
        ["AdminPin", "S3cret"],
        [["ssid", "home"], ["psk", "S3cret"]],
        ["ssid", "home", "psk", "S3cret"],
        '["AdminPin","S3cret"]',
        '["AdminPin","S3cret"',
        "<StationPassword>S3cret</StationPassword>",
        "<c><ns:StationPassword>a,S3cret</ns:StationPassword></c>",
        '<Setting name="AdminPin">S3cret</Setting>',
        '<Setting name="AdminPin" value="S3cret"/>',
        '<WifiPassword enc="none">S3cret</WifiPassword>',
        "<password><![CDATA[a'S3cret]]></password>",
        "<name>AdminPin</name><value>S3cret</value>",
        "StationPassword S3cret",
        "set the StationPassword S3cret now",
        "StationPassword;S3cret",
        "StationPassword|S3cret",
        "StationPassword,S3cret",
        "SharedAccessSignature=S3cret",
        "FTPpassword=S3cret",
        "Bearer eyJS3cret.x.y",
        "got Basic dXNlcjpS3cret=",
        "https%3A%2F%2Fh%2Fx%3Fsig%3DS3cret",
        "https%253A%252F%252Fh%252Fx%253Fsig%253DS3cret",
        "https%3A%2F%2Fuser%3AS3cret%40h%2Fx",
        "https://h/x%3Fsig%3DS3cret",
        "https://h/x#S3cret",
        "a%3Bpassword%3DS3cret",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(data):
    """As a field, beside its name, in a text of JSON, in an assignment, in a URL."""
    assert "S3cret" not in json.dumps(shown_data(data))
    if isinstance(data, str):
        assert "S3cret" not in shown_text(data)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "",
        True,
        7,
        "plain words",
        {"key": "WebSocketPingInterval", "value": "300"},
        '{"a" : 1.50, "pinned":"x"}',
        "ping=5, spin=7",
        "wss://host:8443/ocpp/",
        {"pin": True, "password": None, "token": ""},
        [1, "two", {"three": [4.0]}],
        "mail to a@b.example",
        "the PIN was entered, the password is wrong",
        "basic settings; bearer of the card",
        "<status>on</status><pinned>7</pinned>",
        {"idTag": "a7-pw-31", "status": "Accepted"},
        {"info": "PIN", "status": "Faulted", "connectorId": 1},
        {"key": ["AuthorizationKey", "HeartbeatInterval"]},
        [2, "token-1", "Heartbeat", {}],
        "100%25 of 5",
    ],
)
def test_what_is_no_secret_stays_as_it_is(data):
    """To the last space."""
    assert shown_data(data) == data


def test_what_a_message_id_names_is_hidden_whole():
    """Data without a name in it, of a message that says what it is."""
    assert shown_data("S3cret", "SetWifiPassword") == REDACTED
    assert shown_data({"a": 1}, "GetToken") == REDACTED
    assert shown_data("x", "GetStatus") == "x"
    assert shown_data(None, "SetPassword") is None


@pytest.mark.parametrize(
    ("location", "secrets"),
    [
        ("ftp://user:hunter2@host/dir", ("hunter2",)),
        ("https://host/x?sig=hunter2", ("sig=hunter2",)),
        ("https://tokenish@host/x", ("tokenish",)),
        ("ftp://host/x;password=hunter2", ("hunter2",)),
        ("https://host/plain", ()),
        ("https%3A%2F%2Fuser%3Ahunter2%40host%2Fx", ("hunter2",)),
        ("https://host/x%3Fsig%3Dhunter2", ("sig%3Dhunter2",)),
    ],
)
def test_what_a_location_hides_is_known_for_looking_for_it_elsewhere(location, secrets):
    """A charger may repeat it in an error."""
    assert secrets_in_location(location) == secrets
    for secret in secrets:
        assert secret not in shown_location(location)


@given(st.text(max_size=300))
def test_any_text_is_shown_without_an_error(text):
    """And what is hidden once stays so: showing it again changes nothing that was readable."""
    for show in (shown_text, shown_location, searched):
        assert isinstance(show(text), str)
    names_secret(text)
    secrets_in_location(text)


@given(st.sampled_from(HIDDEN), st.sampled_from(["", "wifi_", "My", "x."]), st.sampled_from(["", "1", "_2", "-new"]))
def test_words_around_a_secret_do_not_uncover_it(name, before, after):
    """A vendor's own prefix, a number behind it."""
    if name.lower() in ("authorization", "sig", "bearer"):
        return  # secrets only as a whole
    joint = name[:1].upper() + name[1:] if before == "My" else name
    assert names_secret(before + joint + after)


def test_a_text_with_more_values_than_are_looked_at_ends_hidden() -> None:
    """Text that was not looked at is not shown; text before it is, as ever."""
    harmless = "a=1," * MAX_ASSIGNED
    assert shown_text(harmless) == harmless
    shown = shown_text("password=hush," + "a=1," * (3 * MAX_ASSIGNED) + "pwd=secret1234,b=2")
    assert shown.startswith(f'password="{REDACTED}",a=1,')
    assert shown.endswith(REDACTED)
    assert "secret1234" not in shown


def test_a_text_with_more_names_than_are_looked_at_is_suspect() -> None:
    """Its values are hidden, as where a secret is named."""
    names = "keyring;" * (MAX_RUNS + 10)
    assert "hush" in shown_text("keyring;value=hush")
    assert "hush" not in shown_text(f"{names}value=hush")


def test_a_large_json_text_is_searched_and_not_read() -> None:
    """Half a million values within one text are no more walked than those outside of it."""
    data = '[{"key":"WifiPassword","value":"hush1234"},' + "1," * MAX_READ + "1]"
    assert "hush1234" not in shown_text(data)
    assert "hush1234" not in shown_text(data[:60] + "1]")


@pytest.mark.parametrize("name", [(each,) for each in SECRET_WORDS] + [*SECRET_PAIRS, *SECRET_ENDINGS, *WHOLE_NAMES])
def test_a_text_that_assigns_to_any_name_of_the_table_is_searched(name):
    """The filter of texts by parts of names passes over no name of the table."""
    assert "hunter2" not in shown_text(f"{'-'.join(name)}=hunter2")


@pytest.mark.parametrize(
    "piece",
    ["password;", "a=1 ", "password ", "<password>", "Bearer ", "pin,", "a%3D", "https%3A%2F%2F", "key|" * 9, '"'],
)
def test_a_megabyte_is_shown_with_bounded_work(piece):
    """Text that is not looked at is hidden, though a secret stands in clear at its end."""
    text = "AdminPin " + piece * (1_000_000 // len(piece)) + ";wifi_password=hunter2"
    assert "hunter2" not in shown_text(text)
