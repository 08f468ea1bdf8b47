//! The header of a `.npy` array: a magic number, a length, and a Python dictionary.
//!
//! ```text
//! "\x93NUMPY" major minor  length u16 (version 1) or u32 (2, 3)
//! {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   spaces and a line feed up to a multiple of 64
//! ```
//! Source: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
use super::archive::malformed;
use crate::{Error, Result, limits, limits::shown, source::Floats};

/// The largest header that is read, as in numpy.
const HEADER_BYTES: usize = 10_000;
/// Enough bytes to parse any header.
pub(super) const PREFIX_BYTES: usize = 12 + HEADER_BYTES;

/// What a header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) floats: Floats,
    pub(super) shape: Vec<usize>,
    /// Bytes before the numbers.
    pub(super) length: usize,
}

/// Parses the header at the beginning of `bytes`, the array `name`.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Header> {
    let wrong = |why: &str| malformed(format!("array {}: {why}", shown(name)));
    let (start, length) = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => (10, u32::from(u16::from_le_bytes([*a, *b]))),
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([*a, *b, *c, *d])),
        _ => return Err(wrong("it does not begin like a .npy file")),
    };
    let length = Some(length as usize).filter(|&length| length <= HEADER_BYTES).ok_or_else(|| wrong("long header"))?;
    let text = bytes.get(start..start + length).and_then(|text| std::str::from_utf8(text).ok());
    let text = text.ok_or_else(|| wrong("its header is not complete text"))?;
    let field = |key: &str| {
        let (_, after) = text.split_once(key)?;
        Some(after.trim_start_matches(['\'', '"']).trim_start().strip_prefix(':')?.trim_start())
    };
    let kind = field("descr").ok_or_else(|| wrong("its header has no descr"))?;
    let order = field("fortran_order").ok_or_else(|| wrong("its header has no fortran_order"))?;
    let shape = field("shape").and_then(shape).ok_or_else(|| wrong("its header has no usable shape"))?;
    if !order.starts_with("False") && shape.len() > 1 {
        let way_out = "save numpy.ascontiguousarray(array)";
        return Err(Error::unsupported(format!("array {} in Fortran order", shown(name)), way_out));
    }
    Ok(Header { floats: floats(name, kind)?, shape, length: start + length })
}

/// A header for an array of `floats`, f32 or f16.
pub(super) fn write(floats: Floats, shape: &[usize]) -> Vec<u8> {
    let kind = if floats == Floats::F16 { "<f2" } else { "<f4" };
    let mut shape: String = shape.iter().map(|size| format!("{size}, ")).collect();
    if shape.matches(',').count() > 1 {
        shape.truncate(shape.len() - 2);
    }
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.into_bytes());
    header
}

fn floats(name: &str, kind: &str) -> Result<Floats> {
    let kind = kind.trim_start_matches(['\'', '"']);
    let kind = kind.split(['\'', '"']).next().unwrap_or_default();
    match kind {
        "<f4" => Ok(Floats::F32),
        "<f2" => Ok(Floats::F16),
        other => Err(Error::unsupported(
            format!("array {} of type {}", shown(name), shown(other)),
            "'<f4' and '<f2' are: use array.astype('<f4')",
        )),
    }
}

fn shape(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: Vec<usize> = sizes.map(|size| size.parse().ok()).take(limits::RANK + 1).collect::<Option<_>>()?;
    (sizes.len() <= limits::RANK).then_some(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_and_numpy_write() {
        for (floats, sizes) in [(Floats::F32, vec![3, 4]), (Floats::F16, vec![7]), (Floats::F32, vec![1, 2, 3])] {
            let header = write(floats, &sizes);
            assert!(header.len().is_multiple_of(64) && header.ends_with(b"\n"));
            let expected = Header { floats, shape: sizes, length: header.len() };
            assert_eq!(parse("x", &header).unwrap(), expected);
        }
        assert!(write(Floats::F32, &[7]).windows(13).any(|part| part == b"'shape': (7,)"));
        assert!(write(Floats::F32, &[7, 8]).windows(17).any(|part| part == b"'shape': (7, 8), "));
        let numpy =
            b"\x93NUMPY\x02\x00\x40\x00\x00\x00{'descr': '<f2', 'fortran_order': False, 'shape': (), }        \n\n";
        assert_eq!(parse("x", numpy).unwrap().shape, [0usize; 0]);
    }

    #[test]
    fn refuses_what_it_can_not_read() {
        let good = String::from_utf8_lossy(&write(Floats::F32, &[3, 4])[10..]).into_owned();
        for (from, to) in [
            ("<f4", "<f8"),
            ("<f4", ">f4"),
            ("False", "True "),
            ("(3, 4)", "(3,-4)"),
            ("(3, 4)", "(3 4) "),
            ("(3, 4)", "[3, 4]"),
            ("descr", "discr"),
        ] {
            let text = good.replace(from, to);
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.into_bytes());
            assert!(parse("x", &bytes).is_err(), "{from} {to}");
        }
    }
}
