//! The error of every codec on normally distributed weights, on the serialized bits, and what must hold for odd rows.
use super::*;
use qint_core::{codec::Group, dequantize, matrix::QMatrix};

/// Seeded numbers from N(0,1) (Box-Muller over xorshift).
fn normal(count: usize, seed: u64) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ seed;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    (0..count).map(|_| ((-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()) as f32).collect()
}

/// Quantizes `[rows][cols]` weights without a transform and reads them back from the panels.
fn round_trip(layout: &Layout, transform: Transform, weights: &[f32]) -> Vec<f32> {
    let backend = Backend::detect();
    let mut panels = vec![0xaa; layout.panels_bytes()];
    let mut row_scales = vec![f32::NAN; layout.padded_rows()];
    let mut scratch = Scratch::default();
    for (i, (bytes, scales)) in
        panels.chunks_mut(layout.panel_bytes()).zip(row_scales.as_chunks_mut::<PANEL_ROWS>().0).enumerate()
    {
        let rows: Vec<_> = weights.chunks(layout.cols()).skip(i * PANEL_ROWS).take(PANEL_ROWS).collect();
        let mut padded = vec![0.0; rows.len() * layout.padded_cols()];
        for (padded, row) in padded.chunks_mut(layout.padded_cols()).zip(rows) {
            padded[..row.len()].copy_from_slice(row);
        }
        panel(backend, layout, transform, &mut padded, &mut scratch, bytes, scales).unwrap();
    }
    // What is a copy here is a mapping elsewhere; QMatrix wants words to be aligned.
    let mut aligned = vec![0u32; panels.len() / 4];
    for (word, bytes) in aligned.iter_mut().zip(panels.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let bytes: Vec<u8> = aligned.iter().flat_map(|word| word.to_le_bytes()).collect();
    let offset = bytes.as_ptr().align_offset(4);
    assert_eq!(offset, 0, "the allocator aligns large buffers");
    let matrix = QMatrix::new(*layout, &bytes, &row_scales).unwrap();
    let mut out = vec![0.0; layout.rows() * layout.padded_cols()];
    for (row, out) in out.chunks_mut(layout.padded_cols()).enumerate() {
        dequantize::row(&matrix, row, out).unwrap();
        if transform == Transform::Hadamard {
            hadamard::transform(backend, out);
        }
    }
    out.chunks(layout.padded_cols()).flat_map(|row| row[..layout.cols()].to_vec()).collect()
}

fn relative_error(weights: &[f32], read: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let error: f64 = weights.iter().zip(read).map(|(w, r)| square(f64::from(*w) - f64::from(*r))).sum();
    (error / weights.iter().map(|w| square(f64::from(*w))).sum::<f64>()).sqrt()
}

#[test]
fn errors_on_normal_weights_stay_below_the_bars() {
    let weights = normal(1 << 20, 1);
    for (codec, group, bar) in [
        (Codec::Q8, Group::G32, 0.0056),
        (Codec::Q4, Group::G32, 0.0740),
        (Codec::Q4Linear, Group::G32, 0.0815),
        (Codec::Q2, Group::G64, 0.327),
        (Codec::Q2, Group::G32, 0.311),
        (Codec::Q2Linear, Group::G64, 0.331),
        (Codec::Q2Linear, Group::G32, 0.315),
        (Codec::Q1, Group::G128, 0.602),
    ] {
        let layout = Layout::new(256, 4096, codec, group).unwrap();
        let error = relative_error(&weights, &round_trip(&layout, Transform::None, &weights));
        println!("{} g{}: {error:.5}, bar {bar}", codec.name(), group.cols());
        assert!(error <= bar, "{} g{}: {error:.5} > {bar}", codec.name(), group.cols());
    }
}

#[test]
fn the_transform_keeps_the_error_of_odd_shapes() {
    for (rows, cols) in [(1, 1), (3, 31), (17, 33), (16, 172), (20, 576), (5, 300)] {
        let weights = normal(rows * cols, 2);
        for codec in Codec::ALL {
            for transform in [Transform::None, Transform::Hadamard] {
                for group in Group::ALL {
                    let layout = Layout::new(rows, cols, codec, group).unwrap();
                    let error = relative_error(&weights, &round_trip(&layout, transform, &weights));
                    assert!(error < 0.66, "{} {rows}×{cols} {transform:?}: {error}", codec.name());
                    assert!(codec != Codec::Q8 || error < 0.008, "{rows}×{cols} {transform:?}: {error}");
                }
            }
        }
    }
}

#[test]
fn scaling_by_powers_of_two_scales_the_result() {
    let layout = Layout::new(2, 96, Codec::Q4, Group::G32).unwrap();
    let weights = normal(192, 3);
    let plain = round_trip(&layout, Transform::None, &weights);
    for exponent in [-40, -20, 20, 60] {
        let factor = 2f32.powi(exponent);
        let scaled: Vec<f32> = weights.iter().map(|w| w * factor).collect();
        let read = round_trip(&layout, Transform::None, &scaled);
        assert!(read.iter().zip(&plain).all(|(read, plain)| *read == plain * factor));
    }
}

#[test]
fn tiny_rows_become_zeros_and_huge_ones_an_error() {
    let quantize = |value: f32| {
        let layout = Layout::new(1, 32, Codec::Q8, Group::G32).unwrap();
        let mut quantized = Rows::default();
        rows(Backend::detect(), &layout, 32, &mut [value; 32], &mut quantized).map(|()| quantized.row_scales[0])
    };
    for tiny in [0.0, -0.0, f32::from_bits(1), -1e-40, f32::MIN_POSITIVE, 1e-20] {
        assert_eq!(quantize(tiny).unwrap().to_bits(), 0, "{tiny:e}");
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        assert!(matches!(quantize(bad), Err(Error::NotFinite { .. })), "{bad:e}");
    }
    assert!(quantize(1e-12).unwrap() > 0.0 && quantize(-1e20).unwrap() > 0.0);
}

#[test]
fn reserved_codes_are_never_written() {
    for codec in Codec::ALL {
        let layout = Layout::new(64, 320, codec, Group::G64).unwrap();
        let mut weights = normal(64 * 320, 4);
        weights[..320].fill(0.0);
        weights[320..400].fill(0.0);
        weights[700] = -1e6;
        let mut quantized = Rows::default();
        rows(Backend::detect(), &layout, 320, &mut weights, &mut quantized).unwrap();
        assert!(quantized.sub_scales.iter().all(|sub_scale| *sub_scale != -128));
        assert!(quantized.codes.iter().all(|code| codec != Codec::Q8 || *code != 0));
        assert!(quantized.codes.iter().all(|code| usize::from(*code) < codec.levels().len()));
        assert!(quantized.row_scales.iter().all(|s| *s == 0.0 || (MIN_ROW_SCALE..=MAX_ROW_SCALE).contains(s)));
    }
}

#[test]
fn all_backends_find_the_same() {
    let layout = Layout::new(16, 300, Codec::Q4, Group::G64).unwrap();
    for codec in Codec::ALL {
        let layout = Layout::new(16, layout.cols(), codec, Group::G64).unwrap();
        let quantize = |backend| {
            let mut weights = normal(16 * layout.padded_cols(), 5);
            let mut quantized = Rows::default();
            rows(backend, &layout, 300, &mut weights, &mut quantized).unwrap();
            quantized
        };
        let expected = quantize(Backend::detect());
        for backend in Backend::available() {
            assert_eq!(quantize(backend), expected, "{} on {}", codec.name(), backend.name());
        }
    }
}
