"""The library that contributors use: pull a version, push an update, wait for its receipt."""
