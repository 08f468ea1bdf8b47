//! Times the preparation of one token's activations: the Hadamard transform and the rounding to i8.
use super::{KernelOptions, KernelResult, product::numbers, quickest};
use crate::{Error, Result};
use qint_core::{
    activation::{ActivationFormat, SUM_COLS, quantize},
    backend::Backend,
    layout::padded_cols,
};

pub(super) fn time(backend: Backend, options: &KernelOptions) -> Result<super::KernelResult> {
    /// So that a run is long enough for the clock.
    const TIMES: usize = 64;
    let cols = padded_cols(options.cols);
    let format = ActivationFormat::DEFAULT;
    let x = numbers(cols);
    let mut work = x.clone();
    let (mut codes, mut scales) = (vec![0; cols], vec![0.0; cols.div_ceil(format.block.cols())]);
    let mut sums = vec![0; cols / SUM_COLS];
    let seconds = quickest(|| {
        (0..TIMES).try_for_each(|_| {
            work.copy_from_slice(&x);
            quantize(backend, &mut work, format, &mut codes, &mut scales, &mut sums)
                .map_err(Error::core("random activations"))
        })
    })? / TIMES as f64;
    Ok(KernelResult {
        kernel: super::Kernel::QuantizeActivations.name(),
        backend: backend.name(),
        codec: None,
        group: None,
        rows: 1,
        cols: options.cols,
        tokens: 1,
        threads: 1,
        cached: true,
        microseconds: seconds * 1e6,
        gb_per_s: (4 * cols) as f64 / seconds / 1e9,
        gmac_per_s: None,
        limited_by: None,
        percent_of_limit: None,
    })
}
