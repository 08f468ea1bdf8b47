//! Stored numbers that are read as f32: dense weights, keys and values.
use crate::isa::Isa;
use half::{bf16, f16};

/// Lanes of [`Isa::F32`].
pub(crate) const LANES: usize = 16;

/// A number that every CPU can read sixteen of, exactly.
pub(crate) trait Element: Copy + Send + Sync {
    const ZERO: Self;
    fn to_f32(self) -> f32;
    fn load<I: Isa>(isa: I, values: &[Self; LANES]) -> I::F32;
}

/// Up to sixteen numbers; zeros fill the lanes that are left.
#[inline(always)]
pub(crate) fn load_part<I: Isa, T: Element>(isa: I, values: &[T]) -> I::F32 {
    if let Some(values) = values.first_chunk() {
        return T::load(isa, values);
    }
    let mut lanes = [T::ZERO; LANES];
    lanes[..values.len()].copy_from_slice(values);
    T::load(isa, &lanes)
}

/// The first `to.len()` lanes, at most sixteen.
#[inline(always)]
pub(crate) fn store_part<I: Isa>(isa: I, values: I::F32, to: &mut [f32]) {
    if let Some(to) = to.first_chunk_mut() {
        return isa.store(values, to);
    }
    let mut lanes = [0.0; LANES];
    isa.store(values, &mut lanes);
    to.copy_from_slice(&lanes[..to.len()]);
}

/// The largest magnitude in `x`; infinity or NaN if `x` has one. 0 of nothing.
#[inline(always)]
pub(crate) fn largest_magnitude<I: Isa>(isa: I, x: &[f32]) -> f32 {
    let mut largest = isa.zero();
    for part in x.chunks(LANES) {
        largest = isa.max_i32(largest, isa.magnitude_bits(load_part(isa, part)));
    }
    f32::from_bits(isa.largest_i32(largest).cast_unsigned())
}

/// Every number a of `x` becomes `f(a, b)` with its neighbour b in `y`, which is as long.
#[inline(always)]
pub(crate) fn zip_in_place<I: Isa>(isa: I, x: &mut [f32], y: &[f32], f: impl Fn(I::F32, I::F32) -> I::F32) {
    let (x, x_rest) = x.as_chunks_mut::<LANES>();
    let (y, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x.iter_mut().zip(y) {
        let value = f(isa.load(x), isa.load(y));
        isa.store(value, x);
    }
    let value = f(load_part(isa, x_rest), load_part(isa, y_rest));
    store_part(isa, value, x_rest);
}

/// `Σ x · y` over as many numbers as `x` has: sixteen strided partial sums by fma, then the tree of [`Isa::sum`].
#[inline(always)]
pub(crate) fn dot<I: Isa, T: Element>(isa: I, x: &[f32], y: &[T]) -> f32 {
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (y, y_rest) = y.as_chunks::<LANES>();
    let mut sum = isa.splat(0.0);
    for (x, y) in x.iter().zip(y) {
        sum = isa.fma(isa.load(x), T::load(isa, y), sum);
    }
    if !x_rest.is_empty() {
        sum = isa.fma(load_part(isa, x_rest), load_part(isa, y_rest), sum);
    }
    isa.sum(sum)
}

impl Element for f32 {
    const ZERO: f32 = 0.0;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[f32; LANES]) -> I::F32 {
        isa.load(values)
    }
}

impl Element for f16 {
    const ZERO: f16 = f16::ZERO;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[f16; LANES]) -> I::F32 {
        isa.load_f16(values)
    }
}

impl Element for bf16 {
    const ZERO: bf16 = bf16::ZERO;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[bf16; LANES]) -> I::F32 {
        isa.load_bf16(values)
    }
}

impl Element for i8 {
    const ZERO: i8 = 0;
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }
    #[inline(always)]
    fn load<I: Isa>(isa: I, values: &[i8; LANES]) -> I::F32 {
        isa.load_i8(values)
    }
}
