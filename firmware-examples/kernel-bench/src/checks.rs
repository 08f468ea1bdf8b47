//! What must hold besides the table: odd shapes, panel ranges, and the depth of the stack.
use crate::{
    measure::{FORMAT, portable, prepare, same},
    memory::{Memory, Parts, SIZES},
    report::Report,
};
use qint_arm::{inputs::Inputs, layer, matmul, quantize::quantize};
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
                    let Some(right) = shape(memory, rows, cols, codec, group, tokens) else { continue };
                    cases += 1;
                    wrong += usize::from(!right);
                }
            }
        }
    }
    report.check("odd shapes", cases, wrong == 0 && cases > 0);
    let depth = stack_of_product(memory).unwrap_or(usize::MAX);
    report.check("bytes of stack of a matvec", depth, depth <= 512);
    let depth = stack_of_call(memory).unwrap_or(usize::MAX);
    report.check("bytes of stack of a call with rounding", depth, depth <= 704);
}

/// Whether a product is exact, done at once and panel by panel; `None` if it has no room here.
fn shape(memory: &mut Memory, rows: usize, cols: usize, codec: Codec, group: Group, tokens: usize) -> Option<bool> {
    let layout = Layout::new(rows, cols, codec, group).ok()?;
    let transform = if rows % 2 == 0 { Transform::Hadamard } else { Transform::None };
    let format = ActivationFormat { transform, block: ActivationBlock::B256 };
    let padded = layout.padded_cols();
    if padded > SIZES.side || layout.padded_rows() > SIZES.side {
        return None;
    }
    if layer::workspace_words(&layout, format.block, tokens) > memory.workspace.len() {
        return None;
    }
    let mut parts = memory.parts(layout, tokens)?;
    let Parts { matrix, x, workspace, out, .. } = &mut parts;
    // The transform overwrites x; the portable kernel needs it as it was.
    let again = *matrix;
    out.fill(f32::NAN);
    layer::apply(&again, format, tokens, x, workspace, out).ok()?;
    let whole = checksum(out);

    let mut parts = memory.parts(layout, tokens)?;
    for token in 0..tokens {
        portable(&mut parts, format, token).ok()?;
    }
    let mut right = checksum(parts.expected) == whole && same(parts.out, parts.expected);
    if tokens == 1 {
        right &= by_panels(&mut parts, format.block).ok()?;
    }
    Some(right)
}

/// The same outputs by a prepared matrix, one panel after the other, last first. The portable kernel left the token's codes behind.
fn by_panels(parts: &mut Parts<'_>, block: ActivationBlock) -> Result<bool, Error> {
    let Parts { matrix, workspace, out, expected, portable, corrections, .. } = parts;
    let prepared = prepare(matrix, block, corrections)?;
    let layout = matrix.layout();
    let cols = layout.padded_cols();
    let scales = &portable.scales[..cols.div_ceil(block.cols())];
    let x = Activations::new(1, cols, block, portable.codes, scales, portable.sums)?;
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

const PAINT: u32 = 0x5eed_c0de;
const PAINTED_WORDS: usize = 400;

/// Bytes of stack that one product takes: what lies below is painted and looked at afterwards.
fn stack_of_product(memory: &mut Memory) -> Option<usize> {
    let layout = Layout::new(SIZES.batch_side, SIZES.batch_side, Codec::Q4Linear, Group::G32).ok()?;
    let Parts { matrix, x, workspace, out, portable, .. } = memory.parts(layout, 1)?;
    let scales = &mut portable.scales[..1];
    quantize(1, x, FORMAT, portable.codes, scales, portable.sums).ok()?;
    let codes = Activations::new(1, layout.padded_cols(), FORMAT.block, portable.codes, scales, portable.sums).ok()?;
    let inputs = Inputs::expand(&layout, &codes, workspace).ok()?;
    measure_depth(|| matmul::matmul(&matrix, &inputs, 0..layout.panels(), out).is_ok())
}

/// The same for a whole call: transform, rounding, streams, product.
fn stack_of_call(memory: &mut Memory) -> Option<usize> {
    let layout = Layout::new(SIZES.batch_side, SIZES.batch_side, Codec::Q4Linear, Group::G32).ok()?;
    let Parts { matrix, x, workspace, out, .. } = memory.parts(layout, 1)?;
    let format = ActivationFormat { transform: Transform::Hadamard, ..FORMAT };
    measure_depth(|| layer::apply(&matrix, format, 1, x, workspace, out).is_ok())
}

#[inline(never)]
#[allow(unsafe_code)]
fn measure_depth(product: impl FnOnce() -> bool) -> Option<usize> {
    let top: *mut u32;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, sp", out(reg) top, options(nomem, nostack)) };
    for word in 1..=PAINTED_WORDS {
        // SAFETY: the stack is larger than this, and nothing below the stack pointer is in use.
        unsafe { top.wrapping_sub(word).write_volatile(PAINT) };
    }
    let done = product();
    let untouched = (1..=PAINTED_WORDS).rev().take_while(|word| {
        // SAFETY: as above.
        let found = unsafe { top.wrapping_sub(*word).read_volatile() };
        found == PAINT
    });
    done.then_some(4 * (PAINTED_WORDS - untouched.count()))
}
