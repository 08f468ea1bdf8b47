"""Recompute the bundled model's figures from its files, with NumPy alone and without a line of train.py.

    pip install numpy==2.4.6 safetensors==0.8.0 tokenizers==0.23.3
    python check.py                                  # evaluation.txt and a greedy sample
    python check.py --text tinyshakespeare.txt       # and the held-out end of the training text

Every figure is the mean over all tokens of consecutive windows, each of 511 tokens behind its own `<s>`.
Float16 weights are widened to float32; nothing else is rounded.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

FOLDER = Path(__file__).parent
HELD_OUT = 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, help="training text; its last 5 %% is scored")
    parser.add_argument("--prompt", default="ROMEO:\n")
    parser.add_argument("-n", type=int, default=120, help="tokens to generate")
    parser.add_argument("--temp", type=float, default=0.0, help="0 takes the most likely token")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = Model(FOLDER)
    if arguments.text:
        text = arguments.text.read_text(encoding="utf-8")
        report("held-out end", model, text[int(len(text) * (1 - HELD_OUT)) :])
    for name in ("evaluation.txt", "calibration.txt"):
        report(name, model, (FOLDER / name).read_text(encoding="utf-8"))
    print(model.generate(arguments.prompt, arguments.n, arguments.temp, np.random.default_rng(arguments.seed)))


def report(name, model, text):
    losses = model.losses(text)
    bits = losses.sum() / np.log(2) / len(text.encode())
    print(
        f"{name}: {len(losses)} tokens, {losses.mean():.4f} nats a token, "
        f"perplexity {np.exp(losses.mean()):.2f}, {bits:.3f} bits per byte"
    )


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tensors = {k: v.astype(np.float32) for k, v in load_file(folder / "model.safetensors").items()}

    def losses(self, text):
        """Negative log-likelihood in nats of every token of `text`."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        size = self.config["max_position_embeddings"] - 1
        windows = [ids[start : start + size] for start in range(0, len(ids), size)]
        return np.concatenate([self.window_losses(window) for window in windows])

    def window_losses(self, ids):
        logits = self.logits([self.config["bos_token_id"], *ids[:-1]]).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(ids)), ids]

    def generate(self, prompt, count, temperature, random):
        ids = self.tokenizer.encode(prompt).ids
        for _ in range(count):
            last = self.logits(ids[-self.config["max_position_embeddings"] :])[-1].astype(np.float64)
            if temperature > 0:
                last = last / temperature + random.gumbel(size=len(last))
            ids.append(int(last.argmax()))
            if ids[-1] == self.config["eos_token_id"]:
                break
        return self.tokenizer.decode(ids)

    def logits(self, ids):
        """(length,) -> (length, vocabulary)"""
        embedding = self.tensors["model.embed_tokens.weight"]
        x = embedding[ids]
        for layer in range(self.config["num_hidden_layers"]):
            name = f"model.layers.{layer}"
            x = x + self.attention(self.norm(x, f"{name}.input_layernorm"), f"{name}.self_attn")
            x = x + self.mlp(self.norm(x, f"{name}.post_attention_layernorm"), f"{name}.mlp")
        return self.norm(x, "model.norm") @ embedding.T

    def linear(self, x, name):
        return x @ self.tensors[f"{name}.weight"].T

    def norm(self, x, name):
        scale = np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(self.config["rms_norm_eps"]))
        return x / scale * self.tensors[f"{name}.weight"]

    def mlp(self, x, name):
        gate = self.linear(x, f"{name}.gate_proj")
        return self.linear(gate / (1 + np.exp(-gate)) * self.linear(x, f"{name}.up_proj"), f"{name}.down_proj")

    def attention(self, x, name):
        q, k, v = (self.heads(self.linear(x, f"{name}.{part}_proj")) for part in "qkv")
        q, k = self.rotate(q), self.rotate(k)
        mixed = [self.head(q[h], k[h * len(k) // len(q)], v[h * len(v) // len(q)]) for h in range(len(q))]
        return self.linear(np.concatenate(mixed, axis=1), f"{name}.o_proj")

    def heads(self, x):
        """(length, heads · head_dim) -> (heads, length, head_dim)"""
        return x.reshape(len(x), -1, self.config["head_dim"]).transpose(1, 0, 2)

    def rotate(self, x):
        half = self.config["head_dim"] // 2
        angles = np.outer(np.arange(x.shape[1]), self.config["rope_theta"] ** (-np.arange(half) / half))
        turn = np.exp(1j * angles).astype(np.complex64)
        turned = (x[..., :half] + 1j * x[..., half:]) * turn
        return np.concatenate([turned.real, turned.imag], axis=-1)

    def head(self, q, k, v):
        scores = q @ k.T / np.sqrt(np.float32(self.config["head_dim"]))
        scores[np.triu_indices(len(q), 1)] = -np.inf
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return weights @ v / weights.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
