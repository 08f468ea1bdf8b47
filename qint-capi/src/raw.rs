//! Quantized matrices on the caller's buffers: sizes, products, and back to f32. Nothing here allocates or keeps state.
use crate::{
    border::{Caller, Failure, Outcome, Span, answer, expect_apart, span},
    sized::Versioned,
    status::{QINT_ERROR_ARGUMENT, QINT_ERROR_LENGTH},
};
use core::mem::offset_of;
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Activations, SUM_COLS, Transform, padded_tokens, quantize_tokens},
    backend::Backend,
    codec::{Codec, Group},
    dequantize, hadamard, kernel,
    layout::Layout,
    matrix::QMatrix,
    team::RowsMut,
};

/// 8 bits.
pub const QINT_Q8: u32 = 0;
/// 4 bits, an asymmetric table of 16 levels.
pub const QINT_Q4: u32 = 1;
/// 4 bits, evenly spaced levels.
pub const QINT_Q4_LINEAR: u32 = 2;
/// 2 bits, an asymmetric table of 4 levels.
pub const QINT_Q2: u32 = 3;
/// 2 bits, evenly spaced levels.
pub const QINT_Q2_LINEAR: u32 = 4;
/// 1 bit.
pub const QINT_Q1: u32 = 5;

/// Activations are rounded as they are.
pub const QINT_TRANSFORM_NONE: u32 = 0;
/// Activations go through a Walsh-Hadamard transform first; so did the weights.
pub const QINT_TRANSFORM_HADAMARD: u32 = 1;

/// Shape and form of a quantized matrix.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_shape {
    /// sizeof(qint_shape).
    pub struct_size: u32,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub cols: u32,
    /// QINT_Q8 to QINT_Q1.
    pub codec: u32,
    /// Columns that share a sub-scale: 32, 64 or 128.
    pub group: u32,
    /// QINT_TRANSFORM_NONE or QINT_TRANSFORM_HADAMARD.
    pub transform: u32,
    /// Columns of activations that share a scale: 256, 512 or 1024.
    pub activation_block: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// How large the caller's buffers are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_sizes {
    /// sizeof(qint_sizes), set by the caller.
    pub struct_size: u32,
    /// Columns padded to a multiple of 32: floats of a row that is dequantized.
    pub padded_cols: u32,
    /// Bytes of the panels.
    pub panels: usize,
    /// Floats of the row scales.
    pub row_scales: usize,
    /// Floats of the workspace of a product with that many tokens.
    pub workspace: usize,
}

/// A quantized matrix in the caller's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct qint_matrix {
    /// sizeof(qint_matrix).
    pub struct_size: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Shape and form.
    pub shape: *const qint_shape,
    /// The panels, at a multiple of 4 bytes; of 64 is faster.
    pub panels: *const u8,
    /// Bytes of the panels.
    pub panels_length: usize,
    /// The row scales.
    pub row_scales: *const f32,
    /// Floats of the row scales.
    pub row_scales_length: usize,
}

// SAFETY: repr(C), numbers only, struct_size comes first.
unsafe impl Versioned for qint_shape {
    const MIN_SIZE: usize = offset_of!(qint_shape, reserved) + size_of::<u32>();
}
// SAFETY: repr(C), numbers only, struct_size comes first.
unsafe impl Versioned for qint_sizes {
    const MIN_SIZE: usize = offset_of!(qint_sizes, workspace) + size_of::<usize>();
}
// SAFETY: repr(C), numbers and pointers, struct_size comes first.
unsafe impl Versioned for qint_matrix {
    const MIN_SIZE: usize = offset_of!(qint_matrix, row_scales_length) + size_of::<usize>();
}

