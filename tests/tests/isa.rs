//! Every operation of every token gives the bits that its documentation says, on random and on awkward numbers.
use half::{bf16, f16};
use qint_core::{
    backend::Operation,
    isa::{Isa, Lanes},
};
use qint_tests::{
    backends::backends,
    products::{Random, bits},
};

const ROUNDS: usize = 2000;

/// Numbers that are zero, tiny, halves, huge or anything; no NaN.
fn lanes(random: &mut Random) -> Lanes {
    std::array::from_fn(|_| match random.within(0..8) {
        0 => random.one_of(&[0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 8388607.5, 1e-40, -1e-40, 3e38]),
        1 => f32::from_bits(random.bits() as u32 & 0xbfff_ffff),
        _ => random.scale(),
    })
}

/// Applies an operation of the token to lanes.
macro_rules! apply {
    (|$isa:ident $(, $a:ident)*| $body:expr) => {{
        struct Apply($([f32; 16 + 0 * stringify!($a).len()]),*);
        impl Operation for Apply {
            type Output = Lanes;
            #[inline(always)]
            fn run<I: Isa>(self, $isa: I) -> Lanes {
                let Apply($($a),*) = self;
                $(let $a = $isa.load(&$a);)*
                let mut out = [0.0; 16];
                $isa.store($body, &mut out);
                out
            }
        }
        Apply
    }};
}

/// As `apply`, for operations whose result is integers.
macro_rules! apply_i32 {
    (|$isa:ident $(, $a:ident)*| $body:expr) => {{
        struct Apply($([f32; 16 + 0 * stringify!($a).len()]),*);
        impl Operation for Apply {
            type Output = [i32; 16];
            #[inline(always)]
            fn run<I: Isa>(self, $isa: I) -> [i32; 16] {
                let Apply($($a),*) = self;
                $(let $a = $isa.load(&$a);)*
                let mut out = [0; 16];
                $isa.store_i32($body, &mut out);
                out
            }
        }
        Apply
    }};
}

#[test]
fn arithmetic_is_ieee_lane_by_lane() {
    let mut random = Random(1);
    for _ in 0..ROUNDS {
        let (a, b, c) = (lanes(&mut random), lanes(&mut random), lanes(&mut random));
        for backend in backends() {
            let check = |name: &str, found: Lanes, formula: &dyn Fn(f32, f32, f32) -> f32| {
                let expected: Lanes = std::array::from_fn(|i| formula(a[i], b[i], c[i]));
                for i in 0..16 {
                    let same = found[i].to_bits() == expected[i].to_bits() || found[i].is_nan() && expected[i].is_nan();
                    assert!(same, "{} {name}({}, {}, {}) = {}", backend.name(), a[i], b[i], c[i], found[i]);
                }
            };
            check("add", backend.run(apply!(|isa, a, b| isa.add(a, b))(a, b)), &|a, b, _| a + b);
            check("sub", backend.run(apply!(|isa, a, b| isa.sub(a, b))(a, b)), &|a, b, _| a - b);
            check("mul", backend.run(apply!(|isa, a, b| isa.mul(a, b))(a, b)), &|a, b, _| a * b);
            check("div", backend.run(apply!(|isa, a, b| isa.div(a, b))(a, b)), &|a, b, _| a / b);
            check("fma", backend.run(apply!(|isa, a, b, c| isa.fma(a, b, c))(a, b, c)), &f32::mul_add);
            check("max", backend.run(apply!(|isa, a, b| isa.max(a, b))(a, b)), &|a, b, _| if a > b { a } else { b });
            check("min", backend.run(apply!(|isa, a, b| isa.min(a, b))(a, b)), &|a, b, _| if a < b { a } else { b });
            check("splat", backend.run(apply!(|isa| isa.splat(-1.5))()), &|_, _, _| -1.5);
        }
    }
}

