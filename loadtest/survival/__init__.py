"""`./kit faults`: what servers do when a worker dies, stops or hangs, and on reload and stop."""
