//! The instructions that the AVX-512-VNNI token uses, each as a safe method.
#![allow(unsafe_code)]
use super::Avx512Vnni;
use crate::isa::operations::operations;
use core::arch::x86_64::*;
use half::{bf16, f16};

operations! { Avx512Vnni, "avx512f,avx512bw,avx512vl,avx512vnni", enter }

operations! { Avx512Vnni, "avx512f,avx512bw,avx512vl,avx512vnni",
    fn load_f32(values: &[f32; 16]) -> __m512 {
        // SAFETY: the array is 64 bytes long; no alignment is needed.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }
    fn store_f32(values: __m512, to: &mut [f32; 16]) {
        // SAFETY: the array is 64 bytes long; no alignment is needed.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), values) }
    }
    fn load_u8x64(bytes: &[u8; 64]) -> __m512i {
        // SAFETY: the array is 64 bytes long; no alignment is needed.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }
    fn store_u8x64(bytes: __m512i, to: &mut [u8; 64]) {
        // SAFETY: the array is 64 bytes long; no alignment is needed.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), bytes) }
    }
    fn store_i32x16(values: __m512i, to: &mut [i32; 16]) {
        // SAFETY: the array is 64 bytes long; no alignment is needed.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), values) }
    }
    fn store_i8x16(bytes: __m128i, to: &mut [i8; 16]) {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), bytes) }
    }
    fn store_i16x16(values: __m256i, to: &mut [i16; 16]) {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), values) }
    }
    fn store_f16x16(values: __m256i, to: &mut [f16; 16]) {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), values) }
    }
    fn load_i8x32(bytes: &[i8; 32]) -> __m256i {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }
    fn load_u8x16(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }
    fn load_i8x16(bytes: &[i8; 16]) -> __m128i {
        // SAFETY: the array is 16 bytes long; no alignment is needed.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }
    fn load_f16x16(values: &[f16; 16]) -> __m256i {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
    }
    fn load_bf16x16(values: &[bf16; 16]) -> __m256i {
        // SAFETY: the array is 32 bytes long; no alignment is needed.
        unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
    }
    /// A prefetch reads nothing and never faults: any address will do.
    fn prefetch_into_l1(place: *const i8) {
        _mm_prefetch::<_MM_HINT_T0>(place)
    }
    /// As `prefetch_into_l1`.
    fn prefetch_into_l2(place: *const i8, distance: usize) {
        _mm_prefetch::<_MM_HINT_T1>(place.wrapping_add(distance))
    }
}

operations! { Avx512Vnni, "avx512f,avx512bw,avx512vl,avx512vnni",
    fn splat_f32(value: f32) -> __m512 { _mm512_set1_ps(value) }
    fn add_f32(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
    fn sub_f32(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
    fn mul_f32(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
    fn div_f32(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
    fn fma_f32(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
    fn max_f32(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
    fn min_f32(a: __m512, b: __m512) -> __m512 { _mm512_min_ps(a, b) }
    /// To nearest, ties to even: the rounding mode that Rust requires of its surroundings.
    fn round_f32(a: __m512) -> __m512i { _mm512_cvtps_epi32(a) }
    fn i32_to_f32(a: __m512i) -> __m512 { _mm512_cvtepi32_ps(a) }
    fn without_sign(a: __m512) -> __m512i { _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(i32::MAX)) }
    fn add_exponent(a: __m512, exponent: __m512i) -> __m512 {
        _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32::<23>(exponent)))
    }
    fn narrow_to_f16(values: __m512) -> __m256i { _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(values) }
    fn largest_f32(a: __m512) -> f32 {
        let a = _mm512_max_ps(a, _mm512_shuffle_f32x4::<0b01_00_11_10>(a, a));
        let a = _mm512_castps512_ps128(_mm512_max_ps(a, _mm512_shuffle_f32x4::<0b10_11_00_01>(a, a)));
        let a = _mm_max_ps(a, _mm_movehl_ps(a, a));
        _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)))
    }
    fn widen_f16(values: __m256i) -> __m512 { _mm512_cvtph_ps(values) }
    fn widen_bf16(values: __m256i) -> __m512 {
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(values)))
    }
    /// Partner lanes plus own lanes, the latter subtracted where bit H of the lane is set. H is 1, 2, 4 or 8.
    fn butterfly_f32<const H: usize>(a: __m512) -> __m512 {
        let (partners, subtract) = match H {
            1 => (_mm512_permute_ps::<0b10_11_00_01>(a), 0b1010_1010_1010_1010),
            2 => (_mm512_permute_ps::<0b01_00_11_10>(a), 0b1100_1100_1100_1100),
            4 => (_mm512_shuffle_f32x4::<0b10_11_00_01>(a, a), 0b1111_0000_1111_0000),
            _ => (_mm512_shuffle_f32x4::<0b01_00_11_10>(a, a), 0b1111_1111_0000_0000),
        };
        _mm512_mask_sub_ps(_mm512_add_ps(partners, a), subtract, partners, a)
    }
}

operations! { Avx512Vnni, "avx512f,avx512bw,avx512vl,avx512vnni",
    fn splat_i32(value: i32) -> __m512i { _mm512_set1_epi32(value) }
    fn add_i32x16(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
    fn max_i32x16(a: __m512i, b: __m512i) -> __m512i { _mm512_max_epi32(a, b) }
    fn multiply_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_mullo_epi32(a, b) }
    /// Arithmetic shift to the right, to the left if negative. The count is a constant wherever this is inlined.
    fn shifted_i32(a: __m512i, count: i32) -> __m512i {
        if count < 0 {
            _mm512_sll_epi32(a, _mm_cvtsi32_si128(-count))
        } else {
            _mm512_sra_epi32(a, _mm_cvtsi32_si128(count))
        }
    }
    /// `sum` and, per lane, four unsigned levels times four signed activations.
    fn dot4(sum: __m512i, levels: __m512i, quad: __m512i) -> __m512i { _mm512_dpbusd_epi32(sum, levels, quad) }
    /// `sum` and, per lane, two products of 16-bit numbers.
    fn dot_pairs(sum: __m512i, a: __m512i, b: __m512i) -> __m512i { _mm512_dpwssd_epi32(sum, a, b) }
    fn widen_to_i16(bytes: __m256i) -> __m512i { _mm512_cvtepi8_epi16(bytes) }
    fn narrow_to_i16(values: __m512i) -> __m256i { _mm512_cvtepi32_epi16(values) }
    fn widen_i8(bytes: __m128i) -> __m512i { _mm512_cvtepi8_epi32(bytes) }
    fn narrow_to_i8(values: __m512i) -> __m128i { _mm512_cvtepi32_epi8(values) }
    fn masked(bytes: __m512i, mask: u8) -> __m512i { _mm512_and_si512(bytes, _mm512_set1_epi8(mask.cast_signed())) }
    /// Words of 16 bits to the right, to the left if negative. The count is a constant wherever this is inlined.
    fn shifted(bytes: __m512i, count: i32) -> __m512i {
        if count < 0 {
            _mm512_sll_epi16(bytes, _mm_cvtsi32_si128(-count))
        } else {
            _mm512_srl_epi16(bytes, _mm_cvtsi32_si128(count))
        }
    }
    fn shuffle_bytes(table: __m128i, indices: __m512i) -> __m512i {
        _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), indices)
    }
}
