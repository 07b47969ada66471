"""`weights_tool bench-peers`: the engine's speed beside that of other programs that run the same weights."""
