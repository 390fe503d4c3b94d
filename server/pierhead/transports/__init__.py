"""The asyncio shells that move bytes between sockets and codecs, and keep the deadlines."""