#[test]
fn min_and_max_give_b_if_either_is_nan() {
    let (nan, one) = ([f32::NAN; 16], [1.0; 16]);
    for backend in backends() {
        for (a, b) in [(nan, one), (one, nan)] {
            let max = backend.run(apply!(|isa, a, b| isa.max(a, b))(a, b));
            let min = backend.run(apply!(|isa, a, b| isa.min(a, b))(a, b));
            assert_eq!((max[3].is_nan(), min[3].is_nan()), (b[3].is_nan(), b[3].is_nan()), "{}", backend.name());
        }
    }
}

#[test]
fn conversions_round_to_even() {
    let mut random = Random(2);
    for _ in 0..ROUNDS {
        let a: Lanes = std::array::from_fn(|_| {
            let halves = random.within(0..1 << 24) as f32 - (1 << 23) as f32;
            let scale = random.scale();
            random.one_of(&[halves / 2.0, halves * 100.0, scale])
        });
        for backend in backends() {
            let rounded = backend.run(apply_i32!(|isa, a| isa.round_to_i32(a))(a));
            assert_eq!(rounded, a.map(|a| a.round_ties_even() as i32), "{}", backend.name());
            let back = backend.run(apply!(|isa, a| isa.to_f32(isa.round_to_i32(a)))(a));
            assert_eq!(bits(&back), bits(&rounded.map(|integer| integer as f32)), "{}", backend.name());
            let magnitudes = backend.run(apply_i32!(|isa, a| isa.magnitude_bits(a))(a));
            assert_eq!(magnitudes, a.map(|a| a.abs().to_bits() as i32), "{}", backend.name());
        }
        let large: Lanes = std::array::from_fn(|_| f32::from_bits(random.within(0x4b00_0000..0x4f00_0000) as u32));
        for backend in backends() {
            let rounded = backend.run(apply_i32!(|isa, large| isa.round_to_i32(large))(large));
            assert_eq!(rounded, large.map(|a| a as i32), "{}", backend.name());
        }
    }
}

#[test]
fn integers_add_wrap_and_compare() {
    let mut random = Random(3);
    for _ in 0..ROUNDS {
        let a: Lanes = std::array::from_fn(|_| random.within(0..2000) as f32 - 1000.0);
        let b: Lanes = std::array::from_fn(|_| random.within(0..2000) as f32 - 1000.0);
        let integers: [(i32, i32); 16] = std::array::from_fn(|i| (a[i] as i32, b[i] as i32));
        for backend in backends() {
            let sum = apply_i32!(|isa, a, b| isa.add_i32(isa.round_to_i32(a), isa.round_to_i32(b)))(a, b);
            assert_eq!(backend.run(sum), integers.map(|(a, b)| a + b), "{}", backend.name());
            let max = apply_i32!(|isa, a, b| isa.max_i32(isa.round_to_i32(a), isa.round_to_i32(b)))(a, b);
            assert_eq!(backend.run(max), integers.map(|(a, b)| a.max(b)), "{}", backend.name());
            let total = apply!(|isa, a| isa.splat(isa.sum_i32(isa.round_to_i32(a)) as f32))(a);
            assert_eq!(backend.run(total)[0], integers.iter().map(|(a, _)| a).sum::<i32>() as f32);
            let largest = apply!(|isa, a| isa.splat(isa.largest_i32(isa.round_to_i32(a)) as f32))(a);
            assert_eq!(backend.run(largest)[0], a.into_iter().fold(-1000.0, f32::max));
            assert_eq!(backend.run(apply_i32!(|isa| isa.zero())()), [0; 16]);
        }
    }
}

#[test]
fn powers_of_two_shift_the_exponent() {
    let mut random = Random(4);
    for _ in 0..ROUNDS {
        let a: Lanes = std::array::from_fn(|_| random.scale());
        let exponent: Lanes = std::array::from_fn(|_| random.within(0..200) as f32 - 100.0);
        for backend in backends() {
            let scaled = apply!(|isa, a, exponent| isa.scale_by_power_of_two(a, isa.round_to_i32(exponent)));
            let expected: Lanes = std::array::from_fn(|i| a[i] * 2f32.powi(exponent[i] as i32));
            assert_eq!(bits(&backend.run(scaled(a, exponent))), bits(&expected), "{}", backend.name());
        }
    }
}

