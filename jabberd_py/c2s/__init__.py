"""Client to server: listener, negotiation, the client's stream."""
