"""The wire contract between processes, in versions; `v1` is generated from `proto/`."""
