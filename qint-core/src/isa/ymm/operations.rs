//! The instructions that tokens of 256-bit registers share, each as a safe method: holding a token is the proof that they
//! exist.
#![allow(unsafe_code)]
use super::Ymm;
use crate::isa::{operations::operations, word};
use core::arch::x86_64::*;
use half::{bf16, f16};

operations! { Ymm<M>, "avx2,fma,f16c", enter }

operations! { Ymm<M>, "avx2,fma,f16c",
    fn load_f32(values: &[f32; 8]) -> __m256 {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }
    fn store_f32(values: __m256, to: &mut [f32; 8]) {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), values) }
    }
    fn load_u8x32(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }
    fn store_u8x32(bytes: __m256i, to: &mut [u8; 32]) {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), bytes) }
    }
    fn store_i8x32(bytes: __m256i, to: &mut [i8; 32]) {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), bytes) }
    }
    fn store_i16x16(values: __m256i, to: &mut [i16; 16]) {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), values) }
    }
    fn store_f16x8(values: __m128i, to: &mut [f16; 8]) {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), values) }
    }
    fn store_i32x8(values: __m256i, to: &mut [i32; 8]) {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), values) }
    }
    /// A prefetch reads nothing and never faults: any address will do.
    fn prefetch_into_l1(place: *const i8) {
        _mm_prefetch::<_MM_HINT_T0>(place)
    }
    /// As `prefetch_into_l1`.
    fn prefetch_into_l2(place: *const i8, distance: usize) {
        _mm_prefetch::<_MM_HINT_T1>(place.wrapping_add(distance))
    }
    fn load_u8x16(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }
    fn load_i8x16(bytes: &[i8; 16]) -> __m128i {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }
    fn load_f16x8(values: &[f16; 8]) -> __m128i {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_loadu_si128(values.as_ptr().cast()) }
    }
    fn load_bf16x8(values: &[bf16; 8]) -> __m128i {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_loadu_si128(values.as_ptr().cast()) }
    }
}

operations! { Ymm<M>, "avx2,fma,f16c",
    fn splat_f32(value: f32) -> __m256 { _mm256_set1_ps(value) }
    fn add_f32(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
    fn sub_f32(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
    fn mul_f32(a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
    fn div_f32(a: __m256, b: __m256) -> __m256 { _mm256_div_ps(a, b) }
    fn fma_f32(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
    fn max_f32(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
    fn min_f32(a: __m256, b: __m256) -> __m256 { _mm256_min_ps(a, b) }
    /// To nearest, ties to even: the rounding mode that Rust requires of its surroundings.
    fn round_f32(a: __m256) -> __m256i { _mm256_cvtps_epi32(a) }
    fn i32_to_f32(a: __m256i) -> __m256 { _mm256_cvtepi32_ps(a) }
    fn without_sign(a: __m256) -> __m256i {
        _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(i32::MAX))
    }
    fn add_exponent(a: __m256, exponent: __m256i) -> __m256 {
        _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32::<23>(exponent)))
    }
    fn narrow_to_f16(values: __m256) -> __m128i { _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values) }
    fn largest_f32(a: __m256) -> f32 {
        let a = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let a = _mm_max_ps(a, _mm_movehl_ps(a, a));
        _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)))
    }
    fn bits_f16(values: __m128i) -> __m256 { _mm256_cvtph_ps(values) }
    fn bits_bf16(values: __m128i) -> __m256 {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(values)))
    }
    fn bits_i8(values: __m128i) -> [__m256i; 2] {
        [_mm256_cvtepi8_epi32(values), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(values, values))]
    }
    /// Partner lanes plus own lanes, the latter negated where bit H of the lane is set. H is 1, 2 or 4.
    fn butterfly_f32<const H: usize>(a: __m256) -> __m256 {
        let (partners, negative) = match H {
            1 => (_mm256_permute_ps::<0b10_11_00_01>(a), _mm256_setr_ps(0., -0., 0., -0., 0., -0., 0., -0.)),
            2 => (_mm256_permute_ps::<0b01_00_11_10>(a), _mm256_setr_ps(0., 0., -0., -0., 0., 0., -0., -0.)),
            _ => (_mm256_permute2f128_ps::<1>(a, a), _mm256_setr_ps(0., 0., 0., 0., -0., -0., -0., -0.)),
        };
        _mm256_add_ps(partners, _mm256_xor_ps(a, negative))
    }
}

