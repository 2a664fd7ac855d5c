"""The learning workload: digits, a small network, honest and cheating clients, and a study."""
