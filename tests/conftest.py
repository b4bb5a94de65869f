"""What holds for all unit tests."""

import signal

from hypothesis import settings

# A deadline per example says more about what else the computer does than about the code.
settings.register_profile("tljh", deadline=None)
settings.load_profile("tljh")

# A shell that starts the tests in the background has them ignore SIGINT, and nohup SIGHUP; so would
# every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