#[test]
fn sums_follow_the_fixed_tree() {
    let mut random = Random(5);
    for _ in 0..ROUNDS {
        let a: Lanes = std::array::from_fn(|_| random.scale());
        let mut tree = a;
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                tree[i] += tree[i + half];
            }
        }
        for backend in backends() {
            let found = backend.run(apply!(|isa, a| isa.splat(isa.sum(a)))(a));
            assert_eq!(found[0].to_bits(), tree[0].to_bits(), "{}", backend.name());
        }
    }
}

#[test]
fn butterflies_add_below_and_subtract_above() {
    let mut random = Random(6);
    for _ in 0..ROUNDS {
        let a = lanes(&mut random);
        let expected =
            |h: usize| -> Lanes { std::array::from_fn(|i| if i & h == 0 { a[i] + a[i + h] } else { a[i - h] - a[i] }) };
        for backend in backends() {
            let name = backend.name();
            assert_eq!(bits(&backend.run(apply!(|isa, a| isa.butterfly::<1>(a))(a))), bits(&expected(1)), "{name}");
            assert_eq!(bits(&backend.run(apply!(|isa, a| isa.butterfly::<2>(a))(a))), bits(&expected(2)), "{name}");
            assert_eq!(bits(&backend.run(apply!(|isa, a| isa.butterfly::<4>(a))(a))), bits(&expected(4)), "{name}");
            assert_eq!(bits(&backend.run(apply!(|isa, a| isa.butterfly::<8>(a))(a))), bits(&expected(8)), "{name}");
        }
    }
}

struct Widen {
    f16: [f16; 16],
    bf16: [bf16; 16],
    i8: [i8; 16],
}

impl Operation for &Widen {
    type Output = [Lanes; 3];
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> [Lanes; 3] {
        let mut out = [[0.0; 16]; 3];
        isa.store(isa.load_f16(&self.f16), &mut out[0]);
        isa.store(isa.load_bf16(&self.bf16), &mut out[1]);
        isa.store(isa.load_i8(&self.i8), &mut out[2]);
        out
    }
}

#[test]
fn every_half_precision_number_and_byte_widens_exactly() {
    for start in (0..=u16::MAX).step_by(16) {
        let widen = Widen {
            f16: std::array::from_fn(|i| f16::from_bits(start + i as u16)),
            bf16: std::array::from_fn(|i| bf16::from_bits(start + i as u16)),
            i8: std::array::from_fn(|i| (start + i as u16) as i8),
        };
        let expected = [widen.f16.map(f16::to_f32), widen.bf16.map(bf16::to_f32), widen.i8.map(f32::from)];
        for backend in backends() {
            for (found, expected) in backend.run(&widen).as_flattened().iter().zip(expected.as_flattened()) {
                assert!(found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan());
            }
        }
    }
}

struct Bytes {
    codes: [u8; 64],
    table: [u8; 16],
    low: Lanes,
    high: Lanes,
}

impl Operation for &Bytes {
    type Output = ([[u8; 64]; 5], [i8; 32]);
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> ([[u8; 64]; 5], [i8; 32]) {
        let (mut out, mut narrow) = ([[0; 64]; 5], [0; 32]);
        let codes = isa.load_bytes(&self.codes);
        isa.store_bytes(codes, &mut out[0]);
        isa.store_bytes(isa.field(codes, 4, 0x0f), &mut out[1]);
        isa.store_bytes(isa.field(codes, -2, 0x0c), &mut out[2]);
        isa.store_bytes(isa.field(codes, 0, 0x81), &mut out[3]);
        isa.store_bytes(isa.lookup(&self.table, isa.field(codes, 0, 0x0f)), &mut out[4]);
        let (low, high) = (isa.load(&self.low), isa.load(&self.high));
        isa.store_i8(isa.round_to_i32(low), isa.round_to_i32(high), &mut narrow);
        (out, narrow)
    }
}

