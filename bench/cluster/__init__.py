"""A whole life of a release on a real cluster, under load: what `make test-k8s` runs."""
