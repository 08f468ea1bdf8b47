#!/usr/bin/env python3
"""Write blocks.json: random blocks of every GGUF format that is read, and the f32 values in them.

The values come from `gguf.quants.dequantize` of the PyPI package gguf, an implementation of its own beside ggml's C. Codes
and sub-scales are any bits; f16 scales are finite, subnormal ones and both zeros among them.

usage: make.py      needs: pip install numpy gguf
"""
import importlib.metadata, json, os

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

SCALES = {  # where the f16 numbers of a block are
    "F16": [0], "BF16": [], "F32": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83FF, 0x7BFF, 0xFBFF]

rng = np.random.default_rng(7)
formats = {}
for name, places in SCALES.items():
    kind = GGMLQuantizationType[name]
    values, size = GGML_QUANT_SIZES[kind]
    count = 64 if values == 1 else 24 if values == 32 else 5
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if name in ("F32", "BF16"):  # keep exponents away from infinity and NaN
        blocks[:, -1] &= 0xBF
    for place in places:
        scales = rng.normal(0, 0.02, count).astype(np.float16).view(np.uint16)
        special = SPECIAL if values == 1 else SPECIAL[:4]
        at = rng.choice(count, min(len(special), count - 1), replace=False)
        scales[at] = special[:len(at)]
        blocks[:, place:place + 2] = scales[:, None].view(np.uint8).reshape(count, 2)
    result = dequantize(blocks.reshape(1, -1), kind).astype("<f4")
    assert np.isfinite(result).all(), name
    formats[name.lower()] = {"number": int(kind), "blocks": blocks.tobytes().hex(), "values": result.tobytes().hex()}

made_with = {package: importlib.metadata.version(package) for package in ("gguf", "numpy")}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "blocks.json")
with open(path, "w") as out:
    json.dump({"made_with": made_with, "formats": formats}, out, indent=1)
    out.write("\n")
