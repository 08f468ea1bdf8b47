//! Cortex-M4, M7, M33: `dsp.s`, `dsp_batch.s`.
#![allow(unsafe_code, reason = "assembly")]
use super::{Kernel, Panel, Stream, Sums, pairs};
use core::arch::global_asm;
use qint_core::codec::Codec;

// Target features don't reach assembly outside functions, so on Armv8-M it names its CPU.
#[cfg(qint_armv8)]
global_asm!(".cpu cortex-m33", options(raw));
global_asm!(concat!(include_str!("begin.s"), include_str!("dsp.s"), include_str!("dsp_batch.s")), options(raw));

panels! {
    qint_dsp_q8 qint_dsp_q4 qint_dsp_q4_linear qint_dsp_q2 qint_dsp_q2_linear qint_dsp_q1
    qint_dsp_batch_q8 qint_dsp_batch_q4 qint_dsp_batch_q4_linear qint_dsp_batch_q2 qint_dsp_batch_q2_linear qint_dsp_batch_q1
}

#[inline]
pub(crate) const fn choose(codec: Codec, tokens: usize) -> Kernel {
    let (stream, table): (Stream, &[u32]) = match codec {
        Codec::Q4 => (Stream::Pairs, &pairs::Q4),
        Codec::Q2 => (Stream::Pairs, &pairs::Q2),
        _ => (Stream::Nested, &[]),
    };
    let (one, four): (Panel, Panel) = match codec {
        Codec::Q8 => (qint_dsp_q8, qint_dsp_batch_q8),
        Codec::Q4 => (qint_dsp_q4, qint_dsp_batch_q4),
        Codec::Q4Linear => (qint_dsp_q4_linear, qint_dsp_batch_q4_linear),
        Codec::Q2 => (qint_dsp_q2, qint_dsp_batch_q2),
        Codec::Q2Linear => (qint_dsp_q2_linear, qint_dsp_batch_q2_linear),
        Codec::Q1 => (qint_dsp_q1, qint_dsp_batch_q1),
    };
    let (lanes, panel) = if tokens == 1 { (1, one) } else { (4, four) };
    Kernel { lanes, stream, panel, table }
}
