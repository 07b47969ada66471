"""One decoder token of the pocket model, from its id to the next token: the numbers of one_token.md.

`steps` computes every step with numpy from the step before it as t5gemma2-trace wrote it, and holds the result against
the trace: the largest difference is below 1e-5 of the tensor's largest number, or there is no page.
"""
import json
import tempfile
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
from repository import ROOT, run
from safetensors.numpy import load_file
from t5gemma2_weights_tool.storage import Checkpoint
from t5gemma2_weights_tool.markdown import table

PROMPT, SO_FAR = "sort: ox cat", "cat"
POCKET = ROOT / "examples/pocket"
CONFIG = json.loads((POCKET / "config.json").read_text())["decoder"]
HEADS, DH, D = CONFIG["num_attention_heads"], CONFIG["head_dim"], CONFIG["hidden_size"]
SCALE = CONFIG["query_pre_attn_scalar"] ** -0.5
EPS = CONFIG["rms_norm_eps"]

Array = np.ndarray
Read = Callable[[str], Array]
Tap = Callable[[str, Array], Array]


# ---- the model in numpy ----

def rms_norm(x: Array, weight: Array) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * (1 + weight)


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def gelu_tanh(x: Array) -> Array:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def split(x: Array) -> Array:
    """[rows, heads*dh] -> [heads, rows, dh]."""
    return x.reshape(len(x), -1, DH).swapaxes(0, 1)


def frequencies(layer_type: str) -> Array:
    """Radians per position for each of the dh/2 pairs."""
    rope = CONFIG["rope_parameters"][layer_type]
    return rope["rope_theta"] ** (-np.arange(0, DH, 2) / DH) / rope.get("factor", 1.0)


def apply_rope(x: Array, layer_type: str) -> Array:
    """Every head [rows, dh] of x turned by its position: row r stands at position r."""
    angle = np.arange(x.shape[1])[:, None] * frequencies(layer_type)
    a, b = np.split(x, 2, -1)
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)


def attention(w: Read, tap: Tap, X: Array, H: Array, layer_type: str) -> dict[str, Array]:
    """Every step of the attention of a layer; H without rows is the encoder's own, where all tokens are visible."""
    s: dict[str, Array] = {}
    s["q"], s["k"] = tap("q_proj", X @ w("q_proj").T), tap("k_proj", X @ w("k_proj").T)
    s["v"] = tap("v_proj", X @ w("v_proj").T)
    s["q_norm"] = tap("q_norm", rms_norm(split(s["q"]), w("q_norm")))
    s["k_norm"] = tap("k_norm", rms_norm(split(s["k"]), w("k_norm")))
    s["q_rope"], s["k_rope"] = apply_rope(s["q_norm"], layer_type), apply_rope(s["k_norm"], layer_type)
    s["K"], s["V"], M = s["k_rope"][0], s["v"], np.ones((len(X), len(X)), bool)
    if len(H):
        s["kH"], s["vH"] = tap("k_proj[1]", H @ w("k_proj").T), tap("v_proj[1]", H @ w("v_proj").T)
        s["kH_norm"] = tap("k_norm[1]", rms_norm(split(s["kH"]), w("k_norm")))
        s["K"], s["V"] = np.concatenate([s["K"], s["kH_norm"][0]]), np.concatenate([s["V"], s["vH"]])
        M = np.concatenate([np.tril(M), np.ones((len(X), len(H)), bool)], 1)
    s["dot"] = s["q_rope"] @ s["K"].T
    s["p"] = softmax(np.where(M, s["dot"] * SCALE, -np.inf))
    tap("weights", s["p"][..., :len(X)])
    if len(H):
        tap("cross_weights", s["p"][..., len(X):])
    s["A"] = (s["p"] @ s["V"]).swapaxes(0, 1).reshape(len(X), -1)
    return s | {"O": tap("o_proj", s["A"] @ w("o_proj").T)}


def feed_forward(w: Read, tap: Tap, x: Array) -> dict[str, Array]:
    s = {"gate": tap("gate_proj", x @ w("gate_proj").T), "up": tap("up_proj", x @ w("up_proj").T)}
    s["gelu"] = tap("act_fn", gelu_tanh(s["gate"]))
    s["product"] = s["gelu"] * s["up"]
    return s | {"down": tap("down_proj", s["product"] @ w("down_proj").T)}


