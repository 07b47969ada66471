"""A small random Gemma 3, for what T5Gemma 2 shares with it. docs/making reads it, too."""
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from t5gemma2_weights_tool.gemma3 import LOCAL_ROPE_THETA


def small_gemma3() -> Gemma3ForCausalLM:
    """Every parameter counts: 7 layers (one full), window 5, GQA, heads*head_dim != d."""
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=7, num_attention_heads=4,
        num_key_value_heads=2, head_dim=10, query_pre_attn_scalar=10, sliding_window=5, max_position_embeddings=128,
        rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                         "sliding_attention": {"rope_type": "default", "rope_theta": LOCAL_ROPE_THETA}})
    config._attn_implementation = "eager"
    model = Gemma3ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2)
    return model
