//! How fast one core attends: tinyllama-1.1b's heads (22 layers, 32 heads of 64, 4 KV heads) in a model that has little else,
//! per backend and kind of KV cache. The time of the same calls with a sliding window of one position is taken off; what
//! remains is attention. Logits are compared with the portable backend's before anything is timed.
//!
//! `cargo run --release -p qint-benches --example attention [-- BACKEND…]`, by default all but portable.
use half::f16;
use qint_core::{
    activation::{ActivationBlock, ActivationFormat, Transform},
    backend::{Backend, Operation},
    codec::{Codec, Group},
    isa::Isa,
    layout::Layout,
    llama::{
        Activation, Config, KvCache, KvKind, KvPlan, KvStore, Layer, Logits, Plan, PlanRequest, RopeScaling, Sequence,
        Weights, Workspace, forward,
    },
    matrix::Matrix,
    team::Serial,
};
use qint_tests::products::{self, Random};
use std::{hint::black_box, time::Instant};

const HIDDEN: usize = 32;
const LAYERS: usize = 22;
const HEADS: usize = 32;
const KV_HEADS: usize = 4;
const HEAD_DIM: usize = 64;
const DEPTH: usize = 2048;
const PROMPT: usize = 512;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| if wanted.is_empty() { name != "portable" } else { wanted.iter().any(|x| x == name) };
    for backend in Backend::available().filter(|backend| wanted(backend.name())) {
        let peak = fma_peak(backend);
        println!("{}: {peak:.1} GFMA/s at most", backend.name());
        println!("| KV  | what               | ms a token | GFMA/s | % of fma peak |");
        for kind in [KvKind::I8, KvKind::F16, KvKind::F32] {
            check(backend, kind);
            // Portable code calls a function for every fma: one layer must do.
            let (layers, prompt) = if backend.name() == "portable" { (1, 144) } else { (LAYERS, PROMPT) };
            let mut model = Model::new(backend, kind, layers, DEPTH + prompt);
            let cases =
                [("1 token at 2048", DEPTH, 1), ("a prompt at 0", 0, prompt), ("a prompt at 2048", DEPTH, prompt)];
            for (what, depth, tokens) in cases {
                let seconds = model.attention_seconds(depth, tokens) / layers as f64;
                let positions = |seen: fn(usize) -> usize| (depth..depth + tokens).map(seen).sum::<usize>() as f64;
                // With a window of one position the chunk of 128 that it lies in is still computed from its beginning.
                let (all, subtracted) = (positions(|position| position + 1), positions(|position| position % 128 + 1));
                let rate = (2 * HEADS * HEAD_DIM) as f64 * (all - subtracted) / seconds / 1e9;
                let milliseconds = (2 * HEADS * HEAD_DIM * LAYERS) as f64 * all / rate / 1e6 / tokens as f64;
                let kind = format!("{kind:?}");
                println!("| {kind:3} | {what:18} | {milliseconds:10.3} | {rate:6.1} | {:13.0} |", rate / peak * 100.0);
            }
        }
    }
}

/// 10⁹ fma a second, sixteen a vector.
fn fma_peak(backend: Backend) -> f64 {
    const ROUNDS: usize = 1_000_000;
    struct Fma;
    impl Operation for Fma {
        type Output = f32;
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) -> f32 {
            let (a, b) = (isa.splat(black_box(0.5)), isa.splat(black_box(0.25)));
            let mut sums = [isa.splat(0.0); 6];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = isa.fma(a, b, *sum);
                }
            }
            sums.into_iter().map(|sum| isa.sum(sum)).sum()
        }
    }
    let seconds = quickest(|| {
        black_box(backend.run(Fma));
    });
    (6 * 16 * ROUNDS) as f64 / seconds / 1e9
}

/// The same bits as the portable backend, for a prompt of a chunk and a half and one token more.
fn check(backend: Backend, kind: KvKind) {
    let portable = Backend::from_name("portable").expect("every CPU runs portable code");
    let logits = [portable, backend].map(|backend| {
        let mut model = Model::new(backend, kind, 1, 100);
        [model.run(None, 0, 97), model.run(None, 97, 1)].concat()
    });
    assert!(logits[0].iter().zip(&logits[1]).all(|(a, b)| a.to_bits() == b.to_bits() && a.is_finite()));
}

struct Model {
    backend: Backend,
    config: Config,
    matrices: Matrices,
    memory: Memory,
    capacity: usize,
    floats: Vec<f32>,
    codes: Vec<i8>,
    sums: Vec<i32>,
}

const FORMAT: ActivationFormat = ActivationFormat { transform: Transform::None, block: ActivationBlock::B256 };

/// q8: q; k and v; o; and all others.
struct Matrices([products::Weights; 4]);

