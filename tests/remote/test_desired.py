"""What strangers may send, what a change takes, and what nobody changes from afar."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.config.load import validate
from spotterd.config.merge import merge
from spotterd.config.schema import Config
from spotterd.errors import BadInputError
from spotterd.publish.payloads import DesiredPayload
from spotterd.remote.desired import Effect, effect_of, forbidden, masked, merged, parse
from spotterd.remote.strict import MOST_BYTES, read_object

FUZZED = 10_000


def test_a_wish_is_read() -> None:
    wish = parse(b'{"version":7,"token":"a1","set":{"detector":{"score":0.5}}}')
    assert wish == DesiredPayload(version=7, token="a1", set={"detector": {"score": 0.5}})


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "line 1, column 1"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "must be a JSON object, not list"),
        (b'{"version":1,"version":2,"set":{}}', "'version' is given twice"),
        (b'{"version":1,"set":{"a":{"b":1,"b":2}}}', "'b' is given twice"),
        (b'{"version":1,"set":{"a":NaN}}', "NaN is not a number"),
        (b'{"version":1,"set":{"a":-Infinity}}', "-Infinity is not a number"),
        (b'{"version":1,"set":{"a":1e999}}', "1e999 is too large"),
        (b'{"version":1,"set":{"a":"\\ud800"}}', "surrogates not allowed"),
        (b'{"version":1,"set":{"a":' + b"9" * 5000 + b"}}", "not JSON that can be used"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "nested more than"),
        (b"[" * 50_000, "nested more than"),
        (b'{"version":1,"set":{"a":"' + b"x" * MOST_BYTES + b'"}}', "the most are"),
        (b'{"version":"1","set":{}}', "version"),
        (b'{"version":true,"set":{}}', "version"),
        (b'{"version":0,"set":{}}', "version"),
        (b'{"version":1}', "set"),
        (b'{"version":1,"set":[]}', "set"),
        (b'{"version":1,"set":{},"token":5}', "token"),
        (b'{"version":1,"set":{},"sett":{}}', "did you mean 'set'?"),
    ],
)
def test_what_is_no_wish_is_refused_with_one_sentence(payload: bytes, said: str) -> None:
    with pytest.raises(BadInputError, match="(?s)" + said.replace("?", r"\?")) as told:
        parse(payload)
    assert len(str(told.value)) < 600


def test_brackets_within_text_do_not_count_as_depth() -> None:
    assert read_object(b'{"a":"' + b"[{" * 100 + b'\\""}')["a"].startswith("[{")


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
def test_what_json_can_say_is_read_as_it_is(tree: dict) -> None:
    assert read_object(json.dumps(tree).encode()) == tree


def test_ten_thousand_fuzzed_payloads_are_wishes_or_refused() -> None:
    chance = random.Random(6)
    good = json.dumps(
        {"version": 7, "token": "a1", "set": {"detector": {"score": 0.5}, "cameras": {"a": {}}}}
    ).encode()
    odd = [b'"__proto__":1,', b"NaN", b"[" * 40, b'{"a":', b"\\ud800", b"\x00", b"null", b"../../x"]
    for _ in range(FUZZED):
        payload = bytearray(
            chance.randbytes(chance.randrange(60)) if chance.random() < 0.2 else good
        )
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(payload) + 1)
            if chance.random() < 0.5:
                payload[at : at + chance.randrange(4)] = chance.choice(odd)
            else:
                payload[at : at + 1] = chance.randbytes(1)
        try:
            wish = parse(bytes(payload))
            validate(merge({}, merged({}, wish.set)), "It")
        except BadInputError as told:
            json.dumps(str(told), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("patch", "effect"),
    [
        ({}, Effect.NONE),
        ({"detector": {"score": 0.35}}, Effect.NONE),
        ({"detector": {"score": 0.5}}, Effect.LIVE),
        ({"tracking": {"lost_s": 3}}, Effect.LIVE),
        ({"events": {"zones": {"z": {"polygon": [[0, 0], [1, 0], [1, 1]]}}}}, Effect.LIVE),
        ({"publish": {"detections": "off"}}, Effect.LIVE),
        ({"health": {"interval_s": 1}}, Effect.LIVE),
        ({"events": {"clips": {"enabled": True}}}, Effect.STAGE),
        ({"cameras": {"main": {"source": "usb:0"}}}, Effect.STAGE),
        ({"cameras": {"two": {}}}, Effect.STAGE),
        ({"engines": {"precision": "fp16"}}, Effect.STAGE),
        ({"engines": {"threads": 1}, "detector": {"score": 0.5}}, Effect.STAGE),
        ({"detector": {"input_size": 320}}, Effect.STAGE),
        ({"mqtt": {"keepalive_s": 10}}, Effect.FIXED),
        ({"web": {"page": True}}, Effect.FIXED),
        ({"node": "other"}, Effect.FIXED),
    ],
)
def test_what_a_change_takes(patch: dict, effect: Effect) -> None:
    before = {"node": "one"}
    assert effect_of(validate(before, "It"), validate(merge(before, patch), "It")) is effect


@pytest.mark.parametrize(
    "patch",
    [
        {"mqtt": {"url": "mqtt://evil"}},
        {"mqtt": None},
        {"mqtt": {}},
        {"node": "x"},
        {"web": {"address": "0.0.0.0"}},
        {"cameras": {"main": {"credentials_file": "/etc/shadow"}}},
        {"cameras": {"main": {"source": "gst:fakesrc ! filesink location=/x"}}},
        {"detector": {"labels": "/etc/shadow"}},
        {"engines": {"calibration": "/"}},
        {"publish": {"outbox": {"max_mb": 1}}},
    ],
)
def test_what_nobody_changes_from_afar(patch: dict) -> None:
    assert len(forbidden(patch)) == 1


def test_all_other_changes_are_allowed() -> None:
    patch = {"detector": {"labels": ["a"], "model": "sky"}, "cameras": {"a": {"source": "usb:0"}}}
    assert forbidden(patch) == []


def test_null_takes_a_change_back_and_leaves_no_empty_section() -> None:
    first = merged({}, {"cameras": {"two": {"source": "sim:"}}, "detector": {"score": 0.5}})
    assert merged(first, {"cameras": {"two": {"source": None}}}) == {"detector": {"score": 0.5}}


def test_a_section_wished_for_with_all_its_defaults_is_there() -> None:
    assert merged({}, {"cameras": {"two": {}}}) == {"cameras": {"two": {}}}


def test_passwords_are_not_told() -> None:
    config = Config.model_validate({"cameras": {"a": {"source": "rtsp://me:hunter2@cam/x"}}})
    assert "hunter2" not in json.dumps(masked(config))
