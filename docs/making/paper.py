"""Figures that the chapters take from the paper, arXiv 2512.14856, and where they stand there."""
PAPER = {
    "tying, parameters": ("10.5", "§2, Tied Embedding"),
    "tying, quality": ("0.1", "§2, Tied Embedding"),
    "merging, parameters": ("6.5", "§2, Merged Attention"),
    "merging, quality": ("0.3", "§2, Merged Attention"),
    "global cross-attention, quality": ("1.3", "§2"),
    "RULER at 128K, 270M-270M": ("25.5", "evaluation"),
    "RULER at 128K, Gemma 3 270M": ("4.4", "evaluation"),
}
