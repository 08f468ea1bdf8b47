//! The fixed table.
use crate::{
    clock::Clock,
    memory::{Memory, NO_ROOM, Parts, Portable, Random, SIZES},
    report::{Report, Row},
};
use qint_arm::{hadamard, inputs::Inputs, layer, matmul, prepared::Prepared, quantize::quantize};
use qint_core::{
    Error,
    activation::{self, ActivationBlock, ActivationFormat, Activations, Transform},
    backend::Backend,
    codec::{Codec, Group},
    kernel,
    layout::Layout,
    matrix::QMatrix,
    reference,
    team::RowsMut,
};

pub(crate) const FORMAT: ActivationFormat =
    ActivationFormat { transform: Transform::None, block: ActivationBlock::B512 };

pub(crate) fn all(memory: &mut Memory, clock: &Clock, report: &mut Report) {
    for codec in Codec::ALL {
        for group in [Group::G128, Group::G32] {
            let layout = Layout::new(SIZES.side, SIZES.side, codec, group);
            expect(layout.and_then(|layout| one_token(memory, clock, report, layout)));
        }
    }
    for codec in Codec::ALL {
        let layout = Layout::new(SIZES.batch_side, SIZES.batch_side, codec, Group::G128);
        expect(layout.and_then(|layout| batch(memory, clock, report, layout)));
    }
    expect(preparation(memory, clock, report));
}

fn expect(result: Result<(), Error>) {
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// The whole call, its integer part, its f32 part, and the portable kernel.
fn one_token(memory: &mut Memory, clock: &Clock, report: &mut Report, layout: Layout) -> Result<(), Error> {
    let mut parts = memory.parts(layout, 1)?;
    let mut row = Row {
        kernel: "portable",
        codec: layout.codec().name(),
        group: layout.group().cols(),
        rows: layout.rows(),
        cols: layout.cols(),
        batch: 1,
        instructions: 0,
        exact: true,
    };
    let mut result = Ok(());
    let portable_instructions = clock.count(|| result = portable(&mut parts, FORMAT, 0));
    result?;

    let mut result = Ok(());
    let Parts { matrix, x, workspace, out, expected, corrections, .. } = &mut parts;
    let prepared = prepare(matrix, FORMAT.block, corrections)?;
    let whole = clock.count(|| result = layer::apply(prepared, FORMAT, 1, x, workspace, out));
    result?;
    row.exact = same(out, expected);
    report.row(&Row { kernel: "matvec", instructions: whole, ..row });

    let ([expansion, integer, float], integers_right) = stages(&mut parts, clock)?;
    row.exact &= same(parts.out, parts.expected);
    report.row(&Row { kernel: "expand", rows: 1, instructions: expansion, ..row });
    report.row(&Row { kernel: "integer", instructions: integer, exact: integers_right, ..row });
    report.row(&Row { kernel: "epilogue", instructions: float, ..row });
    if !SMALL {
        report.row(&Row { kernel: "portable", instructions: portable_instructions, ..row });
    }
    Ok(())
}

/// Instructions of streams, of streams and integer sums, and what f32 outputs take more than integer ones; and whether the
/// integers, scaled, are the expected outputs.
fn stages(parts: &mut Parts<'_>, clock: &Clock) -> Result<([u64; 3], bool), Error> {
    let Parts { matrix, x, workspace, out, expected, portable, corrections } = parts;
    let prepared = prepare(matrix, FORMAT.block, corrections)?;
    let layout = matrix.layout();
    let Portable { codes, scales, sums } = portable.of(1, x.len(), FORMAT.block.cols())?;
    quantize(1, x, FORMAT, codes, scales, sums)?;
    let codes = Activations::new(1, x.len(), FORMAT.block, codes, scales, sums)?;
    let (streams, sums) = workspace.split_at_mut(workspace.len() - layout.rows());
    let mut inputs = Err(NO_ROOM);
    let expansion = clock.count(|| inputs = Inputs::expand(layout, &codes, streams));
    let inputs = inputs?;
    let panels = 0..layout.panels();
    let mut result = Ok(());
    let sums = integers(sums);
    let integer = clock.count(|| result = matmul::block_sums(prepared, &inputs, panels.clone(), sums));
    result?;
    let mut result = Ok(());
    let all = clock.count(|| result = matmul::matmul(prepared, &inputs, panels, out));
    result?;
    // There is one activation block, so an output is one integer, scaled twice.
    let scaled = |(sum, row_scale): (&i32, &f32)| (0.0 + *sum as f32 * codes.scales()[0]) * row_scale;
    let outputs = sums.iter().zip(matrix.row_scales()).map(scaled);
    let right = inputs.blocks() == 1 && outputs.zip(&**expected).all(|(y, expected)| y.to_bits() == expected.to_bits());
    Ok(([expansion, expansion + integer, all.saturating_sub(integer)], right))
}

/// The matrix with what this core wants to know of it: once for each matrix, so not counted.
pub(crate) fn prepare<'a>(
    matrix: &'a QMatrix<'a>,
    block: ActivationBlock,
    memory: &'a mut [i32],
) -> Result<Prepared<'a>, Error> {
    let words = Prepared::words(matrix.layout(), block);
    Prepared::new(matrix, block, memory.get_mut(..words).ok_or(NO_ROOM)?)
}

