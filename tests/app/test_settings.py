"""Settings files: values of a good one, and the report of all faults of a bad one."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest

from gateway.app.from_settings import control_settings, quirk_book
from gateway.app.preflight import check
from gateway.app.settings import (
    CertificateFiles,
    ListenerSettings,
    Settings,
    load,
    render_example,
)
from gateway.domain.events import BootInformation
from gateway.domain.quirks import Origin
from gateway.errors import SettingsError

LISTENER = """
[[listeners]]
certificates = [{ certificate = "a.pem", key = "a.key" }]
"""


Read: TypeAlias = Callable[[str], Settings]
Complaint: TypeAlias = Callable[[str], str]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a settings file (with a good listener unless it has its own) and load it."""

    def read(text: str) -> Settings:
        path = tmp_path / "gateway.toml"
        path.write_text(text if "listeners" in text else text + LISTENER, encoding="utf-8")
        return load(path)

    return read


@pytest.fixture
def complaint(read: Read) -> Complaint:
    """Load a bad file; return the error's text."""

    def complaint(text: str) -> str:
        with pytest.raises(SettingsError) as caught:
            read(text)
        return str(caught.value)

    return complaint


# --- good files -----------------------------------------------------------------------------------------------


def test_a_listener_is_enough_and_everything_else_has_a_default(read: Read, tmp_path: Path) -> None:
    """A file with one listener loads, and the rest are the documented defaults."""
    settings = read("")
    assert settings.listeners == (
        ListenerSettings(certificates=(CertificateFiles(tmp_path / "a.pem", tmp_path / "a.key"),)),
    )
    assert (settings.listeners[0].port, settings.listeners[0].path_prefix) == (9443, "/ocpp/")
    assert settings.control.host_and_port == ("127.0.0.1", 50051)
    assert settings.metrics.host_and_port == ("127.0.0.1", 9464)


def test_the_platforms_configuration_is_the_default_for_chargers(read: Read) -> None:
    """The keys and values that the platform asks for, with the fallback for chargers that can't measure power."""
    assert [(each.key, each.values) for each in read("").boot_configuration] == [
        (
            "MeterValuesSampledData",
            (
                "Energy.Active.Import.Register,Power.Active.Import",
                "Energy.Active.Import.Register,Current.Import,Voltage",
            ),
        ),
        ("MeterValueSampleInterval", ("60",)),
    ]


def test_an_empty_boot_configuration_asks_nothing_of_chargers(read: Read) -> None:
    """An explicit empty list stands for nothing, not for the default."""
    assert read("boot_configuration = []\n").boot_configuration == ()


def test_relative_paths_are_relative_to_the_file_and_so_is_a_default(read: Read, tmp_path: Path) -> None:
    """The folder in which the process was started does not matter."""
    assert read("").store.path == tmp_path / "gateway.db"
    assert read('[store]\npath = "var/other.db"').store.path == tmp_path / "var/other.db"
    assert read('[store]\npath = "/var/lib/gateway.db"').store.path == Path("/var/lib/gateway.db")


def test_a_whole_number_will_do_where_a_number_is_expected(read: Read) -> None:
    """TOML's 5 and 5.0 are the same number of seconds, and become a float."""
    seconds = read("[sessions]\nwrite_seconds = 5").sessions.write_seconds
    assert (type(seconds), seconds) == (float, 5.0)


def test_the_silence_limit_follows_the_longest_interval(read: Read) -> None:
    """Unless set it exceeds the interval of any charger, so that a punctual charger is never cut off."""
    assert read("[sessions]\nheartbeat_interval = 900").sessions.silence_seconds > 900
    assert read("[sessions]\nretry_interval = 3600").sessions.silence_seconds > 3600


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.9.10:0"])
def test_loopback_needs_no_tls(read: Read, address: str) -> None:
    """Every name of this machine for itself is loopback."""
    assert read(f'[control]\naddress = "{address}"').control.address == address


def test_another_address_is_allowed_with_tls_or_by_word(read: Read) -> None:
    """Either TLS is on and clients show who they are, or the operator has said that something else guards the port."""
    assert read('[control]\naddress = "0.0.0.0:1"\nallow_insecure = true').control.allow_insecure
    with_tls = '[control]\naddress = "[::]:1"\ncertificate = "c.pem"\nkey = "c.key"'
    for more in ('client_ca = "ca.pem"', "require_callers = true", "allow_insecure = true"):
        assert read(f"{with_tls}\n{more}").control.certificate


