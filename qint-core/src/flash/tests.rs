extern crate std;
use super::*;
use crate::{
    Error,
    activation::{ActivationBlock, ActivationFormat, Transform},
    backend::Backend,
    codec::{Codec, Group},
    layout::Layout,
    llama::{
        Activation, KvCache, KvKind, KvPlan, KvStore, Logits, Plan, PlanRequest, RopeScaling, Sequence, Workspace,
        forward,
    },
    team::Serial,
};
use std::{vec, vec::Vec};

const CONFIG: Config = Config {
    hidden: 48,
    intermediate: 40,
    layers: 2,
    heads: 4,
    kv_heads: 2,
    head_dim: 12,
    vocabulary: 20,
    context: 64,
    norm_epsilon: 1e-5,
    rope_theta: 10000.0,
    rope_scaling: RopeScaling::Llama3 { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 32.0 },
    sliding_window: Some(9),
    activation: Activation::GeluTanh,
    norm_plus_one: true,
    embedding_scale: 2.0,
};

fn header(tied_head: bool) -> FlashHeader {
    FlashHeader {
        config: CONFIG,
        capacity: 32,
        kv: KvKind::I8,
        tied_head,
        start: Some(1),
        ends: [2, 19, 0, 0],
        end_count: 2,
        strips_space: true,
    }
}

/// Bytes at a multiple of 64.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

struct Image(Vec<Line>, usize);

impl Image {
    fn new(bytes: &[u8]) -> Image {
        let mut lines = vec![Line([0; 64]); bytes.len().div_ceil(64)];
        lines.iter_mut().zip(bytes.chunks(64)).for_each(|(line, bytes)| line.0[..bytes.len()].copy_from_slice(bytes));
        Image(lines, bytes.len())
    }

    fn bytes(&self) -> &[u8] {
        #[allow(unsafe_code)]
        // SAFETY: lines are arrays of bytes without padding.
        let all = unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), 64 * self.0.len()) };
        &all[..self.1]
    }
}

/// A model of random weights, all kinds of matrices among them.
fn image(tied_head: bool) -> Vec<u8> {
    let (q, kv, hidden, wide) = (CONFIG.q_dim(), CONFIG.kv_dim(), CONFIG.hidden, CONFIG.intermediate);
    let mut shapes = vec![(CONFIG.vocabulary, hidden, 0)];
    for _ in 0..CONFIG.layers {
        shapes.extend([
            (0, hidden, 0),
            (q, hidden, 1),
            (kv, hidden, 1),
            (kv, hidden, 1),
            (hidden, q, 2),
            (0, hidden, 0),
        ]);
        shapes.extend([(wide, hidden, 3), (wide, hidden, 3), (hidden, wide, 4)]);
    }
    shapes.extend([(0, hidden, 0), (CONFIG.vocabulary, hidden, 5)]);
    if tied_head {
        shapes.pop();
    }
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let (mut formats, mut weights) = (Vec::new(), Vec::new());
    let pad = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(PART_ALIGN), 0);
    for (rows, cols, codec) in shapes {
        if rows == 0 {
            weights.extend((0..cols).flat_map(|i| (i as f32 / 64.0).to_le_bytes()));
            pad(&mut weights);
            continue;
        }
        let layout = Layout::new(rows, cols, Codec::ALL[codec], Group::ALL[codec % 3]).unwrap();
        let transform = if codec % 2 == 0 { Transform::Hadamard } else { Transform::None };
        formats.extend(format_bytes(&layout, ActivationFormat { transform, block: ActivationBlock::B512 }));
        weights.extend((0..layout.panels_bytes()).map(|_| random()));
        weights.extend((0..layout.padded_rows()).flat_map(|row| (1e-5 * row as f32).to_le_bytes()));
        pad(&mut weights);
    }
    assert_eq!(formats.len(), FORMAT_BYTES * matrix_count(&CONFIG, tied_head));
    pad(&mut formats);
    let mut data = formats;
    data.extend((0..=CONFIG.vocabulary as u32).flat_map(|id| (3 * id).to_le_bytes()));
    pad(&mut data);
    data.extend((0..3 * CONFIG.vocabulary).map(|i| b'a' + (i / 3) as u8));
    pad(&mut data);
    data.extend(weights);
    let mut image = header(tied_head).encode(&data, 3 * CONFIG.vocabulary).unwrap().to_vec();
    image.extend(data);
    image
}

