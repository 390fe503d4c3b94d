"""`./kit peers`: Pierhead and other servers, one after the other on one core; README.md says how."""
