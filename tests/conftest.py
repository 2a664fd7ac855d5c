"""Settings of every test: repeatable by default, searching on request."""

import os

from hypothesis import settings

# The same examples on every run: a red test is red for everybody.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
# `HYPOTHESIS_PROFILE=search make test` looks for new examples.
settings.register_profile("search", max_examples=1_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
