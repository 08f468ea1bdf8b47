"""Recompute every golden file with a second, independent forward pass: plain numpy, f64, read from the paper.

    python3 check.py

Prints, for each family, the largest distance between its logits and these, then what each classic mistake
would cost, so that a test knows how small its tolerance must be to catch it. Fails when the distance is not small,
when a mistake would go unnoticed, or when the greedy continuation differs. Needs numpy only.
"""

import json
import math
import pathlib

import numpy as np

TOLERANCE = 1e-4
HERE = pathlib.Path(__file__).parent

# mistake -> changed settings; it concerns the families whose logits it moves
MISTAKES = {
    "rotary pairs are neighbours": {"rope_halves": False},
    "no rope scaling": {"rope_scaling": None},
    "no smooth band in rope scaling": {"rope_smooth": False},
    "no sliding window": {"sliding_window": None},
    "window one too long": {"window_extra": 1},
    "window one too short": {"window_extra": -1},
    "norm weight without its 1": {"norm_offset": 0.0},
    "embedding not scaled": {"embedding_scale": 1.0},
    "embedding scale rounded to bf16": {"embedding_bits": 8},
    "SiLU": {"activation": "silu"},
    "exact GELU": {"activation": "gelu"},
    "query heads shared in turn": {"heads_in_turn": True},
    "norm epsilon 1e-6": {"rms_norm_eps": 1e-6},
    "norm epsilon 1e-5": {"rms_norm_eps": 1e-5},
}


def main():
    for folder in sorted(path.parent for path in HERE.glob("*/golden.json")):
        golden = json.loads((folder / "golden.json").read_text())
        settings, weights = read_settings(folder), read_weights(folder)
        distance = largest_distance(golden, settings, weights)
        print(f"{folder.name}: {distance:.1e}")
        assert distance < TOLERANCE
        assert decode_greedily(golden, settings, weights) == golden["greedy"]
        for mistake, change in MISTAKES.items():
            wrong = largest_distance(golden, {**settings, **change}, weights)
            if wrong != distance:
                print(f"    {mistake}: {wrong:.1e}")
                assert wrong > 3 * TOLERANCE, mistake


def largest_distance(golden, settings, weights):
    logits = forward(settings, weights, golden["prompt"])
    assert golden["logits"][-1] == golden["logits_last"] and golden["positions"][-1] == len(golden["prompt"]) - 1
    return abs(logits[golden["positions"]] - np.array(golden["logits"])).max()


def decode_greedily(golden, settings, weights):
    ids = list(golden["prompt"])
    for _ in golden["greedy"]:
        ids.append(int(forward(settings, weights, ids)[-1].argmax()))
    return ids[len(golden["prompt"]):]


def forward(s, weights, ids):
    """Logits, one row for each position."""

    def w(name):
        return weights[f"model.{name}.weight"]

    def norm(x, name):
        return rms_norm(x, w(name) + s["norm_offset"], s["rms_norm_eps"])

    cos, sin = rotations(s, len(ids))
    mask = visible(len(ids), s)
    x = w("embed_tokens")[ids] * rounded(s["embedding_scale"], s["embedding_bits"])
    for layer in (f"layers.{index}." for index in range(s["num_hidden_layers"])):
        h = norm(x, layer + "input_layernorm")
        q, k, v = (heads(h @ w(f"{layer}self_attn.{name}_proj").T, s["head_dim"]) for name in "qkv")
        q, k = (rotate(part, cos, sin, s["rope_halves"]) for part in (q, k))
        k, v = (share(part, len(q), s["heads_in_turn"]) for part in (k, v))
        scores = np.where(mask, q @ k.swapaxes(1, 2) / math.sqrt(s["head_dim"]), -np.inf)
        attended = (softmax(scores) @ v).swapaxes(0, 1).reshape(len(ids), -1)
        x = x + attended @ w(layer + "self_attn.o_proj").T
        h = norm(x, layer + "post_attention_layernorm")
        gate = ACTIVATIONS[s["activation"]](h @ w(layer + "mlp.gate_proj").T)
        x = x + (gate * (h @ w(layer + "mlp.up_proj").T)) @ w(layer + "mlp.down_proj").T
    return norm(x, "norm") @ weights.get("lm_head.weight", w("embed_tokens")).T


def rounded(value, bits):
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(mantissa, bits)), exponent - bits)


def rms_norm(x, gain, epsilon):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * gain


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def heads(x, head_dim):
    """[positions, heads * head_dim] as [heads, positions, head_dim]."""
    return x.reshape(len(x), -1, head_dim).swapaxes(0, 1)


def share(x, count, in_turn):
    """Grouped queries: query head h reads key-value head h // (count / len(x))."""
    return np.tile(x, (count // len(x), 1, 1)) if in_turn else x.repeat(count // len(x), axis=0)


def visible(positions, s):
    """Position i sees j when i - window < j <= i: `window` positions, itself included."""
    i, j = np.arange(positions)[:, None], np.arange(positions)[None, :]
    window = s["sliding_window"] + s["window_extra"] if s["sliding_window"] else positions
    return (j <= i) & (j > i - window)


def rotations(s, positions):
    frequencies = s["rope_theta"] ** -(np.arange(0, s["head_dim"], 2) / s["head_dim"])
    if scaling := s["rope_scaling"]:
        turns = scaling["original_max_position_embeddings"] * frequencies / (2 * math.pi)
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        keep = np.clip((turns - low) / (high - low), 0, 1) if s["rope_smooth"] else turns > high
        frequencies = frequencies * (keep + (1 - keep) / scaling["factor"])
    angles = np.arange(positions)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)


def rotate(x, cos, sin, halves):
    """Component c turns together with component c + head_dim / 2."""
    half = x.shape[-1] // 2
    a, b = (x[..., :half], x[..., half:]) if halves else (x[..., ::2], x[..., 1::2])
    a, b = a * cos - b * sin, b * cos + a * sin
    return np.concatenate([a, b], -1) if halves else np.stack([a, b], -1).reshape(x.shape)


ACTIVATIONS = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_pytorch_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def read_settings(folder):
    config = json.loads((folder / "config.json").read_text())
    gemma = config["model_type"] == "gemma"
    return {
        "head_dim": config["hidden_size"] // config["num_attention_heads"],
        "rope_scaling": None,
        "sliding_window": None,
        **config,
        "activation": "gelu_pytorch_tanh" if gemma else config["hidden_act"],
        "norm_offset": 1.0 if gemma else 0.0,
        "embedding_scale": math.sqrt(config["hidden_size"]) if gemma else 1.0,
        "embedding_bits": 24,
        "rope_halves": True,
        "rope_smooth": True,
        "window_extra": 0,
        "heads_in_turn": False,
    }


def read_weights(folder):
    weights = {}
    for file in folder.glob("*.safetensors"):
        data = file.read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        for name, tensor in header.items():
            begin, end = tensor["data_offsets"]
            weights[name] = READERS[tensor["dtype"]](data[start + begin:start + end]).reshape(tensor["shape"])
    return weights


READERS = {
    "F32": lambda data: np.frombuffer(data, "<f4").astype(np.float64),
    "F16": lambda data: np.frombuffer(data, "<f2").astype(np.float64),
    "BF16": lambda data: (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64),
}


if __name__ == "__main__":
    main()
