"""What docs and headers say of transformers' and TransformerLens' code, against the code that is installed."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]
POCKET = ROOT / "examples" / "pocket"
TRANSFORMERS = Path(transformers.__file__).parent
SITE = f"https://github.com/huggingface/transformers/blob/v{transformers.__version__}/src/transformers/"

pytestmark = pytest.mark.torch


def links() -> list[tuple[str, str, str]]:
    """(page, label, place) of every link to transformers' code in docs/."""
    link = re.compile(r"^\[(.+)\]: https://github\.com/huggingface/(\S+)$", re.M)
    return [(page.name, *found) for page in sorted((ROOT / "docs").rglob("*.md"))
            for found in link.findall(page.read_text())]


def leads(label: str, place: str) -> bool:
    """Whether the line of the installed file that a link names defines its label."""
    file, _, line = place.removeprefix(SITE.removeprefix("https://github.com/huggingface/")).partition("#L")
    path, name = TRANSFORMERS / file, label.strip("`").split(": ")[-1]
    lines = path.read_text().splitlines() if path.is_file() else []
    return line.isdigit() and 0 < int(line) <= len(lines) and bool(
        re.match(rf"\s*(class|def) {name}\b|{name} = ", lines[int(line) - 1]))


def test_every_link_leads_to_the_definition():
    found = links()
    assert len(found) >= 20
    assert [link for link in found if not leads(*link[1:])] == []


def test_a_link_to_another_line_version_or_symbol_is_found():
    label, place = next((label, place) for _, label, place in links() if "modeling_t5gemma2" in place)
    assert leads(label, place)
    assert not leads(label, place + "0000")
    assert not leads(label, re.sub(r"\d+$", lambda line: str(int(line[0]) + 1), place))
    assert not leads(label, place.replace(f"v{transformers.__version__}", "v5.0.0"))
    assert not leads("`NoSuchClass`", place)


def references(header: Path) -> list[tuple[str, str]]:
    """(file, symbol) of "Reference: transformers FILE SYMBOL, SYMBOL; FILE SYMBOL" in the header's opening comment."""
    lines = header.read_text().split("#pragma once")[0].splitlines()
    paragraphs = "\n".join(line.removeprefix("//").strip() for line in lines).split("\n\n")
    found = []
    for paragraph in paragraphs:
        if match := re.match(r"Reference: transformers (.*)", paragraph.replace("\n", " ")):
            for one in match[1].rstrip(".").split("; "):
                file, _, names = one.partition(" ")
                found += [(file, name) for name in names.split(", ")]
    return found


def defines(file: str, symbol: str) -> bool:
    path = TRANSFORMERS / file
    names = symbol.split(".")
    return path.is_file() and all(re.search(rf"^\s*(class|def) {name}\b", path.read_text(), re.M) for name in names)


def test_every_reference_of_a_header_exists():
    named = {header: references(header) for header in sorted((ROOT / "t5gemma2").rglob("*.hpp"))}
    assert sum(map(bool, named.values())) >= 13
    wrong = [(str(h.relative_to(ROOT)), *r) for h, rs in named.items() for r in rs if not defines(*r)]
    assert wrong == []
    unread = [str(h.relative_to(ROOT)) for h, rs in named.items() if not rs and "Reference: transformers" in h.read_text()]
    assert unread == []