def test_metrics_can_be_off(read: Read) -> None:
    """The word for no metrics."""
    assert read('[metrics]\naddress = "off"').metrics.host_and_port is None


def test_the_example_file_is_what_the_settings_render() -> None:
    """docs/gateway.example.toml never drifts from the code."""
    example = Path(__file__).resolve().parents[2] / "docs" / "gateway.example.toml"
    assert example.read_text(encoding="utf-8") == render_example()


def test_the_example_file_loads_and_gives_the_defaults(read: Read, tmp_path: Path) -> None:
    """The defaults that the example shows are the defaults."""
    settings = read(render_example())
    certificates = tuple(
        CertificateFiles(tmp_path / f"certs/server-{kind}.pem", tmp_path / f"certs/server-{kind}.key")
        for kind in ("ecdsa", "rsa")
    )
    assert settings == read("").__class__(
        listeners=(ListenerSettings(certificates=certificates),), store=settings.store
    )


def test_a_table_that_is_off_in_the_example_is_complete(read: Read) -> None:
    """Without its comment signs it loads: the keys that have no default are there with an example."""
    lines = render_example().splitlines()
    at = lines.index("# [[quirks]]")
    table = [line.removeprefix("# ") for line in lines[at : lines.index("", at)]]
    assert [line for line in table if " = " in line and line[0].islower()] == [
        'vendor = "Wall Box Chargers"',
        'model = "*"',
        'firmware = "*"',
        "ready_after_silence_seconds = 30",
        "settle_delay_seconds = 5",
        "plug_in_first = true",
        "own_requests = false",
        "assume_subprotocol = true",
        "accept_hex_password = true",
        "ping_seconds = 20",
        "pong_expected = false",
        'measurands = ["Energy.Active.Import.Register"]',
        "max_schedule_periods = 6",
        "max_stack_level = 0",
        "clock_offset_seconds = 3600",
    ]
    given = "\n".join(line for line in table if line[0] == "[" or " = " in line)
    (quirk,) = read(given + "\n").quirks
    assert (quirk.vendor, quirk.ready_after_silence_seconds) == ("Wall Box Chargers", 30.0)


def test_a_profile_says_what_its_make_needs(complaint: Complaint) -> None:
    """A table that says nothing is a slip."""
    said = complaint('[[quirks]]\nvendor = "Wall Box Chargers"')
    assert "quirks[0].vendor: the table says nothing about this make: give one of accept_hex_password, " in said


def test_all_that_a_profile_of_the_settings_says_counts(read: Read) -> None:
    """Each key as the value of its name, with the table's place as its origin."""
    lines = render_example().splitlines()
    at = lines.index("# [[quirks]]")
    table = [line.removeprefix("# ") for line in lines[at : lines.index("", at)]]
    settings = read("\n".join(line for line in table if line[0] == "[" or " = " in line) + "\n")
    found = quirk_book(settings).of(BootInformation("Wall Box Chargers", "x"))
    assert {origin for origin, _ in found.origins.values()} == {Origin.SETTINGS}
    assert found.origins["own_requests"][1] == "Wall Box Chargers: quirks[0]"
    shown = attrs.asdict(found, filter=lambda attribute, _: attribute.name != "origins")
    assert shown == {
        "assume_subprotocol": True,
        "accept_hex_password": True,
        "own_requests": False,
        "settle_delay": 5.0,
        "ready_after_silence": 30.0,
        "plug_in_first": True,
        "ping_interval": 20.0,
        "pong_expected": False,
        "measurands": ("Energy.Active.Import.Register",),
        "max_schedule_periods": 6,
        "max_stack_level": 0,
        "clock_offset": 3600.0,
    }


@pytest.mark.parametrize("policy", ["strict", "ocpp", "ELBSecurityPolicy-TLS-1-2-Ext-2018-06"])
def test_a_listener_may_have_any_of_the_policies(read: Read, policy: str) -> None:
    """By name."""
    assert read(f'{LISTENER}tls_policy = "{policy}"').listeners[0].tls_policy == policy


