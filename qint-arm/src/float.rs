//! The f32 part of a product: sixteen sums at a time, each product and each addition rounded.
use crate::kernel::Sums;
#[cfg(qint_kernels = "helium")]
pub(crate) use crate::kernel::helium::{add_scaled, outputs, scaled};
use core::mem::MaybeUninit;

/// 0.0 + (f32(sum) · a).
#[cfg(not(qint_kernels = "helium"))]
#[inline(always)]
pub(crate) fn scaled<'a>(totals: &'a mut MaybeUninit<[f32; 16]>, sums: &Sums, a: f32) -> &'a mut [f32; 16] {
    scaled_lanes(totals, sums, [a; 4])
}

/// total + (f32(sum) · a).
#[cfg(not(qint_kernels = "helium"))]
#[inline(always)]
pub(crate) fn add_scaled(totals: &mut [f32; 16], sums: &Sums, a: f32) {
    add_scaled_lanes(totals, sums, [a; 4]);
}

#[cfg(not(qint_kernels = "helium"))]
pub(crate) use outputs_one_by_one as outputs;

/// (0.0 + (f32(sum) · a)) · row_scale: the outputs, where there is only one activation block. The bits of `y` are the sums.
#[inline(never)]
pub(crate) fn outputs_one_by_one(y: &mut [f32; 16], a: f32, row_scales: &[f32; 16]) {
    for row in 0..16 {
        y[row] = zero_plus(y[row].to_bits().cast_signed() as f32 * a) * row_scales[row];
    }
}

/// 0.0 + x: x, but +0 for −0. Without an FPU an addition takes dozens of instructions, a comparison of bits two.
#[inline(always)]
fn zero_plus(x: f32) -> f32 {
    if cfg!(target_abi = "eabi") { if x.to_bits() == (-0.0f32).to_bits() { 0.0 } else { x } } else { 0.0 + x }
}

/// 0.0 + (f32(sum) · a), with a scale for every one of four tokens.
#[inline(never)]
pub(crate) fn scaled_lanes<'a>(totals: &'a mut MaybeUninit<[f32; 16]>, sums: &Sums, a: [f32; 4]) -> &'a mut [f32; 16] {
    let to = totals.as_mut_ptr().cast::<f32>();
    for i in 0..16 {
        let scaled = zero_plus(sums[i] as f32 * a[i % 4]);
        #[allow(unsafe_code)]
        // SAFETY: one of sixteen.
        unsafe {
            to.wrapping_add(i).write(scaled);
        }
    }
    #[allow(unsafe_code)]
    // SAFETY: all sixteen were written.
    unsafe {
        totals.assume_init_mut()
    }
}

/// total + (f32(sum) · a), with a scale for every one of four tokens.
#[inline(never)]
pub(crate) fn add_scaled_lanes(totals: &mut [f32; 16], sums: &Sums, a: [f32; 4]) {
    for i in 0..16 {
        totals[i] += sums[i] as f32 * a[i % 4];
    }
}
