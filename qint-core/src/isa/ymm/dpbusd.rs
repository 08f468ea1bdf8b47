//! AVX-VNNI's multiplier, `vpdpbusd`: per lane, four unsigned bytes times four signed ones, added to 32 bits. It wants
//! unsigned levels, which is what codecs decode to, q8 included; nothing saturates.
//!
//! ```text
//! dots = −BIAS · Σx                                       a broadcast from memory
//! for each quad (4 columns of 16 rows), for each token:
//!     dots += vpdpbusd(levels, x)
//! sums += dots · sub_scales                               once per group
//! ```
//!
//! 1. Four tokens have eight accumulators; levels and activations leave half a dozen registers free. The sums of the
//!    activation block wait in the first cache.
//! 2. A single token has eight accumulators as well, two for each of four quads, so that `vpdpbusd` needn't wait for itself.
//! 3. A single token's levels may come shifted: a mask alone takes a field out of a byte, and the shift is undone once per
//!    group.
//! 4. The instruction is written out, since only its encoding differs between AVX-VNNI (VEX) and AVX-512 (EVEX): everything
//!    around it is compiled for AVX2 and its sixteen registers, in both tokens alike.
#![allow(unsafe_code)]
use super::{Bytes, I32, Multiplier, Ymm};
use crate::isa::{GroupInputs, GroupLevels, Isa, LevelRange, features};
use core::{
    arch::{asm, x86_64::__m256i},
    array,
};

/// The proof that this CPU has the 256-bit `vpdpbusd`: in VEX encoding, or else in EVEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dpbusd<const VEX: bool>(());

impl<const VEX: bool> Multiplier for Dpbusd<VEX> {
    const FEATURES: &'static [&'static str] = if VEX {
        &["avx2", "fma", "f16c", "avxvnni"]
    } else {
        &["avx2", "fma", "f16c", "avx512f", "avx512vl", "avx512vnni"]
    };
    const SHIFTED_LEVELS: bool = true;

    fn detect() -> Option<Dpbusd<VEX>> {
        features::all(Self::FEATURES).then_some(Dpbusd(()))
    }
    #[inline(always)]
    fn dot4(isa: Ymm<Self>, sums: I32, unsigned: Bytes, signed: Bytes) -> I32 {
        [isa.dpbusd(sums[0], unsigned[0], signed[0]), isa.dpbusd(sums[1], unsigned[1], signed[1])]
    }
    #[inline(always)]
    fn widen_sub_scales(isa: Ymm<Self>, sub_scales: &[u8; 16]) -> Bytes {
        isa.bits_i8(isa.load_u8x16(sub_scales))
    }
    #[inline(always)]
    fn offset(bias: i32, sum: i32) -> i32 {
        -bias * sum
    }
    #[inline(always)]
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        isa: Ymm<Self>,
        sums: &mut [I32; T],
        levels: &impl GroupLevels<Bytes, P>,
        p: usize,
        x: &impl GroupInputs<T>,
    ) {
        let dots = if T == 1 { isa.chains::<R, P, T>(levels, p, x) } else { isa.tile(levels, p, x) };
        let sub_scales = levels.sub_scales(p);
        for (sums, dots) in sums.iter_mut().zip(dots) {
            let products = [isa.multiply_i32(dots[0], sub_scales[0]), isa.multiply_i32(dots[1], sub_scales[1])];
            *sums = isa.add_i32(*sums, products);
        }
    }
}

impl<const VEX: bool> Ymm<Dpbusd<VEX>> {
    /// One accumulator for every token.
    #[inline(always)]
    fn tile<const P: usize, const T: usize>(
        self,
        levels: &impl GroupLevels<Bytes, P>,
        p: usize,
        x: &impl GroupInputs<T>,
    ) -> [I32; T] {
        let mut dots: [I32; T] = array::from_fn(|t| [self.splat_i32(x.offset(t)); 2]);
        for step in 0..levels.steps() {
            for quad in 0..8 {
                let levels = levels.quad(p, step, quad);
                for (t, dots) in dots.iter_mut().enumerate() {
                    *dots = self.dot4(*dots, levels, [self.splat_quad(x.quad(t, step, quad)); 2]);
                }
            }
        }
        dots
    }

    /// Four accumulators for a single token, the same in every entry.
    #[inline(always)]
    fn chains<R: LevelRange, const P: usize, const T: usize>(
        self,
        levels: &impl GroupLevels<Bytes, P>,
        p: usize,
        x: &impl GroupInputs<T>,
    ) -> [I32; T] {
        let mut chains = [self.zero(); 4];
        chains[R::UNSHIFTED] = [self.splat_i32(x.offset(0)); 2];
        let [mut a, mut b, mut c, mut d] = chains;
        for step in 0..levels.steps() {
            let group = (levels, p, x, step);
            // Not a loop: if the compiler left it one, the accumulators would be in memory.
            a = self.add_quad(a, group, 0);
            b = self.add_quad(b, group, 1);
            c = self.add_quad(c, group, 2);
            d = self.add_quad(d, group, 3);
            a = self.add_quad(a, group, 4);
            b = self.add_quad(b, group, 5);
            c = self.add_quad(c, group, 6);
            d = self.add_quad(d, group, 7);
        }
        let mut chains = [a, b, c, d];
        for (chain, shift) in chains.iter_mut().zip(R::SHIFTS) {
            if shift != 0 {
                *chain = [self.shifted_i32(chain[0], shift), self.shifted_i32(chain[1], shift)];
            }
        }
        let [a, b, c, d] = chains;
        [self.add_i32(self.add_i32(a, b), self.add_i32(c, d)); T]
    }

    /// `sum` and one quad of panel p in a step of a group, for a single token.
    #[inline(always)]
    fn add_quad<const P: usize, const T: usize>(
        self,
        sum: I32,
        (levels, p, x, step): (&impl GroupLevels<Bytes, P>, usize, &impl GroupInputs<T>, usize),
        quad: usize,
    ) -> I32 {
        self.dot4(sum, levels.quad(p, step, quad), [self.splat_quad(x.quad(0, step, quad)); 2])
    }

    /// `sum` and, per lane, four unsigned bytes times four signed ones.
    #[inline(always)]
    fn dpbusd(self, sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
        #[target_feature(enable = "avx2")]
        #[inline]
        unsafe fn body<const VEX: bool>(mut sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
            macro_rules! instruction {
                ($encoding:literal) => {
                    // SAFETY: the caller holds a token, so this CPU has the instruction. It only changes its first operand.
                    unsafe {
                        asm!(
                            concat!($encoding, " vpdpbusd {}, {}, {}"),
                            inout(ymm_reg) sum, in(ymm_reg) unsigned, in(ymm_reg) signed,
                            options(pure, nomem, nostack, preserves_flags)
                        )
                    }
                };
            }
            if VEX {
                instruction!("{{vex}}")
            } else {
                instruction!("{{evex}}")
            }
            sum
        }
        // SAFETY: `self` proves that this CPU has AVX2 and `vpdpbusd` in this encoding: only `detect` makes one.
        unsafe { body::<VEX>(sum, unsigned, signed) }
    }
}
