"""XEP-0377: Blocking Command Reports: why somebody was blocked, kept for the administrator."""

from __future__ import annotations

import json
import time
from typing import Any

from peewee import FloatField, TextField

from .. import log
from ..arguments import Address
from ..hooks import Module, Option, command, on, size
from ..net import turns
from ..xdb import JidField, Table, xdb
from ..xmpp.element import Element
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc

NS = "urn:xmpp:reporting:1"
STANZA_ID = "urn:xmpp:sid:0"
REASONS = {"urn:xmpp:reporting:spam": "spam", "urn:xmpp:reporting:abuse": "abuse"}
MESSAGES = 20
"""Stanza-ids that are kept of one report."""

logger = log.get(__name__)


class Report(Table):
    """
    owner     the account that reports
    jid       the address that is reported
    messages  JSON, a list of stanza-ids
    allowed   who else may be told, by the wish of the owner
    """

    jid = JidField()
    time = FloatField()
    reason = TextField()
    text = TextField()
    messages = TextField()
    allowed = TextField()


class Reports(Module):
    """Keeps the reports that users attach when they block somebody; nothing is passed on to others."""

    protocols = (XEP(377, "0.4.1", "Blocking Command Reports", missing="reports are passed on to nobody"),)
    name = "report"
    features = (NS,)
    needs = ("blocking",)
    tables = (Report,)
    per_user = Option(int, 50, "reports kept of one user; then the oldest go", min=1)
    text_size = Option(size, "4 KiB", "a longer explanation is cut")

    @on("reported")
    def keep(self, user: str, jid: str, report: Element) -> None:
        reason = REASONS.get(report.attrs.get("reason", ""))
        if (report.name, report.ns) != ("report", NS) or reason is None:
            return
        text = (report.text_of("text", NS) or "").strip().encode()[: self.text_size].decode(errors="ignore")
        ids = [each.attrs["id"][:200] for each in report.all("stanza-id", STANZA_ID) if each.attrs.get("id")]
        allowed = [name for name in ("report-origin", "third-party") if report.child(name, NS) is not None]
        row = {"jid": jid, "time": time.time(), "reason": reason, "text": text}
        row |= {"messages": json.dumps(ids[:MESSAGES]), "allowed": " ".join(allowed)}
        xdb.save(_keep, user, row, self.per_user)
        logger.warning("reported", jid=jid, by=user, reason=reason)

    @command("reports list")
    def show(self, reported: Address | None = None, limit: int = 500, after: int = 0) -> list[dict[str, Any]]:
        """What users have reported, newest first; with an address, what was reported of it. `after`: the id of the
        last one that you have seen."""
        mine = Report.owner.endswith("@" + self.host.domain)
        if reported is not None:
            mine &= Report.jid == str(reported)
        if after > 0:
            mine &= Report.id < after
        rows = Report.select().where(mine).order_by(Report.id.desc()).limit(min(max(limit, 1), 500))
        return [
            {"id": row.id, "time": utc(row.time), "jid": row.jid, "reason": row.reason, "by": row.owner, "text": row.text,
             "messages": json.loads(row.messages), "may tell": row.allowed}
            for row in turns.fairly(rows)
        ]  # fmt: skip

    @command("reports clear", changes=True)
    def clear(self, reported: Address | None = None) -> dict[str, int]:
        """Forget all reports, or those of one address."""
        mine = Report.owner.endswith("@" + self.host.domain)
        if reported is not None:
            mine &= Report.jid == str(reported)
        return {"removed": xdb.save(lambda: Report.delete().where(mine).execute())}


def _keep(owner: str, row: dict[str, Any], limit: int) -> None:
    Report.insert(owner=owner, **row).execute()
    kept = [each.id for each in Report.select(Report.id).where(Report.owner == owner).order_by(Report.id)]
    for id in kept[:-limit]:
        Report.delete().where(Report.id == id).execute()
