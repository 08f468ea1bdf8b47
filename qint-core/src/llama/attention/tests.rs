//! Every backend against a plain scalar reference of the documented order, bit for bit.
extern crate std;
use super::{super::kv_store::Write, *};
use crate::{
    isa::Portable,
    llama::{Activation, Config, KvCache, KvKind, KvPlan, KvStore, RopeScaling},
    math::exp,
};
use core::ops::Range;
use std::{vec, vec::Vec};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn within(&mut self, range: Range<usize>) -> usize {
        range.start + (self.bits() % range.len() as u64) as usize
    }
    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..choices.len())]
    }
    fn numbers(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| ((self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0) * size).collect()
    }
}

/// One head's sequence: `[positions][head_dim]`, queries `[positions][heads][head_dim]`; nothing rotated yet.
struct Case {
    kind: KvKind,
    head_dim: usize,
    heads: usize,
    positions: usize,
    window: Option<usize>,
    rotary: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    queries: Vec<f32>,
}

impl Case {
    fn random(random: &mut Random, kind: KvKind) -> Case {
        let head_dim = random.one_of(&[2, 12, 16, 20, 34, 64, 64, 80, 128, 256]);
        let positions = random.within(1..300);
        let heads = random.within(1..11);
        let window = random.one_of(&[None, None, Some(1), Some(17), Some(130)]);
        let numbers = positions * head_dim;
        // Sharp and flat softmaxes; values that vanish.
        let (sharpness, size) = (random.one_of(&[0.01, 1.0, 5.0]), random.one_of(&[1.0, 1.0, 1e-30, 1e-44]));
        Case {
            rotary: random.numbers(numbers, 1.0),
            keys: random.numbers(numbers, sharpness),
            values: random.numbers(numbers, size),
            queries: random.numbers(numbers * heads, sharpness),
            ..Case { kind, head_dim, heads, positions, window, ..Case::nothing(kind) }
        }
    }

    fn nothing(kind: KvKind) -> Case {
        let (rotary, keys, values, queries) = (vec![], vec![], vec![], vec![]);
        Case { kind, head_dim: 2, heads: 1, positions: 0, window: None, rotary, keys, values, queries }
    }

    /// Outputs of all rows, written and read in calls and blocks of random lengths, in memory full of rubbish.
    fn compute(&self, backend: Backend, random: &mut Random) -> Vec<f32> {
        let Case { head_dim, heads, positions, .. } = *self;
        let config = config(head_dim, 2);
        let capacity = positions + random.within(0..40);
        let plan = KvPlan::new(self.kind, capacity, &config).unwrap();
        let (mut floats, mut halves) = (vec![f32::NAN; plan.values + plan.scales], vec![f16::NAN; plan.values]);
        let mut codes: Vec<i8> = (0..plan.values).map(|_| random.bits() as i8).collect();
        let store = match self.kind {
            KvKind::F32 => KvStore::F32(&mut floats),
            KvKind::F16 => KvStore::F16(&mut halves),
            KvKind::I8 => KvStore::I8 { codes: &mut codes, scales: &mut floats[..plan.scales] },
        };
        let mut cache = KvCache::new(&config, capacity, store).unwrap();
        let mut out = vec![f32::NAN; positions * heads * head_dim];
        let mut first = 0;
        while first < positions {
            let call = first..(first + random.within(1..140)).min(positions);
            let part = |width: usize| call.start * width..call.end * width;
            let rotary = &self.rotary[part(head_dim)];
            // The second KV head of the second layer.
            for (index, numbers, rotary) in [(1, &self.keys, Some(rotary)), (3, &self.values, None)] {
                let mut vectors = numbers[part(head_dim)].to_vec();
                let vectors = RowsMut::whole(&mut vectors, head_dim);
                let room = cache.layer_mut(1).nth(index).unwrap();
                assert!(backend.run(Write { room, first, vectors, rotary }));
            }
            let block = random.within(1..20);
            let mut queries = self.queries[part(heads * head_dim)].to_vec();
            let queries = queries.chunks_mut(block * heads * head_dim);
            let out = out[part(heads * head_dim)].chunks_mut(block * heads * head_dim);
            for (index, (queries, out)) in queries.zip(out).enumerate() {
                let (queries, out) = (RowsMut::whole(queries, heads * head_dim), RowsMut::whole(out, heads * head_dim));
                let (first, rotary) = (first + index * block, &rotary[index * block * head_dim..]);
                let block = Block { first, window: self.window, head_dim, rotary, queries, out };
                attend(backend, cache.head(1, 1), block);
            }
            first = call.end;
        }
        out
    }

