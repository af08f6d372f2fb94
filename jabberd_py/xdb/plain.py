"""Stored XML as plain data (xmltodict), for programs."""

from __future__ import annotations

from typing import Any
from xml.parsers.expat import ExpatError

import gevent
import xmltodict

from . import xdb
from .spoilt import spoilt

SHORT = 4096
"""Characters that are read at once: some milliseconds. What is longer is read in a thread."""


def plain(table: str, owner: str, xml: str) -> Any:
    """The XML of a row as dicts, lists and texts; None if the row is damaged. Blocks if it is long."""
    if len(xml) <= SHORT:
        found = _read(xml)
    else:
        xdb.release()
        found = gevent.get_hub().threadpool.apply(_read, (xml,))
    if isinstance(found, Exception):
        spoilt(table, owner, found)
        return None
    return found


def _read(xml: str) -> Any:
    """The data, or what is wrong: an error that is raised in a thread would be in the log twice."""
    try:
        return xmltodict.parse(xml)
    except (ValueError, ExpatError) as error:
        return error