operations! { Ymm<M>, "avx2,fma,f16c",
    fn splat_i32(value: i32) -> __m256i { _mm256_set1_epi32(value) }
    fn add_i32x8(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
    fn max_i32x8(a: __m256i, b: __m256i) -> __m256i { _mm256_max_epi32(a, b) }
    fn multiply_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_mullo_epi32(a, b) }
    /// Arithmetic shift to the right, to the left if negative. The count is a constant wherever this is inlined.
    fn shifted_i32(a: __m256i, count: i32) -> __m256i {
        if count < 0 {
            _mm256_sll_epi32(a, _mm_cvtsi32_si128(-count))
        } else {
            _mm256_sra_epi32(a, _mm_cvtsi32_si128(count))
        }
    }
    fn add_i16x16(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi16(a, b) }
    fn multiply_i16(a: __m256i, b: __m256i) -> __m256i { _mm256_mullo_epi16(a, b) }
    /// a · b, neighbours added to 32 bits.
    fn multiply_add_i16(a: __m256i, b: __m256i) -> __m256i { _mm256_madd_epi16(a, b) }
    /// Unsigned times signed bytes, neighbours added to 16 bits.
    fn multiply_add_u8_i8(unsigned: __m256i, signed: __m256i) -> __m256i { _mm256_maddubs_epi16(unsigned, signed) }
    fn minus_128(bytes: __m256i) -> __m256i { _mm256_xor_si256(bytes, _mm256_set1_epi8(-128)) }
    fn magnitude_i8(bytes: __m256i) -> __m256i { _mm256_abs_epi8(bytes) }
    /// `a` where `sign` is positive, −a where it is negative, 0 where it is 0.
    fn with_sign_of(a: __m256i, sign: __m256i) -> __m256i { _mm256_sign_epi8(a, sign) }
    fn masked(bytes: __m256i, mask: u8) -> __m256i { _mm256_and_si256(bytes, _mm256_set1_epi8(mask.cast_signed())) }
    /// Words of 16 bits to the right, to the left if negative. The count is a constant wherever this is inlined.
    fn shifted(bytes: __m256i, count: i32) -> __m256i {
        if count < 0 {
            _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(-count))
        } else {
            _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(count))
        }
    }
    fn shuffle_bytes(table: __m128i, indices: __m256i) -> __m256i {
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), indices)
    }
    /// Every byte b as a pair (b, b) of 16-bit numbers.
    fn sign_extended_pairs(bytes: __m128i) -> [__m256i; 2] {
        let (low, high) = (_mm_unpacklo_epi8(bytes, bytes), _mm_unpackhi_epi8(bytes, bytes));
        [_mm256_cvtepi8_epi16(low), _mm256_cvtepi8_epi16(high)]
    }
    /// Sixteen numbers in −32768..=32767 in lane order.
    fn narrow_to_i16(values: [__m256i; 2]) -> __m256i {
        _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(values[0], values[1]))
    }
    fn bits_i16(bytes: __m128i) -> __m256i { _mm256_cvtepi8_epi16(bytes) }
    /// Thirty-two numbers in −128..=127 in lane order.
    fn narrow_to_i8(low: [__m256i; 2], high: [__m256i; 2]) -> __m256i {
        let words = [_mm256_packs_epi32(low[0], low[1]), _mm256_packs_epi32(high[0], high[1])];
        let bytes = _mm256_packs_epi16(words[0], words[1]);
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
    }
}

impl<M: Copy> Ymm<M> {
    #[inline(always)]
    pub(super) fn widen_f16(self, values: &[f16; 8]) -> __m256 {
        self.bits_f16(self.load_f16x8(values))
    }
    #[inline(always)]
    pub(super) fn widen_bf16(self, values: &[bf16; 8]) -> __m256 {
        self.bits_bf16(self.load_bf16x8(values))
    }
    #[inline(always)]
    pub(super) fn widen_i8(self, values: &[i8; 16]) -> [__m256i; 2] {
        self.bits_i8(self.load_i8x16(values))
    }
    #[inline(always)]
    pub(super) fn widen_to_i16(self, values: &[i8; 16]) -> __m256i {
        self.bits_i16(self.load_i8x16(values))
    }
    #[inline(always)]
    pub(super) fn pairs_of_i8(self, values: &[u8; 16]) -> [__m256i; 2] {
        self.sign_extended_pairs(self.load_u8x16(values))
    }
    #[inline(always)]
    pub(super) fn shuffle(self, table: &[u8; 16], indices: __m256i) -> __m256i {
        self.shuffle_bytes(self.load_u8x16(table), indices)
    }
    /// Four neighbouring activations in every lane.
    #[inline(always)]
    pub(super) fn splat_quad(self, quad: [i8; 4]) -> __m256i {
        self.splat_i32(word(quad))
    }
}