def layer(w: Read, tap: Tap, x: Array, H: Array, layer_type: str) -> dict[str, Array]:
    """Every step of a layer, x [rows, d] -> the vector after it."""
    def norm(name: str, x: Array) -> Array:
        return tap(name, rms_norm(x, w(name)))

    s = {"in": x, "pre": norm("pre_self_attn_layernorm", x)}
    s |= attention(lambda name: w(f"self_attn.{name}"), lambda name, y: tap(f"self_attn.{name}", y), s["pre"], H,
                   layer_type)
    s["post"] = norm("post_self_attn_layernorm", s["O"])
    s["middle"] = x + s["post"]
    s["pre_mlp"] = norm("pre_feedforward_layernorm", s["middle"])
    s |= feed_forward(lambda name: w(f"mlp.{name}"), lambda name, y: tap(f"mlp.{name}", y), s["pre_mlp"])
    s["post_mlp"] = norm("post_feedforward_layernorm", s["down"])
    return s | {"out": tap("", s["middle"] + s["post_mlp"])}


def side(name: str, weights: Checkpoint, trace: dict[str, Array], H: Array) -> dict[str, Array]:
    """Every step of the encoder or the decoder; those of layer i begin with i and a point."""
    def read(weight: str) -> Array:
        return weights.read(weight).astype(np.float64)

    def checked(tensor: str, ours: Array) -> Array:
        theirs = trace[f"model.{name}{'.text_model' if name == 'encoder' else ''}.{tensor}".rstrip(".")]
        assert ours.shape == theirs.shape and np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max(), tensor
        return theirs

    ids = trace["inputs.input_ids" if name == "encoder" else "inputs.decoder_input_ids"].astype(int)
    E = read("model.encoder.embed_tokens.weight")
    s = {"ids": ids, "E": E, "x": checked("embed_tokens", E[ids] * np.sqrt(D))}
    x = s["x"]
    for i, layer_type in enumerate(CONFIG["layer_types"]):
        here = f"layers.{i}"
        made = layer(lambda weight: read(f"model.{name}.{here}.{weight}.weight"),
                     lambda tensor, ours: checked(f"{here}.{tensor}", ours), x, H, layer_type)
        s |= {f"{i}.{step}": value for step, value in made.items()}
        x = made["out"]
    return s | {"norm": checked("norm", rms_norm(x, read(f"model.{name}.norm.weight")))}


@cache
def steps() -> dict[str, Array]:
    """Every step of the decoder, held against the trace, and the encoder's too: `H`, `encoder ids`."""
    with tempfile.TemporaryDirectory() as folder:
        run(f"build/bin/t5gemma2-trace -q -m examples/pocket -p '{PROMPT}' --decoder-prompt '{SO_FAR}' "
            f"-o {folder}/trace.safetensors")
        trace = {name: values[0].astype(np.float64)
                 for name, values in load_file(f"{folder}/trace.safetensors").items()}
    weights = Checkpoint(POCKET)
    window = CONFIG["sliding_window"]
    assert len(trace["inputs.input_ids"]) <= window // 2, "a token lies outside the window: the page leaves it out"
    encoder = side("encoder", weights, trace, np.zeros((0, D)))
    s = side("decoder", weights, trace, encoder["norm"]) | {"H": encoder["norm"], "encoder ids": encoder["ids"]}
    s["logits"] = s["norm"] @ s["E"].T
    assert np.abs(s["logits"] - trace["logits"]).max() <= 1e-5 * np.abs(trace["logits"]).max()
    return s


# ---- how numbers are shown ----

def number(x: float) -> str:
    """Five digits, as many in every run."""
    return f"{x:#.5g}"


def signed(x: float) -> str:
    """A number to be added or multiplied by."""
    return number(x) if x >= 0 else f"({number(x)})"


def fence(*rows: str) -> str:
    return "\n".join(["```", *rows, "```"])


def vectors(*rows: tuple[str, Array]) -> list[str]:
    """Name, size and first three numbers of each."""
    width = max(len(name) for name, _ in rows)
    return [f"{name:<{width}}  {f'[{len(v)}]':<6}" + "".join(f"{number(x):>11}" for x in v[:3]) + " ..."
            for name, v in rows]


def pieces(tokens: Iterable[int]) -> list[str]:
    """The text of each token, a space as the tokenizer writes it."""
    asked = "\\n".join(f"[{token}]" for token in tokens)
    printed = run(f"printf '{asked}\\n' | build/bin/t5gemma2-tokenize -q -m examples/pocket --decode --special --jsonl")
    return [json.loads(line).replace(" ", "▁") for line in printed.splitlines()]


def keys(s: dict[str, Array]) -> list[str]:
    """The tokens of [X; H], in order."""
    return [f"X {piece}" for piece in pieces(s["ids"])] + [f"H {piece}" for piece in pieces(s["encoder ids"])]


