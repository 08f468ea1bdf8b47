//! Codecs: how a stored code of 1, 2, 4 or 8 bits becomes a small integer level.
//!
//! A weight is `row_scale · sub_scale · level(code)`. Levels of every codec but q8 lie in −63..=63, so that `level + 64` is
//! an unsigned 7-bit number and no backend's multiply-add can saturate. q8 spans −128..=127 (writers use −127..=127).

/// How a code becomes a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// 8 bits, level = code − 128.
    Q8,
    /// 4 bits, an asymmetric table of 16 levels.
    Q4,
    /// 4 bits, level = code − 8.
    Q4Linear,
    /// 2 bits, an asymmetric table of 4 levels.
    Q2,
    /// 2 bits, level = 4·code − 5.
    Q2Linear,
    /// 1 bit, −1 or +1.
    Q1,
}

/// Columns of one row that share a sub-scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Group {
    /// 32 columns.
    G32 = 32,
    /// 64 columns.
    G64 = 64,
    /// 128 columns.
    G128 = 128,
}

/// Levels of [`Codec::Q4`], trained for the normal distribution (docs/decisions/0001-codec-tables.md).
pub const Q4_LEVELS: [i8; 16] = [-58, -45, -35, -27, -20, -14, -8, -2, 4, 10, 16, 22, 29, 37, 47, 63];
/// Levels of [`Codec::Q2`].
pub const Q2_LEVELS: [i8; 4] = [-43, -7, 21, 61];

const Q4_LINEAR_LEVELS: [i8; 16] = [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7];
const Q2_LINEAR_LEVELS: [i8; 4] = [-5, -1, 3, 7];
const Q1_LEVELS: [i8; 2] = [-1, 1];

const Q8_LEVELS: [i8; 256] = {
    let mut levels = [0; 256];
    let mut code = 0;
    while code < 256 {
        levels[code] = (code as i32 - 128) as i8;
        code += 1;
    }
    levels
};

impl Codec {
    /// All codecs, widest first.
    pub const ALL: [Codec; 6] = [Codec::Q8, Codec::Q4, Codec::Q4Linear, Codec::Q2, Codec::Q2Linear, Codec::Q1];

    /// Bits of one code: 1, 2, 4 or 8.
    pub const fn bits(self) -> usize {
        match self {
            Codec::Q8 => 8,
            Codec::Q4 | Codec::Q4Linear => 4,
            Codec::Q2 | Codec::Q2Linear => 2,
            Codec::Q1 => 1,
        }
    }

    /// Codes in one byte: 1, 2, 4 or 8.
    pub const fn fields(self) -> usize {
        8 / self.bits()
    }

    /// The name used in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Q8 => "q8",
            Codec::Q4 => "q4",
            Codec::Q4Linear => "q4-linear",
            Codec::Q2 => "q2",
            Codec::Q2Linear => "q2-linear",
            Codec::Q1 => "q1",
        }
    }

    /// The codec of that [`name`](Codec::name).
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// The group that is used where none is asked for.
    pub const fn default_group(self) -> Group {
        match self {
            Codec::Q8 | Codec::Q4 | Codec::Q4Linear => Group::G32,
            Codec::Q2 | Codec::Q2Linear => Group::G64,
            Codec::Q1 => Group::G128,
        }
    }

    /// The level of every code, `2^bits` of them, ascending.
    pub const fn levels(self) -> &'static [i8] {
        match self {
            Codec::Q8 => &Q8_LEVELS,
            Codec::Q4 => &Q4_LEVELS,
            Codec::Q4Linear => &Q4_LINEAR_LEVELS,
            Codec::Q2 => &Q2_LEVELS,
            Codec::Q2Linear => &Q2_LINEAR_LEVELS,
            Codec::Q1 => &Q1_LEVELS,
        }
    }

    /// The level of `code`, of which only the low [`bits`](Codec::bits) count.
    pub const fn level(self, code: u8) -> i8 {
        let levels = self.levels();
        levels[code as usize & (levels.len() - 1)]
    }
}

impl Group {
    /// All groups, finest first.
    pub const ALL: [Group; 3] = [Group::G32, Group::G64, Group::G128];

    /// Its columns: 32, 64 or 128.
    pub const fn cols(self) -> usize {
        self as usize
    }

    /// The group of that many columns.
    pub const fn from_cols(cols: usize) -> Option<Group> {
        match cols {
            32 => Some(Group::G32),
            64 => Some(Group::G64),
            128 => Some(Group::G128),
            _ => None,
        }
    }
}
