"""OpenSSL's callbacks for streams between servers, made by ctypes instead of cffi.

pyOpenSSL has cffi make its callbacks, in memory that is writable and executable. A system may forbid such memory (the
systemd unit does: ``MemoryDenyWriteExecute``), and the server could not start. Python's own ctypes takes its callbacks
from a table of ready-made ones, which needs no such memory. All three are made once and live for ever, so no context
can outlive its own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

ALPN = b"xmpp-server"
"""XEP-0368."""
_WANTED = bytes([len(ALPN)]) + ALPN
_ANSWER = ctypes.create_string_buffer(ALPN, len(ALPN))

Named = Callable[[SSL.Connection], None]

_Octets = ctypes.POINTER(ctypes.c_ubyte)
_Verify = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_Select = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), _Octets, _Octets,
                           ctypes.c_uint, ctypes.c_void_p)  # fmt: skip
_Name = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


@_Verify
def _go_on(good: int, store: Any) -> int:
    return 1


@_Select
def _select(tls: Any, out: Any, length: Any, offered: Any, size: int, argument: Any) -> int:
    names, at = ctypes.string_at(offered, size), 0
    while at < len(names):  # a byte of length stands before each
        if names.startswith(_WANTED, at):
            out[0], length[0] = ctypes.addressof(_ANSWER), len(ALPN)
            return int(lib.SSL_TLSEXT_ERR_OK)
        at += 1 + names[at]
    return int(lib.SSL_TLSEXT_ERR_NOACK)


@_Name
def _name(tls: int, alert: Any, argument: Any) -> int:
    connection = SSL.Connection._reverse_mapping[ffi.cast("SSL *", tls)]
    connection.get_context().get_app_data()(connection)
    return 0


def _pointer(ctype: str, function: Any) -> Any:
    """The ctypes callback as cffi's pointer to a function."""
    return ffi.cast(ctype, ctypes.cast(function, ctypes.c_void_p).value)


_GO_ON = _pointer("int (*)(int, X509_STORE_CTX *)", _go_on)
_SELECT = _pointer(
    "int (*)(SSL *, unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)", _select
)
_NAME = _pointer("int (*)(SSL *, int *, void *)", _name)


def install(context: SSL.Context, named: Named | None) -> None:
    """Sets the callbacks of a context. The peer is asked for its certificate, and the handshake goes on even if it is bad. ALPN
    (RFC 7301) is accepted if the client offers it. ``named`` is called with each connection after the client's hello, so that
    it can choose another context (SNI)."""
    lib.SSL_CTX_set_verify(context._context, SSL.VERIFY_PEER, _GO_ON)
    lib.SSL_CTX_set_alpn_select_cb(context._context, _SELECT, ffi.NULL)
    if named is not None:
        context.set_app_data(named)
        lib.SSL_CTX_set_tlsext_servername_callback(context._context, _NAME)
