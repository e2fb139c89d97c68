"""The system call filter of commands without network, as the program that bubblewrap loads into the kernel.

Only Unix sockets can be made; other processes cannot be traced, and io_uring, which would go around the filter, is
off. What is refused fails with EPERM; a call of a foreign architecture ends the process (spec: sandbox, section 5).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Mapping

import msgspec

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_KILL = 0x80000000

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000
"""Numbers from here on are those of the x32 personality of x86_64."""


class Machine(msgspec.Struct, frozen=True):
    """The numbers that a kernel uses on one architecture."""

    audit: int
    socket: tuple[int, ...]
    """`socket` and `socketpair`."""
    refused: tuple[int, ...]
    """`ptrace`, `process_vm_readv`, `process_vm_writev`, and the three calls of io_uring."""


MACHINES: Mapping[str, Machine] = {
    "x86_64": Machine(audit=0xC000003E, socket=(41, 53), refused=(101, 310, 311, 425, 426, 427)),
    "aarch64": Machine(audit=0xC00000B7, socket=(198, 199), refused=(117, 270, 271, 425, 426, 427)),
}


def network_filter(machine: Machine) -> bytes:
    """The filter for a machine: an array of `struct sock_filter`."""
    calls = [(_JUMP_EQUAL, number) for number in machine.refused]
    sockets = [(_JUMP_EQUAL, number) for number in machine.socket]
    program = [
        (_LOAD, _ARCHITECTURE, "next", "next"),
        (_JUMP_EQUAL, machine.audit, "next", "kill"),
        (_LOAD, _NUMBER, "next", "next"),
        (_JUMP_AT_LEAST, _X32, "refuse", "next"),
        *((code, value, "refuse", "next") for code, value in calls),
        *((code, value, "family", "next") for code, value in sockets),
        (_RETURN, _ALLOW, "next", "next"),
        (_LOAD, _FIRST_ARGUMENT, "next", "next"),
        (_JUMP_EQUAL, int(socket.AF_UNIX), "allow", "refuse"),
        (_RETURN, _ALLOW, "next", "next"),
        (_RETURN, _REFUSE, "next", "next"),
        (_RETURN, _KILL, "next", "next"),
    ]
    at = {"family": len(program) - 5, "allow": len(program) - 3, "refuse": len(program) - 2, "kill": len(program) - 1}
    return b"".join(
        struct.pack("=HBBI", code, _way(yes, at, here), _way(no, at, here), value)
        for here, (code, value, yes, no) in enumerate(program)
    )


def _way(label: str, at: Mapping[str, int], here: int) -> int:
    """How many instructions to skip."""
    return 0 if label == "next" else at[label] - here - 1