fn batch(memory: &mut Memory, clock: &Clock, report: &mut Report, layout: Layout) -> Result<(), Error> {
    let tokens = SIZES.batch;
    let mut parts = memory.parts(layout, tokens)?;
    for token in 0..tokens {
        portable(&mut parts, FORMAT, token)?;
    }
    let mut result = Ok(());
    let Parts { matrix, x, workspace, out, expected, corrections, .. } = &mut parts;
    let prepared = prepare(matrix, FORMAT.block, corrections)?;
    let instructions = clock.count(|| result = layer::apply(prepared, FORMAT, tokens, x, workspace, out));
    result?;
    report.row(&Row {
        kernel: "matmul",
        codec: layout.codec().name(),
        group: layout.group().cols(),
        rows: layout.rows(),
        cols: layout.cols(),
        batch: tokens,
        instructions,
        exact: same(out, expected),
    });
    Ok(())
}

/// Transform and rounding of one vector.
fn preparation(memory: &mut Memory, clock: &Clock, report: &mut Report) -> Result<(), Error> {
    let cols = SIZES.side;
    let (x, expected) = (&mut memory.x[..cols], &mut memory.expected[..cols]);
    let mut random = Random(5);
    x.fill_with(|| random.number());
    expected.copy_from_slice(x);
    let mut row = Row {
        kernel: "hadamard",
        codec: "f32",
        group: cols.min(256),
        rows: 1,
        cols,
        batch: 1,
        instructions: 0,
        exact: true,
    };
    let mut result = Ok(());
    row.instructions = clock.count(|| result = hadamard::transform(x));
    result?;
    qint_core::hadamard::transform(Backend::detect(), expected);
    row.exact = same(x, expected);
    report.row(&row);

    let (codes, scales, sums) = (&mut memory.codes[..cols], &mut memory.scales[..1], &mut memory.sums[..cols / 32]);
    activation::quantize(Backend::detect(), expected, FORMAT, codes, scales, sums)?;
    let checksum = |numbers: &mut dyn Iterator<Item = i32>| {
        numbers.fold(0i32, |sum, number| sum.wrapping_mul(31).wrapping_add(number))
    };
    let all = |codes: &[i8], scales: &[f32], sums: &[i32]| {
        (
            checksum(&mut codes.iter().map(|code| i32::from(*code))),
            scales[0].to_bits(),
            checksum(&mut sums.iter().copied()),
        )
    };
    let theirs = all(codes, scales, sums);
    codes.fill(1);
    scales.fill(1.0);
    sums.fill(1);
    let mut result = Ok(());
    let instructions = clock.count(|| result = quantize(1, x, FORMAT, codes, scales, sums));
    result?;
    let exact = theirs == all(codes, scales, sums);
    report.row(&Row { kernel: "quantize", codec: "i8", group: FORMAT.block.cols(), instructions, exact, ..row });
    Ok(())
}

/// The portable kernel keeps 18 KiB on the stack, so the smallest board makes do with the readable formulas.
const SMALL: bool = cfg!(memory = "16k");

/// One token's outputs by qint-core's portable kernel.
pub(crate) fn portable(parts: &mut Parts<'_>, format: ActivationFormat, token: usize) -> Result<(), Error> {
    let matrix: &QMatrix<'_> = &parts.matrix;
    let (layout, cols) = (matrix.layout(), matrix.layout().padded_cols());
    let Portable { codes, scales, sums } = parts.portable.of(1, cols, format.block.cols())?;
    let x = &mut parts.x[token * cols..][..cols];
    let backend = Backend::detect();
    activation::quantize(backend, x, format, codes, scales, sums)?;
    let x = Activations::new(1, cols, format.block, codes, scales, sums)?;
    let out = &mut parts.expected[token * layout.rows()..][..layout.rows()];
    if SMALL {
        out.iter_mut().enumerate().for_each(|(row, y)| *y = reference::dot(matrix, row, &x, 0));
    } else {
        kernel::matmul(backend, matrix, &x, 0..layout.panels(), &mut RowsMut::whole(out, layout.rows()));
    }
    Ok(())
}

/// Bit for bit.
pub(crate) fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[allow(unsafe_code)]
pub(crate) fn integers(words: &mut [u32]) -> &mut [i32] {
    // SAFETY: i32 has the size and alignment of u32, and any bits.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len()) }
}
