"""What may be asked, and how often."""

import pytest

from spotterd.errors import BadInputError
from spotterd.remote.bucket import Bucket
from spotterd.remote.probation import Probation
from spotterd.remote.requests import LogsArgs, SnapshotArgs, arguments, read_request


def test_an_empty_message_is_a_request_without_token() -> None:
    assert read_request(b" ").token == ""


@pytest.mark.parametrize(
    ("verb", "payload", "args"),
    [
        ("snapshot", b'{"token":"a","args":{"camera":"main"}}', SnapshotArgs(camera="main")),
        ("logs", b'{"args":{"lines":5}}', LogsArgs(lines=5)),
        ("logs", b"", LogsArgs()),
    ],
)
def test_arguments_are_checked_and_defaulted(verb, payload, args) -> None:
    assert arguments(verb, read_request(payload)) == args


@pytest.mark.parametrize(
    ("verb", "payload", "said"),
    [
        ("explode", b"", "ask for one of ping"),
        ("ping", b'{"args":{"x":1}}', "x: unknown key"),
        ("snapshot", b'{"args":{"camera":"../../etc"}}', "camera"),
        ("logs", b'{"args":{"lines":1e9}}', "lines"),
        ("logs", b'{"args":{"lines":100000}}', "lines"),
        ("ping", b'{"token":5}', "token"),
        ("ping", b"[]", "object"),
    ],
)
def test_what_is_no_request_is_refused_with_one_sentence(verb, payload, said) -> None:
    with pytest.raises(BadInputError, match=said):
        arguments(verb, read_request(payload))


def test_a_bucket_allows_a_burst_and_then_the_rate() -> None:
    bucket = Bucket(per_s=2.0, burst=3.0)
    assert [bucket.takes(10.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.takes(10.5), bucket.takes(10.5)] == [True, False]
    flood = sum(bucket.takes(20 + n / 1000) for n in range(10_000))
    assert 20 <= flood <= 23


@pytest.mark.parametrize(
    ("done", "connected", "now_s", "passed", "why"),
    [
        ({"a": 12, "b": 10}, True, 5.0, True, ""),
        ({"a": 12}, True, 5.0, False, ""),
        ({"a": 12}, True, 9.0, False, "camera b: b is away."),
        ({"a": 12, "b": 10}, False, 9.0, False, "broker"),
    ],
)
def test_probation_wants_frames_of_each_camera_and_the_broker(
    done, connected, now_s, passed, why
) -> None:
    probation = Probation(ends_s=9.0, frames={"a": 11, "b": 10}, needs_broker=True)
    assert probation.passed(done, connected=connected) is passed
    if not passed:
        assert why in probation.failed(now_s, done, {"b": "b is away."})
