//! Cortex-M0 and M3: `thumb1.s`, `thumb2.s`.
#![allow(unsafe_code, reason = "assembly")]
use super::{Kernel, Panel, Stream, Sums, plain};
use core::arch::global_asm;
use qint_core::codec::Codec;

#[cfg(qint_kernels = "thumb1")]
global_asm!(include_str!("thumb1.s"), options(raw));
#[cfg(qint_kernels = "thumb2")]
global_asm!(include_str!("thumb2.s"), options(raw));

// SAFETY: defined in the assembly with these arguments (it leaves the table alone), by the procedure call standard.
unsafe extern "C" {
    #[cfg_attr(qint_kernels = "thumb1", link_name = "qint_thumb1_q8")]
    #[cfg_attr(qint_kernels = "thumb2", link_name = "qint_thumb2_q8")]
    fn q8(_: *const u8, _: *const u8, _: *const u32, _: *mut Sums, _: *const u32);
    #[cfg_attr(qint_kernels = "thumb1", link_name = "qint_thumb1_q4_linear")]
    #[cfg_attr(qint_kernels = "thumb2", link_name = "qint_thumb2_q4_linear")]
    fn q4_linear(_: *const u8, _: *const u8, _: *const u32, _: *mut Sums, _: *const u32);
    #[cfg_attr(qint_kernels = "thumb1", link_name = "qint_thumb1_q2_linear")]
    #[cfg_attr(qint_kernels = "thumb2", link_name = "qint_thumb2_q2_linear")]
    fn q2_linear(_: *const u8, _: *const u8, _: *const u32, _: *mut Sums, _: *const u32);
    #[cfg_attr(qint_kernels = "thumb1", link_name = "qint_thumb1_q1")]
    #[cfg_attr(qint_kernels = "thumb2", link_name = "qint_thumb2_q1")]
    fn q1(_: *const u8, _: *const u8, _: *const u32, _: *mut Sums, _: *const u32);
}

#[inline]
pub(crate) const fn choose(codec: Codec, _: usize) -> Kernel {
    let panel: Panel = match codec {
        Codec::Q4 | Codec::Q2 => return plain::kernel(codec),
        Codec::Q8 => q8,
        Codec::Q4Linear => q4_linear,
        Codec::Q2Linear => q2_linear,
        Codec::Q1 => q1,
    };
    Kernel { lanes: 1, stream: Stream::Swar, panel, table: &[] }
}
