#!/usr/bin/env python3
"""Train and judge the level tables of the q4 and q2 codecs.

    train.py gauss                      errors of every codec on N(0,1), K = 4096
    train.py train --model DIR --text F train candidate tables (N(0,1), plain, Hadamard, mixture)
    train.py judge --model DIR --text F KL divergence of the candidates on a Llama model

A quantized weight is row_scale (f32) * sub_scale (i8) * level(code). Every error printed here is
the error of exactly these stored numbers. `quantize` is the reference for the search: candidate
scales on a grid, both signs, closed-form refits, then the integer sub-scale by its true error.

Needs numpy; train and judge also need safetensors and tokenizers. Seeded: runs repeat.
"""
import argparse
import itertools
import json
import pathlib
import time

import numpy as np

TABLES = {  # the frozen tables and the linear ones
    "q4": [-58, -45, -35, -27, -20, -14, -8, -2, 4, 10, 16, 22, 29, 37, 47, 63],
    "q4-linear": list(range(-8, 8)),
    "q2": [-43, -7, 21, 61],
    "q2-linear": [-5, -1, 3, 7],
}
STARTS = {  # trained for 8-bit entries, halved
    "q4": [-59, -46, -35, -27, -20, -14, -8, -2, 4, 10, 16, 22, 30, 37, 47, 63],
    "q2": [-44, -9, 21, 63],
}
# Candidate scales put the largest level at these multiples of the group's absmax (4 bits) or RMS
# (2 bits, where outliers are cut anyway), each with both signs.
GRID = {4: np.linspace(0.75, 1.25, 9), 2: np.linspace(1.4, 3.0, 7)}
CHUNK = 1 << 16  # weights per inner step: what stays in a core's L2


def bits_of(table):
    return int(np.log2(len(table)))


class Nearest:
    """Nearest level by one lookup: midpoints of integer levels are multiples of 1/2, so floor(2 t)
    selects the level exactly. t is clamped to -64..63.5."""

    def __init__(self, table):
        self.table = np.asarray(table, np.float32)
        t = (np.arange(256) - 127.5) / 2
        self.lut = self.table[np.abs(t[:, None] - self.table).argmin(1)]

    def __call__(self, x, scale):
        """Levels (f32) for groups x [G, n] at one scale per group [G]; scale 0 gives any level."""
        inverse = np.divide(2, scale, out=np.zeros_like(scale), where=scale != 0)
        t = x * inverse[:, None]
        t += 128
        np.clip(t, 0, 255, out=t)
        return self.lut.take(t.astype(np.uint8))


def refit(x, levels):
    """Best scale for given levels, and the squared error it removes, per group."""
    xl = np.einsum("ij,ij->i", x, levels)
    ll = np.einsum("ij,ij->i", levels, levels)
    scale = np.divide(xl, ll, out=np.zeros_like(xl), where=ll != 0)
    return scale, xl * scale


def search_scales(x, nearest, factors):
    """Step 1: the real-valued signed scale of every group [G], by grid, both signs, two refits."""
    best = np.zeros(len(x), np.float32)
    best_gain = np.full(len(x), -1, np.float32)

    def keep(scale, gain):
        better = gain > best_gain
        best[better], best_gain[better] = scale[better], gain[better]

    four = len(nearest.table) == 16
    size = np.abs(x).max(1) if four else np.sqrt(np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1]))
    anchor = np.maximum(size, np.float32(1e-30)) / np.abs(nearest.table).max()
    for sign, factor in itertools.product((1, -1), factors):
        keep(*refit(x, nearest(x, anchor * np.float32(sign * factor))))
    for _ in range(2):
        keep(*refit(x, nearest(x, best)))
    return best


def choose_sub_scales(x, real, row, nearest, reach):
    """Step 2: the integer sub-scale by its true error, among real/row rounded and its neighbours."""
    centre = np.rint(np.divide(real, row, out=np.zeros_like(real), where=row != 0))
    best, best_error = np.zeros_like(real), np.einsum("ij,ij->i", x, x)
    for offset in range(-reach, reach + 1):
        sub = np.clip(centre + offset, -127, 127)
        d = x - nearest(x, sub * row) * (sub * row)[:, None]
        error = np.einsum("ij,ij->i", d, d)
        better = error < best_error
        best[better], best_error[better] = sub[better], error[better]
    return best


