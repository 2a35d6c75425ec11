"""Starts one command, waits for exactly that child and writes what it cost to a descriptor.

Run as a program of its own, with few modules loaded: Linux hands a process's peak memory on through `exec`, so a
command started straight from the harness would never report less than the harness's own size. Started from here its
floor is this interpreter's few megabytes, and only where the fork itself is counted.
"""

import os
import sys
import time


def launch(report: int, argv: list[str]) -> None:
    """Runs `argv`; writes `wall user sys peak_kib exit_code` to `report`."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.close(report)
            os.execvp(argv[0], argv)
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127)
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - start
    code = os.waitstatus_to_exitcode(status)
    line = f"{wall:.6f} {usage.ru_utime:.6f} {usage.ru_stime:.6f} {usage.ru_maxrss} {code}\n"
    os.write(report, line.encode())


if __name__ == "__main__":
    launch(int(sys.argv[1]), sys.argv[2:])
