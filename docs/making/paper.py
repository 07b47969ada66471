"""Figures that the chapters take from the paper, arXiv 2512.14856, and where they stand there."""
PAPER = {
    "10.5": "§2, tied embedding: less parameters, in %",
    "6.5": "§2, merged attention: less parameters, in %",
    "0.1": "§2, tied embedding: points of quality",
    "0.3": "§2, merged attention: points of quality",
    "1.3": "§2, cross-attention in global layers only: points of quality",
    "25.5": "RULER at 128K, 270M-270M",
    "4.4": "RULER at 128K, Gemma 3 270M",
}
