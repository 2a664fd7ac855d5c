"""What a process says about itself: structured logs and metric families."""