def normalised(x: Array, weight: Array, y: Array) -> list[str]:
    """RMSNorm of a vector, followed for its first number."""
    rms = np.sqrt((x * x).mean() + EPS)
    return ["", f"rms  = sqrt(mean of the {len(x)} squares) = {number(rms)}",
            f"y[0] = {number(x[0])} / {number(rms)} * (1 + {signed(weight[0])}) = {number(y[0])}"]


def added(x: Array, y: Array) -> str:
    """A residual connection, followed for its first number."""
    return f"x[0] + y[0] = {number(x[0])} + {signed(y[0])} = {number(x[0] + y[0])}"


def read(name: str) -> Array:
    """A stored tensor of the decoder."""
    return Checkpoint(POCKET).read(f"model.decoder.{name}.weight").astype(np.float64)


# ---- the page's blocks ----

def sizes() -> str:
    """The sizes in config.json."""
    return (f"d = {D}; {HEADS} query heads and {CONFIG['num_key_value_heads']} key/value head of {DH} numbers; "
            f"feed-forward {CONFIG['intermediate_size']};\n{len(CONFIG['layer_types'])} layers on each side; window "
            f"{CONFIG['sliding_window']}; {CONFIG['vocab_size']} tokens in the vocabulary.")


def ids() -> str:
    """The tokens of both sides."""
    s = steps()
    rows = [[side, str(position), str(token), f"`{piece}`"]
            for side, tokens in (("encoder", s["encoder ids"]), ("decoder", s["ids"]))
            for position, (token, piece) in enumerate(zip(tokens, pieces(tokens), strict=True))]
    return table(["side", "position", "id", "piece"], rows)


def encoder_output() -> str:
    """The rows of H."""
    s = steps()
    return fence(*vectors(*zip(keys(s)[len(s["ids"]):], s["H"], strict=True)))


def embedding() -> str:
    """From the row of E to x."""
    s = steps()
    token = s["ids"][-1]
    row, x = s["E"][token], s["x"][-1]
    return fence(*vectors((f"E[{token}]", row), ("x", x)), "",
                 f"x[0] = {number(row[0])} * sqrt({D}) = {number(row[0])} * {number(np.sqrt(D))} = {number(x[0])}")


def pre_norm() -> str:
    """The norm before attention."""
    s = steps()
    x, weight, y = s["x"][-1], read("layers.0.pre_self_attn_layernorm"), s["0.pre"][-1]
    return fence(*vectors(("x", x), ("weight", weight), ("y", y)), *normalised(x, weight, y))


def projections() -> str:
    """q, k, v of the token, and k, v of the last row of H, with QK-norm."""
    s = steps()
    own, last = keys(s)[len(s["ids"]) - 1], keys(s)[-1]
    q, weight, y = s["0.q"][-1], read("layers.0.self_attn.q_norm"), s["0.q_norm"][0, -1]
    return fence(*vectors(("q, four heads", q), (f"k of {own}", s["0.k"][-1]), (f"v of {own}", s["0.v"][-1]),
                          (f"k of {last}", s["0.kH"][-1]), (f"v of {last}", s["0.vH"][-1])), "",
                 *vectors(("weight of q_norm", weight), ("y = q_norm, head 0", y),
                          (f"k_norm of {own}", s["0.k_norm"][0, -1]),
                          (f"k_norm of {last}", s["0.kH_norm"][0, -1])), *normalised(q[:DH], weight, y))


def rope() -> str:
    """Two pairs of head 0 turned, the first of them followed."""
    s = steps()
    angle = (len(s["ids"]) - 1) * frequencies(CONFIG["layer_types"][0])
    before, after, half = s["0.q_norm"][0, -1], s["0.q_rope"][0, -1], DH // 2
    rows = [[str(i), *map(number, (angle[i], before[i], before[i + half], after[i], after[i + half]))]
            for i in (0, 1)]
    return table(["i", "angle", "q[i]", f"q[i+{half}]", "new q[i]", f"new q[i+{half}]"], rows) + "\n\n" + fence(
        f"new q[0] = q[0] * cos(angle) - q[{half}] * sin(angle)",
        f"         = {number(before[0])} * {number(np.cos(angle[0]))} - {signed(before[half])} * "
        f"{number(np.sin(angle[0]))} = {number(after[0])}")


