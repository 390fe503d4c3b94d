"""The same small application for each interface: 13 bytes, streams both ways, events for all, an echo."""
