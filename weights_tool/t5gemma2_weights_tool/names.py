"""Tensor names: one canonical name per parameter, its shape, and the spellings checkpoints use for it.

Canonical names are the module paths inside transformers 5.23 (`model.encoder.text_model.layers.0...`,
`model.encoder.vision_tower.encoder.layers.0...`); `state_dict` has them.
"""
import re

ENCODER = "model.encoder.text_model"
DECODER = "model.decoder"
VISION = "model.encoder.vision_tower"
PROJECTOR = "model.encoder.multi_modal_projector"

EMBEDDING = f"{ENCODER}.embed_tokens.weight"
EOI = f"{ENCODER}.embed_tokens.eoi_embedding"
HEAD = "lm_head.out_proj.weight"
DECODER_EMBEDDING = f"{DECODER}.embed_tokens.weight"
DECODER_EOI = f"{DECODER}.embed_tokens.eoi_embedding"

# What each of these is when a checkpoint does not store it, and the order in which they serve for what they stand for:
# T5Gemma2ForConditionalGeneration._tied_weights_keys, then T5Gemma2Model's.
TIED = {HEAD: EMBEDDING, DECODER_EMBEDDING: EMBEDDING, DECODER_EOI: EOI}
# What `--untied` stores beside the encoder's embedding.
UNTIED = {"head": (HEAD,), "decoder": (DECODER_EMBEDDING, DECODER_EOI), "both": (HEAD, DECODER_EMBEDDING, DECODER_EOI)}

SPELLINGS = ("hub", "save_pretrained", "text_model")


def text_shapes(prefix: str, text: dict) -> dict[str, tuple]:
    """Layers and final norm of one text stack; shapes are [out, in]."""
    d, dh, mlp = text["hidden_size"], text["head_dim"], text["intermediate_size"]
    q, kv = text["num_attention_heads"] * dh, text["num_key_value_heads"] * dh
    layer = {
        "self_attn.q_proj": (q, d), "self_attn.k_proj": (kv, d), "self_attn.v_proj": (kv, d),
        "self_attn.o_proj": (d, q), "self_attn.q_norm": (dh,), "self_attn.k_norm": (dh,),
        "pre_self_attn_layernorm": (d,), "post_self_attn_layernorm": (d,),
        "mlp.gate_proj": (mlp, d), "mlp.up_proj": (mlp, d), "mlp.down_proj": (d, mlp),
        "pre_feedforward_layernorm": (d,), "post_feedforward_layernorm": (d,),
    }
    shapes = {f"{prefix}.layers.{i}.{name}.weight": shape
              for i in range(text["num_hidden_layers"]) for name, shape in layer.items()}
    return {**shapes, f"{prefix}.norm.weight": (d,)}


def vision_shapes(vision: dict, d: int) -> dict[str, tuple]:
    """SigLIP without its pooling head, and the projector to the text width d."""
    h, mlp, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    modules = {"embeddings.patch_embedding": (h, vision["num_channels"], patch, patch)}
    for i in range(vision["num_hidden_layers"]):
        layer = {"layer_norm1": (h,), "layer_norm2": (h,), "mlp.fc1": (mlp, h), "mlp.fc2": (h, mlp)}
        layer |= {f"self_attn.{p}_proj": (h, h) for p in ("q", "k", "v", "out")}
        modules |= {f"encoder.layers.{i}.{name}": shape for name, shape in layer.items()}
    modules["post_layernorm"] = (h,)
    shapes = {}
    for name, shape in modules.items():
        shapes[f"{VISION}.{name}.weight"] = shape
        shapes[f"{VISION}.{name}.bias"] = shape[:1]
    shapes[f"{VISION}.embeddings.position_embedding.weight"] = ((vision["image_size"] // patch) ** 2, h)
    shapes[f"{PROJECTOR}.mm_soft_emb_norm.weight"] = (h,)
    shapes[f"{PROJECTOR}.mm_input_projection_weight"] = (h, d)
    return shapes


def parameter_shapes(config: dict, vision: bool = True, untied: str | None = None) -> dict[str, tuple]:
    """Every tensor of a checkpoint with a normalised config, by canonical name."""
    text = config["encoder"]["text_config"]
    vocab, d = text["vocab_size"], text["hidden_size"]
    shapes = {EMBEDDING: (vocab, d), EOI: (d,)}
    shapes |= {name: shapes[TIED[name]] for name in UNTIED.get(untied, ())}
    shapes |= text_shapes(ENCODER, text) | text_shapes(DECODER, config["decoder"])
    if vision:
        shapes |= vision_shapes(config["encoder"]["vision_config"], d)
    return shapes


def is_vision(name: str) -> bool:
    """Whether a canonical name belongs to the vision half."""
    return name.startswith((VISION + ".", PROJECTOR + "."))


def spell(name: str, spelling: str) -> str:
    """A canonical name as the checkpoints of that spelling store it."""
    if spelling != "text_model":
        name = name.replace("encoder.text_model.", "encoder.")
    if spelling != "save_pretrained":
        name = name.replace("encoder.vision_tower.", "encoder.vision_tower.vision_model.")
    return name


def canonical(stored: str) -> str | None:
    """The canonical name of a stored one in any spelling; None for tensors that are never used (vision head)."""
    name = re.sub(r"^model\.encoder\.(?=(embed_tokens|layers|norm)\.)", ENCODER + ".", stored)
    name = name.replace("vision_tower.vision_model.", "vision_tower.")
    return None if name.startswith(VISION + ".head.") else name


def tie(weights: dict) -> None:
    """Fill in what is not stored: from the encoder's embedding, which itself may be stored under another's name
    (as in the library, tying works both ways)."""
    for name, source in TIED.items():
        if name in weights:
            weights.setdefault(source, weights[name])
    for name, source in TIED.items():
        if source in weights:
            weights.setdefault(name, weights[source])
