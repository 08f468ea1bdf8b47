"""Train the bundled model: plain text -> a small Llama checkpoint in Hugging Face form.

    pip install jax==0.10.2 numpy==2.4.6 safetensors==0.8.0 tokenizers==0.23.3
    python train.py --text tinyshakespeare.txt --out .

Python 3.11, JAX on two CPU cores: 25 minutes beside other work, about 10 alone.
The last 5 % of the text is held out. OUT receives the configuration, the tokenizer, `model.safetensors` (the
checkpoint with the best held-out loss so far, float16) and `loss.csv`, which curve.py draws; check.py then
recomputes the figures from these files with NumPy alone.
Invariant: one seed fixes the first weights, the order of the windows and the dropout.
"""

import argparse
import csv
import hashlib
import json
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SEED = 1609
TEXT_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
HELD_OUT = 0.05  # the end of the text

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 768,
    "hidden_size": 160,
    "intermediate_size": 416,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "rms_norm_eps": 1e-05,
    "initializer_range": 0.05,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "mlp_bias": False,
    "pretraining_tp": 1,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "use_cache": True,
    "torch_dtype": "float16",
}
DIM, HIDDEN, LAYERS = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["num_hidden_layers"]
HEADS, KV_HEADS, HEAD_DIM = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["head_dim"]
BOS, CONTEXT = CONFIG["bos_token_id"], CONFIG["max_position_embeddings"]

TOKENS_PER_STEP = 4096
SHORT_CONTEXT, SHORT_SHARE = 256, 0.85  # the first 85 % of the steps see half windows: cheaper attention
PEAK_RATE, WARMUP_STEPS, WEIGHT_DECAY, CLIP = 4e-3, 100, 0.1, 1.0
BETA1, BETA2, ADAM_EPSILON = 0.9, 0.98, 1e-8
DROPOUT = 0.1
EVALUATE_EVERY = 50


def main():
    arguments = parse_arguments()
    text = read_text(arguments.text)
    cut = int(len(text) * (1 - HELD_OUT))
    tokenizer = train_tokenizer(text[:cut])
    write_description(arguments.out, tokenizer)
    Run(tokenizer, text[:cut], text[cut:], arguments).train()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True, help="training text, UTF-8")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=1200)
    return parser.parse_args()


def read_text(path):
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != TEXT_SHA256:
        print(f"note: {path} is not the text that the bundled weights were trained on", flush=True)
    return data.decode("utf-8")


# ---- tokenizer and configuration -----------------------------------------------------------------------------------


