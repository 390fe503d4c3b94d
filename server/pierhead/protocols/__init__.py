"""How requests arrive: codecs that turn bytes into events and back, without clock, socket or logging."""
