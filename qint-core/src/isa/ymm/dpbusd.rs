//! AVX-VNNI's multiplier: `vpdpbusd` on 256 bits ([`vnni`](crate::isa::vnni)).
//!
//! 1. Four tokens have eight accumulators; levels and activations leave half a dozen registers free. The sums of the
//!    activation block wait in the first cache. A single token has eight as well, two for each of four quads.
//! 2. The instruction is written out, since only its encoding differs between AVX-VNNI (VEX) and AVX-512 (EVEX): everything
//!    around it is compiled for AVX2 and its sixteen registers, in both tokens alike.
#![allow(unsafe_code)]
use super::{Bytes, I32, Multiplier, Ymm};
use crate::isa::{
    GroupInputs, GroupLevels, LevelRange, features,
    vnni::{self, Vnni},
};
use core::arch::{asm, x86_64::__m256i};

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
        vnni::offset(bias, sum)
    }
    #[inline(always)]
    fn dot_group<R: LevelRange, const P: usize, const T: usize>(
        isa: Ymm<Self>,
        sums: &mut [[I32; T]; P],
        levels: &impl GroupLevels<Bytes, P>,
        x: &impl GroupInputs<T>,
    ) {
        vnni::dot_group::<_, R, P, T>(isa, sums, levels, x);
    }
}

impl<const VEX: bool> Vnni for Ymm<Dpbusd<VEX>> {
    #[inline(always)]
    fn splat_lanes(self, value: i32) -> I32 {
        [self.splat_i32(value); 2]
    }
    #[inline(always)]
    fn splat_quads(self, quad: [i8; 4]) -> Bytes {
        [self.splat_quad(quad); 2]
    }
    #[inline(always)]
    fn shift_right(self, sums: I32, count: i32) -> I32 {
        [self.shifted_i32(sums[0], count), self.shifted_i32(sums[1], count)]
    }
    #[inline(always)]
    fn times(self, dots: I32, sub_scales: Bytes) -> I32 {
        [self.multiply_i32(dots[0], sub_scales[0]), self.multiply_i32(dots[1], sub_scales[1])]
    }
}

impl<const VEX: bool> Ymm<Dpbusd<VEX>> {
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