@pytest.mark.parametrize("policy", ["Strict", "ELBSecurityPolicy-2016-08", ""])
def test_a_policy_that_there_is_not_is_named_with_its_field(complaint: Complaint, policy: str) -> None:
    """And all that there are."""
    assert (
        'listeners[0].tls_policy: expected "ELBSecurityPolicy-TLS-1-2-Ext-2018-06" or "strict" or "ocpp", found the '
        f'text "{policy}"'
    ) in complaint(f'{LISTENER}tls_policy = "{policy}"')


def test_lists_of_revoked_certificates_need_an_authority(complaint: Complaint) -> None:
    """Each is named that hangs in the air."""
    assert "listeners[0].client_crl: needs client_authority" in complaint(f'{LISTENER}client_crl = "crl.pem"')
    assert "listeners[0].client_ocsp: needs client_authority" in complaint(f'{LISTENER}client_ocsp = "certificate"')
    assert "listeners[0].accept_without_ocsp: needs client_ocsp" in complaint(f"{LISTENER}accept_without_ocsp = true")
    assert 'listeners[0].client_ocsp: expected a URL such as "http://ocsp.example.com/"' in complaint(
        f'{LISTENER}client_ocsp = "https://ocsp.example.com/"'
    )
    assert "listeners[0].accept_stale_crl: needs client_crl" in complaint(
        f'{LISTENER}client_authority = "ca.pem"\naccept_stale_crl = true'
    )


# --- bad files ------------------------------------------------------------------------------------------------


