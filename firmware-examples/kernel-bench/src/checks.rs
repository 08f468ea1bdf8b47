//! What must hold besides the table: odd shapes and panel ranges, and (`stack`) the depth of the stack.
use crate::{
    measure::{portable, prepare, same},
    memory::{Memory, NO_ROOM, Parts, Portable, SIZES},
    report::Report,
    stack,
};
use qint_arm::{inputs::Inputs, layer, matmul};
use qint_core::{
    Error,
    activation::{ActivationBlock, ActivationFormat, Activations, Transform},
    codec::{Codec, Group},
    layout::Layout,
};

pub(crate) fn all(memory: &mut Memory, report: &mut Report) {
    let (mut cases, mut wrong) = (0, 0);
    for codec in Codec::ALL {
        for group in Group::ALL {
            for (rows, cols) in
                [(1, 1), (15, 33), (16, 40), (17, 64), (5, 96), (33, 100), (2, 160), (18, 300), (3, 520)]
            {
                for tokens in [1, 2, 3, 4, 5] {
                    let right = Layout::new(rows, cols, codec, group).and_then(|layout| shape(memory, layout, tokens));
                    match right {
                        Ok(None) => {}
                        right => {
                            cases += 1;
                            wrong += usize::from(right != Ok(Some(true)));
                        }
                    }
                }
            }
        }
    }
    report.check("odd shapes", cases, wrong == 0 && cases == SIZES.odd_shapes);
    stack::all(memory, report);
}

/// Whether a product is exact, done at once and panel by panel; `None` if it has no room here.
fn shape(memory: &mut Memory, layout: Layout, tokens: usize) -> Result<Option<bool>, Error> {
    let transform = if layout.rows().is_multiple_of(2) { Transform::Hadamard } else { Transform::None };
    let format = ActivationFormat { transform, block: ActivationBlock::B256 };
    if layout.padded_cols() > SIZES.side
        || layout.padded_rows() > SIZES.side
        || layer::workspace_words(&layout, format.block, tokens) > memory.workspace.len()
    {
        return Ok(None);
    }
    let mut parts = match memory.parts(layout, tokens) {
        Err(NO_ROOM) => return Ok(None),
        parts => parts?,
    };
    let Parts { matrix, x, workspace, out, .. } = &mut parts;
    // The transform overwrites x; the portable kernel needs it as it was.
    let again = *matrix;
    out.fill(f32::NAN);
    layer::apply(&again, format, tokens, x, workspace, out)?;
    let whole = checksum(out);

    let mut parts = memory.parts(layout, tokens)?;
    for token in 0..tokens {
        portable(&mut parts, format, token)?;
    }
    let mut right = checksum(parts.expected) == whole && same(parts.out, parts.expected);
    if tokens == 1 {
        right &= by_panels(&mut parts, format.block)?;
    }
    Ok(Some(right))
}

/// The same outputs by a prepared matrix, one panel after the other, last first. The portable kernel left the token's codes behind.
fn by_panels(parts: &mut Parts<'_>, block: ActivationBlock) -> Result<bool, Error> {
    let Parts { matrix, workspace, out, expected, portable, corrections, .. } = parts;
    let prepared = prepare(matrix, block, corrections)?;
    let layout = matrix.layout();
    let cols = layout.padded_cols();
    let Portable { codes, scales, sums } = portable.of(1, cols, block.cols())?;
    let x = Activations::new(1, cols, block, codes, scales, sums)?;
    let x = Inputs::expand(layout, &x, workspace)?;
    out.fill(f32::NAN);
    for panel in (0..layout.panels()).rev() {
        matmul::matmul(prepared, &x, panel..panel + 1, out)?;
    }
    Ok(same(out, expected))
}

fn checksum(values: &[f32]) -> u32 {
    values.iter().fold(0, |sum, value| sum.wrapping_mul(31).wrapping_add(value.to_bits()))
}