/// The header's checksum made right again.
fn mend(bytes: &mut [u8]) {
    let checksum = Checksum::new().with(&bytes[..252]).value();
    bytes[252..256].copy_from_slice(&checksum.to_le_bytes());
}

fn read(bytes: &[u8]) -> Result<(), FlashError> {
    FlashImage::from_bytes(Image::new(bytes).bytes()).map(|_| ())
}

#[test]
fn reads_what_was_written_and_runs_it() {
    for tied_head in [true, false] {
        let (bytes, room) = (image(tied_head), 7);
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + room, 0xff);
        let longer = Image::new(&longer);
        let image = FlashImage::from_bytes(longer.bytes()).unwrap();
        assert_eq!((image.header(), image.bytes()), (&header(tied_head), bytes.len()));
        assert_eq!((image.piece(0), image.piece(19), image.piece(20)), (Some(&b"aaa"[..]), Some(&b"ttt"[..]), None));
        assert_eq!(image.piece(u32::MAX), None);
        assert_eq!(image.verify(), Ok(()));
        assert!(image.header().is_end(19) && !image.header().is_end(0));
        assert_eq!(image.layer_array::<3>().unwrap_err(), FlashError::Layers { given: 3, needed: 2 });
        let layers = image.layer_array::<2>().unwrap();
        let weights = image.weights(&layers).unwrap();

        let plan = Plan::new(&CONFIG, PlanRequest { tokens: 3 }).unwrap();
        let kv = KvPlan::new(KvKind::I8, 32, &CONFIG).unwrap();
        let (mut codes, mut scales) = (vec![0; kv.values], vec![0.0; kv.scales]);
        let store = KvStore::I8 { codes: &mut codes, scales: &mut scales };
        let mut cache = KvCache::new(&CONFIG, 32, store).unwrap();
        let (mut floats, mut codes, mut sums) = (vec![0.0; plan.floats], vec![0; plan.codes], vec![0; plan.sums]);
        let mut workspace = Workspace { floats: &mut floats, codes: &mut codes, sums: &mut sums };
        let mut logits = vec![0.0; CONFIG.vocabulary];
        let sequence = Sequence { tokens: &[1, 2, 3], cache: &mut cache, logits: Logits::Last };
        forward(Backend::detect(), &Serial, &weights, &mut [sequence], &mut workspace, &mut logits).unwrap();
        assert!(logits.iter().any(|x| *x != 0.0) && logits.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = image(false);
    for length in 0..bytes.len() {
        let image = Image::new(&bytes[..length]);
        let result = FlashImage::from_bytes(image.bytes());
        assert!(matches!(result, Err(FlashError::Truncated { given, .. }) if given == length), "{length}: {result:?}");
    }
}

#[test]
fn every_change_of_the_header_is_refused() {
    let bytes = image(true);
    for at in 0..HEADER_BYTES {
        for value in 0..=255 {
            let mut changed = bytes.clone();
            changed[at] = value;
            assert_eq!(read(&changed).is_ok(), value == bytes[at], "byte {at}, {value}");
        }
    }
}

/// A header that somebody made on purpose, its checksum right, is either refused or describes an image that is there.
#[test]
fn forged_headers_and_tables_do_no_harm() {
    let bytes = image(true);
    let mut refused = 0;
    for at in 0..HEADER_BYTES + 64 + 128 {
        for value in [0, 1, 2, 3, 5, 63, 64, 65, 127, 128, 254, 255] {
            let mut changed = bytes.clone();
            changed[at] = value;
            mend(&mut changed);
            let changed = Image::new(&changed);
            let Ok(image) = FlashImage::from_bytes(changed.bytes()) else {
                refused += 1;
                continue;
            };
            let layers: Vec<Layer<'_>> = image.layers().collect();
            assert!(image.weights(&layers).is_ok());
            (0..image.config().vocabulary as u32).for_each(|id| assert!(image.piece(id).is_some()));
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn errors_say_what_is_wrong() {
    let bytes = image(true);
    let with = |at: usize, value: u32| {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
        mend(&mut changed);
        read(&changed).unwrap_err()
    };
    assert_eq!(with(0, 0), FlashError::Magic);
    assert_eq!(with(8, 2), FlashError::Version { found: 2 });
    assert_eq!(with(12, bytes.len() as u32 - 64), FlashError::Truncated { given: 128, needed: 192 });
    assert!(matches!(with(12, bytes.len() as u32 + 64), FlashError::Truncated { .. }));
    assert_eq!(with(52, 65), FlashError::Field { offset: 52, value: 65 });
    assert_eq!(with(60, 3), FlashError::Field { offset: 60, value: 3 });
    assert_eq!(with(64, 16), FlashError::Field { offset: 64, value: 16 });
    assert_eq!(with(120, 20), FlashError::Field { offset: 120, value: 20 });
    assert_eq!(with(148, 1), FlashError::Field { offset: 148, value: 1 });
    assert!(matches!(with(20, 1025), FlashError::Core(Error::Dimension { what: "layers", .. })));
    assert_eq!(with(256, 6), FlashError::Format { matrix: 0 });
    // A plain RoPE has no factor.
    assert_eq!(with(76, 0), FlashError::Field { offset: 88, value: 0 });
    let offsets = HEADER_BYTES + (FORMAT_BYTES * matrix_count(&CONFIG, true)).next_multiple_of(64);
    assert_eq!(with(offsets, 1), FlashError::Piece { id: 0 });
    assert_eq!(with(offsets + 4, 7), FlashError::Piece { id: 2 });
    assert_eq!(with(offsets + 80, 59), FlashError::Piece { id: 20 });
    let mut unchecked = bytes.clone();
    unchecked[148] = 1;
    assert_eq!(read(&unchecked), Err(FlashError::HeaderChecksum));
    let format = Layout::new(CONFIG.vocabulary, CONFIG.hidden, Codec::ALL[0], Group::ALL[0]).unwrap();
    let text = offsets + (4 * (CONFIG.vocabulary + 1)).next_multiple_of(64);
    let scales = text + (3 * CONFIG.vocabulary).next_multiple_of(64) + format.panels_bytes();
    for scale in [f32::NAN, 2f32.powi(61)] {
        let found = with(scales, scale.to_bits());
        assert!(matches!(found, FlashError::Core(Error::RowScale { row: 0, .. })), "{found:?}");
    }

    let mut longer = bytes.clone();
    longer.resize(bytes.len() + 64, 0);
    longer[12..16].copy_from_slice(&(bytes.len() as u32 + 64).to_le_bytes());
    mend(&mut longer);
    assert_eq!(read(&longer), Err(FlashError::Size { found: bytes.len() + 64, expected: bytes.len() }));

    let mut changed = bytes.clone();
    let last = changed.len() - 192 + 8;
    changed[last + 3] = 0x7f;
    changed[last + 2] = 0xc0;
    assert_eq!(read(&changed), Err(FlashError::Norm));
    changed[last + 2] = 0;
    let changed = Image::new(&changed);
    let image = FlashImage::from_bytes(changed.bytes()).unwrap();
    assert!(matches!(image.verify(), Err(FlashError::Checksum { .. })));

    let mut shifted = vec![0; 2];
    shifted.extend(&bytes);
    assert_eq!(FlashImage::from_bytes(&Image::new(&shifted).bytes()[2..]).unwrap_err(), FlashError::Misaligned);
}
