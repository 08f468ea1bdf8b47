#!/usr/bin/env python3
"""Write a tiny model as numpy does: weights.npz by numpy.savez_compressed, and its manifest.json.

Element i of array t (in the order of the names below) is ((7 i + 13 t) % 64 - 32) / 32, exact in f16.

usage: make.py      needs: pip install numpy
"""
import json, os

import numpy as np

HIDDEN, INTERMEDIATE, VOCABULARY = 8, 12, 300
LAYER = "model.layers.0."
SHAPES = {
    "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
    LAYER + "input_layernorm.weight": (HIDDEN,),
    LAYER + "self_attn.q_proj.weight": (HIDDEN, HIDDEN),
    LAYER + "self_attn.k_proj.weight": (HIDDEN // 2, HIDDEN),
    LAYER + "self_attn.v_proj.weight": (HIDDEN // 2, HIDDEN),
    LAYER + "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
    LAYER + "post_attention_layernorm.weight": (HIDDEN,),
    LAYER + "mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
    LAYER + "mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
    LAYER + "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
    "model.norm.weight": (HIDDEN,),
}

arrays, tensors = {}, {}
for t, (name, shape) in enumerate(SHAPES.items()):
    kind, dtype = (np.float32, "f32") if len(shape) == 1 else (np.float16, "f16")
    i = np.arange(np.prod(shape))
    arrays[name] = (((7 * i + 13 * t) % 64 - 32) / 32).astype(kind).reshape(shape)
    tensors[name] = {"shape": shape, "dtype": dtype}

here = os.path.dirname(os.path.abspath(__file__))
np.savez_compressed(os.path.join(here, "weights.npz"), **arrays)
config = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE,
    "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "vocab_size": VOCABULARY,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True,
    "bos_token_id": 1, "eos_token_id": 2,
}
with open(os.path.join(here, "manifest.json"), "w") as out:
    json.dump({"format": "qint-npz", "version": 1, "config": config, "tensors": tensors}, out, indent=1)
    out.write("\n")
