//! Times matrix products: matrices out of a pool of random bytes, activations out of random numbers.
use super::{Kernel, KernelOptions, KernelResult, quickest};
use crate::{Error, Result, pages::Pages, quantize::Scheme, synthetic};
use qint_core::{
    activation::{ActivationFormat, Activations, SUM_COLS, padded_tokens, quantize_tokens},
    backend::Backend,
    kernel,
    layout::{Layout, PANEL_ROWS},
    matrix::QMatrix,
    reference,
    team::{DisjointRows, Team, for_each},
};

/// Bytes of matrices that take turns, unless they may be cached: far more than any cache holds.
const STREAM_BYTES: usize = 512 << 20;
/// Rows that are compared with the reference.
const COMPARED: usize = 4;

/// Random bytes that all matrices are cut from.
pub(super) struct Pool(Pages);

impl Pool {
    /// Enough for every product of `options`.
    pub(super) fn new(options: &KernelOptions) -> Result<Pool> {
        let products = options.kernels.iter().any(|kernel| matches!(kernel, Kernel::Matvec | Kernel::Matmul));
        let mut bytes = if products && !options.cached { STREAM_BYTES } else { 0 };
        for scheme in options.schemes.iter().filter(|_| products) {
            bytes = bytes.max(layout(options, *scheme)?.panels_bytes());
        }
        let mut pages = Pages::new(bytes, "matrices of random numbers")?;
        synthetic::fill(&mut pages);
        Ok(Pool(pages))
    }

    /// As many matrices as there is room for, or one alone.
    fn matrices<'a>(&'a self, layout: Layout, row_scales: &'a [f32], cached: bool) -> Result<Vec<QMatrix<'a>>> {
        let count = if cached { 1 } else { usize::MAX };
        let panels = self.0.chunks_exact(layout.panels_bytes()).take(count);
        let matrices = panels.map(|panels| QMatrix::new(layout, panels, row_scales));
        matrices.collect::<std::result::Result<_, _>>().map_err(Error::core("a matrix of random numbers"))
    }
}

fn layout(options: &KernelOptions, scheme: Scheme) -> Result<Layout> {
    Layout::new(options.rows, options.cols, scheme.codec, scheme.group).map_err(Error::core("the kernel's matrix"))
}

/// Times one product, after comparing it with the reference.
pub(super) fn time(
    kernel: Kernel,
    backend: Backend,
    team: &dyn Team,
    options: &KernelOptions,
    (scheme, tokens): (Scheme, usize),
    pool: &Pool,
) -> Result<KernelResult> {
    let layout = layout(options, scheme)?;
    let mut row_scales = vec![1.0; layout.padded_rows()];
    row_scales[layout.rows()..].fill(0.0);
    let matrices = pool.matrices(layout, &row_scales, options.cached)?;
    let inputs = Inputs::new(backend, tokens, layout.padded_cols())?;
    let x = inputs.view()?;
    let product = Product { backend, team, x };
    let mut out = vec![0.0; tokens * layout.rows()];
    for matrix in [matrices.first(), matrices.last()].into_iter().flatten() {
        product.multiply(matrix, &mut out);
        compare(matrix, &x, &out);
    }
    let seconds = quickest(|| {
        matrices.iter().for_each(|matrix| product.multiply(matrix, &mut out));
        Ok(())
    })? / matrices.len() as f64;
    let bytes = layout.panels_bytes() + 4 * layout.padded_rows();
    let multiply_adds = layout.rows() as f64 * layout.cols() as f64 * tokens as f64;
    let memory = kernel == Kernel::Matvec && !options.cached;
    Ok(KernelResult {
        kernel: kernel.name(),
        backend: backend.name(),
        codec: Some(scheme.codec.name()),
        group: Some(scheme.group.cols()),
        rows: layout.rows(),
        cols: layout.cols(),
        tokens,
        threads: team.size(),
        cached: options.cached,
        microseconds: seconds * 1e6,
        gb_per_s: bytes as f64 / seconds / 1e9,
        gmac_per_s: Some(multiply_adds / seconds / 1e9),
        limited_by: Some(if memory { "memory" } else { "arithmetic" }),
        percent_of_limit: None,
    })
}

struct Product<'a> {
    backend: Backend,
    team: &'a dyn Team,
    x: Activations<'a>,
}

impl Product<'_> {
    /// `out[t][r]`, dealt out to the team as the forward pass does.
    fn multiply(&self, matrix: &QMatrix<'_>, out: &mut [f32]) {
        let rows = matrix.layout().rows();
        let members = self.team.size();
        let share = if members == 1 { rows } else { rows.div_ceil(4 * members) };
        let limit = if self.x.tokens() == 1 { rows } else { 256 };
        let chunk = share.min(limit).next_multiple_of(PANEL_ROWS);
        for_each(self.team, DisjointRows::new(out, rows, rows, chunk), |mut rows| {
            let range = rows.range();
            let panels = range.start / PANEL_ROWS..range.end.div_ceil(PANEL_ROWS);
            kernel::matmul(self.backend, matrix, &self.x, panels, &mut rows);
        });
    }
}

/// Some rows of the first and the last token, bit by bit.
fn compare(matrix: &QMatrix<'_>, x: &Activations<'_>, out: &[f32]) {
    let rows = matrix.layout().rows();
    for token in [0, x.tokens() - 1] {
        for row in (0..COMPARED).map(|i| (rows - 1) * i / (COMPARED - 1)) {
            let (found, expected) = (out[token * rows + row], reference::dot(matrix, row, x, token));
            assert_eq!(found.to_bits(), expected.to_bits(), "row {row} of token {token}: {found}, not {expected}");
        }
    }
}

/// Owned activations.
struct Inputs {
    tokens: usize,
    cols: usize,
    codes: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

impl Inputs {
    fn new(backend: Backend, tokens: usize, cols: usize) -> Result<Inputs> {
        let format = ActivationFormat::DEFAULT;
        let room = padded_tokens(tokens);
        let mut x = numbers(tokens * cols);
        let (mut codes, mut scales) = (vec![0; room * cols], vec![0.0; room * cols.div_ceil(format.block.cols())]);
        let mut sums = vec![0; room * cols / SUM_COLS];
        quantize_tokens(backend, tokens, &mut x, format, &mut codes, &mut scales, &mut sums)
            .map_err(Error::core("random activations"))?;
        Ok(Inputs { tokens, cols, codes, scales, sums })
    }

    fn view(&self) -> Result<Activations<'_>> {
        let block = ActivationFormat::DEFAULT.block;
        Activations::new(self.tokens, self.cols, block, &self.codes, &self.scales, &self.sums)
            .map_err(Error::core("random activations"))
    }
}

/// Random numbers in −1..1.
pub(super) fn numbers(count: usize) -> Vec<f32> {
    let mut bytes = vec![0; 8 * count.div_ceil(8)];
    synthetic::fill(&mut bytes);
    bytes.iter().take(count).map(|&byte| f32::from(byte.cast_signed()) / 128.0).collect()
}
