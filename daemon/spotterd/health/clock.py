"""Is the wall clock right? A board without a clock battery starts in 1970 and jumps later."""

import ctypes
from pathlib import Path

TIMESYNCD_MARK = Path("/run/systemd/timesync/synchronized")  # touched at the first answer of NTP
STA_UNSYNC = 0x40  # linux/timex.h
ADJTIMEX_STATUS_OFFSET = ctypes.sizeof(ctypes.c_long) * 5  # struct timex: after modes..esterror
TIMEX_BYTES = 256  # struct timex is 208 bytes on 64-bit Linux
TIME_ERROR = 5


def clock_synced() -> bool:
    """True where the kernel (NTP, chrony, PTP) or systemd-timesyncd says that the clock is set.

    False also where nothing can be learned. Costs some microseconds.
    """
    return TIMESYNCD_MARK.exists() or _kernel_says_synced()


def _kernel_says_synced() -> bool:
    """Read the kernel's clock state (adjtimex with modes = 0 changes nothing, needs no right)."""
    timex = ctypes.create_string_buffer(TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None).adjtimex(timex)
    except (OSError, AttributeError):
        return False
    status = ctypes.c_int.from_buffer(timex, ADJTIMEX_STATUS_OFFSET).value
    return 0 <= state < TIME_ERROR and not status & STA_UNSYNC
