//! Converting and reading back: the same bytes for any number of threads, readable by other tools, and complete.
use crate::{
    forge::{Forged, hex},
    support::{GOLDENS, bundled, convert_to, golden, recipe, skip},
};
use qint_core::{
    activation::Transform, backend::Backend, codec::Codec, dequantize, hadamard, layout::padded_cols, matrix::Matrix,
};
use qint_std::{
    container::{Container, Reserved, record_accuracy},
    convert::{Options, convert},
    mapping::Loading,
    source,
};
use safetensors::SafeTensors;
use std::{
    cell::Cell,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Relative root mean square error of a stored matrix against the source's rows, in the plain domain.
fn error_of(container: &Container, name: &str, plain: &[f32], cols: usize) -> f64 {
    let Some(Matrix::Quantized(matrix, format)) = container.matrix(name) else { panic!("{name} is missing") };
    let mut row = vec![0.0; padded_cols(cols)];
    let (mut error, mut power) = (0.0, 0.0);
    for (i, plain) in plain.chunks(cols).enumerate() {
        dequantize::row(&matrix, i, &mut row).unwrap();
        if format.transform == Transform::Hadamard {
            hadamard::transform(Backend::detect(), &mut row);
        }
        for (read, plain) in row.iter().zip(plain) {
            error += (f64::from(*read) - f64::from(*plain)).powi(2);
            power += f64::from(*plain).powi(2);
        }
    }
    (error / power).sqrt()
}

#[test]
fn every_golden_model_comes_back_close() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codec, bar) in GOLDENS.iter().flat_map(|name| [(name, Codec::Q8, 0.012), (name, Codec::Q4Linear, 0.13)])
    {
        let output = dir.path().join(format!("{name}-{}.qint.safetensors", codec.name()));
        let summary = convert_to(&output, &golden(name), &recipe(codec), &Options::default());
        let container = Container::open(&output, Loading::Map).unwrap();
        assert_eq!(summary.bytes, container.bytes() as u64);
        assert_eq!(container.verify().unwrap(), container.manifest().hashes.len());
        let source = source::open(&golden(name)).unwrap();
        assert_eq!(container.manifest().source.sha256, source.hash().unwrap());
        for (i, tensor) in source.tensors().iter().map(|tensor| &tensor.expected).enumerate() {
            let mut plain = vec![0.0; tensor.rows * tensor.cols];
            source.read_rows(i, 0..tensor.rows, &mut plain).unwrap();
            if tensor.role.is_norm() {
                assert_eq!(container.norm(&tensor.name).unwrap(), plain);
                assert!(container.matrix(&tensor.name).is_none());
            } else {
                let error = error_of(&container, &tensor.name, &plain, tensor.cols);
                assert!(error < bar, "{name} {} {}: {error}", codec.name(), tensor.name);
                assert_eq!(container.reserved(&tensor.name), Some(Reserved::default()), "{name} {}", tensor.name);
                assert!(container.norm(&tensor.name).is_none());
            }
        }
        for asset in qint_std::container::ASSETS {
            assert_eq!(container.asset(asset), source.asset(asset).as_deref(), "{name} {asset}");
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_loading() {
    let dir = tempfile::tempdir().unwrap();
    let outputs: Vec<_> = [Some(1), Some(2), Some(3), None]
        .into_iter()
        .enumerate()
        .map(|(i, threads)| {
            let output = dir.path().join(i.to_string());
            convert_to(&output, &bundled(), &recipe(Codec::Q2), &Options { threads, ..Options::default() });
            fs::read(output).unwrap()
        })
        .collect();
    assert!(outputs.iter().all(|bytes| *bytes == outputs[0]));
    let open = |loading| Container::open(&dir.path().join("0"), loading).unwrap();
    let (mapped, read) = (open(Loading::Map), open(Loading::Read));
    assert_eq!(mapped.manifest(), read.manifest());
    assert_eq!(mapped.asset("tokenizer.json"), read.asset("tokenizer.json"));
    assert!(mapped.asset("tokenizer.json").is_some());
}

#[test]
fn other_tools_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model.qint.safetensors");
    convert_to(&output, &golden("gemma"), &recipe(Codec::Q4), &Options::default());
    let bytes = fs::read(&output).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let container = Container::open(&output, Loading::Map).unwrap();
    let base = bytes.as_ptr().addr();
    for (name, view) in file.iter() {
        match container.manifest().hashes.iter().find(|hash| hash.name == name) {
            Some(hash) => {
                assert!((view.data().as_ptr().addr() - base).is_multiple_of(64), "{name}");
                assert_eq!(hash.sha256, hex(view.data()));
            }
            None => assert!(name.starts_with("__pad.") && view.data().iter().all(|byte| *byte == 0), "{name}"),
        }
    }
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    assert_eq!(metadata["format"], "qint");
    assert_eq!(metadata["qint.manifest_sha256"], hex(metadata["qint.manifest"].as_bytes()));
}

#[test]
fn accuracy_is_recorded_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model.qint.safetensors");
    convert_to(&output, &golden("llama2"), &recipe(Codec::Q8), &Options::default());
    let before = fs::read(&output).unwrap();
    let record = |kld: f64, note: &str| {
        let figures = serde_json::json!({"kld_mean": kld, "tokens": 30000, "note": note});
        record_accuracy(&output, figures.as_object().unwrap().clone())
    };
    record(0.001_234_5, "a \"quoted\" word").unwrap();
    record(0.1, "second").unwrap();
    let container = Container::open(&output, Loading::Map).unwrap();
    assert_eq!(container.manifest().accuracy.as_ref().unwrap()["kld_mean"], 0.1);
    container.verify().unwrap();
    let after = fs::read(&output).unwrap();
    let data = 8 + crate::forge::header_length(&before);
    assert_eq!(before.len(), after.len());
    assert_eq!(before[data..], after[data..]);
    assert!(record(0.2, &"x".repeat(4096)).is_err());
    assert_eq!(fs::read(&output).unwrap(), after, "a refused record changes nothing");
}