#[test]
fn bytes_are_masked_looked_up_and_narrowed() {
    let mut random = Random(7);
    for _ in 0..ROUNDS {
        let bytes = Bytes {
            codes: std::array::from_fn(|_| random.bits() as u8),
            table: std::array::from_fn(|_| random.bits() as u8),
            low: std::array::from_fn(|_| random.within(0..256) as f32 - 128.0),
            high: std::array::from_fn(|_| random.within(0..256) as f32 - 128.0),
        };
        let expected = [
            bytes.codes,
            bytes.codes.map(|byte| byte >> 4),
            bytes.codes.map(|byte| byte << 2 & 0x0c),
            bytes.codes.map(|byte| byte & 0x81),
            bytes.codes.map(|byte| bytes.table[usize::from(byte & 15)]),
        ];
        for backend in backends() {
            let (found, narrow) = backend.run(&bytes);
            assert_eq!(found, expected, "{}", backend.name());
            let wide = bytes.low.iter().chain(&bytes.high).map(|&x| x as i8);
            assert!(narrow.into_iter().eq(wide), "{}", backend.name());
        }
    }
}

struct Narrow {
    halves: Lanes,
    words: Lanes,
    a: [i8; 32],
    b: [i16; 2],
}

impl Operation for &Narrow {
    type Output = ([f16; 16], [i16; 16], [i32; 16], f32);
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> Self::Output {
        let (mut halves, mut words, mut sums) = ([f16::ZERO; 16], [0; 16], [0; 16]);
        isa.store_f16(isa.load(&self.halves), &mut halves);
        let integers = isa.round_to_i32(isa.load(&self.words));
        isa.store_i16(integers, &mut words);
        isa.store_i32(isa.dot2(integers, isa.splat_pair(self.b), isa.load_pairs(&self.a)), &mut sums);
        isa.prefetch_far(&self.a, 1 << 40);
        (halves, words, sums, isa.largest(isa.load(&self.words)))
    }
}

#[test]
fn numbers_are_narrowed_and_multiplied_in_pairs() {
    let mut random = Random(8);
    for _ in 0..ROUNDS {
        let halves: Lanes = std::array::from_fn(|_| {
            // Neighbourhoods of every binary16 number and of the points between them, up to infinity; subnormals.
            let half = f16::from_bits(random.within(0..0x7c01) as u16).to_f32();
            let ulps = random.one_of(&[-1, 0, 1, 0xfff, 0x1000, 0x1001]);
            let near = f32::from_bits(half.to_bits().wrapping_add_signed(ulps));
            let near = if near.is_nan() { half } else { near };
            let others =
                [65519.996, 65520.0, 1e30, 2f32.powi(-25), 3.0 * 2f32.powi(-25), f32::INFINITY, random.scale()];
            let other = random.one_of(&others);
            random.one_of(&[near, -near, other, -other])
        });
        let narrow = Narrow {
            halves,
            words: std::array::from_fn(|_| random.within(0..1 << 16) as f32 - 32768.0),
            a: std::array::from_fn(|_| random.bits() as i8),
            b: [random.bits() as i16, random.bits() as i16],
        };
        let words = narrow.words.map(|x| x as i16);
        let pair =
            |i: usize| [0, 1].map(|k| i32::from(narrow.a[2 * i + k]) * i32::from(narrow.b[k])).iter().sum::<i32>();
        let sums: [i32; 16] = std::array::from_fn(|i| i32::from(words[i]) + pair(i));
        let largest = narrow.words.into_iter().fold(f32::NEG_INFINITY, f32::max);
        for backend in backends() {
            let found = backend.run(&narrow);
            let name = backend.name();
            assert_eq!(found.0.map(f16::to_bits), halves.map(|x| f16::from_f32(x).to_bits()), "{name}: {halves:?}");
            assert_eq!((found.1, found.2, found.3), (words, sums, largest), "{name}");
        }
    }
}
