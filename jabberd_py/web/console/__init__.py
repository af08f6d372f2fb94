"""The console of administrators, at /console. Each page is a view in a file of this folder and a template; all that it shows or
does is a command."""

from flask import Blueprint

console = Blueprint("console", __name__, url_prefix="/console")

from . import bans, commands, follow, newuser, overview, people, server  # noqa: E402, F401
