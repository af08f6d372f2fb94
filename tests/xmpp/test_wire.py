"""Recorded streams (tests/wire): NAME.xml is what a client sent, NAME.txt what the parser makes of it.

One line for each element as it would be relayed; ``(header)`` and its attributes, ``(close)``; a last line
``! condition`` where the stream ended with that error. However the bytes are cut.
"""

from pathlib import Path

import pytest

from jabberd_py.xmpp.parser import Close, Header, Limits, Parser

WIRE = Path(__file__).parent.parent / "wire"
RECORDED = sorted(path.stem for path in WIRE.glob("*.xml"))


def heard(data: bytes, cut: int) -> str:
    stream, lines = Parser(Limits()), []
    for at in range(0, len(data), cut):
        out, fault = stream.feed(data[at : at + cut])
        for element in out:
            if isinstance(element, Header):
                attributes = [f"{key}={value}" for key, value in sorted(element.attrs.items())]
                lines.append(" ".join(["(header)", *attributes]))
            elif isinstance(element, Close):
                lines.append("(close)")
            else:
                lines.append(str(element).replace("\r", "\\r").replace("\n", "\\n"))
        if fault is not None:
            lines.append(f"! {fault.condition}")
            break
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("cut", [1, 5, 64, 1 << 20])
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_stream(name, cut):
    assert heard((WIRE / f"{name}.xml").read_bytes(), cut) == (WIRE / f"{name}.txt").read_text()


def test_there_are_recorded_streams():
    assert len(RECORDED) >= 12
