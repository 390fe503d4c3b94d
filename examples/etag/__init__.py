"""Makes this folder importable for ../stack.py as `etag`; run alone, the example does not need it."""
