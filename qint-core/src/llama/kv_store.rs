//! Where keys and values lie, and how they are rounded when they are written.
use super::KvKind;
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

    /// The first `positions` vectors of `width` numbers, which leave this store.
    pub(super) fn split_off(&mut self, positions: usize, width: usize) -> KvStore<'a> {
        match self {
            KvStore::F32(values) => KvStore::F32(front(values, positions * width)),
            KvStore::F16(values) => KvStore::F16(front(values, positions * width)),
            KvStore::I8 { codes, scales } => {
                KvStore::I8 { codes: front(codes, positions * width), scales: front(scales, positions) }
            }
        }
    }

    /// Stores one head's key or value as vector number `position`. Returns false if an i8 store meets NaN or infinity, which
    /// it can't hold.
    #[must_use]
    pub(super) fn write(&mut self, position: usize, vector: &[f32]) -> bool {
        let place = position * vector.len()..(position + 1) * vector.len();
        match self {
            KvStore::F32(values) => values[place].copy_from_slice(vector),
            KvStore::F16(values) => {
                for (value, &x) in values[place].iter_mut().zip(vector) {
                    *value = f16::from_f32(x);
                }
            }
            KvStore::I8 { codes, scales } => match round_to_i8(vector, &mut codes[place]) {
                Some(scale) => scales[position] = scale,
                None => return false,
            },
        }
        true
    }
}

fn front<'a, T>(slice: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let (front, rest) = core::mem::take(slice).split_at_mut(count);
    *slice = rest;
    front
}

/// The rounding rule of activation blocks, for one block as long as `x`: scale a = absmax/127, code = round-half-to-even(x/a);
/// a = 0 and codes 0 if absmax < 2⁻⁶⁰. Returns a, or `None` for NaN and infinity.
fn round_to_i8(x: &[f32], codes: &mut [i8]) -> Option<f32> {
    const SMALLEST: f32 = 1.0 / (1u64 << 60) as f32;
    /// Adding and taking away 1.5 · 2²³ rounds |x| < 2²² to an integer, ties to even.
    const ROUNDER: f32 = 12_582_912.0;
    let absmax = f32::from_bits(x.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7fff_ffff)));
    if !absmax.is_finite() {
        return None;
    }
    if absmax < SMALLEST {
        codes.fill(0);
        return Some(0.0);
    }
    let scale = absmax / 127.0;
    for (code, x) in codes.iter_mut().zip(x) {
        *code = (x / scale + ROUNDER - ROUNDER) as i8;
    }
    Some(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_to_even_and_mirrors() {
        let mut codes = [0; 7];
        let scale = round_to_i8(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5], &mut codes);
        assert_eq!((scale, codes), (Some(1.0), [127, 0, 2, 2, 0, -2, -126]));
    }

    #[test]
    fn tiny_vectors_are_zero_and_broken_ones_refused() {
        let mut codes = [1; 3];
        assert_eq!(round_to_i8(&[1e-19, -1e-30, 0.0], &mut codes), Some(0.0));
        assert_eq!(codes, [0; 3]);
        assert_eq!(round_to_i8(&[1.0, f32::NAN, 0.0], &mut codes), None);
        assert_eq!(round_to_i8(&[1.0, f32::NEG_INFINITY, 0.0], &mut codes), None);
    }
}
