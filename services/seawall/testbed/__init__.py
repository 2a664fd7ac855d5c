"""The testbed: workloads, experiments, their judgement and the reports about them."""
