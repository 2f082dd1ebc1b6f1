"""Times as a player shows them, in text, on pages and in logs."""

import math


def clock(seconds: float, tenths: bool = False) -> str:
    """Seconds as m:ss or h:mm:ss, with tenths of a second m:ss.t; "?" if they are not finite.

    What follows is cut off, so that no time is shown as a later one; a thousandth is as exact as any time here is.
    """
    if not math.isfinite(seconds):
        return "?"
    whole, thousandths = divmod(round(1000 * seconds), 1000)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    told = f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"
    return f"{told}.{thousandths // 100}" if tenths else told
