"""How applications are called: what a server asks of one, and the native interface that fulfils it."""
