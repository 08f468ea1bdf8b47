//! CRC-32 (ISO 3309, as in zip and PNG), four bits at a time: a table of 64 bytes.

const POLYNOMIAL: u32 = 0xedb8_8320;

const TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut remainder = nibble as u32;
        let mut bit = 0;
        while bit < 4 {
            remainder = if remainder & 1 == 1 { remainder >> 1 ^ POLYNOMIAL } else { remainder >> 1 };
            bit += 1;
        }
        table[nibble] = remainder;
        nibble += 1;
    }
    table
};

/// The checksum of some bytes, and of those that follow.
#[derive(Clone, Copy, Debug)]
pub struct Checksum(u32);

impl Checksum {
    /// Of nothing.
    #[expect(clippy::new_without_default, reason = "a checksum of nothing is no default of anything")]
    pub const fn new() -> Checksum {
        Checksum(!0)
    }

    /// Goes on with `bytes`.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Checksum {
        let step = |state: u32, nibble: u32| state >> 4 ^ TABLE[(nibble & 15) as usize];
        Checksum(bytes.iter().fold(self.0, |state, byte| {
            let byte = u32::from(*byte);
            let state = step(state, state ^ byte);
            step(state, state ^ byte >> 4)
        }))
    }

    /// The CRC-32.
    pub const fn value(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Checksum;

    #[test]
    fn has_the_published_check_value() {
        assert_eq!(Checksum::new().with(b"12345").with(b"6789").value(), 0xcbf4_3926);
        assert_eq!(Checksum::new().value(), 0);
    }
}
