"""T5Gemma 2 on a CPU: every module of the paper on arrays, the model, and a comparison that says what is wrong.

    import t5gemma2
    m = t5gemma2.load()                       # the pocket model; or a folder, or a hub id
    m.generate("date: the 5th of march 2024")

    O = t5gemma2.merged_attention(X, H, weights, query_pre_attn_scalar=256, rope_theta=1e6, rope_factor=8)
    print(t5gemma2.compare(m, my_tensors))    # names the first tensor that is wrong, and why

Arrays are numpy's, or torch's and other libraries' by DLPack; results are float32 arrays of numpy.
A wrong type is a TypeError, a wrong shape or number a ValueError (Error where a file or a model does not fit), a missing
weight a KeyError; the message names the argument, what was expected and what was found.
"""

from ._compare import Report, assert_close, compare, record
from ._core import (
    Error,
    __version__,
    attention,
    decoder_mask,
    encoder_mask,
    feed_forward,
    gelu_tanh,
    image_tokens,
    linear,
    merged_attention,
    merged_mask,
    preprocess_image,
    rms_norm,
    rope,
    sample,
    self_attention,
    siglip_layer,
    softcap,
    transformer_layer,
)
from ._model import Model, load

__all__ = [
    "Error", "Model", "__version__", "Report", "assert_close", "attention", "compare", "decoder_mask", "encoder_mask", "feed_forward",
    "gelu_tanh", "image_tokens", "linear", "load", "merged_attention", "merged_mask", "preprocess_image", "record",
    "rms_norm", "rope", "sample", "self_attention", "siglip_layer", "softcap", "transformer_layer",
]