impl Matrices {
    fn new() -> Matrices {
        let mut random = Random(1);
        let shapes =
            [(HEADS * HEAD_DIM, HIDDEN), (KV_HEADS * HEAD_DIM, HIDDEN), (HIDDEN, HEADS * HEAD_DIM), (HIDDEN, HIDDEN)];
        Matrices(shapes.map(|(rows, cols)| {
            let layout = Layout::new(rows, cols, Codec::Q8, Group::G32).expect("legal sizes");
            let panels: Vec<u8> = (0..layout.panels_bytes()).map(|_| random.bits() as u8).collect();
            products::Weights::new(layout, &panels, vec![1e-5; layout.padded_rows()])
        }))
    }
}

enum Memory {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8(Vec<i8>, Vec<f32>),
}

impl Model {
    fn new(backend: Backend, kind: KvKind, layers: usize, capacity: usize) -> Model {
        let config = Config {
            hidden: HIDDEN,
            intermediate: HIDDEN,
            layers,
            heads: HEADS,
            kv_heads: KV_HEADS,
            head_dim: HEAD_DIM,
            vocabulary: HIDDEN,
            context: capacity,
            norm_epsilon: 1e-5,
            rope_theta: 10000.0,
            rope_scaling: RopeScaling::None,
            sliding_window: None,
            activation: Activation::Silu,
            norm_plus_one: false,
            embedding_scale: 1.0,
        };
        let plan = KvPlan::new(kind, capacity, &config).expect("legal sizes");
        let memory = match kind {
            KvKind::F32 => Memory::F32(vec![0.0; plan.values]),
            KvKind::F16 => Memory::F16(vec![f16::ZERO; plan.values]),
            KvKind::I8 => Memory::I8(vec![0; plan.values], vec![0.0; plan.scales]),
        };
        let plan = Plan::new(&config, PlanRequest { tokens: capacity }).expect("legal sizes");
        let (floats, codes, sums) = (vec![0.0; plan.floats], vec![0; plan.codes], vec![0; plan.sums]);
        Model { backend, config, matrices: Matrices::new(), memory, capacity, floats, codes, sums }
    }

    /// Seconds of attention of `tokens` tokens after `depth` others, all layers.
    fn attention_seconds(&mut self, depth: usize, tokens: usize) -> f64 {
        for start in (0..depth).step_by(PROMPT) {
            // What is stored doesn't depend on what is seen in the first layer, and speed doesn't on what is stored.
            self.run(Some(1), start, PROMPT);
        }
        let [all, own] = [None, Some(1)].map(|window| {
            quickest(|| {
                black_box(self.run(window, depth, tokens));
            })
        });
        all - own
    }

    /// Logits of the last token.
    fn run(&mut self, window: Option<usize>, depth: usize, tokens: usize) -> Vec<f32> {
        let config = Config { sliding_window: window, ..self.config };
        let [wide, narrow, back, inner] =
            [0, 1, 2, 3].map(|index| Matrix::Quantized(self.matrices.0[index].matrix(), FORMAT));
        let norm = &[1.0; HIDDEN][..];
        let layer = Layer {
            attention_norm: norm,
            q: wide,
            k: narrow,
            v: narrow,
            o: back,
            mlp_norm: norm,
            gate: inner,
            up: inner,
            down: inner,
        };
        let (layers, ends) = (vec![layer; config.layers], inner);
        let weights = Weights::new(config, ends, &layers, norm, ends).expect("matching shapes");

        let store = match &mut self.memory {
            Memory::F32(numbers) => KvStore::F32(numbers),
            Memory::F16(numbers) => KvStore::F16(numbers),
            Memory::I8(codes, scales) => KvStore::I8 { codes, scales },
        };
        let mut cache = KvCache::resume(&config, self.capacity, store, depth).expect("planned memory");
        let ids: Vec<u32> = (0..tokens as u32).map(|token| token * 7 % HIDDEN as u32).collect();
        let sequence = Sequence { tokens: &ids, cache: &mut cache, logits: Logits::Last };
        let mut workspace = Workspace { floats: &mut self.floats, codes: &mut self.codes, sums: &mut self.sums };
        let mut logits = vec![0.0; config.vocabulary];
        forward(self.backend, &Serial, &weights, &mut [sequence], &mut workspace, &mut logits).expect("finite numbers");
        logits
    }
}

/// Seconds of the quickest of many runs, about half a second in all, at least three.
fn quickest(mut run: impl FnMut()) -> f64 {
    let (begin, mut quickest, mut runs) = (Instant::now(), f64::INFINITY, 0);
    while runs < 3 || begin.elapsed().as_secs_f64() < 0.5 {
        let start = Instant::now();
        run();
        quickest = quickest.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    quickest
}
