//! The token of every CPU: plain Rust over arrays of sixteen.
use super::{GroupInputs, GroupLevels, Isa, Lanes, LevelRange, Tile, pair};
use half::{bf16, f16};

/// No requirement at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable;

/// Sixteen rows' quads: byte c of a word is column c.
type Words = [u32; 16];

#[inline(always)]
fn zip(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    core::array::from_fn(|i| f(a[i], b[i]))
}

impl Isa for Portable {
    type F32 = Lanes;
    type I32 = [i32; 16];
    type Bytes = Words;
    const TILE: Tile = Tile::Small;
    const SHIFTED_LEVELS: bool = false;
    const ROWS: usize = 1;

    #[inline(always)]
    fn run<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        [value; 16]
    }
    #[inline(always)]
    fn load(self, values: &Lanes) -> Lanes {
        *values
    }
    #[inline(always)]
    fn store(self, values: Lanes, to: &mut Lanes) {
        *to = values;
    }
    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        fma(a, b, c)
    }
    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn round_to_i32(self, a: Lanes) -> [i32; 16] {
        a.map(|x| libm::rintf(x) as i32)
    }
    #[inline(always)]
    fn to_f32(self, a: [i32; 16]) -> Lanes {
        a.map(|x| x as f32)
    }
    #[inline(always)]
    fn scale_by_power_of_two(self, a: Lanes, exponent: [i32; 16]) -> Lanes {
        core::array::from_fn(|i| f32::from_bits(a[i].to_bits().wrapping_add((exponent[i] as u32) << 23)))
    }
    #[inline(always)]
    fn load_f16(self, values: &[f16; 16]) -> Lanes {
        values.map(f16::to_f32)
    }
    #[inline(always)]
    fn load_bf16(self, values: &[bf16; 16]) -> Lanes {
        values.map(bf16::to_f32)
    }
    #[inline(always)]
    fn load_i8(self, values: &[i8; 16]) -> Lanes {
        values.map(f32::from)
    }
    #[inline(always)]
    fn store_f16(self, values: Lanes, to: &mut [f16; 16]) {
        *to = values.map(f16::from_f32);
    }
    #[inline(always)]
    fn butterfly<const H: usize>(self, a: Lanes) -> Lanes {
        core::array::from_fn(|i| if i & H == 0 { a[i] + a[i ^ H] } else { a[i ^ H] - a[i] })
    }

    #[inline(always)]
    fn zero(self) -> [i32; 16] {
        [0; 16]
    }
    #[inline(always)]
    fn add_i32(self, a: [i32; 16], b: [i32; 16]) -> [i32; 16] {
        core::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn max_i32(self, a: [i32; 16], b: [i32; 16]) -> [i32; 16] {
        core::array::from_fn(|i| a[i].max(b[i]))
    }
    #[inline(always)]
    fn store_i32(self, values: [i32; 16], to: &mut [i32; 16]) {
        *to = values;
    }
    #[inline(always)]
    fn store_i16(self, values: [i32; 16], to: &mut [i16; 16]) {
        *to = values.map(|x| x as i16);
    }
    #[inline(always)]
    fn load_pairs(self, values: &[i8; 32]) -> [i32; 16] {
        core::array::from_fn(|i| pair([i16::from(values[2 * i]), i16::from(values[2 * i + 1])]))
    }
    #[inline(always)]
    fn splat_pair(self, values: [i16; 2]) -> [i32; 16] {
        [pair(values); 16]
    }
    #[inline(always)]
    fn dot2(self, sum: [i32; 16], a: [i32; 16], b: [i32; 16]) -> [i32; 16] {
        let low = |x: i32| i32::from(x as i16);
        core::array::from_fn(|i| {
            let products = low(a[i]) * low(b[i]);
            sum[i].wrapping_add(products).wrapping_add((a[i] >> 16) * (b[i] >> 16))
        })
    }
    #[inline(always)]
    fn store_i8(self, low: [i32; 16], high: [i32; 16], to: &mut [i8; 32]) {
        *to = core::array::from_fn(|i| if i < 16 { low[i] as i8 } else { high[i - 16] as i8 });
    }
    #[inline(always)]
    fn magnitude_bits(self, a: Lanes) -> [i32; 16] {
        a.map(|x| x.abs().to_bits().cast_signed())
    }
    #[inline(always)]
    fn dot4(self, sums: [i32; 16], unsigned: Words, signed: Words) -> [i32; 16] {
        let product = |i: usize, c: u32| {
            let (a, b) = (unsigned[i] >> (8 * c) & 0xff, signed[i] << (24 - 8 * c));
            a.cast_signed() * (b.cast_signed() >> 24)
        };
        core::array::from_fn(|i| {
            let products = product(i, 0) + product(i, 1) + product(i, 2) + product(i, 3);
            sums[i].wrapping_add(products)
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &T) {}
    #[inline(always)]
    fn prefetch_far<T: ?Sized>(self, _: &T, _: usize) {}
    #[inline(always)]
    fn load_bytes(self, bytes: &[u8; 64]) -> Words {
        let (quads, _) = bytes.as_chunks::<4>();
        core::array::from_fn(|row| u32::from_le_bytes(quads[row]))
    }
    #[inline(always)]
    fn store_bytes(self, bytes: Words, to: &mut [u8; 64]) {
        let (quads, _) = to.as_chunks_mut::<4>();
        for (quad, word) in quads.iter_mut().zip(bytes) {
            *quad = word.to_le_bytes();
        }
    }
    #[inline(always)]
    fn field(self, bytes: Words, shift: i32, mask: u8) -> Words {
        let mask = u32::from_le_bytes([mask; 4]);
        if shift < 0 { bytes.map(|word| word << -shift & mask) } else { bytes.map(|word| word >> shift & mask) }
    }
    #[inline(always)]
    fn lookup(self, table: &[u8; 16], indices: Words) -> Words {
        indices.map(|word| u32::from_le_bytes(word.to_le_bytes().map(|index| table[usize::from(index & 15)])))
    }

    #[inline(always)]
    fn widen_sub_scales(self, sub_scales: &[u8; 16]) -> Words {
        sub_scales.map(|scale| i32::from(scale.cast_signed()).cast_unsigned())
    }
    #[inline(always)]
    fn offset(bias: i32, sum: i32) -> i32 {
        -bias * sum
    }
    /// A word of levels times a quad of activations, byte by byte.
    #[inline(always)]
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        self,
        sums: &mut [[[i32; 16]; T]; P],
        levels: impl GroupLevels<Words, P>,
        x: impl GroupInputs<T>,
    ) {
        for (p, sums) in sums.iter_mut().enumerate() {
            let sub_scales = levels.sub_scales(p);
            for (t, sums) in sums.iter_mut().enumerate() {
                let mut dots = [x.offset(t); 16];
                for step in 0..levels.steps() {
                    for quad in 0..8 {
                        let x = x.quad(t, step, quad);
                        for (dot, word) in dots.iter_mut().zip(levels.quad(p, step, quad)) {
                            for (c, x) in x.into_iter().enumerate() {
                                *dot += (word >> (8 * c) & 0xff) as i32 * i32::from(x);
                            }
                        }
                    }
                }
                for ((sum, dot), sub_scale) in sums.iter_mut().zip(dots).zip(sub_scales) {
                    *sum = sum.wrapping_add(dot.wrapping_mul(sub_scale.cast_signed()));
                }
            }
        }
    }
}

/// a · b + c, each with one rounding.
#[cfg(not(all(not(feature = "std"), qint_vfma)))]
#[inline(always)]
fn fma(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    #[cfg(feature = "std")]
    let one = f32::mul_add;
    #[cfg(not(feature = "std"))]
    let one = libm::fmaf;
    core::array::from_fn(|i| one(a[i], b[i], c[i]))
}

/// The same by a Cortex-M's FPU, whose instruction core offers only with std.
#[cfg(all(not(feature = "std"), qint_vfma))]
#[inline(always)]
#[allow(unsafe_code, reason = "nothing safe names the instruction")]
fn fma(a: Lanes, b: Lanes, mut c: Lanes) -> Lanes {
    for ((a, b), c) in a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0).zip(c.as_chunks_mut::<4>().0) {
        // SAFETY: build.rs sets the cfg for targets with this FPU; the pointers are those of four f32 each.
        unsafe {
            core::arch::asm!(
                "vldmia {a}, {{s0-s3}}",
                "vldmia {b}, {{s4-s7}}",
                "vldmia {c}, {{s8-s11}}",
                "vfma.f32 s8, s0, s4",
                "vfma.f32 s9, s1, s5",
                "vfma.f32 s10, s2, s6",
                "vfma.f32 s11, s3, s7",
                "vstmia {c}, {{s8-s11}}",
                a = in(reg) a,
                b = in(reg) b,
                c = in(reg) c,
                out("s0") _, out("s1") _, out("s2") _, out("s3") _,
                out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                out("s8") _, out("s9") _, out("s10") _, out("s11") _,
                options(nostack),
            );
        }
    }
    c
}
