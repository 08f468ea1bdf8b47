//! Stored floating-point numbers → f32 values, exactly, or a borrowed view.
use crate::mapping::values;
use half::{bf16, f16};
use qint_core::matrix::DenseValues;

/// A number format that f32 holds exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floats {
    F32,
    F16,
    BF16,
}

impl Floats {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Floats::F32 => "f32",
            Floats::F16 => "f16",
            Floats::BF16 => "bf16",
        }
    }

    /// Bytes of one number.
    pub(crate) const fn size(self) -> usize {
        match self {
            Floats::F32 => 4,
            Floats::F16 | Floats::BF16 => 2,
        }
    }

    /// The numbers in `bytes`, at any alignment, into `out`; `bytes` holds `out.len()` of them.
    pub(crate) fn read(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Floats::F32 => each(bytes, out, f32::from_le_bytes),
            Floats::F16 => each(bytes, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Floats::BF16 => each(bytes, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        }
    }

    /// A view of `bytes`, if they are aligned.
    pub(crate) fn borrow(self, bytes: &[u8]) -> Option<DenseValues<'_>> {
        Some(match self {
            Floats::F32 => DenseValues::F32(values(bytes)?),
            Floats::F16 => DenseValues::F16(values(bytes)?),
            Floats::BF16 => DenseValues::BF16(values(bytes)?),
        })
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    let (numbers, _) = bytes.as_chunks::<N>();
    out.iter_mut().zip(numbers).for_each(|(out, &number)| *out = convert(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_exact() {
        for bits in 0..=u16::MAX {
            let mut out = [0.0; 2];
            Floats::F16.read(&bits.to_le_bytes(), &mut out[..1]);
            Floats::BF16.read(&bits.to_le_bytes(), &mut out[1..]);
            let expected = f32::from_bits(u32::from(bits) << 16);
            assert!(out[1] == expected || expected.is_nan() && out[1].is_nan());
            if !out[0].is_nan() {
                assert_eq!(f16::from_f32(out[0]).to_bits(), bits);
            }
        }
        let mut out = [0.0; 2];
        Floats::F32.read(&[0, 0, 128, 63, 0, 0, 0, 192], &mut out);
        assert_eq!(out, [1.0, -2.0]);
    }
}
