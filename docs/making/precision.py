"""What --dtype costs: measured once where weights are needed that are not here, and bounds that docs/make measures anew."""
import re

from repository import ROOT
from sizes import counts
from t5gemma2_weights_tool.markdown import table

DAY = "2026-11-26"
# weights_tool precision adapted --decoder-only --piece 1024 --text GPL-3-preamble.txt MPL-2.0-sections-1-and-2.txt
GEMMA = [("GPL 3, the preamble", "float32", 726, "0", "100.0 %", "0.00", "15.46"),
         ("GPL 3, the preamble", "bfloat16", 726, "0.00006", "99.6 %", "0.99", "15.45"),
         ("GPL 3, the preamble", "int8", 726, "0.00089", "98.1 %", "1.01", "15.49"),
         ("MPL 2.0, sections 1 and 2", "float32", 1360, "0", "100.0 %", "0.00", "9.52"),
         ("MPL 2.0, sections 1 and 2", "bfloat16", 1360, "0.00005", "99.6 %", "0.53", "9.52"),
         ("MPL 2.0, sections 1 and 2", "int8", 1360, "0.00080", "98.8 %", "1.06", "9.52")]
# weights_tool evaluate examples/pocket --engine build/bin/t5gemma2-generate --lengths 1,2 --dtype ...: items, right answers
# of float32 (docs/pocket's), bfloat16 and int8.
POCKET = [("caption", 2000, 1978, 1978, 1978),
          ("question", 3000, 2976, 2976, 2977),
          ("dates", 2500, 2500, 2500, 2500),
          ("numbers", 1000, 998, 998, 998),
          ("sorting", 1000, 996, 996, 996),
          ("counting", 500, 491, 491, 490),
          ("translation", 1000, 1000, 1000, 1000),
          ("retrieval, 240 tokens", 2000, 1503, 1505, 1506),
          ("retrieval, 480 tokens", 2000, 1482, 1481, 1487),
          ("infilling", 3000, 2979, 2979, 2979)]
# On the same weights, matrices rounded to the nearest when loaded. KL divergence of the next token, in nats.
ROUNDED = [("8 bits, a scale for 32 numbers", "0.0007", "98 to 99 %"),
           ("8 bits, a scale for a row", "0.005", "96 %"),
           ("4 bits in feed-forward's gate and up alone", "0.067", "85 %"),
           ("4 bits, scale and minimum", "0.22", "75 %"),
           ("4 bits, scale", "0.36", "72 %")]
# KL divergence and part of the same most likely tokens that pocket has to keep.
BOUNDS = {"bfloat16": (1e-4, 0.98), "int8": (1e-3, 0.95)}


def block() -> str:
    """What a block of 8-bit numbers takes, from the code."""
    text = (ROOT / "t5gemma2/kernels/blocks.hpp").read_text()
    size, = re.findall(r"sizeof\(Int8Block\) == (\d+)", text)
    numbers, = re.findall(r"block_size = (\d+);", text)
    return f"A block of {numbers} weights takes {size} bytes: {8 * int(size) / int(numbers):g} bits a weight."


def gemma() -> str:
    """What the precisions cost Gemma 3 270M."""
    rows = [[text, f"`{dtype}`", f"{tokens:,}", kl, same, largest, perplexity]
            for text, dtype, tokens, kl, same, largest, perplexity in GEMMA]
    return (f"Measured on {DAY}:\n\n" + table(
        ["text", "`--dtype`", "tokens", "KL divergence", "same most likely token", "largest difference", "perplexity"], rows))


def pocket() -> str:
    """Pocket's accuracy in each precision, by task."""
    rows = [[task, f"{items:,}", *(f"{100 * count / items:.2f} %" for count in right)] for task, items, *right in POCKET]
    total = [sum(column) for column in zip(*(row[1:] for row in POCKET))]
    rows.append(["all", f"{total[0]:,}", *(f"{100 * count / total[0]:.2f} %" for count in total[1:])])
    return f"Measured on {DAY}:\n\n" + table(["task", "items", "`float32`", "`bfloat16`", "`int8`"], rows, numbers=True)


def rounded_weights() -> str:
    """What fewer bits a weight cost, and how much of a step's bytes are the head."""
    count = counts("270M-270M")
    head = count["embedding"] / (count["decoder"] + count["embedding"])
    return (table(["weights of 270M", "KL divergence", "same most likely token"], ROUNDED, numbers=True)
            + f"\n\nThe embedding, which is also the head, is {100 * head:.0f} % of what a step reads.")


def pocket_bounds() -> str:
    """What the precisions cost pocket on a text; raises where that is more than BOUNDS."""
    from t5gemma2_weights_tool.precision import Programs, measure

    found = measure(Programs(ROOT / "build/bin", ROOT / "examples/pocket"), [ROOT / "examples/inputs/long.txt"],
                    piece=256, decoder_only=False)
    rows = []
    for row in found[1:]:
        kl, same = BOUNDS[row["dtype"]]
        assert 0 < row["kl"] < kl and row["same"] >= same, row
        rows.append([f"`{row['dtype']}`", row["tokens"], f"below {kl:g}", f"{same:.0%} or more"])
    return table(["`--dtype`", "tokens", "KL divergence", "same most likely token"], rows, numbers=True)