/// The sizes of a matrix's buffers, and of the workspace of a product with `tokens` tokens, at least 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_matrix_sizes(shape: *const qint_shape, tokens: usize, sizes: *mut qint_sizes) -> i32 {
    let work = |caller: &Caller| {
        expect_apart(&[("sizes", span(sizes, 1)), ("shape", span(shape, 1))], 1)?;
        let form = Form::new(&caller.sized(shape, "shape")?)?;
        let filled = qint_sizes {
            struct_size: 0, // stays the caller's
            padded_cols: form.layout.padded_cols() as u32,
            panels: form.layout.panels_bytes(),
            row_scales: form.layout.padded_rows(),
            workspace: form.workspace(tokens)?.total,
        };
        caller.write_sized(sizes, filled, "sizes")
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// y = W·x: `x` has the matrix's columns, `y` its rows. One thread; the same bits on every CPU. No buffer may overlap another.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_matvec(
    matrix: *const qint_matrix,
    x: *const f32,
    x_length: usize,
    y: *mut f32,
    y_length: usize,
    workspace: *mut f32,
    workspace_length: usize,
) -> i32 {
    let (x, y) = ((x, x_length), (y, y_length));
    let work = |caller: &Caller| product(caller, matrix, 1, x, y, (workspace, workspace_length));
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// As qint_matvec for several tokens at once: `x` is `[tokens][cols]`, `y` is `[tokens][rows]`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_matmul(
    matrix: *const qint_matrix,
    tokens: usize,
    x: *const f32,
    x_length: usize,
    y: *mut f32,
    y_length: usize,
    workspace: *mut f32,
    workspace_length: usize,
) -> i32 {
    let (x, y) = ((x, x_length), (y, y_length));
    let work = |caller: &Caller| product(caller, matrix, tokens, x, y, (workspace, workspace_length));
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// A row of the matrix in f32, transformed back. `length` is padded_cols of qint_sizes; columns past the matrix's are zeros, or
/// nearly so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_dequantize_row(
    matrix: *const qint_matrix,
    row: usize,
    weights: *mut f32,
    length: usize,
) -> i32 {
    let work = |caller: &Caller| {
        let (form, matrix, spans) = View::new(caller, matrix)?;
        expect_apart(&[("weights", span(weights, length)), spans[0].clone(), spans[1].clone()], 1)?;
        let weights = caller.output(weights, length, "weights")?;
        dequantize::row(&matrix, row, weights)?;
        if form.format.transform == Transform::Hadamard {
            hadamard::transform(Backend::detect(), weights);
        }
        Ok(())
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}

/// A shape that was checked.
pub(crate) struct Form {
    pub(crate) layout: Layout,
    pub(crate) format: ActivationFormat,
}

/// Places in the workspace, in floats.
struct Places {
    scales: usize,
    sums: usize,
    codes: usize,
    total: usize,
}

impl Form {
    pub(crate) fn new(shape: &qint_shape) -> Outcome<Form> {
        let wrong = |what: &str, given: u32| {
            Failure::new(QINT_ERROR_ARGUMENT, format_args!("shape.{what} is {given}, which has no meaning"))
        };
        let codec = match shape.codec {
            QINT_Q8 => Codec::Q8,
            QINT_Q4 => Codec::Q4,
            QINT_Q4_LINEAR => Codec::Q4Linear,
            QINT_Q2 => Codec::Q2,
            QINT_Q2_LINEAR => Codec::Q2Linear,
            QINT_Q1 => Codec::Q1,
            other => return Err(wrong("codec", other)),
        };
        let transform = match shape.transform {
            QINT_TRANSFORM_NONE => Transform::None,
            QINT_TRANSFORM_HADAMARD => Transform::Hadamard,
            other => return Err(wrong("transform", other)),
        };
        let group = Group::from_cols(shape.group as usize).ok_or_else(|| wrong("group", shape.group))?;
        let block = ActivationBlock::from_cols(shape.activation_block as usize)
            .ok_or_else(|| wrong("activation_block", shape.activation_block))?;
        if shape.reserved != 0 {
            return Err(wrong("reserved", shape.reserved));
        }
        let layout = Layout::new(shape.rows as usize, shape.cols as usize, codec, group)?;
        Ok(Form { layout, format: ActivationFormat { transform, block } })
    }

    /// Activations, scales, sums and codes, the last as bytes.
    fn workspace(&self, tokens: usize) -> Outcome<Places> {
        let cols = self.layout.padded_cols();
        // 4 · 2^24 columns · 2^31 tokens would not fit an address; fewer are counted without overflow.
        let limit = usize::MAX / 16 / cols;
        if tokens == 0 || tokens > limit {
            let text = format_args!("tokens are {tokens}, 1 to {limit} are allowed");
            return Err(Failure::new(QINT_ERROR_ARGUMENT, text));
        }
        let room = padded_tokens(tokens);
        let scales = tokens * cols;
        let sums = scales + room * cols.div_ceil(self.format.block.cols());
        let codes = sums + room * (cols / SUM_COLS);
        Ok(Places { scales, sums, codes, total: codes + room * cols / size_of::<f32>() })
    }
}

/// A matrix in the caller's memory.
struct View;

impl View {
    #[allow(clippy::new_ret_no_self)]
    fn new<'c>(caller: &'c Caller, matrix: *const qint_matrix) -> Outcome<(Form, QMatrix<'c>, [Span<'static>; 2])> {
        let matrix = caller.sized(matrix, "matrix")?;
        let form = Form::new(&caller.sized(matrix.shape, "matrix.shape")?)?;
        if matrix.reserved != 0 {
            let text = format_args!("matrix.reserved is {}, which has no meaning", matrix.reserved);
            return Err(Failure::new(QINT_ERROR_ARGUMENT, text));
        }
        let panels = caller.input(matrix.panels, matrix.panels_length, "panels")?;
        let row_scales = caller.input(matrix.row_scales, matrix.row_scales_length, "row_scales")?;
        let view = QMatrix::new(form.layout, panels, row_scales)?;
        let spans = [
            ("panels", span(matrix.panels, matrix.panels_length)),
            ("row_scales", span(matrix.row_scales, matrix.row_scales_length)),
        ];
        Ok((form, view, spans))
    }
}

