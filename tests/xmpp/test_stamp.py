"""XEP-0082."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.xmpp import stamp


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-14159025, "1969-07-21T02:56:15Z"),
        (1795392000, "2026-11-23T00:00:00Z"),
        (1795392000.999999, "2026-11-23T00:00:00Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
    ],
)
def test_utc(timestamp, text):
    assert stamp.utc(timestamp) == text


def test_milliseconds():
    assert stamp.utc(1795392000.25, fraction=True) == "2026-11-23T00:00:00.250Z"
    assert stamp.utc(1795392000, fraction=True) == "2026-11-23T00:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("1969-07-21T02:56:15Z", -14159025),
        ("1969-07-20T21:56:15-05:00", -14159025),
        ("1970-01-01T05:30:00+05:30", 0),
        ("1970-01-01T00:00:00.5Z", 0.5),
        ("1970-01-01T00:00:01.0000019999Z", 1.000001),
        ("1970-01-01T00:00:00-00:00", 0),
    ],
)
def test_parse(text, timestamp):
    assert stamp.parse(text) == timestamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23",
        "2026-11-23T00:00:00",
        "20261123T00:00:00",
        "2026-11-23 00:00:00Z",
        "2026-11-23T00:00:00z",
        "2026-11-23T00:00:00Z\n",
        "2026-11-23T00:00:00.Z",
        "2026-11-23T00:00:00+0100",
        "2026-11-23T00:00:00+24:00",
        "2026-11-23T00:00:00+01:60",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-23T24:00:01Z",
        "2026-11-23T00:61:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "-2026-11-23T00:00:00Z",
        "\u0662026-11-23T00:00:00Z",
        "2026-11-23T00:00:00." + "1" * 1000 + "Z",
    ],
)
def test_not_a_datetime(text):
    with pytest.raises(ValueError):
        stamp.parse(text)


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_what_is_written_is_read(timestamp):
    assert stamp.parse(stamp.utc(timestamp)) == timestamp
    assert stamp.parse(stamp.utc(timestamp, fraction=True)) == timestamp
