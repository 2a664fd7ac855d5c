"""Settings of every test: repeatable by default, searching on request."""

import os
import signal

from hypothesis import settings

# The same examples on every run: a red test is red for everybody.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
# `HYPOTHESIS_PROFILE=search make test` looks for new examples.
settings.register_profile("search", max_examples=1_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A shell starts jobs in the background with interrupts ignored, and every process that a test
# starts would inherit that; with a handler here they start as from a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
