"""Makes this folder importable for ../stack.py as `sse`; run alone, the example does not need it."""