def scores() -> str:
    """Head 0 over all keys: scores, the softmax, and the values mixed."""
    s = steps()
    score, p, v, m = s["0.dot"][0, -1] * SCALE, s["0.p"][0, -1], s["0.V"][:, 0], len(s["ids"])
    power = np.exp(score)
    rows = [[f"`{key}`", *map(number, numbers)] for key, *numbers in
            zip(keys(s), score, power, p, v, strict=True)]
    return table(["key", "score", "exp(score)", "probability", "v[0]"], rows) + "\n\n" + fence(
        f"probability = exp(score) / sum of exp = exp(score) / {number(power.sum())}",
        f"on X, its own past: {number(p[:m].sum())}, on H: {number(p[m:].sum())}",
        f"A[0] = sum of probability * v[0] = {number(s['0.A'][-1][0])}")


def heads() -> str:
    """The probabilities of all heads."""
    s = steps()
    p, m = s["0.p"][:, -1], len(s["ids"])
    rows = [[f"`{key}`", *[f"{x:.3f}" for x in column]] for key, column in zip(keys(s), p.T, strict=True)]
    on_H = ["all of H", *[f"{x:.3f}" for x in p[:, m:].sum(-1)]]
    return table(["key", *[f"head {h}" for h in range(HEADS)]], [*rows, on_H])


def attention_out() -> str:
    """From A to the sum with x."""
    s = steps()
    weight, O, post = read("layers.0.post_self_attn_layernorm"), s["0.O"][-1], s["0.post"][-1]
    return fence(*vectors(("A, four heads", s["0.A"][-1]), ("O = A Wo", O), ("weight of the norm", weight),
                          ("y = norm of O", post), ("x + y", s["0.middle"][-1])),
                 *normalised(O, weight, post), added(s["0.in"][-1], post))


def gated() -> str:
    """The feed-forward, to the sum with x."""
    s = steps()
    gate, gelu, up, product = (s[f"0.{name}"][-1] for name in ("gate", "gelu", "up", "product"))
    inner = np.sqrt(2 / np.pi) * (gate[0] + 0.044715 * gate[0] ** 3)
    return fence(*vectors(("norm of x", s["0.pre_mlp"][-1]), ("gate", gate), ("gelu(gate)", gelu), ("up", up),
                          ("gelu(gate) * up", product), ("down", s["0.down"][-1]),
                          ("y = norm of down", s["0.post_mlp"][-1]), ("x + y", s["0.out"][-1])), "",
                 f"g = {number(gate[0])}, tanh(sqrt(2/pi) (g + 0.044715 g^3)) = {number(np.tanh(inner))}",
                 f"gelu(g) = g / 2 * (1 + {signed(np.tanh(inner))}) = {number(gelu[0])}",
                 f"gelu(g) * up[0] = {number(gelu[0])} * {signed(up[0])} = {number(product[0])}",
                 added(s["0.middle"][-1], s["0.post_mlp"][-1]))


def layers() -> str:
    """The vector after each layer, and the key with the largest mean probability there."""
    s = steps()
    rows = [["embedding", *map(number, s["x"][-1][:3]), ""]]
    for i, layer_type in enumerate(CONFIG["layer_types"]):
        most = keys(s)[int(s[f"{i}.p"][:, -1].mean(0).argmax())]
        kind = "local" if layer_type == "sliding_attention" else "global"
        rows.append([f"layer {i}, {kind}", *map(number, s[f"{i}.out"][-1][:3]), f"`{most}`"])
    return table(["after", "x[0]", "x[1]", "x[2]", "key seen most"], rows)


def logits() -> str:
    """The five largest logits as probabilities; the largest is what greedy decoding takes."""
    s = steps()
    logit = s["logits"][-1]
    best = np.argsort(-logit)[:5]
    text = pieces(best)
    answer = run(f"build/bin/t5gemma2-generate -q -m examples/pocket -p '{PROMPT}'")
    assert answer.startswith(f"{SO_FAR}{text[0]}".replace("▁", " ")), answer
    total = np.log(np.exp(logit - logit.max()).sum()) + logit.max()
    p = [f"{np.exp(logit[i] - total):.7f}" for i in best]
    rows = [[f"`{piece}`", str(i), f"{logit[i]:.4f}", q] for piece, i, q in zip(text, best, p, strict=True)]
    return fence(*vectors(("h", s["norm"][-1]), (f"E[{best[0]}]", s["E"][best[0]]))) + "\n\n" + table(
        ["token", "id", "logit", "probability"], rows) + "\n\n" + fence(
        f"log of the sum of all {len(logit)} exp(logit) = {total:.4f}",
        f"exp({logit[best[1]]:.4f} - {total:.4f}) = {p[1]}")
