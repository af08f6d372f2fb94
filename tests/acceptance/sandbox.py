"""Runs a command under the restrictions of a systemd unit: `sandbox.py UNIT FOLDER -- COMMAND...`; root's work.

Done are those that can be had without systemd: memory is never writable and executable, all files but those in FOLDER and the
devices are read-only, no new privileges, no capabilities but the unit's, its limit of open files and its umask.
"""

import ctypes
import os
import resource
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NAMESPACE, BIND, RECURSIVE, PRIVATE = 0x20000, 0x1000, 0x4000, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, READ_ONLY = 442, -100, 0x8000, 1
SET_NO_NEW_PRIVS, SET_MDWE = 38, 65


def call(what: str, result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def settings(unit: str) -> dict[str, str]:
    with open(unit) as lines:
        pairs = (line.strip().partition("=") for line in lines if "=" in line and line[0] not in "#;")
        return {name: value for name, _, value in pairs}


def attribute(folder: bytes, add: int, remove: int) -> None:
    attributes = struct.pack("QQQQ", add, remove, 0, 0)
    call(
        "mount_setattr",
        LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, folder, AT_RECURSIVE, attributes, len(attributes)),
    )


def read_only_but(folder: bytes) -> None:
    call("unshare", LIBC.unshare(NEW_NAMESPACE))
    call("private", LIBC.mount(None, b"/", None, RECURSIVE | PRIVATE, None))
    call("bind", LIBC.mount(folder, folder, None, BIND | RECURSIVE, None))
    attribute(b"/", READ_ONLY, 0)
    for each in (folder, b"/dev", b"/proc"):
        attribute(each, 0, READ_ONLY)


def main(unit: str, folder: str, _: str, *command: str) -> None:
    wanted = settings(unit)
    if wanted["ProtectSystem"] == "strict":
        read_only_but(folder.encode())
    if wanted.get("MemoryDenyWriteExecute") == "yes":
        call("PR_SET_MDWE", LIBC.prctl(SET_MDWE, 1, 0, 0, 0))
    if wanted["NoNewPrivileges"] == "yes":
        call("PR_SET_NO_NEW_PRIVS", LIBC.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    files = min(int(wanted["LimitNOFILE"]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(int(wanted["UMask"], 8))
    capabilities = "-all,+" + wanted["CapabilityBoundingSet"].removeprefix("CAP_").lower()
    os.execvp(
        "setpriv", ["setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities, "--", *command]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
