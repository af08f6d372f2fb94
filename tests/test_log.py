"""Logs: levels, formats, what cannot be forged, and the live tail."""

import io
import json
import logging
import threading

import gevent
import pytest

from jabberd_py import log


@pytest.fixture
def stream():
    """What is logged, from a fresh set-up; afterwards the quiet default is back."""
    yield io.StringIO()
    log.setup("warning")


def last(stream):
    return stream.getvalue().splitlines()[-1]


def test_a_line_for_people(stream):
    log.setup("info", "text", stream)
    log.get("c2s").bind(session="ab1").info("logged in", jid="romeo@localhost", mechanism="two words")
    assert last(stream).endswith(
        ' info    c2s      logged in  session=ab1  jid=romeo@localhost  mechanism="two words"'
    )
    assert "\x1b" not in stream.getvalue()


def test_colours_are_for_terminals_only():
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    log.setup("info", "text", terminal)
    log.get("x").info("hello")
    log.setup("warning")
    assert "\x1b[32minfo" in terminal.getvalue()


def test_a_line_for_programs(stream):
    log.setup("info", "json", stream)
    log.get("c2s").bind(session="ab1").warning("odd", count=3, what=None, kind=ValueError)
    line = json.loads(last(stream))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "odd",
        "logger": "c2s",
        "session": "ab1",
        "count": 3,
        "what": None,
        "kind": "<class 'ValueError'>",
    }


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize(
    "evil", ["a\nb", "a\r\nb", "\x1b[2J", "a\x00", "a\u2028b", "a\x85b", "\u202eabc", "\ud800"]
)
def test_a_peer_cannot_forge_a_line_or_move_the_cursor(stream, format, evil):
    log.setup("info", format, stream)
    log.get("c2s").info(evil, name=evil, **{"key" + evil: 1})
    assert stream.getvalue().count("\n") == 1
    assert last(stream).isprintable()


def test_a_value_cannot_look_like_the_next_field(stream):
    log.setup("info", "text", stream)
    log.get("c2s").info("x", name='a"  jid=admin', empty="")
    assert last(stream).endswith('x  name="a\\"  jid=admin"  empty=""')


def test_long_values_are_cut(stream):
    log.setup("info", "text", stream)
    log.get("c2s").info("x", stanza="a" * 1_000_000)
    assert len(last(stream)) < 2200 and "(1000000 characters)" in last(stream)


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_traceback_comes_along(stream, format):
    log.setup("info", format, stream)
    try:
        raise ValueError("bad\nline")
    except ValueError:
        log.get("c2s").exception("failed")
    assert "ValueError: bad" in stream.getvalue()
    assert all(line.startswith(("    | ", "2", "{")) for line in stream.getvalue().splitlines())


def test_level_and_format_change_also_for_loggers_bound_before(stream):
    log.setup("warning", "text", stream)
    bound = log.get("c2s").bind(session="ab1")
    bound.info("unheard")
    assert stream.getvalue() == "" and not bound.debugging
    log.setup("debug", "json", stream)
    bound.debug("heard")
    assert json.loads(stream.getvalue())["event"] == "heard" and bound.debugging
    log.setup("error", "text", stream)
    bound.warning("unheard")
    assert stream.getvalue().count("\n") == 1


def test_a_field_cannot_replace_level_or_time(stream):
    log.setup("info", "json", stream)
    log.get("c2s").info("x", level="none", time="never")
    line = json.loads(last(stream))
    assert line["level"] == "info" and line["time"] != "never"


def test_a_wrong_level_or_format_is_refused(stream):
    with pytest.raises(ValueError, match="loud"):
        log.setup("loud")
    with pytest.raises(ValueError, match="xml"):
        log.setup("info", "xml")


def test_libraries_log_through_it_once(stream):
    log.setup("info", "text", stream)
    log.setup("info", "text", stream)
    logging.getLogger("some.library").warning("odd %s", "thing\nhere")
    logging.getLogger("some.library").debug("unheard")
    assert stream.getvalue().count("\n") == 1
    assert last(stream).endswith("warning some.library odd thing\\nhere")


def test_a_closed_stream_does_no_harm(stream):
    log.setup("info", "text", stream)
    stream.close()
    with log.tail() as lines:
        log.get("x").info("still here")
        lines.close()
        assert len(list(lines)) == 1


# -- the live log ----------------------------------------------------------------------------------------


def test_a_tail_hears_what_the_process_does_not_write(stream):
    log.setup("warning", "text", stream)
    logger = log.get("c2s")
    logger.debug("before")
    with log.tail("debug", "json") as lines:
        logger.debug("during", n=1)
        lines.close()
        assert [json.loads(line)["event"] for line in lines] == ["during"]
    assert not logger.debugging and stream.getvalue() == ""


def test_a_tail_waits_for_lines(stream):
    log.setup("info", "text", stream)
    with log.tail() as lines:
        reader = gevent.spawn(lambda: next(iter(lines)))
        gevent.idle()
        assert not reader.ready()
        log.get("c2s").info("now")
        assert reader.get(timeout=5).endswith("now")


def test_a_tail_hears_worker_threads(stream):
    log.setup("info", "text", stream)
    with log.tail() as lines:
        reader = gevent.spawn(lambda: next(iter(lines)))
        gevent.idle()
        gevent.get_hub().threadpool.apply(log.get("xdb").info, ("committed",))
        assert reader.get(timeout=5).endswith("committed")


def test_a_slow_reader_misses_lines_and_is_told(stream):
    log.setup("error", "text", stream)
    with log.tail("info", limit=3) as lines:
        for n in range(10):
            log.get("c2s").info("line", n=n)
        lines.close()
        heard = list(lines)
    assert [line.rsplit("  ", 1)[1] for line in heard] == ["n=0", "n=1", "n=2", "count=7"]
    assert "lines missed" in heard[-1]


# -- what others would write past it ---------------------------------------------------------------------


def test_what_python_and_gevent_print_by_themselves_are_lines_too(stream):
    log.setup("info", "json", stream)

    def fall():
        raise ValueError("lost")

    gevent.spawn(fall).join()
    thread = threading.Thread(target=fall)
    thread.start()
    thread.join()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["nobody caught an exception"] * 2
    assert all("ValueError: lost" in line["exception"] for line in lines)


def test_what_libraries_say_for_their_makers_is_not_said(stream):
    log.setup("debug", "text", stream)
    logging.getLogger("peewee").debug("INSERT ... %s", "a secret key")
    assert "secret" not in stream.getvalue()
