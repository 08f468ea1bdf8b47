#!/usr/bin/env python3
"""Train and judge the level tables of the q4 and q2 codecs.

    train.py gauss                      errors of every codec on N(0,1), K = 4096
    train.py train --model DIR          train candidate tables (N(0,1), plain, Hadamard, mixture)
    train.py judge --model DIR --text F KL divergence of the candidates on a Llama model

A quantized weight is row_scale (f32) * sub_scale (i8) * level(code). Every error printed here is
the error of exactly these stored numbers. `quantize` is the reference for the search: candidate
scales on a grid, both signs, closed-form refits, then the integer sub-scale by its true error.

Needs numpy; train and judge also need safetensors, judge also tokenizers. Seeded: runs repeat.
"""
import argparse
import itertools
import json
import pathlib
import time

import numpy as np

TABLES = {  # the frozen tables and the linear ones
    "q4": [-59, -46, -35, -27, -20, -14, -8, -2, 4, 10, 16, 22, 30, 37, 47, 63],
    "q4-linear": list(range(-8, 8)),
    "q2": [-44, -9, 21, 63],
    "q2-linear": [-5, -1, 3, 7],
}
# Candidate scales are these multiples of absmax / 63-like top level, tried with both signs.
GRID = {4: np.linspace(0.75, 1.25, 9), 2: np.linspace(0.6, 1.5, 10)}
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
    return xl / ll, xl * xl / ll


def search_scales(x, nearest, factors):
    """Step 1: the real-valued signed scale of every group [G], by grid, both signs, two refits."""
    best = np.zeros(len(x), np.float32)
    best_gain = np.full(len(x), -1, np.float32)

    def keep(scale, gain):
        better = gain > best_gain
        best[better], best_gain[better] = scale[better], gain[better]

    anchor = np.maximum(np.abs(x).max(1), np.float32(1e-30)) / np.abs(nearest.table).max()
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
    """q8: row scale from the largest group, sub-scale rounded or one up by true error."""
    x = w.reshape(-1, group)
    per_row = w.shape[1] // group
    real = np.abs(x).max(1) / np.float32(127)
    row = (real.reshape(-1, per_row).max(1) / np.float32(127)).repeat(per_row)
    best, best_error = None, None
    for up in (0, 1):
        scale = np.clip(np.floor(np.divide(real, row, out=np.zeros_like(real), where=row != 0)) + up, 1, 127) * row
        y = np.clip(np.rint(np.divide(x, scale[:, None], out=np.zeros_like(x), where=scale[:, None] != 0)), -127, 127) * scale[:, None]
        error = ((x - y) ** 2).sum(1)
        if best is None:
            best, best_error = y, error
        else:
            better = error < best_error
            best[better] = y[better]
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
