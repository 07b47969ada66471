"""--lora and weights_tool merge against peft: every tensor, and greedy tokens."""

import json
import shutil

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, T5Gemma2ForConditionalGeneration
from transformers.models.t5gemma2.modeling_t5gemma2 import T5Gemma2Encoder

from adapters import POCKET, random_adapter
from programs import run
from t5gemma2_weights_tool.cli import main
from t5gemma2_weights_tool.inputs import Inputs
from t5gemma2_weights_tool.record import generate, taps
from t5gemma2_weights_tool.storage import write_tensors

TEXT = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
KINDS = {
    "all": {"target_modules": "all-linear"},
    "text": {"target_modules": TEXT, "lora_alpha": 3, "use_rslora": True},
    "vision": {"target_modules": ["out_proj", "fc1", "fc2"], "bias": "lora_only"},
    "patterns": {"target_modules": ["q_proj", "v_proj", "down_proj"],
                 "rank_pattern": {"layers.0.self_attn.q_proj": 6, r"decoder\.layers\.[13]\.mlp\.down_proj": 2},
                 "alpha_pattern": {"encoder.*v_proj": 5, "v_proj": 20, r".*\.layers\.\d+\.mlp\.down_proj": 1}},
    "one_layer": {"target_modules": ["q_proj"], "layers_to_transform": [2]},
    "head": {"target_modules": ["out_proj"]},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens", "out_proj"]},
    "embeddings_tied": {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True},
    "embeddings_whole": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    "norms_whole": {"target_modules": ["v_proj"], "modules_to_save": ["q_norm", "post_self_attn_layernorm"]},
}


def inputs_of(length: int = 50) -> Inputs:
    """Ids with end-of-image tokens on both sides, longer than the window of 32, and a picture."""
    rng = np.random.default_rng(3)
    ids = [2, 5, *[7] * 16, 6, *rng.integers(300, 1200, length), 6, 900]
    pixels = rng.uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    return Inputs(np.array([ids]), np.array([[2, 6, *rng.integers(300, 1200, 40)]]), pixels, None, 24)


def peft_model(*folders, scales=()):
    """Several adapters are one after the other: all are active."""
    model = T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32, attn_implementation="eager")
    wrapped = PeftModel.from_pretrained(model, folders[0], adapter_name="0")
    for number, folder in enumerate(folders[1:], 1):
        wrapped.load_adapter(folder, adapter_name=str(number))
    wrapped.base_model.set_adapter([str(number) for number in range(len(folders))])
    for number, scale in enumerate(scales):
        for module in wrapped.modules():
            if isinstance(getattr(module, "scaling", None), dict) and str(number) in module.scaling:
                module.scaling[str(number)] *= scale
    return wrapped.eval().base_model.model


def reference(model, file) -> None:
    """A reference file of every tensor, and greedy tokens."""
    inputs = inputs_of()
    found = {name: value for name, value in taps(model, inputs, False, None).items()
             if ".base_layer" not in name and ".lora_" not in name and ".modules_to_save" not in name}
    found |= {"inputs.input_ids": inputs.input_ids, "inputs.decoder_input_ids": inputs.decoder_input_ids,
              "inputs.pixel_values": inputs.pixel_values}
    found["generated"] = generate(model, inputs, np.array([[2]]))
    write_tensors(file, found)


def compared(folder, file, *flags) -> None:
    done = run("t5gemma2-compare", folder, file, "--tolerance", "1e-5", *flags)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "0 over tolerance, 0 missing" in done.stdout and "generated: all 24 tokens equal" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor(kind, tmp_path):
    """Of peft's own model; the merged checkpoint gives the same."""
    adapter = random_adapter(tmp_path / "adapter", **KINDS[kind])
    reference(peft_model(adapter), tmp_path / "reference.safetensors")
    compared(POCKET, tmp_path / "reference.safetensors", "--lora", adapter)
    assert main(["merge", str(POCKET), "--lora", str(adapter), "--dtype", "float32", "-o", str(tmp_path / "merged")]) == 0
    compared(tmp_path / "merged", tmp_path / "reference.safetensors")


