"""Run a command in a network of its own, which has nothing but loopback: `python network.py COMMAND ...`, Linux only.

Nothing that a peer listens on can be reached from outside (Ray's processes listen on every interface), no peer can call home, and
what crosses loopback is the peer's own traffic. Needs root, or a kernel that grants user namespaces.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # unshare(2)
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1  # netdevice(7)
INTERFACE_REQUEST = struct.Struct("16sh22x")  # name and flags of struct ifreq


def enter() -> None:
    """Leave the machine's network for an empty one; this process must have no other thread.

    Raises:
        SystemExit: the kernel does not allow it.
    """
    namespaces = CLONE_NEWNET | (0 if os.geteuid() == 0 else CLONE_NEWUSER)
    if ctypes.CDLL(None, use_errno=True).unshare(namespaces) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise SystemExit(f"no network namespace: {reason}; run as root, or allow user namespaces")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, INTERFACE_REQUEST.pack(b"lo", IFF_UP))


def is_private() -> bool:
    """Whether no route leads out of this machine: the table in /proc has its title alone."""
    return len(Path("/proc/net/route").read_text().splitlines()) == 1


if __name__ == "__main__":
    enter()
    os.execvp(sys.argv[1], sys.argv[1:])
