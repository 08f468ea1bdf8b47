//! One panel, cut at the borders of activation blocks.
use crate::{
    layout::{Layout, PANEL_ROWS, VECTOR_BYTES},
    matrix::QMatrix,
};

/// Sub-scales and codes of one panel, or of the part of it that meets one activation block.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    /// One i8 per row for each group.
    pub(super) sub_scales: &'a [[u8; PANEL_ROWS]],
    /// Vectors of codes.
    pub(super) codes: &'a [[u8; VECTOR_BYTES]],
}

impl<'a> Panel<'a> {
    /// Panel `index` of `matrix`.
    #[inline(always)]
    pub(super) fn new(matrix: &QMatrix<'a>, index: usize) -> Panel<'a> {
        let layout = matrix.layout();
        let bytes = &matrix.panels()[index * layout.panel_bytes()..][..layout.panel_bytes()];
        let (sub_scales, codes) = bytes.split_at(layout.codes_offset());
        let (sub_scales, _) = sub_scales.as_chunks::<PANEL_ROWS>();
        let (codes, _) = codes.as_chunks::<VECTOR_BYTES>();
        Panel { sub_scales: &sub_scales[..layout.groups()], codes }
    }

    /// Its parts of `cols` columns each, a multiple of the group; the last may be shorter.
    #[inline(always)]
    pub(super) fn parts(self, layout: &Layout, cols: usize) -> impl ExactSizeIterator<Item = Panel<'a>> {
        let vectors = cols * PANEL_ROWS / layout.codec().fields() / VECTOR_BYTES;
        let sub_scales = self.sub_scales.chunks(cols / layout.group().cols());
        sub_scales.zip(self.codes.chunks(vectors)).map(|(sub_scales, codes)| Panel { sub_scales, codes })
    }
}
