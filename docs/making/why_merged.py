"""What tying and merging save: the tables of why_merged.md, from t5gemma2-inspect on sizes alone."""
import json
import re

from repository import ROOT, run

PRESETS = "weights_tool/t5gemma2_weights_tool/presets"
SIZES = {
    "270M-270M": f"{PRESETS}/270m-270m.json",
    "1B-1B": f"{PRESETS}/1b-1b.json",
    "4B-4B": f"{PRESETS}/4b-4b.json",
    "Gemma 2 2B": "docs/making/gemma2-2b.json",
}
PARTS = {
    "embedding": "embedding (counted once)",
    "encoder": "encoder layers and norm",
    "decoder": "decoder layers and norm",
    "baseline": "baseline  ",
    "cross": "no cross-attention",
}


def counts(file: str) -> dict[str, int]:
    """Numbers of parameters that t5gemma2-inspect prints, by part."""
    text = run(f"build/bin/t5gemma2-inspect -q {file}")
    found = {part: int(re.search(rf"^  {re.escape(row)}\s*(\d+)", text, re.M)[1]) for part, row in PARTS.items()}
    assert found["baseline"] == found["encoder"] + found["decoder"] + 2 * found["embedding"] + found["cross"]
    return found


def decoder(file: str) -> dict:
    """The decoder's sizes in a config.json."""
    return json.loads((ROOT / file).read_text())["decoder"]


def millions(count: int) -> str:
    """A count in millions, 4 digits."""
    return f"{count / 1e6:.1f} M" if count < 1e9 else f"{count / 1e6:.0f} M"


def table(header: str, rows: list[list[str]]) -> str:
    """A Markdown table whose columns after the first are numbers."""
    columns = header.count("|") - 1
    lines = [header, "|---|" + "---:|" * (columns - 1), *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines)


def savings() -> str:
    """Shares of the baseline, for every size."""
    rows = []
    for name, file in SIZES.items():
        found = counts(file)
        saved = [f"{100 * found[part] / found['baseline']:.1f} %" for part in ("embedding", "cross")]
        rows.append([name, millions(found["baseline"]), *saved])
    return table("| sizes | baseline | tying saves | merging saves |", rows)


def parts() -> str:
    """Where the parameters are: the baseline's parts, for every size."""
    rows = []
    for name, file in SIZES.items():
        found = counts(file)
        assert found["encoder"] == found["decoder"]
        share = found["embedding"] / found["decoder"]
        assert share > 1 if name == "270M-270M" else share < 0.5, (name, share)
        rows.append([name, *(millions(found[part]) for part in ("embedding", "decoder", "cross"))])
    return table("| sizes | one embedding | layers of one side | cross-attention |", rows)


def cross_attention() -> str:
    """The formula of a cross-attention of its own, with each model's sizes."""
    rows = []
    for name, file in SIZES.items():
        c, found = decoder(file), counts(file)
        layers, heads, kv_heads, dh, d = (c[key] for key in (
            "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size"))
        assert layers * 2 * (heads + kv_heads) * dh * d == found["cross"]
        rows.append([name, f"{layers} * 2 * ({heads} + {kv_heads}) * {dh} * {d}", f"{found['cross']:,}"])
    return table("| sizes | L * 2 * (heads + kv_heads) * dh * d | parameters |", rows)


def cache() -> str:
    """What is kept of n = m = 4096 tokens at 270M, by kind of layer, in float32."""
    c, tokens = decoder(SIZES["270M-270M"]), 4096
    row = 2 * c["num_key_value_heads"] * c["head_dim"]
    layers, local = c["num_hidden_layers"], c["layer_types"].count("sliding_attention")
    kept = [("K and V of H", "all", layers, tokens), ("own K and V", "global", layers - local, tokens),
            ("own K and V", "local", local, min(tokens, c["sliding_window"]))]
    total = {name: sum(4e-6 * row * n * t for what, _, n, t in kept if what == name) for name in ("K and V of H", "own K and V")}
    text = run(f"build/bin/t5gemma2-inspect -q {SIZES['270M-270M']} -c {tokens}")
    assert [f"{mb:.1f}" for mb in total.values()] == re.findall(r"^  decoder, K and V of .* (\S+)$", text, re.M)
    rows = [[what, kind, f"{n}", f"{t}", f"{row}", f"{4e-6 * row * n * t:.1f} MB"] for what, kind, n, t in kept]
    return table("| kept | in layers | layers | tokens | numbers | together |", rows)
