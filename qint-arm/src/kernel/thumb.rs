//! Cortex-M0 and M3: `thumb1.s`, `thumb2.s`.
#![allow(unsafe_code, reason = "assembly")]
use super::{Kernel, Panel, Stream, Sums, plain};
use core::arch::global_asm;
use qint_core::codec::Codec;

#[cfg(qint_kernels = "thumb1")]
global_asm!(concat!(include_str!("begin.s"), include_str!("thumb1.s")), options(raw));
#[cfg(qint_kernels = "thumb2")]
global_asm!(concat!(include_str!("begin.s"), include_str!("thumb2.s")), options(raw));

panels! { qint_thumb_q8 qint_thumb_q4_linear qint_thumb_q2_linear qint_thumb_q1 }

#[inline]
pub(crate) const fn choose(codec: Codec, _: usize) -> Kernel {
    let panel: Panel = match codec {
        Codec::Q4 | Codec::Q2 => return plain::kernel(codec),
        Codec::Q8 => qint_thumb_q8,
        Codec::Q4Linear => qint_thumb_q4_linear,
        Codec::Q2Linear => qint_thumb_q2_linear,
        Codec::Q1 => qint_thumb_q1,
    };
    Kernel { lanes: 1, stream: Stream::Swar, panel, table: &[] }
}
