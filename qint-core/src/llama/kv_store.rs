//! Memory of keys and values, and how they are rounded when they are written.
use super::{
    KvKind, MAX_HEAD_DIM,
    kv_order::{KvOrder, Part, Place},
    rope,
};
use crate::{
    backend::Operation,
    element::{LANES, largest_magnitude, load_part},
    isa::Isa,
    team::RowsMut,
};
use half::f16;

/// Memory for one sequence's keys and values.
#[derive(Debug)]
pub enum KvStore<'a> {
    /// See [`KvKind::F32`].
    F32(&'a mut [f32]),
    /// See [`KvKind::F16`].
    F16(&'a mut [f16]),
    /// See [`KvKind::I8`].
    I8 {
        /// The codes.
        codes: &'a mut [i8],
        /// The scales.
        scales: &'a mut [f32],
    },
}

impl<'a> KvStore<'a> {
    /// How it stores.
    pub const fn kind(&self) -> KvKind {
        match self {
            KvStore::F32(_) => KvKind::F32,
            KvStore::F16(_) => KvKind::F16,
            KvStore::I8 { .. } => KvKind::I8,
        }
    }

    /// The same memory for a shorter while.
    pub(super) fn reborrow(&mut self) -> KvStore<'_> {
        match self {
            KvStore::F32(values) => KvStore::F32(values),
            KvStore::F16(values) => KvStore::F16(values),
            KvStore::I8 { codes, scales } => KvStore::I8 { codes, scales },
        }
    }

    /// The first `numbers` numbers and, if there are any, `scales` scales, which leave this store.
    pub(super) fn split_off(&mut self, numbers: usize, scales: usize) -> KvStore<'a> {
        match self {
            KvStore::F32(values) => KvStore::F32(front(values, numbers)),
            KvStore::F16(values) => KvStore::F16(front(values, numbers)),
            KvStore::I8 { codes, scales: all } => {
                KvStore::I8 { codes: front(codes, numbers), scales: front(all, scales) }
            }
        }
    }
}

fn front<'a, T>(slice: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (front, rest) = core::mem::take(slice).split_at_mut(count);
    *slice = rest;
    front
}

/// Room for the keys or the values of one KV head in one layer.
#[derive(Debug)]
pub(super) struct Room<'a> {
    pub(super) order: KvOrder,
    pub(super) part: Part,
    pub(super) store: KvStore<'a>,
}

/// Writes keys or values of consecutive tokens, rounded as the store demands. Its result is false if an i8 store meets NaN
/// or infinity, which it can't hold.
#[derive(Debug)]
pub(super) struct Write<'a> {
    pub(super) room: Room<'a>,
    /// Position of the first token.
    pub(super) first: usize,
    /// `[tokens][head_dim]`. Keys are rotated in place.
    pub(super) vectors: RowsMut<'a>,
    /// `[tokens][head_dim]`; what keys are rotated by.
    pub(super) rotary: Option<&'a [f32]>,
}

impl Operation for Write<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) -> bool {
        let mut stored = true;
        for token in 0..self.vectors.tokens() {
            let vector = self.vectors.token(token);
            if let Some(rotary) = self.rotary {
                rope::rotate(isa, vector, &rotary[token * vector.len()..][..vector.len()]);
            }
            stored &= self.room.write(isa, self.first + token, vector);
        }
        stored
    }
}

impl Room<'_> {
    #[inline(always)]
    fn write<I: Isa>(&mut self, isa: I, position: usize, vector: &[f32]) -> bool {
        match &mut self.store {
            KvStore::F32(numbers) => scatter(numbers, self.order.place(self.part, position, 1), vector),
            KvStore::F16(numbers) => {
                let mut halves = [[f16::ZERO; LANES]; MAX_HEAD_DIM / LANES];
                for (halves, part) in halves.iter_mut().zip(vector.chunks(LANES)) {
                    isa.store_f16(load_part(isa, part), halves);
                }
                let halves = &halves.as_flattened()[..vector.len()];
                scatter(numbers, self.order.place(self.part, position, 1), halves);
            }
            KvStore::I8 { codes: numbers, scales } => {
                let mut codes = [[0; 2 * LANES]; MAX_HEAD_DIM / LANES / 2];
                let Some(scale) = round_to_i8(isa, vector, &mut codes) else { return false };
                scales[position] = scale;
                let codes = &codes.as_flattened()[..vector.len()];
                scatter(numbers, self.order.place(self.part, position, 2), codes);
            }
        }
        true
    }
}

#[inline(always)]
fn scatter<T: Copy>(to: &mut [T], place: Place, vector: &[T]) {
    let rows = to[place.start..].chunks_mut(place.step);
    if place.together == 2 {
        for (row, pair) in rows.zip(vector.as_chunks::<2>().0) {
            if let Some(row) = row.first_chunk_mut::<2>() {
                *row = *pair;
            }
        }
    } else {
        for (row, &number) in rows.zip(vector) {
            row[0] = number;
        }
    }
}

/// The rounding rule of activation blocks, for one block as long as `x`: scale a = absmax/127, code = round-half-to-even(x/a);
/// a = 0 and codes 0 if absmax < 2⁻⁶⁰. Returns a, or `None` for NaN and infinity.
#[inline(always)]
fn round_to_i8<I: Isa>(isa: I, x: &[f32], codes: &mut [[i8; 2 * LANES]]) -> Option<f32> {
    const SMALLEST: f32 = 1.0 / (1u64 << 60) as f32;
    let absmax = largest_magnitude(isa, x);
    if !absmax.is_finite() {
        return None;
    }
    if absmax < SMALLEST {
        codes.fill([0; 2 * LANES]);
        return Some(0.0);
    }
    let scale = absmax / 127.0;
    for (codes, x) in codes.iter_mut().zip(x.chunks(2 * LANES)) {
        let (low, high) = x.split_at(x.len().min(LANES));
        let [low, high] = [low, high].map(
            #[inline(always)]
            |x| isa.round_to_i32(isa.div(load_part(isa, x), isa.splat(scale))),
        );
        isa.store_i8(low, high, codes);
    }
    Some(scale)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::backend::Backend;

    struct Round<'a>(&'a [f32]);

    impl Operation for Round<'_> {
        type Output = Option<(f32, [i8; 64])>;

        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> Option<(f32, [i8; 64])> {
            let mut codes = [[1; 32]; 2];
            round_to_i8(isa, self.0, &mut codes).map(|scale| (scale, core::array::from_fn(|i| codes[i / 32][i % 32])))
        }
    }

    fn round(x: &[f32]) -> Option<(f32, [i8; 64])> {
        let mut results = Backend::available().map(|backend| backend.run(Round(x)));
        let first = results.next().unwrap();
        assert!(results.all(|result| result == first));
        first
    }

    #[test]
    fn rounds_half_to_even_and_mirrors() {
        let mut x = [0.0; 40];
        x[..7].copy_from_slice(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5]);
        x[37] = -3.5;
        let (scale, codes) = round(&x).unwrap();
        assert_eq!((scale, &codes[..8]), (1.0, &[127, 0, 2, 2, 0, -2, -126, 0][..]));
        assert_eq!((codes[37], codes[39]), (-4, 0));
    }

    #[test]
    fn tiny_vectors_are_zero_and_broken_ones_refused() {
        assert_eq!(round(&[1e-19, -1e-30, 0.0]), Some((0.0, [0; 64])));
        assert_eq!(round(&[1.0, f32::NAN, 0.0]), None);
        assert_eq!(round(&[1.0, f32::NEG_INFINITY, 0.0]), None);
    }
}
