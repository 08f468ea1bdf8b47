//! Codes and sub-scales in row order become panels, and back.
use crate::{Error, layout::Layout};

/// Writes one row into its place in `panels` ([`Layout::panels_bytes`] bytes): `codes` holds one code per padded column,
/// `sub_scales` one per group.
///
/// # Errors
/// [`Error::Length`], or [`Error::Dimension`] if `row` is not below the padded rows.
pub fn pack_row(layout: &Layout, row: usize, codes: &[u8], sub_scales: &[i8], panels: &mut [u8]) -> Result<(), Error> {
    let _ = (layout, row, codes, sub_scales, panels);
    todo!()
}

/// Reads one row back; the inverse of [`pack_row`].
///
/// # Errors
/// As [`pack_row`].
pub fn unpack_row(
    layout: &Layout,
    row: usize,
    panels: &[u8],
    codes: &mut [u8],
    sub_scales: &mut [i8],
) -> Result<(), Error> {
    let _ = (layout, row, panels, codes, sub_scales);
    todo!()
}
