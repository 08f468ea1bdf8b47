//! f32 rows into panels and row scales, in the caller's memory.
use crate::{
    border::{Caller, Failure, answer, expect_apart, span},
    raw::{Form, qint_shape},
    status::{QINT_ERROR_LENGTH, QINT_ERROR_RESOURCES},
};
use qint_core::{backend::Backend, layout::PANEL_ROWS};
use qint_std::quantize::{Scratch, panel};

/// Quantizes a matrix: `weights` is `[rows][cols]`, `panels` and `row_scales` have the lengths that qint_matrix_sizes gives. What
/// shape.transform says happens to the weights first. The same bytes on every CPU.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qint_quantize(
    shape: *const qint_shape,
    weights: *const f32,
    weights_length: usize,
    panels: *mut u8,
    panels_length: usize,
    row_scales: *mut f32,
    row_scales_length: usize,
) -> i32 {
    let work = |caller: &Caller| {
        let Form { layout, format } = Form::new(&caller.sized(shape, "shape")?)?;
        for (what, given, needed) in [
            ("weights", weights_length, layout.rows().saturating_mul(layout.cols())),
            ("panels", panels_length, layout.panels_bytes()),
            ("row_scales", row_scales_length, layout.padded_rows()),
        ] {
            if given != needed {
                let text = format_args!("{what} has {given} elements, {needed} are needed");
                return Err(Failure::new(QINT_ERROR_LENGTH, text));
            }
        }
        let buffers = [
            ("panels", span(panels, panels_length)),
            ("row_scales", span(row_scales, row_scales_length)),
            ("weights", span(weights, weights_length)),
        ];
        expect_apart(&buffers, 2)?;
        let weights = caller.input(weights, weights_length, "weights")?;
        let panels = caller.output(panels, panels_length, "panels")?;
        let row_scales = caller.output(row_scales, row_scales_length, "row_scales")?;

        let (backend, cols, mut scratch) = (Backend::detect(), layout.padded_cols(), Scratch::default());
        let mut rows = Vec::new();
        rows.try_reserve_exact(PANEL_ROWS * cols)
            .map_err(|_| Failure::new(QINT_ERROR_RESOURCES, format_args!("no memory for sixteen rows")))?;
        let scales = row_scales.as_chunks_mut::<PANEL_ROWS>().0;
        let panels = panels.chunks_exact_mut(layout.panel_bytes()).zip(scales);
        for (weights, (bytes, scales)) in weights.chunks(PANEL_ROWS * layout.cols()).zip(panels) {
            rows.clear();
            for row in weights.chunks_exact(layout.cols()) {
                rows.extend_from_slice(row);
                rows.resize(rows.len().next_multiple_of(cols), 0.0);
            }
            panel(backend, &layout, format.transform, &mut rows, &mut scratch, bytes, scales)?;
        }
        Ok(())
    };
    // SAFETY: the header's promises, which this function asks for.
    unsafe { answer(work) }
}