    /// What is read back of all positions' vectors, and their scales.
    fn stored(&self, vectors: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let round = |vector: &[f32]| -> (Vec<f32>, f32) {
            match self.kind {
                KvKind::F32 => (vector.to_vec(), 1.0),
                KvKind::F16 => (vector.iter().map(|&x| f16::from_f32(x).to_f32()).collect(), 1.0),
                KvKind::I8 => {
                    let absmax = vector.iter().fold(0f32, |max, x| max.max(x.abs()));
                    let scale = if absmax < 2f32.powi(-60) { 0.0 } else { absmax / 127.0 };
                    let code = |x: f32| if scale == 0.0 { 0.0 } else { (x / scale).round_ties_even() };
                    (vector.iter().map(|&x| code(x)).collect(), scale)
                }
            }
        };
        let (numbers, scales): (Vec<_>, Vec<_>) = vectors.chunks(self.head_dim).map(round).unzip();
        (numbers.concat(), scales)
    }

    fn rotated(&self, vector: &[f32], position: usize) -> Vec<f32> {
        let half = self.head_dim / 2;
        let (cos, sin) = self.rotary[position * self.head_dim..][..self.head_dim].split_at(half);
        let (a, b) = vector.split_at(half);
        let first = (0..half).map(|i| a[i] * cos[i] - b[i] * sin[i]);
        first.chain((0..half).map(|i| b[i] * cos[i] + a[i] * sin[i])).collect()
    }

    fn reference(&self) -> Vec<f32> {
        let keys: Vec<f32> =
            self.keys.chunks(self.head_dim).enumerate().flat_map(|(i, k)| self.rotated(k, i)).collect();
        let (keys, values) = (self.stored(&keys), self.stored(&self.values));
        let queries = self.queries.chunks(self.head_dim).enumerate();
        queries.flat_map(|(row, query)| self.reference_row(row / self.heads, query, &keys, &values)).collect()
    }

    fn reference_row(
        &self,
        position: usize,
        query: &[f32],
        (keys, key_scales): &(Vec<f32>, Vec<f32>),
        (values, value_scales): &(Vec<f32>, Vec<f32>),
    ) -> Vec<f32> {
        let head_dim = self.head_dim;
        let scale = 1.0 / libm::sqrtf(head_dim as f32);
        let query: Vec<f32> = self.rotated(query, position).iter().map(|x| x * scale).collect();
        let start = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let (mut max, mut sums, mut out) = (f32::NEG_INFINITY, [0f32; 16], vec![0f32; head_dim]);
        for base in (0..=position).step_by(CHUNK) {
            let seen = base.max(start)..(base + CHUNK).min(position + 1);
            if seen.is_empty() {
                continue;
            }
            let scores: Vec<f32> =
                seen.clone().map(|j| self.product(&query, |d| keys[j * head_dim + d], |a| a * key_scales[j])).collect();
            let new_max = scores.iter().fold(max, |max, &s| if s > max { s } else { max });
            let (correction, weights): (_, Vec<f32>) =
                (e(max - new_max), scores.iter().map(|s| e(s - new_max)).collect());
            let mut chunk_sums = [0f32; 16];
            for (j, weight) in seen.clone().zip(&weights) {
                chunk_sums[(j - base) % 16] += weight;
            }
            for (sum, chunk_sum) in sums.iter_mut().zip(chunk_sums) {
                *sum = sum.mul_add(correction, chunk_sum);
            }
            let weights: Vec<f32> = match self.kind {
                KvKind::I8 => seen.clone().zip(&weights).map(|(j, weight)| weight * value_scales[j]).collect(),
                _ => weights,
            };
            for (d, out) in out.iter_mut().enumerate() {
                let sum = self.product(&weights, |j| values[(seen.start + j) * head_dim + d], |a| a);
                *out = out.mul_add(correction, sum);
            }
            max = new_max;
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                sums[i] += sums[i + half];
            }
        }
        out.iter().map(|x| x / sums[0] + 0.0).collect()
    }

    /// Σ factors · numbers by fma in ascending order, or in integers and then times `scale` of the factors' scale.
    fn product(&self, factors: &[f32], number: impl Fn(usize) -> f32, scale: impl Fn(f32) -> f32) -> f32 {
        if self.kind != KvKind::I8 {
            return factors.iter().enumerate().fold(0.0, |sum, (i, factor)| factor.mul_add(number(i), sum));
        }
        let absmax = factors.iter().fold(0f32, |max, x| max.max(x.abs()));
        if absmax < 2f32.powi(-100) {
            return 0.0 * scale(0.0);
        }
        let (a, inverse) = (absmax / 32767.0, 32767.0 / absmax);
        let code = |factor: f32| (factor * inverse).round_ties_even() as i64;
        let sum: i64 = factors.iter().enumerate().map(|(i, &factor)| code(factor) * number(i) as i64).sum();
        i32::try_from(sum).unwrap() as f32 * scale(a)
    }
}