def quantize(w, table, group, factors=None, reach=1, refits=1):
    """Quantize w [N, K] (K a multiple of group); return what the stored numbers decode to."""
    nearest = Nearest(table)
    factors = GRID[bits_of(table)] if factors is None else factors
    rows = max(1, CHUNK // w.shape[1])
    out = np.empty_like(w)
    for start in range(0, len(w), rows):
        part = w[start : start + rows]
        x, per_row = part.reshape(-1, group), part.shape[1] // group
        real = search_scales(x, nearest, factors)
        row = np.abs(real).reshape(-1, per_row).max(1) / np.float32(127)
        for _ in range(refits):
            sub = choose_sub_scales(x, real, row.repeat(per_row), nearest, reach)
            levels = nearest(x, sub * row.repeat(per_row)) * sub[:, None]
            # Step 3: the row scale, in closed form over the whole row; codes follow it below.
            levels = levels.reshape(part.shape)
            ll = np.einsum("ij,ij->i", levels, levels)
            row = np.divide(np.einsum("ij,ij->i", part, levels), ll, out=np.zeros_like(row), where=ll != 0)
        scale = sub * row.repeat(per_row)
        out[start : start + rows] = (nearest(x, scale) * scale[:, None]).reshape(part.shape)
    return out


def quantize_q8(w, group):
    """q8: row scale from the largest group; the sub-scale that just covers a group, or one less
    (its largest weight is cut a little, all others gain), by true error."""
    x, per_row = w.reshape(-1, group), w.shape[1] // group
    real = np.abs(x).max(1) / np.float32(127)
    row = (real.reshape(-1, per_row).max(1) / np.float32(127)).repeat(per_row)
    safe = np.maximum(row, np.float32(1e-30))
    best, best_error = np.zeros_like(x), np.einsum("ij,ij->i", x, x)
    for less in (0, 1):
        scale = np.clip(np.ceil(real / safe) - less, 1, 127) * safe
        y = np.clip(np.rint(x / scale[:, None]), -127, 127) * scale[:, None]
        error = ((x - y) ** 2).sum(1)
        better = error < best_error
        best[better], best_error[better] = y[better], error[better]
    return best.reshape(w.shape)


def quantize_q1(w, group):
    """q1: sub-scale = mean |w| of the group, then the row scale in closed form."""
    x = w.reshape(-1, group)
    per_row = w.shape[1] // group
    mean = np.abs(x).mean(1)
    row = (mean.reshape(-1, per_row).max(1) / np.float32(127)).repeat(per_row)
    sub = np.rint(np.divide(mean, row, out=np.zeros_like(mean), where=row != 0))
    y = (np.where(x < 0, -1, 1) * sub[:, None]).reshape(w.shape).astype(np.float32)
    yy = np.einsum("ij,ij->i", y, y)
    return y * np.divide(np.einsum("ij,ij->i", w, y), yy, out=np.zeros_like(yy), where=yy != 0)[:, None]


def relative_error(w, y):
    return float(np.sqrt(((w - y).astype(np.float64) ** 2).sum() / (w.astype(np.float64) ** 2).sum()))


def gaussian(rows, cols=4096, seed=1):
    return np.random.default_rng(seed).standard_normal((rows, cols), np.float32)


# ---- training -------------------------------------------------------------------------------


def group_error(x, table, importance=None):
    """Relative RMS error over groups x with real-valued scales, what training minimizes; with
    importance [like x] every weight counts by the power of the activations that it meets."""
    nearest, left, total = Nearest(table), 0.0, 0.0
    step = CHUNK // x.shape[1]
    for start in range(0, len(x), step):
        part = x[start : start + step]
        levels = nearest(part, search_scales(part, nearest, GRID[bits_of(table)]))
        error = part - levels * refit(part, levels)[0][:, None]
        h = 1 if importance is None else importance[start : start + step]
        left += float((h * error * error).sum(dtype=np.float64))
        total += float((h * part * part).sum(dtype=np.float64))
    return np.sqrt(left / total)


def lloyd(x, table, rounds):
    """Real-valued levels: every level moves to the scale-weighted mean of its weights."""
    for _ in range(rounds):
        nearest = Nearest(np.rint(table))
        levels = nearest(x, scale := search_scales(x, nearest, GRID[bits_of(table)]))
        scale = refit(x, levels)[0][:, None]
        moved = []
        for old, level in zip(table, nearest.table):
            cell = levels == level
            moved.append((x * scale)[cell].sum() / np.broadcast_to(scale**2, x.shape)[cell].sum())
        table = np.array(moved) * (63 / np.abs(moved).max())
    return table


def descend(x, table, importance):
    """Coordinate descent over the integer entries, one and two steps at a time, until none helps."""
    best, improved = group_error(x, table, importance), True
    while improved:
        improved = False
        for index, move in itertools.product(range(len(table)), (-1, 1, -2, 2)):
            trial = table.copy()
            trial[index] += move
            if np.abs(trial).max() > 63 or (np.diff(trial) <= 0).any():
                continue
            error = group_error(x, trial, importance)
            if error < best - 1e-7:
                table, best, improved = trial, error, True
    return table, best


def train(x, start, importance=None):
    """Lloyd, then the best of several normalizations of the result, then coordinate descent."""
    real = lloyd(x, np.asarray(start, np.float64), 12)
    rounded = (np.rint(real * top / 63).astype(int) for top in range(56, 64))
    table = min((t for t in rounded if (np.diff(t) > 0).all()), key=lambda t: group_error(x, t, importance))
    return descend(x, table, importance)


# ---- the Hadamard domain ----------------------------------------------------------------------


def hadamard(w):
    """w [.., K] times a block-diagonal Sylvester matrix: blocks of 256, the tail in descending
    powers of two. Applied twice it multiplies every block by its size."""
    w = w.copy()
    start = 0
    for n, _ in blocks(w.shape[1]):
        block = w[:, start : start + n]
        h = 1
        while h < n:
            pairs = block.reshape(len(w), -1, 2, h)
            u, v = pairs[:, :, 0], pairs[:, :, 1]
            block = np.stack([u + v, u - v], 2).reshape(len(w), n)
            h *= 2
        w[:, start : start + n] = block
        start += n
    return w


def blocks(cols):
    """(size, inverse size) of the transform blocks of a row."""
    while cols:
        n = min(256, 1 << (cols.bit_length() - 1))
        yield n, np.full(n, 1 / n, np.float32)
        cols -= n


def to_hadamard(w):
    return hadamard(w) * np.concatenate([inverse for _, inverse in blocks(w.shape[1])])


# ---- judging on a model -------------------------------------------------------------------------


def load(model):
    from safetensors import safe_open

    with safe_open(str(model / "model.safetensors"), "np") as f:
        return {k.removeprefix("model."): f.get_tensor(k).astype(np.float32) for k in f.keys()}


def is_matrix(name):
    return name.endswith("_proj.weight")


def rms_norm(x, gain, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * gain


def forward(config, t, tokens, power=None):
    """Logits (f32) of the second half of every window; tokens [windows, length]. A dict `power`
    receives the mean square of every input column of every matrix, without the first positions,
    whose massive activations would hide all others."""
    windows, length = tokens.shape
    heads, kv, eps = config["num_attention_heads"], config["num_key_value_heads"], config["rms_norm_eps"]
    dim = config["hidden_size"] // heads
    x = t["embed_tokens.weight"][tokens]
    angle = np.arange(length)[:, None] * config["rope_theta"] ** (-np.arange(0, dim, 2) / dim)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    mask = np.triu(np.full((length, length), -np.inf, np.float32), 1)

    def rope(v):
        a, b = v[..., : dim // 2], v[..., dim // 2 :]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    for layer in range(config["num_hidden_layers"]):
        w = lambda name: t[f"layers.{layer}.{name}.weight"]

        def linear(x, name):
            if power is not None:
                power[f"layers.{layer}.{name}.weight"] = (x * x)[:, 16:].mean((0, 1))
            return x @ w(name).T

        split = lambda v, n: v.reshape(windows, length, n, dim).transpose(0, 2, 1, 3)
        h = rms_norm(x, w("input_layernorm"), eps)
        q = rope(split(linear(h, "self_attn.q_proj"), heads))
        k = rope(split(linear(h, "self_attn.k_proj"), kv)).repeat(heads // kv, 1)
        v = split(linear(h, "self_attn.v_proj"), kv).repeat(heads // kv, 1)
        score = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(dim)) + mask
        score = np.exp(score - score.max(-1, keepdims=True))
        mixed = (score / score.sum(-1, keepdims=True)) @ v
        x = x + linear(mixed.transpose(0, 2, 1, 3).reshape(windows, length, -1), "self_attn.o_proj")
        h = rms_norm(x, w("post_attention_layernorm"), eps)
        gate = linear(h, "mlp.gate_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, "mlp.up_proj"), "mlp.down_proj")
    x = rms_norm(x, t["norm.weight"], eps)[:, length // 2 :]
    return x.reshape(-1, x.shape[-1]) @ t.get("lm_head.weight", t["embed_tokens.weight"]).T


def log_softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def kl(reference, logits):
    """KL divergence per scored position, in nats; reference holds log probabilities."""
    other = log_softmax(logits)
    return (np.exp(reference) * (reference - other)).sum(-1, dtype=np.float64)


def quantize_model(t, table, group, domain, every, seed):
    """Quantize the matrices of every n-th layer (all: 1); with few of them KLD stays in the range
    where it is proportional to the squared error, which tells 2-bit tables apart better.

    A few outlier activation channels make KLD depend on the luck of a few rounded weights. Seeds
    above 0 draw again: other column neighbours (plain), other signs before the transform."""
    out, rng = dict(t), np.random.default_rng(seed)
    for name in filter(is_matrix, t):
        if int(name.split(".")[1]) % every:
            continue
        w = t[name]
        cols = w.shape[1]
        order = rng.permutation(cols) if seed else np.arange(cols)
        sign = rng.choice(np.float32([-1, 1]), cols) if seed else np.float32(1)
        if domain == "plain":
            out[name] = np.empty_like(w)
            out[name][:, order] = quantize(np.ascontiguousarray(w[:, order]), table, group)
        else:  # y = (W H / n)(H x): what the quantized matrix does in the plain domain is (..) H
            out[name] = hadamard(quantize(to_hadamard(w * sign), table, group)) * sign
    return out


# ---- commands -----------------------------------------------------------------------------------


def command_gauss(args):
    w = gaussian(args.rows)
    print("codec", *(f"g{g}" for g in (32, 64, 128)))
    for name in ("q8", "q4", "q4-linear", "q2", "q2-linear", "q1"):
        run = {"q8": quantize_q8, "q1": quantize_q1}.get(name, lambda w, g: quantize(w, TABLES[name], g))
        print(name, *(f"{relative_error(w, run(w, g)):.5f}" for g in (32, 64, 128)))


def samples(t, power, group, count, seed=2):
    """domain -> (groups [count, group], importance or None); every real row has unit RMS. The
    importances are those of the plain domain; the transform spreads outlier channels evenly."""
    rng, plain, met, transformed = np.random.default_rng(seed), [], [], []
    for name in filter(is_matrix, t):
        order = rng.permutation(t[name].shape[1])
        w = t[name][rng.choice(len(t[name]), 24, replace=False)]
        w = w / np.sqrt((w * w).mean(1, keepdims=True))
        h = power[name] / (w * w * power[name]).mean(1, keepdims=True)
        plain.append(w[:, order].reshape(-1, group))
        met.append(h[:, order].reshape(-1, group))
        sizes = np.concatenate([np.sqrt(inverse) for _, inverse in blocks(w.shape[1])])
        transformed.append((hadamard(w) * sizes).reshape(-1, group))  # orthonormal: rows stay at 1
    plain, met, transformed = (np.concatenate(x) for x in (plain, met, transformed))
    pick = rng.permutation(len(plain))[:count]
    return {
        "normal": (rng.standard_normal((count, group), np.float32), None),
        "plain": (plain[pick], None),
        "hadamard": (transformed[pick], None),
        "weighted": (plain[pick], met[pick]),
    }


def tokenize(model, text, windows):
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(model / "tokenizer.json")).encode(text.read_text()[:60000]).ids
    return np.array(ids[: windows * 512 + 1])


def command_train(args):
    config, t, power = json.loads((args.model / "config.json").read_text()), load(args.model), {}
    forward(config, t, tokenize(args.model, args.text, 2)[:-1].reshape(-1, 512), power)
    for name, group in (("q2", 64), ("q4", 32)):
        sets = samples(t, power, group, args.weights // group)
        third = args.weights // group // 3
        parts = [sets[d] for d in ("normal", "hadamard", "weighted")]
        sets["mixture"] = (
            np.concatenate([x[:third] for x, _ in parts]),
            np.concatenate([np.ones_like(x[:third]) if h is None else h[:third] for x, h in parts]),
        )
        for domain, (x, h) in sets.items():
            table, _ = train(x, STARTS[name], h)
            errors = (f"{d}={group_error(y, table, g):.5f}" for d, (y, g) in sets.items())
            print(name, domain, table.tolist(), *errors, flush=True)
        if name == "q2":
            frontier(sets)


def frontier(sets, limit=0.327):
    """q2 tables by their importance-weighted error, among those within the limit on N(0,1)."""
    spans = range(-46, -40), (-7, -6), (20, 21, 22), (61, 63)
    normal, (plain, h) = sets["normal"][0][:2048], (part[:2048] for part in sets["weighted"])
    within = [t for t in itertools.product(*spans) if group_error(normal, t) < limit]
    for error, table in sorted((group_error(plain, t, h), t) for t in within)[:20]:
        print(f"q2 frontier {table} weighted={error:.5f} normal={group_error(normal, table):.5f}", flush=True)


def command_judge(args):
    config, t = json.loads((args.model / "config.json").read_text()), load(args.model)
    ids = tokenize(args.model, args.text, args.windows)
    tokens, targets = ids[:-1].reshape(-1, 512), ids[1:].reshape(-1, 512)[:, 256:].ravel()
    reference = log_softmax(forward(config, t, tokens))
    perplexity = np.exp(-reference[np.arange(len(targets)), targets].mean(dtype=np.float64))
    print(f"reference perplexity {perplexity:.3f}", flush=True)
    specs = json.loads(args.candidates.read_text()) if args.candidates else []
    for spec, seed, domain in itertools.product(specs, args.seeds, ("plain", "hadamard")):
        q = quantize_model(t, spec["table"], spec["group"], domain, args.every, seed)
        error = np.mean([relative_error(t[n], q[n]) for n in t if q[n] is not t[n]])
        d = kl(reference, forward(config, q, tokens))
        print(f"{spec['name']} g{spec['group']} {domain} seed {seed}: kld {d.mean():.5f}",
              f"+- {d.std() / np.sqrt(len(d)):.5f} median {np.median(d):.5f} weight error {error:.5f}",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    gauss = commands.add_parser("gauss")
    gauss.add_argument("--rows", type=int, default=128)
    gauss.set_defaults(run=command_gauss)
    training = commands.add_parser("train")
    training.add_argument("--model", type=pathlib.Path, required=True)
    training.add_argument("--text", type=pathlib.Path, required=True)
    training.add_argument("--weights", type=int, default=1 << 20)
    training.set_defaults(run=command_train)
    judge = commands.add_parser("judge")
    judge.add_argument("--model", type=pathlib.Path, required=True)
    judge.add_argument("--text", type=pathlib.Path, required=True)
    judge.add_argument("--candidates", type=pathlib.Path, help="JSON list of {name, group, table}")
    judge.add_argument("--windows", type=int, default=4)
    judge.add_argument("--seeds", type=int, nargs="+", default=[0])
    judge.add_argument("--every", type=int, default=1, help="quantize every n-th layer only")
    judge.set_defaults(run=command_judge)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
