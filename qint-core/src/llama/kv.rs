//! The keys and values of one sequence.
use half::f16;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvKind {
    /// f32, for the un-quantized reference.
    F32,
    /// f16, rounded to nearest even.
    F16,
    /// i8 with one f32 scale per (position, KV head, K or V).
    I8,
}

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

/// One sequence: stored positions and room for more.
#[derive(Debug)]
pub struct KvCache<'a> {
    #[expect(dead_code)]
    store: KvStore<'a>,
}
