"""Makes this folder importable for ../stack.py as `database`; run alone, the example does not need it."""
