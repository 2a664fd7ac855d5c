"""Takes updates in: uploads, admission, batches, progress."""
