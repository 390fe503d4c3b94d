"""Makes this folder importable for ../stack.py as `simple`; run alone, the example does not need it."""
