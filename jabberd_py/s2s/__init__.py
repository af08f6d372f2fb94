"""Server-to-server streams: the uplink and what it is made of."""
