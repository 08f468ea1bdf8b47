//! One decoder per codec: a field of a vector of codes becomes 64 unsigned levels.
//!
//! Unsigned means `level + BIAS`, the bias being the codec's lowest level, negated; [`Isa::dot_group`] takes it back. A linear
//! codec whose levels are `step · code − bias` needs no table: its field is masked out where it already has the weight
//! `step`. Everything here follows from [`Codec::levels`]; no level is written down twice.
use crate::{
    codec::Codec,
    isa::{Isa, LevelRange},
};

/// How the codes of one codec become levels.
pub(super) trait Decode: LevelRange {
    /// Codes in a byte: quads in a vector of codes.
    const FIELDS: usize;
    /// Vectors of codes that hold 32 columns.
    const VECTORS: usize = 8 / Self::FIELDS;

    /// The levels of one field (below `FIELDS`).
    fn decode<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes;

    /// How far [`decode_shifted`](Decode::decode_shifted) leaves the levels of field f shifted to the left (to the right if
    /// negative): entry f % 4.
    const SHIFTS: [i32; 4] = [0; 4];

    /// The levels of one field, times a power of two: where masks do without shifts.
    #[inline(always)]
    fn decode_shifted<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        Self::decode(isa, codes, field)
    }
}

/// Levels as they come out of memory: shifted, if the CPU can multiply those.
pub(super) struct Streamed<I, D>(core::marker::PhantomData<(I, D)>);

impl<I: Isa, D: Decode> LevelRange for Streamed<I, D> {
    const BIAS: i32 = D::BIAS;
    const MAX: i32 = if I::SHIFTED_LEVELS { u8::MAX as i32 } else { D::MAX };
    const SHIFTS: [i32; 4] = if I::SHIFTED_LEVELS { <D as Decode>::SHIFTS } else { [0; 4] };
}

pub(super) struct Q8;
pub(super) struct Q4;
pub(super) struct Q4Linear;
pub(super) struct Q2;
pub(super) struct Q2Linear;
pub(super) struct Q1;

macro_rules! level_range {
    ($($codec:ident)*) => {$(
        impl LevelRange for $codec {
            const BIAS: i32 = bias(Codec::$codec);
            const MAX: i32 = Codec::$codec.levels()[Codec::$codec.levels().len() - 1] as i32 + bias(Codec::$codec);
        }
    )*};
}
level_range! { Q8 Q4 Q4Linear Q2 Q2Linear Q1 }

impl Decode for Q8 {
    const FIELDS: usize = 1;

    #[inline(always)]
    fn decode<I: Isa>(_: I, codes: I::Bytes, _: usize) -> I::Bytes {
        codes
    }
}

impl Decode for Q4 {
    const FIELDS: usize = 2;

    #[inline(always)]
    fn decode<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        const LEVELS: [u8; 16] = nibble_table(Codec::Q4, 0);
        isa.lookup(&LEVELS, isa.field(codes, 4 * field as i32, 0x0f))
    }
}

impl Decode for Q4Linear {
    const FIELDS: usize = 2;

    #[inline(always)]
    fn decode<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        const { assert!(step(Codec::Q4Linear) == 1) };
        isa.field(codes, 4 * field as i32, 0x0f)
    }

    const SHIFTS: [i32; 4] = [0, 4, 0, 4];
    #[inline(always)]
    fn decode_shifted<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        isa.field(codes, 0, 0x0f << (4 * field))
    }
}

/// Two fields are looked up from one nibble, which saves half of the shifts.
impl Decode for Q2 {
    const FIELDS: usize = 4;

    #[inline(always)]
    fn decode<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        const LEVELS: [[u8; 16]; 2] = [nibble_table(Codec::Q2, 0), nibble_table(Codec::Q2, 2)];
        let nibble = isa.field(codes, (field as i32 / 2) * 4, 0x0f);
        isa.lookup(&LEVELS[field % 2], nibble)
    }
}

impl Decode for Q2Linear {
    const FIELDS: usize = 4;

    #[inline(always)]
    fn decode<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        const { assert!(step(Codec::Q2Linear) == 4) };
        isa.field(codes, 2 * field as i32 - 2, 0b1100)
    }

    const SHIFTS: [i32; 4] = [-2, 0, 2, 4];
    #[inline(always)]
    fn decode_shifted<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        isa.field(codes, 0, 0b11 << (2 * field))
    }
}

impl Decode for Q1 {
    const FIELDS: usize = 8;

    #[inline(always)]
    fn decode<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        const { assert!(step(Codec::Q1) == 2) };
        isa.field(codes, field as i32 - 1, 0b10)
    }

    const SHIFTS: [i32; 4] = [-1, 0, 1, 2];
    #[inline(always)]
    fn decode_shifted<I: Isa>(isa: I, codes: I::Bytes, field: usize) -> I::Bytes {
        isa.field(codes, field as i32 / 4 * 4, 1 << (field % 4))
    }
}

const fn bias(codec: Codec) -> i32 {
    -(codec.levels()[0] as i32)
}

/// The distance between neighbouring levels of a linear codec; 0 if it is none.
const fn step(codec: Codec) -> i32 {
    let levels = codec.levels();
    let step = levels[1] as i32 - levels[0] as i32;
    let mut code = 1;
    while code < levels.len() {
        if levels[code] as i32 - levels[code - 1] as i32 != step {
            return 0;
        }
        code += 1;
    }
    step
}

/// Entry n: the unsigned level of the code in n's bits from `shift` on.
const fn nibble_table(codec: Codec, shift: usize) -> [u8; 16] {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        table[nibble] = (codec.level(nibble as u8 >> shift) as i32 + bias(codec)) as u8;
        nibble += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::isa::Portable;

    fn check<D: Decode>(codec: Codec) {
        assert_eq!((D::FIELDS, D::VECTORS * D::FIELDS), (codec.fields(), 8));
        for byte in 0..=255u8 {
            for field in 0..D::FIELDS {
                let codes = Portable.load_bytes(&[byte; 64]);
                let mut levels = [0; 64];
                Portable.store_bytes(D::decode(Portable, codes, field), &mut levels);
                let unsigned = levels[7];
                let level = codec.level(byte >> (field * codec.bits()));
                assert_eq!(i32::from(unsigned) - D::BIAS, i32::from(level), "{codec:?} {byte:#x} {field}");
                assert!(i32::from(unsigned) <= D::MAX);
                let mut shifted = [0; 64];
                Portable.store_bytes(D::decode_shifted(Portable, codes, field), &mut shifted);
                let shift = <D as Decode>::SHIFTS[field % 4];
                let unshifted = if shift < 0 { shifted[9] << -shift } else { shifted[9] >> shift };
                assert_eq!(unshifted, unsigned, "{codec:?} {byte:#x} {field}");
            }
        }
        assert!(codec == Codec::Q8 || D::MAX <= 127, "a level of {codec:?} could saturate");
    }

    #[test]
    fn every_byte_decodes_to_its_levels() {
        check::<Q8>(Codec::Q8);
        check::<Q4>(Codec::Q4);
        check::<Q4Linear>(Codec::Q4Linear);
        check::<Q2>(Codec::Q2);
        check::<Q2Linear>(Codec::Q2Linear);
        check::<Q1>(Codec::Q1);
    }
}