def train_tokenizer(text):
    """Byte-level BPE: all 256 bytes are tokens, so any text comes back unchanged."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CONFIG["vocab_size"],
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BOS)]
    )
    return tokenizer


def write_description(folder, tokenizer):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    ends = {"bos_token_id": CONFIG["bos_token_id"], "eos_token_id": CONFIG["eos_token_id"]}
    write_json(folder / "config.json", CONFIG)
    write_json(folder / "generation_config.json", ends | {"do_sample": True, "temperature": 0.8, "top_k": 40})
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": CONTEXT,
        },
    )


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


# ---- windows -------------------------------------------------------------------------------------------------------


class Windows:
    """Random training windows of `length + 1` tokens; every second one is `<s>` and the beginning of a speech."""

    def __init__(self, tokenizer, text):
        self.tokens = encode(tokenizer, text)
        newline = self.tokens == tokenizer.encode("\n", add_special_tokens=False).ids[0]
        self.speeches = np.flatnonzero(newline[:-1] & newline[1:]) + 2
        self.random = np.random.default_rng(SEED)

    def batch(self, length):
        return np.stack([self.window(length, speech=i % 2 == 0) for i in range(TOKENS_PER_STEP // length)])

    def window(self, length, speech):
        last = len(self.tokens) - length - 1
        if not speech:
            start = self.random.integers(last)
            return self.tokens[start : start + length + 1]
        start = self.random.choice(self.speeches[: np.searchsorted(self.speeches, last)])
        return np.concatenate([[BOS], self.tokens[start : start + length]])


def encode(tokenizer, text):
    return np.array(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int32)


def held_out_windows(tokens, length):
    """Consecutive windows, each after its own `<s>`; the last one repeats the end so that all have one length."""
    starts = [*range(0, len(tokens) - length, length), len(tokens) - length]
    return np.stack([np.concatenate([[BOS], tokens[s : s + length]]) for s in starts])


# ---- model ---------------------------------------------------------------------------------------------------------


def initial_weights():
    random = np.random.default_rng(SEED + 1)
    std = CONFIG["initializer_range"]
    branch = std / np.sqrt(2 * LAYERS)  # keeps the residual stream's size independent of the depth

    def normal(rows, columns, scale=std):
        return random.normal(0, scale, (rows, columns)).astype(np.float32)

    weights = {"model.embed_tokens.weight": normal(CONFIG["vocab_size"], DIM)}
    for layer in range(LAYERS):
        weights |= {
            f"model.layers.{layer}.input_layernorm.weight": np.ones(DIM, np.float32),
            f"model.layers.{layer}.self_attn.q_proj.weight": normal(HEADS * HEAD_DIM, DIM),
            f"model.layers.{layer}.self_attn.k_proj.weight": normal(KV_HEADS * HEAD_DIM, DIM),
            f"model.layers.{layer}.self_attn.v_proj.weight": normal(KV_HEADS * HEAD_DIM, DIM),
            f"model.layers.{layer}.self_attn.o_proj.weight": normal(DIM, HEADS * HEAD_DIM, branch),
            f"model.layers.{layer}.post_attention_layernorm.weight": np.ones(DIM, np.float32),
            f"model.layers.{layer}.mlp.gate_proj.weight": normal(HIDDEN, DIM),
            f"model.layers.{layer}.mlp.up_proj.weight": normal(HIDDEN, DIM),
            f"model.layers.{layer}.mlp.down_proj.weight": normal(DIM, HIDDEN, branch),
        }
    weights["model.norm.weight"] = np.ones(DIM, np.float32)
    return jax.tree.map(jnp.asarray, weights)


def forward(weights, tokens, key=None):
    """tokens (batch, length) -> logits (batch, length, vocabulary); a key switches dropout on."""
    keys = iter(jax.random.split(key, 2 * LAYERS + 1)) if key is not None else None
    embedding = weights["model.embed_tokens.weight"]
    x = dropout(embedding[tokens], keys)
    for layer in range(LAYERS):
        block = partial(layer_weight, weights, layer)
        x = x + dropout(attention(norm(x, block("input_layernorm")), block), keys)
        x = x + dropout(mlp(norm(x, block("post_attention_layernorm")), block), keys)
    return norm(x, weights["model.norm.weight"]) @ embedding.T


def layer_weight(weights, layer, name):
    return weights[f"model.layers.{layer}.{name}.weight"]


def norm(x, gain):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + CONFIG["rms_norm_eps"]) * gain


def attention(x, block):
    batch, length, _ = x.shape
    shape = (batch, length, KV_HEADS, -1, HEAD_DIM)  # query heads lie in groups behind their KV head
    q = rotate((x @ block("self_attn.q_proj").T).reshape(shape))
    k = rotate((x @ block("self_attn.k_proj").T).reshape(shape))[:, :, :, 0]
    v = (x @ block("self_attn.v_proj").T).reshape(batch, length, KV_HEADS, HEAD_DIM)
    scores = jnp.einsum("bqkgd,bskd->bkgqs", q, k) * HEAD_DIM**-0.5
    past = jnp.tril(jnp.ones((length, length), bool))
    probabilities = jax.nn.softmax(jnp.where(past, scores, -1e30), axis=-1)
    mixed = jnp.einsum("bkgqs,bskd->bqkgd", probabilities, v)
    return mixed.reshape(batch, length, -1) @ block("self_attn.o_proj").T


def rotate(x):
    """Rotary embedding, Hugging Face halves: element i turns with element i + HEAD_DIM / 2."""
    frequencies = CONFIG["rope_theta"] ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angles = np.arange(x.shape[1])[:, None, None, None] * frequencies
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    low, high = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1)


def mlp(x, block):
    return (jax.nn.silu(x @ block("mlp.gate_proj").T) * (x @ block("mlp.up_proj").T)) @ block("mlp.down_proj").T


def dropout(x, keys):
    if keys is None:
        return x
    return jnp.where(jax.random.bernoulli(next(keys), 1 - DROPOUT, x.shape), x / (1 - DROPOUT), 0.0)


def mean_loss(weights, windows, key=None):
    """Mean negative log-likelihood in nats of every token after the first of its window."""
    log_probabilities = jax.nn.log_softmax(forward(weights, windows[:, :-1], key))
    return -jnp.take_along_axis(log_probabilities, windows[:, 1:, None], axis=-1).mean()


# ---- optimizer -----------------------------------------------------------------------------------------------------


@jax.jit
def update(weights, moments, step, rate, windows):
    """One AdamW step with the gradient clipped to the global norm CLIP; gains are not decayed."""
    key = jax.random.fold_in(jax.random.key(SEED), step)
    loss, gradient = jax.value_and_grad(mean_loss)(weights, windows, key)
    size = jnp.sqrt(sum(jnp.sum(g * g) for g in gradient.values()))
    shrink = jnp.minimum(1.0, CLIP / size)
    new_weights, new_moments = {}, {}
    for name, weight in weights.items():
        first, second = moments[name]
        g = gradient[name] * shrink
        first = BETA1 * first + (1 - BETA1) * g
        second = BETA2 * second + (1 - BETA2) * g * g
        direction = first / (1 - BETA1 ** (step + 1)) / (jnp.sqrt(second / (1 - BETA2 ** (step + 1))) + ADAM_EPSILON)
        decay = WEIGHT_DECAY if weight.ndim == 2 else 0.0
        new_weights[name] = weight - rate * (direction + decay * weight)
        new_moments[name] = (first, second)
    return new_weights, new_moments, loss


def rate_at(step, steps):
    """Linear warm-up, then a cosine down to zero."""
    if step < WARMUP_STEPS:
        return PEAK_RATE * (step + 1) / WARMUP_STEPS
    return PEAK_RATE * 0.5 * (1 + np.cos(np.pi * (step - WARMUP_STEPS) / (steps - WARMUP_STEPS)))


# ---- training ------------------------------------------------------------------------------------------------------


class Run:
    """The loop: steps, an evaluation every EVALUATE_EVERY steps, the best checkpoint on disk at any time."""

    def __init__(self, tokenizer, training_text, held_out_text, arguments):
        self.out, self.steps = arguments.out, arguments.steps
        self.windows = Windows(tokenizer, training_text)
        tokens = encode(tokenizer, held_out_text)
        self.held_out = held_out_windows(tokens, SHORT_CONTEXT)
        self.bytes_per_token = len(held_out_text.encode()) / len(tokens)
        self.weights = initial_weights()
        self.history, self.best, self.started = [], np.inf, time.monotonic()
        parameters = sum(w.size for w in self.weights.values())
        print(f"{parameters} parameters, {len(self.windows.tokens)} training and {len(tokens)} held-out tokens")

    def train(self):
        moments = jax.tree.map(lambda w: (jnp.zeros_like(w), jnp.zeros_like(w)), self.weights)
        losses = []
        for step in range(self.steps):
            length = SHORT_CONTEXT if step < SHORT_SHARE * self.steps else CONTEXT
            batch = self.windows.batch(length)
            self.weights, moments, loss = update(self.weights, moments, step, rate_at(step, self.steps), batch)
            losses.append(loss)
            if (step + 1) % EVALUATE_EVERY == 0 or step + 1 == self.steps:
                self.evaluate(step + 1, float(np.mean(losses)))
                losses = []

    def evaluate(self, step, training_loss):
        loss = float(np.mean([held_out_loss(self.weights, w) for w in np.array_split(self.held_out, 8)]))
        self.history.append((step, step * TOKENS_PER_STEP, training_loss, loss))
        self.write_history()
        note = ""
        if loss < self.best:
            self.best, note = loss, " saved"
            save_weights(self.out / "model.safetensors", self.weights)
        bits = loss / np.log(2) / self.bytes_per_token
        print(
            f"step {step} training {training_loss:.4f} held-out {loss:.4f} perplexity {np.exp(loss):.2f} "
            f"bits per byte {bits:.3f} after {time.monotonic() - self.started:.0f} s{note}",
            flush=True,
        )

    def write_history(self):
        with open(self.out / "loss.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["step", "tokens", "training_loss", "held_out_loss"])
            writer.writerows((s, t, f"{a:.4f}", f"{b:.4f}") for s, t, a, b in self.history)


held_out_loss = jax.jit(mean_loss)


def save_weights(path, weights):
    halves = {name: np.asarray(weight, dtype=np.float16) for name, weight in weights.items()}
    save_file(halves, path, metadata={"format": "pt"})
    path.chmod(0o644)  # the writer leaves it readable by its owner only


if __name__ == "__main__":
    main()
