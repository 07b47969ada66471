"""Tools around T5Gemma 2 weights: reference activations, random checkpoints, adaptation from Gemma 3."""
