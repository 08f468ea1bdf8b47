//! Every kernel on every backend of this CPU, one thread, weights in a cache. Results are compared before anything is timed.
//!
//! `cargo bench -p qint-benches [-- FILTER]`; `-- --test` runs everything once. Names are `kernel/what/backend`.
use criterion::{BenchmarkId, Criterion, Throughput};
use qint_benches::{Attention, Bench, Heads, Norm, Product, Quantization};
use qint_core::{backend::Backend, codec::Codec, llama::KvKind};
use std::time::Duration;

/// Rows of a matrix: one of q8 takes half a megabyte.
const ROWS: usize = 128;
const COLS: usize = 4096;
/// Tokens of a product of several.
const TOKENS: usize = 16;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    matvec(&mut criterion);
    matmul(&mut criterion);
    attention(&mut criterion);
    activations(&mut criterion);
    criterion.final_summary();
}

/// One result per backend, checked before the first run.
fn bench(criterion: &mut Criterion, kernel: &str, what: &str, throughput: Throughput, bench: &mut dyn Bench) {
    let mut group = criterion.benchmark_group(kernel);
    group.throughput(throughput);
    for backend in Backend::available() {
        let mut checked = false;
        group.bench_function(BenchmarkId::new(what, backend.name()), |bencher| {
            if !checked {
                bench.check(backend);
                checked = true;
            }
            bencher.iter(|| bench.run(backend));
        });
    }
    group.finish();
}

/// One token, in bytes of panels.
fn matvec(criterion: &mut Criterion) {
    for codec in Codec::ALL {
        let mut product = Product::new(codec, ROWS, 1);
        bench(criterion, "matvec", codec.name(), Throughput::Bytes(product.bytes()), &mut product);
    }
}

/// Several tokens, in multiply-adds.
fn matmul(criterion: &mut Criterion) {
    for codec in Codec::ALL {
        let mut product = Product::new(codec, ROWS, TOKENS);
        bench(criterion, "matmul", codec.name(), Throughput::Elements(product.multiply_adds()), &mut product);
    }
}

/// A step and a prompt, in multiply-adds.
fn attention(criterion: &mut Criterion) {
    for (name, kind) in [("f32", KvKind::F32), ("f16", KvKind::F16), ("i8", KvKind::I8)] {
        for (kernel, depth, tokens) in [("attention-step", 2047, 1), ("attention-prompt", 0, 256)] {
            let mut attention = Attention::new(Heads::TINYLLAMA, kind, depth, tokens);
            bench(criterion, kernel, name, Throughput::Elements(attention.multiply_adds()), &mut attention);
        }
    }
}

/// In columns.
fn activations(criterion: &mut Criterion) {
    let columns = Throughput::Elements(COLS as u64);
    bench(criterion, "quantize-activations", "hadamard", columns.clone(), &mut Quantization::new(COLS));
    bench(criterion, "rms-norm", "f32", columns, &mut Norm::new(COLS));
}
