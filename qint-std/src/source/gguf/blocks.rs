//! ggml's block formats → f32, with the arithmetic of its reference (`dequantize_row_*` in ggml-quants.c): f16 scales are
//! widened to f32, products and differences are f32, rounded one by one.
//!
//! ```text
//! 32 values   q8_0  d·q            q4_0  d·(q−8)     q4_1  d·q + m     q5_0  d·(q−16)    q5_1  d·q + m
//! 256 values  q4_K  (d·s)·q − dmin·t                 q5_K  the same with a fifth bit      q6_K  (d·s)·(q−32)
//! ```
use crate::source::Floats;
use half::f16;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Floats(Floats),
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Stored {
    /// From ggml's number; the error is ggml's name for a format that is not read.
    pub(super) fn from_number(number: u32) -> Result<Stored, String> {
        Ok(match number {
            0 => Stored::Floats(Floats::F32),
            1 => Stored::Floats(Floats::F16),
            2 => Stored::Q4_0,
            3 => Stored::Q4_1,
            6 => Stored::Q5_0,
            7 => Stored::Q5_1,
            8 => Stored::Q8_0,
            12 => Stored::Q4K,
            13 => Stored::Q5K,
            14 => Stored::Q6K,
            30 => Stored::Floats(Floats::BF16),
            other => return Err(unread_name(other)),
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Stored::Floats(floats) => floats.name(),
            Stored::Q4_0 => "q4_0",
            Stored::Q4_1 => "q4_1",
            Stored::Q5_0 => "q5_0",
            Stored::Q5_1 => "q5_1",
            Stored::Q8_0 => "q8_0",
            Stored::Q4K => "q4_k",
            Stored::Q5K => "q5_k",
            Stored::Q6K => "q6_k",
        }
    }

    /// Values in one block, and its bytes.
    const fn block(self) -> (usize, usize) {
        match self {
            Stored::Floats(floats) => (1, floats.size()),
            Stored::Q4_0 => (32, 18),
            Stored::Q4_1 => (32, 20),
            Stored::Q5_0 => (32, 22),
            Stored::Q5_1 => (32, 24),
            Stored::Q8_0 => (32, 34),
            Stored::Q4K => (256, 144),
            Stored::Q5K => (256, 176),
            Stored::Q6K => (256, 210),
        }
    }

    /// Bytes of `count` values in whole blocks, or `None`.
    pub(super) fn bytes(self, count: usize) -> Option<usize> {
        let (values, bytes) = self.block();
        if count.is_multiple_of(values) { (count / values).checked_mul(bytes) } else { None }
    }

    /// The values of the blocks in `bytes`; `out` is as long as there are.
    pub(super) fn read(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Stored::Floats(floats) => floats.read(bytes, out),
            Stored::Q4_0 => each(bytes, out, q4_0),
            Stored::Q4_1 => each(bytes, out, q4_1),
            Stored::Q5_0 => each(bytes, out, q5_0),
            Stored::Q5_1 => each(bytes, out, q5_1),
            Stored::Q8_0 => each(bytes, out, q8_0),
            Stored::Q4K => each(bytes, out, q4_k),
            Stored::Q5K => each(bytes, out, q5_k),
            Stored::Q6K => each(bytes, out, q6_k),
        }
    }
}

fn each<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    out: &mut [f32],
    decode: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let (out, _) = out.as_chunks_mut::<VALUES>();
    blocks.iter().zip(out).for_each(|(block, out)| decode(block, out));
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(q as i8) * d;
    }
}

/// Low nibbles are the first half of the values, high nibbles the second.
fn nibbles(codes: &[u8], out: &mut [f32; 32], value: impl Fn(usize, u8) -> f32) {
    for (i, &pair) in codes.iter().enumerate().take(16) {
        out[i] = value(i, pair & 15);
        out[i + 16] = value(i + 16, pair >> 4);
    }
}

fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    nibbles(&block[2..], out, |_, q| d * f32::from(q as i8 - 8));
}

fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    nibbles(&block[4..], out, |_, q| d * f32::from(q) + m);
}

/// The fifth bit of value i is bit i of a little-endian word.
fn fifth(word: &[u8], i: usize) -> u8 {
    (word[i / 8] >> (i % 8) & 1) << 4
}

fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    nibbles(&block[6..], out, |i, q| d * f32::from((q | fifth(&block[2..6], i)) as i8 - 16));
}

fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    nibbles(&block[8..], out, |i, q| d * f32::from(q | fifth(&block[4..8], i)) + m);
}

/// Scale and minimum of sub-block `i` of 8, 6 bits each, from 12 bytes.
fn scale_and_minimum(packed: &[u8], i: usize) -> (f32, f32) {
    let (scale, minimum) = if i < 4 {
        (packed[i] & 63, packed[i + 4] & 63)
    } else {
        let both = packed[i + 4];
        (both & 15 | packed[i - 4] >> 6 << 4, both >> 4 | packed[i] >> 6 << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    k_with_minimum(&block[..16], &block[16..], |_, _| 0, out);
}

fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    k_with_minimum(&block[..16], &block[48..], |sub_block, i| (block[16 + i] >> sub_block & 1) << 4, out);
}

/// `head` is d, dmin, 12 bytes of scales; 32 code bytes hold sub-blocks 2n (low nibbles) and 2n + 1 (high nibbles).
fn k_with_minimum(head: &[u8], codes: &[u8], fifth: impl Fn(usize, usize) -> u8, out: &mut [f32; 256]) {
    let (d, d_minimum) = (half_at(head, 0), half_at(head, 2));
    let (sub_blocks, _) = out.as_chunks_mut::<32>();
    for (n, out) in sub_blocks.iter_mut().enumerate() {
        let (scale, minimum) = scale_and_minimum(&head[4..], n);
        let (scale, minimum) = (d * scale, d_minimum * minimum);
        let codes = &codes[n / 2 * 32..][..32];
        for (i, (out, &pair)) in out.iter_mut().zip(codes).enumerate() {
            let q = pair >> (n % 2 * 4) & 15 | fifth(n, i);
            *out = scale * f32::from(q) - minimum;
        }
    }
}

/// Two halves of 128 values: 64 bytes of low nibbles, 32 bytes of two high bits, 8 scales each.
fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half_at(block, 208);
    for (at, out) in out.iter_mut().enumerate() {
        let (half, quarter, i) = (at / 128, at % 128 / 32, at % 32);
        let low = block[half * 64 + quarter % 2 * 32 + i] >> (quarter / 2 * 4) & 15;
        let high = block[128 + half * 32 + i] >> (quarter * 2) & 3;
        let scale = d * f32::from(block[192 + at / 16] as i8);
        *out = scale * f32::from((low | high << 4) as i8 - 32);
    }
}

fn unread_name(number: u32) -> String {
    let name = match number {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        other => return format!("ggml type {other}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    fn unhex(text: &str) -> Vec<u8> {
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// Random blocks and what the Python package `gguf` makes of them, bit for bit.
    #[test]
    fn every_format_equals_the_golden_values() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/gguf/blocks.json");
        let golden: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let formats = golden["formats"].as_object().unwrap();
        assert_eq!(formats.len(), 11);
        for (name, format) in formats {
            let stored = Stored::from_number(u32::try_from(format["number"].as_u64().unwrap()).unwrap()).unwrap();
            assert_eq!(stored.name(), name);
            let (blocks, expected) =
                (unhex(format["blocks"].as_str().unwrap()), unhex(format["values"].as_str().unwrap()));
            let mut values = vec![0.0; expected.len() / 4];
            assert_eq!(stored.bytes(values.len()), Some(blocks.len()), "{name}");
            stored.read(&blocks, &mut values);
            let bits: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert!(bits == expected, "{name}");
        }
    }
}