#[test]
fn reserved_bytes_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("model");
    convert_to(&output, &golden("llama2"), &recipe(Codec::Q8), &Options::default());
    let name = "model.layers.0.mlp.down_proj.weight";
    let mut forged = Forged::new(&fs::read(&output).unwrap());
    let at = forged.header[format!("{name}.panels")]["data_offsets"][0].as_u64().unwrap() as usize;
    let groups = forged.manifest_json()["config"]["intermediate"].as_u64().unwrap().div_ceil(32) as usize;
    forged.data[at] = 0x80;
    forged.data[at + (16 * groups).next_multiple_of(64) + 5] = 0;
    fs::write(&output, forged.join()).unwrap();
    let container = Container::open(&output, Loading::Map).unwrap();
    assert_eq!(container.reserved(name), Some(Reserved { codes: 1, sub_scales: 1 }));
    assert!(container.verify().is_err());
}

#[test]
fn progress_ends_at_the_total() {
    let dir = tempfile::tempdir().unwrap();
    let source = source::open(&bundled()).unwrap();
    let (last, total) = (Cell::new(0), Cell::new(0));
    let progress = |progress: qint_std::convert::Progress<'_>| {
        assert!(progress.done >= last.get());
        last.set(progress.done);
        total.set(progress.total);
    };
    let output = dir.path().join("model");
    let summary = convert(&*source, &recipe(Codec::Q1), &output, &Options::default(), &progress).unwrap();
    assert_eq!((last.get(), total.get()), (summary.weights, summary.weights));
}

/// Figures for a model of useful size: the time is printed, the memory is bounded.
#[test]
fn reference_model() {
    let Some(model) = std::env::var_os("QINT_REFERENCE") else {
        return skip("reference_model", "QINT_REFERENCE is not set");
    };
    let dir = tempfile::tempdir().unwrap();
    let source = source::open(Path::new(&model)).unwrap();
    let largest = source.tensors().iter().map(|tensor| tensor.expected.rows * tensor.expected.cols).max().unwrap();
    for codec in [Codec::Q8, Codec::Q4, Codec::Q2] {
        let output = dir.path().join(codec.name());
        let start = Instant::now();
        let (summary, peak) =
            private_memory_of(|| convert(&*source, &recipe(codec), &output, &Options::default(), &|_| {}).unwrap());
        println!("{}: {:.1} s, {} MiB, {summary:?}", codec.name(), start.elapsed().as_secs_f64(), peak >> 20);
        assert!(peak < 6 * largest + (64 << 20), "{peak} bytes of private memory");
        Container::open(&output, Loading::Map).unwrap().verify().unwrap();
    }
}

/// Runs `work` and returns the most private memory that this process had meanwhile, sampled; 0 where Linux doesn't tell.
fn private_memory_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let done = AtomicBool::new(false);
    let now = || {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(now());
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, sampler.join().unwrap())
    })
}
