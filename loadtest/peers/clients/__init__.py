"""Clients for what wrk cannot do; each is a program that prints one line of JSON. For Linux and macOS."""
