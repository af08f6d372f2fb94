"""XEP-0202: the server's time."""

import re
import time
from datetime import datetime

NS = "urn:xmpp:time"


def test_the_server_and_the_own_account_tell_the_time(romeo):
    for number, to in enumerate((f" to='{romeo.domain}'", f" to='{romeo.bare}'", "")):
        romeo.send(f"<iq type='get' id='t{number}'{to}><time xmlns='{NS}'/></iq>")
        answer = romeo.gets(f"<iq type='result' id='t{number}'><time xmlns='{NS}'><tzo/><utc/></time></iq>")
        said = datetime.fromisoformat(answer.findtext(f".//{{{NS}}}utc"))
        assert abs(said.timestamp() - time.time()) < 60
        assert re.fullmatch(r"[+-]\d\d:\d\d", answer.findtext(f".//{{{NS}}}tzo"))
