"""What the shop does, in plain Python: no server, no database, no library. A test checks the imports."""
