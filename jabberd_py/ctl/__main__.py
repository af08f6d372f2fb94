"""``python -m jabberd_py.ctl``: jabberctl where it is not installed."""

from .main import main

main(prog_name="jabberctl")