fn e(x: f32) -> f32 {
    exp(Portable, [x; 16])[0]
}

fn config(head_dim: usize, kv_heads: usize) -> Config {
    Config {
        hidden: 8,
        intermediate: 8,
        layers: 3,
        heads: kv_heads,
        kv_heads,
        head_dim,
        vocabulary: 8,
        context: 8,
        norm_epsilon: 1e-5,
        rope_theta: 10000.0,
        rope_scaling: RopeScaling::None,
        sliding_window: None,
        activation: Activation::Silu,
        norm_plus_one: false,
        embedding_scale: 1.0,
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn backends_give_the_bits_of_the_reference() {
    let mut random = Random(1);
    for round in 0..40 {
        for kind in [KvKind::F32, KvKind::F16, KvKind::I8] {
            let case = Case::random(&mut random, kind);
            let expected = bits(&case.reference());
            for backend in Backend::available() {
                let found = bits(&case.compute(backend, &mut random));
                let Case { head_dim, heads, positions, window, .. } = case;
                let what = (round, kind, head_dim, heads, positions, window);
                assert!(found == expected, "{}: {what:?}", backend.name());
            }
        }
    }
}

#[test]
fn sixteen_bit_factors_cost_little_beside_i8_values() {
    let mut random = Random(2);
    let mut case = Case::nothing(KvKind::F32);
    (case.head_dim, case.heads, case.positions) = (64, 1, 200);
    for numbers in [&mut case.rotary, &mut case.keys, &mut case.values, &mut case.queries] {
        *numbers = random.numbers(200 * 64, 1.0);
    }
    // Keys and values that i8 holds exactly: what is left is the factors' error.
    case.rotary = [[1.0; 32], [0.0; 32]].concat().repeat(200);
    for vector in case.keys.chunks_mut(64).chain(case.values.chunks_mut(64)) {
        vector.iter_mut().for_each(|x| *x = (*x * 127.0).round() / 127.0);
        vector[0] = 1.0;
    }
    let exact = case.reference();
    case.kind = KvKind::I8;
    let error = exact.iter().zip(case.reference()).fold(0f32, |max, (x, y)| max.max((x - y).abs()));
    assert!(error < 2e-5, "{error}");
}

#[test]
fn what_is_not_finite_stays_so() {
    let mut random = Random(3);
    for kind in [KvKind::F32, KvKind::F16, KvKind::I8] {
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = Case::random(&mut random, kind);
            let width = case.heads * case.head_dim;
            let row = random.within(0..case.positions);
            case.queries[row * width..][..case.head_dim].fill(broken);
            for backend in Backend::available() {
                let out = case.compute(backend, &mut random);
                assert!(out[row * width..][..case.head_dim].iter().all(|x| x.is_nan()), "{}", backend.name());
                assert!(out[..row * width].iter().all(|x| x.is_finite()));
            }
        }
    }
}
