"""The administrator's side: jabberctl, its socket, documentation made from the code."""
