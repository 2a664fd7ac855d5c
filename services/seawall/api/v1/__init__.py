"""Messages and services of `seawall.api.v1`, compiled by `make proto`; see docs/decisions/0003."""