fn product(
    caller: &Caller,
    matrix: *const qint_matrix,
    tokens: usize,
    (x, x_length): (*const f32, usize),
    (y, y_length): (*mut f32, usize),
    (workspace, workspace_length): (*mut f32, usize),
) -> Outcome {
    let (form, matrix, [panels, row_scales]) = View::new(caller, matrix)?;
    let places = form.workspace(tokens)?;
    let layout = form.layout;
    for (what, given, needed) in [
        ("x", x_length, tokens * layout.cols()),
        ("y", y_length, tokens.saturating_mul(layout.rows())),
        ("workspace", workspace_length, places.total),
    ] {
        let long_enough = if what == "workspace" { given >= needed } else { given == needed };
        if !long_enough {
            let text = format_args!("{what} has {given} elements, {needed} are needed");
            return Err(Failure::new(QINT_ERROR_LENGTH, text));
        }
    }
    let outputs = [("y", span(y, y_length)), ("workspace", span(workspace, workspace_length))];
    let [y_span, workspace_span] = outputs;
    expect_apart(&[y_span, workspace_span, ("x", span(x, x_length)), panels, row_scales], 2)?;
    let x = caller.input(x, x_length, "x")?;
    let y = caller.output(y, y_length, "y")?;
    let workspace = caller.output(workspace, workspace_length, "workspace")?;

    let (padded, rest) = workspace.split_at_mut(places.scales);
    let (scales, rest) = rest.split_at_mut(places.sums - places.scales);
    let (sums, codes) = rest.split_at_mut(places.codes - places.sums);
    let (sums, codes) = (integers(sums), bytes(&mut codes[..places.total - places.codes]));
    let cols = layout.padded_cols();
    for (padded, x) in padded.chunks_exact_mut(cols).zip(x.chunks_exact(layout.cols())) {
        let (used, padding) = padded.split_at_mut(layout.cols());
        used.copy_from_slice(x);
        padding.fill(0.0);
    }
    let backend = Backend::detect();
    quantize_tokens(backend, tokens, padded, form.format, codes, scales, sums)?;
    let activations = Activations::new(tokens, cols, form.format.block, codes, scales, sums)?;
    kernel::matmul(backend, &matrix, &activations, 0..layout.panels(), &mut RowsMut::whole(y, layout.rows()));
    Ok(())
}

fn integers(floats: &mut [f32]) -> &mut [i32] {
    // SAFETY: i32 is as large and as aligned as f32, and any bits are a value of either.
    unsafe { floats.align_to_mut::<i32>() }.1
}

fn bytes(floats: &mut [f32]) -> &mut [i8] {
    // SAFETY: any bits are values of i8 and of f32; i8 needs no alignment.
    unsafe { floats.align_to_mut::<i8>() }.1
}
