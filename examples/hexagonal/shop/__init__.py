"""A shop as ports and adapters: `domain` is what it does, `adapters` is what it is plugged into."""