@pytest.fixture
def names(monkeypatch):
    """docs/making/names.py: the tables of docs/names.md."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "making"))
    import names
    return names


def test_every_tap_of_the_tables_is_a_module(names):
    config = transformers.AutoConfig.from_pretrained(POCKET)
    with torch.device("meta"):
        model = transformers.T5Gemma2ForConditionalGeneration(config)
    modules = dict(model.named_modules())
    taps = {row.tap for rows in (names.AROUND, names.LAYER, names.VISION) for row in names.expanded(rows)}
    made = (".weights", ".cross_weights")  # results of self_attn
    wrong = {tap for tap in taps if tap.removesuffix("[1]") not in modules and not tap.endswith(made)}
    assert wrong == {"inputs.input_ids", "inputs.decoder_input_ids", "inputs.pixel_values", "logits"}


@pytest.fixture(scope="module")
def bridge():
    """The pocket model in TransformerLens."""
    pytest.importorskip("transformer_lens")
    from transformer_lens.model_bridge import TransformerBridge

    model = transformers.T5Gemma2ForConditionalGeneration.from_pretrained(
        POCKET, dtype=torch.float32, attn_implementation="eager")
    return TransformerBridge.boot_transformers(str(POCKET), hf_model=model.eval(), device="cpu")


def called(bridge, hooks: set[str], ids: torch.Tensor, decoder_ids: torch.Tensor) -> dict[str, list[np.ndarray]]:
    """{hook: what it was called with} in one pass."""
    calls: dict[str, list[np.ndarray]] = {}

    def note(tensor, hook):
        calls.setdefault(hook.name, []).append(tensor.numpy())

    with torch.no_grad(), bridge.hooks(fwd_hooks=[(hook, note) for hook in hooks]):
        bridge(ids, decoder_input=decoder_ids)
    return {hook: calls.get(bridge.hook_dict[hook].name, []) for hook in hooks}


def test_hooks_hold_what_the_table_says(names, bridge, tmp_path):
    file = tmp_path / "ours.safetensors"
    trace = ROOT / "build/bin/t5gemma2-trace"
    subprocess.run([trace, POCKET, "-p", "sort: ox cat", "--decoder-prompt", "cat", "-o", file], check=True)
    ours = load_file(file)
    config = json.loads((POCKET / "config.json").read_text())["decoder"]
    assert [(field, getattr(bridge.cfg, cfg)) for _, field, cfg in names.SIZES if cfg] == [
        (field, config[field]) for _, field, cfg in names.SIZES if cfg]
    hooks = {row.tap: hook_of(row) for rows in (names.AROUND, names.LAYER) for row in names.expanded(rows) if row.hook}
    calls = called(bridge, set(hooks.values()), torch.tensor(ours["inputs.input_ids"]).long(),
                   torch.tensor(ours["inputs.decoder_input_ids"]).long())
    without_tap = {hook_of(row._replace(tap=f"model.{side}.layers.0")) for row in names.LAYER if not row.tap
                   for side in ("encoder", "decoder")}
    assert without_tap <= set(bridge.hook_dict)
    for tap, hook in hooks.items():
        theirs = calls[hook][1 if tap.endswith("[1]") else 0]
        assert np.allclose(theirs.reshape(ours[tap].shape), ours[tap], rtol=1e-4, atol=1e-4), (tap, hook)


@pytest.mark.parametrize("batch_axis", [True, False], ids=["whole", "without batch axis"])
def test_a_saved_cache_compares_as_it_is(bridge, batch_axis, tmp_path):
    """The lines of docs/compare.md."""
    ids, decoder_ids = torch.arange(2, 47)[None], torch.arange(2, 42)[None]  # more than the window
    _, cache = bridge.run_with_cache(ids, decoder_input=decoder_ids, remove_batch_dim=not batch_axis)
    save_file({name: x.contiguous().clone() for name, x in cache.items()}, tmp_path / "cache.safetensors")
    without_ids = {name: x.contiguous().clone() for name, x in cache.items() if not name.endswith("embed.hook_in")}
    save_file(without_ids, tmp_path / "without_ids.safetensors")
    flags = ["--input-ids", ",".join(map(str, ids[0].tolist())), "--decoder-input-ids", ",".join(map(str, decoder_ids[0].tolist()))]
    for file, more in (("cache", []), ("without_ids", flags)):
        done = subprocess.run([ROOT / "build/bin/t5gemma2-compare", "--json", POCKET, tmp_path / f"{file}.safetensors", *more],
                              check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        assert found["passed"] and len(found["tensors"]) == 215
        assert not [name for name in found["not_ours"] if re.search(r"hook_(q|k|v|pattern|resid_post)$", name)]
        alone = {name for name in found["not_in_file"] if ".mlp.act_fn" not in name}
        assert {name.rsplit(".", 1)[-1] for name in alone} == {"k_proj", "v_proj", "k_norm", "logits"}


def test_where_transformer_lens_differs(bridge):
    """The list below the tables of docs/names.md."""
    side, encoder = "decoder_blocks.0.", "encoder_blocks.0."
    attention = ["hook_k", "hook_v", "k_norm.hook_out", "hook_attn_scores", "hook_pattern", "hook_rot_q", "hook_rot_k",
                 "hook_z", "o.hook_out"]
    hooks = {side + name for name in [*(f"self_attn.{name}" for name in attention), "ln1.hook_normalized", "ln1.hook_out",
                                      "ln1_post.hook_out", "hook_resid_mid", "mlp.hook_post", "mlp.out.hook_out"]}
    ids, decoder_ids = torch.tensor([[2, 893, 326, 1125, 981]]), torch.tensor([[2, 595]])
    calls = {hook.removeprefix(side): tensors for hook, tensors in
             called(bridge, hooks | {"decoder_embed.hook_out"}, ids, decoder_ids).items()}
    for name in ("hook_k", "hook_v", "k_norm.hook_out"):
        assert {tensor.size // 32 for tensor in calls[f"self_attn.{name}"]} == {2, 5}, name  # X, and H
    with torch.no_grad():
        _, cache = bridge.run_with_cache(ids, decoder_input=decoder_ids)
    assert cache[f"{side}self_attn.hook_k"].shape == (1, 5, 1, 32)
    assert np.array_equal(calls["self_attn.hook_attn_scores"][0], calls["self_attn.hook_pattern"][0])
    assert calls["self_attn.hook_rot_q"] == calls["self_attn.hook_rot_k"] == []
    for name, of in (("hook_attn_out", "ln1_post.hook_out"), ("hook_mlp_out", "ln2_post.hook_out")):
        assert bridge.hook_dict[encoder + name] is bridge.hook_dict[encoder + of] and side + name not in bridge.hook_dict
    layer = bridge.original_model.model.decoder.layers[0]
    weight, Wo, down = (one.weight.detach().numpy() for one in (
        layer.pre_self_attn_layernorm, layer.self_attn.o_proj, layer.mlp.down_proj))
    for made, theirs in [
            (calls["ln1.hook_normalized"][0] * (1 + weight), calls["ln1.hook_out"][0]),
            (calls["self_attn.hook_z"][0].reshape(1, 2, -1) @ Wo.T, calls["self_attn.o.hook_out"][0]),
            (calls["mlp.hook_post"][0] @ down.T, calls["mlp.out.hook_out"][0]),
            (calls["decoder_embed.hook_out"][0] + calls["ln1_post.hook_out"][0], calls["hook_resid_mid"][0])]:
        assert np.allclose(made, theirs, rtol=1e-4, atol=1e-4)


def hook_of(row) -> str:
    """The hook of a row with a full path."""
    match = re.match(r"model\.(encoder|decoder)\.(?:text_model\.)?layers\.(\d+)", row.tap)
    if not match:
        return row.hook
    name = row.hook if match[1] == "encoder" else re.sub(r"^attn\b", "self_attn", row.hook)
    return f"{match[1]}_blocks.{match[2]}.{name}"
