"""Run a command of wsiseg without root's right to open whatever it likes: python limited_command.py ARGS...

As root, permissions hold for nobody; so this process gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
"""

import ctypes
import os
import sys

CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2


def give_up_rights():
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    lost = 1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH
    for index in range(3):
        sets[index] &= ~lost
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    if os.geteuid() == 0:
        give_up_rights()
    sys.argv = ["wsiseg", *sys.argv[1:]]
    from wsiseg.cli.main import main

    main()
