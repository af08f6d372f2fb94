"""The control socket."""
class Control:
    def __init__(self, server, path): pass
    def start(self): pass
    def stop(self): pass
