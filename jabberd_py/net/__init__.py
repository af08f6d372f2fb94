"""Sockets: accepting, connecting, TLS, bounded streams of stanzas."""
