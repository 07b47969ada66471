"""What tying and merging save: the tables of why_merged.md, from t5gemma2-inspect on sizes alone."""
import re

from paper import PAPER
from repository import run
from sizes import CONFIGS, PUBLISHED, config_of, counts, millions
from t5gemma2_weights_tool.markdown import table


def parameters() -> str:
    """The paper's Table 2, counted: parameters by part, of the published sizes."""
    parts = ("embedding", "encoder", "decoder", "text", "vision", "all")
    rows = [[name, *(millions(counts(name)[part]) for part in parts)] for name in PUBLISHED]
    return table(["sizes", "embedding", "encoder", "decoder", "text", "vision", "all"], rows, numbers=True)


def savings() -> str:
    """Shares of the baseline, for every size."""
    rows = []
    for name in CONFIGS:
        found = counts(name)
        saved = [f"{100 * found[part] / found['baseline']:.1f} %" for part in ("embedding", "cross")]
        rows.append([name, millions(found["baseline"]), *saved])
    return table(["sizes", "baseline", "tying saves", "merging saves"], rows, numbers=True)


def parts() -> str:
    """Where the parameters are: the baseline's parts, for every size."""
    rows = []
    for name in CONFIGS:
        found = counts(name)
        assert found["encoder"] == found["decoder"]
        share = found["embedding"] / found["decoder"]
        assert share > 1 if name == "270M-270M" else share < 0.5, (name, share)
        rows.append([name, *(millions(found[part]) for part in ("embedding", "decoder", "cross"))])
    return table(["sizes", "one embedding", "layers of one side", "cross-attention"], rows, numbers=True)


def cross_attention() -> str:
    """The formula of a cross-attention of its own, with each model's sizes."""
    rows = []
    for name in CONFIGS:
        c, found = config_of(name)["decoder"], counts(name)
        layers, heads, kv_heads, dh, d = (c[key] for key in (
            "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size"))
        assert layers * 2 * (heads + kv_heads) * dh * d == found["cross"]
        rows.append([name, f"{layers} * 2 * ({heads} + {kv_heads}) * {dh} * {d}", f"{found['cross']:,}"])
    return table(["sizes", "L * 2 * (heads + kv_heads) * dh * d", "parameters"], rows, numbers=True)


def rejected() -> str:
    """What the paper says of the variants that it tried."""
    def row(variant: str, name: str, used: str) -> list[str]:
        parameters = PAPER.get(f"{name}, parameters")
        quality, section = PAPER[f"{name}, quality"]
        return [variant, f"-{parameters[0]} %" if parameters else "not given", f"-{quality}", section, used]
    return table(["variant", "parameters", "quality", "paper", "used"],
                 [row("one embedding for three places", "tying", "yes"), row("merged attention", "merging", "yes"),
                  row("cross-attention in global layers only", "global cross-attention", "no")])


def cache() -> str:
    """What is kept of n = m = 4096 tokens at 270M, by kind of layer, in float32."""
    c, tokens = config_of("270M-270M")["decoder"], 4096
    row = 2 * c["num_key_value_heads"] * c["head_dim"]
    layers, local = c["num_hidden_layers"], c["layer_types"].count("sliding_attention")
    kept = [("K and V of H", "all", layers, tokens), ("own K and V", "global", layers - local, tokens),
            ("own K and V", "local", local, min(tokens, c["sliding_window"] - 1))]
    total = {name: sum(4e-6 * row * n * t for what, _, n, t in kept if what == name)
             for name in ("K and V of H", "own K and V")}
    text = run(f"build/bin/t5gemma2-inspect -q {CONFIGS['270M-270M']} -c {tokens}")
    assert [f"{mb:.1f}" for mb in total.values()] == re.findall(r"^  decoder, K and V of .* (\S+)$", text, re.M)
    rows = [[what, kind, f"{n}", f"{t}", f"{row}", f"{4e-6 * row * n * t:.1f} MB"] for what, kind, n, t in kept]
    return table(["kept", "in layers", "layers", "tokens", "numbers", "together"], rows, numbers=True)
