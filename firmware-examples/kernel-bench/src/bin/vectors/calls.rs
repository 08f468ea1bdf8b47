//! Every other public function of qint-arm, on the matrices of the vectors and activations made here: each way to the outputs
//! gives the same bits. Linked here, they show that none of them brings in a panic or an allocator.
use crate::{Memory, STREAM_WORDS};
use core::ops::Range;
use qint_arm::{
    forward, hadamard,
    inputs::Inputs,
    layer::{self, FixedMatrix},
    matmul::{block_sums, matmul},
    prepared::Prepared,
    quantize::quantize,
};
use qint_core::{
    Error,
    activation::{ActivationBlock, ActivationFormat, Activations, Transform},
    backend::Backend,
    matrix::QMatrix,
    team::RowsMut,
};

/// The largest matrix of the vectors.
const COLS: usize = 288;
const ROWS: usize = 32;

/// What these calls need besides.
pub(crate) struct Buffers {
    x: [f32; COLS],
    codes: [i8; COLS],
    scales: [f32; 2],
    sums: [i32; COLS / 32],
    corrections: [i32; 2 * ROWS],
    integers: [i32; 2 * ROWS],
    outputs: [[f32; ROWS]; 3],
}

impl Buffers {
    pub(crate) const EMPTY: Buffers = Buffers {
        x: [0.0; COLS],
        codes: [0; COLS],
        scales: [0.0; 2],
        sums: [0; COLS / 32],
        corrections: [0; 2 * ROWS],
        integers: [0; 2 * ROWS],
        outputs: [[0.0; ROWS]; 3],
    };
}

/// Whether all ways agree (and have room).
pub(crate) fn agree(
    matrix: &QMatrix<'_>,
    block: ActivationBlock,
    stream: &mut [u32; STREAM_WORDS],
    buffers: &mut Buffers,
) -> Result<bool, Error> {
    let (layout, format) = (matrix.layout(), ActivationFormat { transform: Transform::Hadamard, block });
    let (rows, cols, panels) = (layout.rows(), layout.padded_cols(), 0..layout.panels());
    let Buffers { x, codes, scales, sums, corrections, integers, outputs: [whole, steps, forwarded] } = buffers;
    let (Some(whole), Some(steps), Some(forwarded)) =
        (whole.get_mut(..rows), steps.get_mut(..rows), forwarded.get_mut(..rows))
    else {
        return Ok(false);
    };
    let (Some(x), Some(codes), Some(sums)) = (x.get_mut(..cols), codes.get_mut(..cols), sums.get_mut(..cols / 32))
    else {
        return Ok(false);
    };
    let blocks = cols.div_ceil(block.cols());
    let Some(scales) = scales.get_mut(..blocks) else { return Ok(false) };

    fill(x);
    layer::apply(matrix, format, 1, x, stream, whole)?;

    fill(x);
    hadamard::transform(x)?;
    quantize(1, x, ActivationFormat { transform: Transform::None, block }, codes, scales, sums)?;
    let x = Activations::new(1, cols, block, codes, scales, sums)?;
    let words = Prepared::words(layout, block);
    let Some(corrections) = corrections.get_mut(..words) else { return Ok(false) };
    let prepared = Prepared::new(matrix, block, corrections)?;
    let inputs = Inputs::expand(layout, &x, stream)?;
    one_by_one(panels.clone(), |panels| matmul(prepared, &inputs, panels, steps))?;

    let Some(integers) = integers.get_mut(..blocks * rows) else { return Ok(false) };
    block_sums(prepared, &inputs, panels, integers)?;
    let scaled = (0..rows).map(|row| {
        let sums = integers.iter().skip(row).step_by(rows.max(1));
        let total = sums.zip(x.scales()).fold(0.0, |total, (sum, scale)| total + *sum as f32 * scale);
        total * matrix.row_scales().get(row).copied().unwrap_or(f32::NAN)
    });
    let right = same(whole.iter().copied(), steps) & same(scaled, whole);

    let Backend::Products(products) = forward::backend::<512>() else { return Ok(false) };
    let taken = (products.multiply)(matrix, &x, &mut RowsMut::whole(forwarded, rows));
    Ok(right && taken && same(forwarded.iter().copied(), whole))
}

/// Whether a matrix of 17 rows and 96 columns whose shape is known to the compiler has the same outputs.
pub(crate) fn fixed(
    matrix: &QMatrix<'_>,
    block: ActivationBlock,
    stream: &mut [u32; STREAM_WORDS],
) -> Result<bool, Error> {
    let layout = matrix.layout();
    let format = ActivationFormat { transform: Transform::None, block };
    let fixed = FixedMatrix::<17, 96>::new(layout.codec(), layout.group(), matrix.panels(), matrix.row_scales())?;
    let (mut x, mut out, mut expected) = ([0.0; 96], [0.0; 17], [1.0; 17]);
    fill(&mut x);
    fixed.apply(format, &mut x, stream, &mut out)?;
    layer::apply(fixed.matrix(), format, 1, &mut x, stream, &mut expected)?;
    Ok(same(out.into_iter(), &expected))
}

/// Panel by panel, last first.
fn one_by_one(panels: Range<usize>, mut product: impl FnMut(Range<usize>) -> Result<(), Error>) -> Result<(), Error> {
    panels.rev().try_for_each(|panel| product(panel..panel + 1))
}

fn fill(x: &mut [f32]) {
    let mut number = -17i32;
    for x in x {
        number = number * 5 % 89 + 3;
        *x = number as f32 / 8.0;
    }
}

/// Bit for bit.
fn same(a: impl Iterator<Item = f32>, b: &[f32]) -> bool {
    a.map(f32::to_bits).eq(b.iter().map(|b| b.to_bits()))
}

/// [`agree`], and [`fixed`] where the shape is that one.
pub(crate) fn all(matrix: &QMatrix<'_>, block: ActivationBlock, memory: &mut Memory) -> Result<bool, Error> {
    let right = agree(matrix, block, &mut memory.stream, &mut memory.buffers)?;
    let layout = matrix.layout();
    let is_fixed = (layout.rows(), layout.padded_cols()) == (17, 96);
    Ok(right && (!is_fixed || fixed(matrix, block, &mut memory.stream)?))
}
