//! The depth of the stack: what lies below is painted, and looked at after the call. All codecs; one token and four; whole
//! panels and one activation block, as most layers of a microcontroller have, and ragged rows and two blocks (where there is
//! room).
use crate::{
    measure::{integers, prepare},
    memory::{Memory, NO_ROOM, Parts, Portable, SIZES},
    report::Report,
};
use core::hint::black_box;
use qint_arm::{inputs::Inputs, layer, matmul, quantize::quantize};
use qint_core::{
    Error,
    activation::{ActivationBlock, ActivationFormat, Activations, Transform, padded_tokens},
    codec::{Codec, Group},
    layout::Layout,
};

const PAINT: u32 = 0x5eed_c0de;
const PAINTED_WORDS: usize = 400;

/// Bytes of stack that a product may take at most, with whole panels and one activation block; any; and a call with rounding.
const SIMPLE: usize = 512;
const PRODUCT: usize = 640;
const CALL: usize = 704;

pub(crate) fn all(memory: &mut Memory, report: &mut Report) {
    let several = SIZES.batch.min(4);
    let (side, ragged) = ((SIZES.batch_side, SIZES.batch_side), SIZES.stack);
    let (one_block, two_blocks) = (ActivationBlock::B512, ActivationBlock::B256);
    let mut check =
        |name, limit, depth: &mut dyn FnMut(Layout, ActivationBlock) -> Result<usize, Error>, cases: &[_]| {
            let mut deepest = 0;
            for (codec, ((rows, cols), block)) in
                Codec::ALL.into_iter().flat_map(|codec| cases.iter().map(move |x| (codec, *x)))
            {
                let layout = Layout::new(rows, cols, codec, Group::G32);
                deepest = deepest.max(layout.and_then(|layout| depth(layout, block)).unwrap_or(usize::MAX));
            }
            report.check(name, deepest, (1..=limit).contains(&deepest));
        };
    let (simple, any) = ([(side, one_block)], [(side, one_block), (ragged, two_blocks)]);
    check(
        "bytes of stack of a matvec of whole panels",
        SIMPLE,
        &mut |layout, block| of_matvec(memory, layout, block),
        &simple,
    );
    let mut both = |tokens, product, call| {
        check(product, PRODUCT, &mut |layout, block| of_product(memory, layout, block, tokens), &any);
        check(call, CALL, &mut |layout, block| of_call(memory, layout, block, tokens), &any);
    };
    both(1, "bytes of stack of any matvec", "bytes of stack of a call with rounding");
    both(several, "bytes of stack of a product of tokens", "bytes of stack of a call for tokens");
}

/// Bytes of stack that a product of one token takes.
fn of_matvec(memory: &mut Memory, layout: Layout, block: ActivationBlock) -> Result<usize, Error> {
    let mut parts = memory.parts(layout, 1)?;
    let (inputs, _) = inputs(&layout, parts.x, block, 1, &mut parts.portable, parts.workspace)?;
    depth(|| matmul::matmul(&parts.matrix, &inputs, 0..black_box(layout.panels()), parts.out))
}

/// That of products of f32 and integers, prepared or not.
fn of_product(memory: &mut Memory, layout: Layout, block: ActivationBlock, tokens: usize) -> Result<usize, Error> {
    let mut parts = memory.parts(layout, tokens)?;
    let (inputs, rest) = inputs(&layout, parts.x, block, tokens, &mut parts.portable, parts.workspace)?;
    let panels = 0..layout.panels();
    let plain = depth(|| matmul::matmul(&parts.matrix, &inputs, black_box(panels.clone()), parts.out))?;
    let prepared = prepare(&parts.matrix, block, parts.corrections)?;
    let prepared = depth(|| matmul::matmul(prepared, &inputs, black_box(panels.clone()), parts.out))?;
    let sums = integers(rest.get_mut(..tokens * inputs.blocks() * layout.rows()).ok_or(NO_ROOM)?);
    let integers = depth(|| matmul::block_sums(&parts.matrix, &inputs, black_box(panels), sums))?;
    Ok(plain.max(prepared).max(integers))
}

/// That of a whole call: transform, rounding, streams, product.
fn of_call(memory: &mut Memory, layout: Layout, block: ActivationBlock, tokens: usize) -> Result<usize, Error> {
    let Parts { matrix, x, workspace, out, .. } = memory.parts(layout, tokens)?;
    let format = ActivationFormat { transform: Transform::Hadamard, block };
    depth(|| layer::apply(&matrix, format, black_box(tokens), x, workspace, out))
}

/// Streams of `x`, and the rest of the workspace.
fn inputs<'a>(
    layout: &Layout,
    x: &mut [f32],
    block: ActivationBlock,
    tokens: usize,
    portable: &'a mut Portable<'_>,
    workspace: &'a mut [u32],
) -> Result<(Inputs<'a>, &'a mut [u32]), Error> {
    let cols = layout.padded_cols();
    let Portable { codes, scales, sums } = portable.of(padded_tokens(tokens), cols, block.cols())?;
    quantize(tokens, x, ActivationFormat { transform: Transform::None, block }, codes, scales, sums)?;
    let codes = Activations::new(tokens, cols, block, codes, scales, sums)?;
    let (streams, rest) = workspace.split_at_mut_checked(Inputs::words(layout, block, tokens)).ok_or(NO_ROOM)?;
    Ok((Inputs::expand(layout, &codes, streams)?, rest))
}

#[inline(never)]
#[allow(unsafe_code)]
fn depth(call: impl FnOnce() -> Result<(), Error>) -> Result<usize, Error> {
    let top: *mut u32;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, sp", out(reg) top, options(nomem, nostack)) };
    for word in 1..=PAINTED_WORDS {
        // SAFETY: the stack is larger than this, and nothing below the stack pointer is in use.
        unsafe { top.wrapping_sub(word).write_volatile(PAINT) };
    }
    // SysTick would use this stack too.
    cortex_m::interrupt::free(|_| call())?;
    let untouched = (1..=PAINTED_WORDS).rev().take_while(|word| {
        // SAFETY: as above.
        let found = unsafe { top.wrapping_sub(*word).read_volatile() };
        found == PAINT
    });
    Ok(4 * (PAINTED_WORDS - untouched.count()))
}