def test_several_adapters_and_scales(tmp_path):
    first = random_adapter(tmp_path / "a", target_modules=TEXT)
    second = random_adapter(tmp_path / "b=2", seed=1, r=3, target_modules=["q_proj", "fc1"])
    reference(peft_model(first, second, scales=(0.5, -1.5)), tmp_path / "reference.safetensors")
    flags = ["--lora", f"{first}=0.5", "--lora", f"{second}=-1.5"]
    compared(POCKET, tmp_path / "reference.safetensors", *flags)
    assert main(["merge", str(POCKET), *flags, "--dtype", "float32", "-o", str(tmp_path / "merged")]) == 0
    compared(tmp_path / "merged", tmp_path / "reference.safetensors")
    reference(peft_model(second), tmp_path / "alone.safetensors")
    compared(POCKET, tmp_path / "alone.safetensors", "--lora", second)  # its own name ends like a scale


def test_two_adapters_of_the_embedding(tmp_path):
    """Each brings the base's embedding along, which takes nothing from the other."""
    folders = [random_adapter(tmp_path / str(seed), seed=seed, target_modules=["q_proj", "embed_tokens"]) for seed in (0, 1)]
    reference(peft_model(*folders, scales=(0.5, 2)), tmp_path / "reference.safetensors")
    flags = ["--lora", f"{folders[0]}=0.5", "--lora", f"{folders[1]}=2"]
    compared(POCKET, tmp_path / "reference.safetensors", *flags)
    assert main(["merge", str(POCKET), *flags, "--dtype", "float32", "-o", str(tmp_path / "merged")]) == 0
    compared(tmp_path / "merged", tmp_path / "reference.safetensors")


def test_merge_is_pefts(tmp_path):
    """Every tensor of merge_and_unload, in the base's dtype, but for the end-of-image vector that it forgets."""
    adapter = random_adapter(tmp_path / "adapter", target_modules="all-linear")
    assert main(["merge", str(POCKET), "--lora", str(adapter), "-o", str(tmp_path / "merged")]) == 0
    ours = T5Gemma2ForConditionalGeneration.from_pretrained(tmp_path / "merged", dtype=torch.float32).state_dict()
    theirs = peft_model_of(adapter).merge_and_unload().to(torch.bfloat16).state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value.float(), rtol=2**-7, atol=1e-6), name
    for name in "tokenizer.json", "processor_config.json", "generation_config.json":
        assert (tmp_path / "merged" / name).read_bytes() == (POCKET / name).read_bytes()


def peft_model_of(adapter):
    return PeftModel.from_pretrained(T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32), adapter)


def test_a_resized_vocabulary(tmp_path):
    """With the adapter's own tokenizer, which has the new tokens."""
    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    tokenizer.add_tokens(["<fast>", "zebras"])
    resized = lambda: T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32)
    model = resized()
    model.resize_token_embeddings(len(tokenizer))
    adapter = random_adapter(tmp_path / "adapter", model=model, target_modules=["q_proj"],
                             modules_to_save=["embed_tokens", "lm_head"])
    tokenizer.save_pretrained(adapter)
    base = resized()
    base.resize_token_embeddings(len(tokenizer))
    theirs = PeftModel.from_pretrained(base, adapter).eval()
    prompt = tokenizer("<fast> sort: zebras", return_tensors="pt")
    with torch.no_grad():
        logits = theirs(**prompt, decoder_input_ids=torch.tensor([[2, 1236, 900]]), use_cache=False).logits
    out = tmp_path / "ours.safetensors"
    flags = ["-p", "<fast> sort: zebras", "--decoder-input-ids", "2,1236,900", "-o", out]
    for model_flags in ["-m", POCKET, "--lora", adapter], ["-m", tmp_path / "merged"]:
        if "--lora" not in model_flags:
            assert main(["merge", str(POCKET), "--lora", str(adapter), "--dtype", "float32",
                         "-o", str(tmp_path / "merged")]) == 0
        done = run("t5gemma2-trace", "-q", *model_flags, *flags)
        assert done.returncode == 0, done.stderr
        ours = load_file(out)
        assert torch.equal(ours["inputs.input_ids"], prompt["input_ids"])
        assert (ours["logits"] - logits).abs().max() <= 1e-5 * logits.abs().max()


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_adapters_are_not_rounded(dtype, tmp_path):
    """What rounding changes is about the same with an adapter as without."""
    adapter = random_adapter(tmp_path / "adapter", target_modules=TEXT)

    def logits(*flags):
        assert run("t5gemma2-trace", "-q", "-m", POCKET, "-p", "sort: ox cat", "--decoder-prompt", "cat ox", *flags,
                   "-o", tmp_path / "o.safetensors").returncode == 0
        return load_file(tmp_path / "o.safetensors")["logits"]

    lora = ["--lora", adapter]
    changed = (logits(*lora) - logits(*lora, "--dtype", dtype)).abs().max()
    assert 0 < changed < 2 * (logits() - logits("--dtype", dtype)).abs().max()


