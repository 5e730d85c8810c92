"""Several servers on one Redis, killed under load."""
