"""Texts that chargers and operators may send come back from either store as they were given.

A text of PostgreSQL holds no U+0000, and none of UTF-8 holds half a surrogate pair: the first is kept all the same, and
the second is put right before it comes to a store (``gateway.ocpp.rpc``).
"""

import pytest

from gateway.domain.codec import decode
from gateway.domain.events import TransactionStarted, VendorDataReceived
from gateway.store.api import Store
from gateway.store.commits import Append, Appended
from tests.store.builders import ALL, CONNECTOR, append, connect, event, one

TEXTS = {
    "NUL": "a\x00b",
    "NUL-alone": "\x00",
    "what-NUL-is-kept-as": "\x01\x01",
    "NUL-beside-that": "\x01\x00\x01\x02\x00",
    "controls": "".join(map(chr, range(32))) + "\x7f",
    "ends-of-lines": "a\u2028b\u2029c\u0085d\r\n",
    "beyond-16-bits": "\U0001f600\U0010ffff",
    "no-character": "\ufffe\uffff\ufffd",
    "right-to-left": "\u202e\u2066x",
    "escaped-half-of-a-pair": "\\ud800",
    "not-normalized": "e\u0301",
    "quotes": "'\"\\$1%s{}",
    "255-escaped": "\\ud800" * 255,
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_comes_back_in_whatever_holds_it(store: Store, name: str) -> None:
    """The id of the message that an event is from, a body's texts and keys, a time as it was sent."""
    text = TEXTS[name]
    opened = connect(store)
    body = VendorDataReceived("V" + text, "Accepted", text, {text: [text]}, text)
    new = event(body, cause="message:" + text, reported_raw=text)
    appended = one(store, Append("CP1", opened.epoch, (new,)))
    assert isinstance(appended, Appended)
    [found] = store.events(appended.sequences[0] - 1, 10, ALL).events
    assert decode(found.type, found.version, found.body_json) == body
    assert (found.cause, found.reported_raw) == ("message:" + text, text)


@pytest.mark.parametrize("name", TEXTS)
def test_a_transaction_is_found_by_its_tag_and_its_key(store: Store, name: str) -> None:
    """Also by the tag's other case."""
    text = TEXTS[name]
    opened = connect(store)
    body = TransactionStarted("tx_1", 1, CONNECTOR, "Tag" + text, "Accepted", 100, "key" + text)
    assert isinstance(append(store, body, epoch=opened.epoch), Appended)
    found = store.transaction_by_start_key("CP1", "key" + text)
    assert found is not None
    assert (found.id_tag, found.transaction_id) == ("Tag" + text, "tx_1")
    [same] = store.occupying_transactions_of_tag("tAG" + text, 10)
    assert same.transaction_id == "tx_1"
    assert store.occupying_transactions_of_tag("tAG", 10) == []