WRONG = {
    "a text for a number": ("[sessions]\nheartbeat_interval = '300'", 'from 10 to 86400, found the text "300"'),
    "a fraction for a whole number": ("[sessions]\nheartbeat_interval = 300.5", "found 300.5"),
    "true for a number": ("[sessions]\nheartbeat_interval = true", "found true"),
    "a number for true": ("[control]\nallow_insecure = 1", "expected true or false, found 1"),
    "a shared address that is none": (
        '[sessions]\nshared_addresses = ["192.0.2.7/24"]',
        'expected a list of at most 1000 addresses or networks such as "192.0.2.7" or "2001:db8::/32", without bits '
        "set behind the prefix, found a list of 1",
    ),
    "out of range": ("[sessions]\ncall_queue_limit = 0", "expected a whole number from 1 to 10000, found 0"),
    "not finite": ("[drain]\ndeadline_seconds = inf", "found inf"),
    "not a number": ("[drain]\ndeadline_seconds = nan", "found nan"),
    "another word": ('[logging]\nlevel = "loud"', '"debug" or "info" or "warning" or "error", found the text "loud"'),
    "not an address": ('[control]\naddress = "50051"', 'such as "127.0.0.1:9000"'),
    "a port too high": ('[metrics]\naddress = "127.0.0.1:65536"', 'or "off"'),
    "not a host": ("[[listeners]]\nhost = 'a b'\ncertificates = [{certificate='a', key='b'}]", "listeners[0].host"),
    "a prefix without slash": (
        "[[listeners]]\npath_prefix = '/ocpp'\ncertificates = [{certificate='a', key='b'}]",
        "listeners[0].path_prefix: expected a path",
    ),
    "a prefix with dots": (
        "[[listeners]]\npath_prefix = '/../'\ncertificates = [{certificate='a', key='b'}]",
        "listeners[0].path_prefix: expected a path",
    ),
    "profile 1": (
        "[[listeners]]\nsecurity_profiles = [1]\ncertificates = [{certificate='a', key='b'}]",
        "listeners[0].security_profiles: expected a list of some of: 2, 3",
    ),
    "a table for a value": ("[sessions.write_seconds]\na = 1", "sessions.write_seconds: expected a number"),
    "a value for a table": ("sessions = 3", "sessions: expected a table, found 3"),
    "a table for a list": ("[listeners]\nport = 1", "listeners: expected a list of 1 to 32 [[listeners]] tables"),
    "a text for a list": ("[[boot_configuration]]\nkey='a'\nvalues='abc'", "boot_configuration[0].values: expected a"),
    "an element of another type": ("[[boot_configuration]]\nkey='a'\nvalues=['1', 60]", "values[1]: expected a text"),
    "no values": ("[[boot_configuration]]\nkey='a'\nvalues=[]", "found an empty list"),
    "a password for all": ("[[boot_configuration]]\nkey='authorizationKEY'\nvalues=['x']", "one charger's own"),
    "a date": ("[store]\npath = 1979-05-27", "store.path: expected a path, found a date"),
    "a certificate without its key": ('[control]\ncertificate = "a"', "control.key: missing"),
    "a key without its certificate": ('[control]\nkey = "a"', "control.certificate: missing"),
    "clients' CA without TLS": ('[control]\nclient_ca = "a"', "control.client_ca: needs TLS"),
    "an open port without TLS": ('[control]\naddress = "0.0.0.0:50051"', "control.address: "),
    "an open port whose clients show nothing": (
        '[control]\naddress = "0.0.0.0:50051"\ncertificate = "a"\nkey = "b"',
        "control.address: ",
    ),
    "tokens in clear": ('[control]\naddress = "0.0.0.0:50051"\nrequire_callers = true', "there is no TLS"),
    "a name that is not loopback": ('[control]\naddress = "gateway.internal:50051"', "control.address: "),
    "silence within the heartbeat": (
        "[sessions]\nheartbeat_interval = 60\nretry_interval = 60\nsilence_seconds = 60",
        "sessions.silence_seconds: expected at least 90 (heartbeat_interval and 30 seconds of slack), found 60",
    ),
    "silence within the retry interval": (
        "[sessions]\nheartbeat_interval = 60\nretry_interval = 600\nsilence_seconds = 90",
        "expected at least 630 (retry_interval",
    ),
    "a command's time below a call's": (
        "[control]\ndefault_timeout_seconds = 30",
        "control.default_timeout_seconds: expected at least sessions.call_timeout_seconds (40), found 30",
    ),
    "hardly any space": ("[store.retention]\nmax_bytes = 1000", "store.retention.max_bytes: expected 0 (no limit) or"),
    "a listener's name twice": (LISTENER + LISTENER + "port = 1", 'the name "chargers" is used twice'),
    "a port twice": (LISTENER + LISTENER + "name = 'b'", "listeners[1]: 0.0.0.0:9443 is taken by listeners[0]"),
    "a configuration key twice": (
        "[[boot_configuration]]\nkey='A'\nvalues=['1']\n[[boot_configuration]]\nkey='a'\nvalues=['2']",
        'the key "a" is there twice',
    ),
    "no listener": ("listeners = []", "listeners: expected a list of 1 to 32 [[listeners]] tables, found an empty"),
    "no certificate": ("[[listeners]]\nport = 1", "listeners[0].certificates: missing; expected a list of 1 to 8"),
    "half a certificate": ("[[listeners]]\ncertificates = [{key = 'a'}]", "certificates[0].certificate: missing;"),
    "an unknown section": ("[session]\n", 'session: unknown key; did you mean "sessions"?'),
    "an unknown key": ("[sessions]\nheartbeat = 60", 'sessions.heartbeat: unknown key; did you mean "heartbeat_in'),
    "a key of another section": ("[drain]\npath = 'x'", "drain.path: unknown key here; it belongs to [store]"),
    "a key of nothing": ("[logging]\nzzz = 1", "logging.zzz: unknown key; known here: level, format"),
    "a key of strange letters": ("[logging]\n'a\\u001b[31mb' = 1".replace("'", '"'), "control characters"),
    "not TOML": ("[sessions", "not valid TOML:"),
    "a key twice": ("[drain]\ndeadline_seconds = 1\ndeadline_seconds = 2", "not valid TOML:"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_reported_with_the_file_its_key_and_what_was_expected(
    complaint: Complaint, tmp_path: Path, text: str, said: str
) -> None:
    """One thing is wrong, and one line says which, where, and what would be right."""
    message = complaint(text)
    assert message.startswith(f"{tmp_path / 'gateway.toml'}: ")
    assert said in message
    assert "\n" not in message


def test_everything_wrong_is_reported_at_once(complaint: Complaint) -> None:
    """A file with many mistakes needs one round of correction, not one per mistake."""
    message = complaint(
        """
        [[listeners]]
        prot = 1
        certificates = [{ certificate = "a", key = 3 }, { certificate = "b" }]
        [sessions]
        heartbeat_interval = "x"
        write_seconds = -1
        [control]
        address = "0.0.0.0:1"
        [logging]
        format = "xml"
        """
    )
    head, *problems = message.splitlines()
    assert head.endswith(": 7 problems:")
    assert [line.strip().partition(": ")[0] for line in problems] == [
        "listeners[0].certificates[0].key",
        "listeners[0].certificates[1].key",
        "listeners[0].prot",
        "control.address",
        "sessions.heartbeat_interval",
        "sessions.write_seconds",
        "logging.format",
    ]


def test_a_flood_of_problems_is_cut_and_counted(complaint: Complaint) -> None:
    """The terminal isn't flooded by a file that is something else altogether."""
    message = complaint("\n".join(f"zzz{number} = 1" for number in range(100)))
    assert message.splitlines()[-1] == "  ... and 50 more"


def test_no_file_is_reported_by_name(tmp_path: Path) -> None:
    """A missing file, or a folder in its place."""
    with pytest.raises(SettingsError, match=r"none\.toml: can't be read: No such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="can't be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe[\x00", "not UTF-8 at byte 0"),
        (b"#" * 1_100_000, "larger than"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"9" * 5_000, "not valid TOML"),
    ],
    ids=["another encoding", "too large", "nested", "huge number"],
)
def test_something_that_is_no_settings_file_is_reported(tmp_path: Path, data: bytes, said: str) -> None:
    """Whatever is in the file, the error is a SettingsError."""
    path = tmp_path / "gateway.toml"
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=said):
        load(path)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Some editors put one in front."""
    path = tmp_path / "gateway.toml"
    path.write_text("\ufeff" + LISTENER, encoding="utf-8")
    assert load(path).listeners


def test_a_private_key_pasted_in_is_not_repeated(complaint: Complaint) -> None:
    """A key in place of its path is refused without showing it."""
    message = complaint("[control]\ncertificate = 'a'\nkey = '''-----BEGIN PRIVATE KEY-----\nMIGHAgEA\n-----END'''")
    assert "control.key: expected a path, found a text with control characters or several lines" in message
    assert "MIGHAgEA" not in message


@pytest.mark.parametrize(
    "given",
    [
        "[tracing]\nendpoint = 'http://user:marked@collector:4317'",
        "[metrics]\naddress = 'http://user:marked@127.0.0.1:9464'",
        "[cluster]\nnode = 1\nnats = ['nats://user:marked@nats1:4222']",
    ],
    ids=["a URL", "an address", "a list of URLs"],
)
def test_a_password_in_a_wrong_url_is_not_repeated(complaint: Complaint, given: str) -> None:
    """The refusal goes to the log of whatever starts the gateway."""
    message = complaint(given)
    assert "expected" in message
    assert "marked" not in message


JWT = """
[control]
require_callers = true
[control.jwt]
jwks_file = "jwks.json"
issuer = "https://idp.example/"
audience = "gateway"
roles = [{ value = "ops", role = "operate" }]
"""


def test_jwts_are_taken_by_issuer_audience_and_roles(tmp_path: Path, complaint: Complaint) -> None:
    """Each is asked for by name: without one of them other people's tokens would be taken, or none would be."""
    path = tmp_path / "gateway.toml"
    path.write_text(LISTENER + JWT)
    assert load(path).control.jwt.jwks_file == tmp_path / "jwks.json"
    for line in ("issuer", "audience", "roles"):
        without = "\n".join(each for each in JWT.splitlines() if not each.startswith(line))
        assert f"control.jwt.{line}: missing" in complaint(without)
    assert "control.jwt.jwks_file: needs require_callers" in complaint(JWT.replace("require_callers = true", ""))
    assert "control.jwt.algorithms[0]: expected one of: RS256" in complaint(JWT + "algorithms = ['HS256']")
    assert "control.jwt.scope[0].label" in complaint(JWT + "scope = [{ label = 'a b', claim = 'c' }]")


def test_a_key_set_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    """By check-config and at the start; nothing of it is shown."""
    path = tmp_path / "gateway.toml"
    path.write_text(LISTENER + JWT)
    section = load(path).control
    for content, reason in ((None, "No such file"), (b"{}", "no JSON Web Key Set")):
        if content is not None:
            (tmp_path / "jwks.json").write_bytes(content)
        with pytest.raises(SettingsError, match=rf"control\.jwt\.jwks_file: .*{reason}"):
            control_settings(section)
        found = [each for each in check(load(path)) if each.key == "control.jwt.jwks_file"]
        assert [reason in each.text for each in found] == [True]