def test_programs_that_take_an_adapter(tmp_path):
    adapter = random_adapter(tmp_path / "adapter", std=0.2, target_modules="all-linear")
    assert main(["merge", str(POCKET), "--lora", str(adapter), "--dtype", "float32", "-o", str(tmp_path / "merged")]) == 0
    for program, *words in (["generate", "-n", "8"], ["score", "--target", "cat ox"], ["embed"]):
        made = [run(f"t5gemma2-{program}", "-q", "sort: ox cat", *words, *flags) for flags in
                (["-m", POCKET, "--lora", adapter], ["-m", tmp_path / "merged"], ["-m", POCKET])]
        assert all(one.returncode == 0 for one in made), made
        if program == "generate":
            assert made[0].stdout == made[1].stdout != made[2].stdout
    page = tmp_path / "page.html"
    assert run("t5gemma2-look", "-q", "-m", POCKET, "--lora", adapter, "sort: ox cat", "-o", page).returncode == 0
    done = run("t5gemma2-generate", "-q", "-m", adapter, "x")
    assert done.returncode == 1 and "a LoRA adapter: its base model goes there, and the adapter behind --lora" in done.stderr


def test_an_adapter_of_the_encoder_alone(tmp_path):
    """Trained on T5Gemma2Encoder; it fits the whole model's encoder, too."""
    model = T5Gemma2ForConditionalGeneration.from_pretrained(POCKET, dtype=torch.float32)
    model.get_encoder().save_pretrained(tmp_path / "encoder")
    encoder, same = (T5Gemma2Encoder.from_pretrained(tmp_path / "encoder", dtype=torch.float32) for _ in range(2))
    adapter = random_adapter(tmp_path / "adapter", model=encoder, target_modules=["q_proj", "down_proj"],
                             rank_pattern={r"text_model\.layers\.1\.self_attn\.q_proj": 2})
    ids = [2, *range(300, 350)]
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(same, adapter).eval()(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    for folder in tmp_path / "encoder", POCKET:
        done = run("t5gemma2-embed", "-q", "-m", folder, "--lora", adapter, "--jsonl", "--pooling", "none",
                   text=json.dumps({"input_ids": ids}))
        ours = np.array(json.loads(done.stdout)["embedding"])
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_a_hub_id(tmp_path, monkeypatch):
    adapter = random_adapter(tmp_path / "adapter", target_modules=["q_proj"])
    repository = tmp_path / "cache/models--me--my-adapter"
    shutil.copytree(adapter, repository / "snapshots/c0ffee")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("c0ffee")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    made = [run("t5gemma2-score", "-q", "-m", POCKET, "-p", "sort: ox cat", "--target", "cat ox", "--lora", name).stdout
            for name in (adapter, "me/my-adapter", "me/my-adapter=0.5")]
    assert made[0] == made[1] != made[2]
