"""Makes this folder importable for ../stack.py as `websocket`; run alone, the example does not need it."""
