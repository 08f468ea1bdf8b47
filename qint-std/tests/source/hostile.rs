//! Files that someone bent: every one opens and reads, or is refused with an error. None panics, hangs, or allocates more
//! than twice its size + 32 MiB.
use crate::{
    gguf_file::{GgufFile, GgufTensor, Value, from_golden, tiny, with_tokenizer},
    support::{copy_of, golden, long_tests, peak_of},
};
use qint_std::{config::ModelConfig, source};
use std::{fs, ops::Range, path::Path};

/// Opens `path` and reads everything in it; whether that worked.
fn survives(path: &Path, size: usize) -> bool {
    let (read, peak) = peak_of(|| {
        let Ok(source) = source::open(path) else { return false };
        let mut row = Vec::new();
        for (index, tensor) in source.tensors().iter().enumerate() {
            row.resize(tensor.expected.cols, 0.0);
            for at in 0..tensor.expected.rows {
                if source.read_rows(index, at..at + 1, &mut row).is_err() {
                    return false;
                }
            }
            source.dense(index);
        }
        ["tokenizer.json", "chat_template.jinja"].iter().for_each(|name| drop(source.asset(name)));
        source.hash().is_ok()
    });
    let limit = 2 * size + (32 << 20);
    assert!(peak <= limit, "{peak} bytes allocated for a file of {size}");
    read
}

/// A file's place, and what it is made of.
struct Victim<'a> {
    open: &'a Path,
    file: &'a Path,
    good: &'a [u8],
}

impl Victim<'_> {
    fn try_with(&self, bytes: &[u8]) -> bool {
        fs::write(self.file, bytes).unwrap();
        survives(self.open, bytes.len())
    }

    /// Changes each of the first `count` bytes, to some or (in the long form) all other values.
    fn every_byte(&self, count: usize) {
        self.every_byte_of(0..count.min(self.good.len()));
    }

    fn every_byte_of(&self, range: Range<usize>) {
        let all: Vec<u8> = (1..=255).collect();
        let some = [1, 128];
        let changes = if long_tests() { &all[..] } else { &some[..] };
        let mut bytes = self.good.to_vec();
        for at in range {
            for change in changes {
                bytes[at] ^= change;
                self.try_with(&bytes);
                bytes[at] ^= change;
            }
        }
    }

    fn every_truncation(&self, step: usize) {
        for length in (0..self.good.len()).step_by(if long_tests() { 1 } else { step }) {
            assert!(!self.try_with(&self.good[..length]), "{length} of {} bytes", self.good.len());
        }
    }

    /// Several changes at once: bytes, words of extreme numbers, removed and doubled pieces.
    fn seeded_mutations(&self, count: usize) {
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = |limit: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % limit as u64) as usize
        };
        for _ in 0..count {
            let mut bytes = self.good.to_vec();
            for _ in 0..=next(4) {
                let at = next(bytes.len() - 16);
                match next(4) {
                    0 => bytes[at] = next(256) as u8,
                    1 => {
                        let numbers = [u64::MAX, i64::MAX as u64, 1 << 32, 1 << 40, u64::MAX - 7, 0];
                        bytes[at..at + 8].copy_from_slice(&numbers[next(6)].to_le_bytes());
                    }
                    2 => drop(bytes.drain(at..at + 1 + next(15))),
                    _ => {
                        let piece = bytes[at..at + 1 + next(15)].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
            self.try_with(&bytes);
        }
    }
}

fn bend_gguf(file: &GgufFile, step: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let good = file.to_bytes();
    let victim = Victim { open: &path, file: &path, good: &good };
    assert!(victim.try_with(&good));
    victim.every_byte(4096);
    victim.every_truncation(step);
    victim.seeded_mutations(if long_tests() { 20_000 } else { 1000 });
}

#[test]
fn long_gguf_with_sentencepiece() {
    bend_gguf(&with_tokenizer("llama2", None), 9);
}

#[test]
fn long_gguf_with_byte_level_tokenizer() {
    bend_gguf(&with_tokenizer("llama3", Some("llama-bpe")), 9);
}

#[test]
fn gguf_with_rope_factors_and_bare() {
    let mut small = from_golden("llama3");
    small.tensors.retain(|tensor| !tensor.name.starts_with("blk.1."));
    small.set("llama.block_count", Value::U32(1));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let good = small.to_bytes();
    let victim = Victim { open: &path, file: &path, good: &good };
    assert!(victim.try_with(&good));
    victim.every_byte(600);
    victim.seeded_mutations(300);
    bend_gguf(&tiny(5), 1);
}

#[test]
fn checkpoints() {
    let dir = copy_of("sharded");
    let header = |bytes: &[u8]| 8 + bytes[0] as usize + 256 * bytes[1] as usize;
    for name in ["model-00002-of-00003.safetensors", "model.safetensors.index.json", "config.json"] {
        let file = dir.path().join(name);
        let good = fs::read(&file).unwrap();
        let json = name.ends_with(".json");
        let victim = Victim { open: dir.path(), file: &file, good: &good };
        assert!(victim.try_with(&good));
        victim.every_byte(if json { good.len() } else { header(&good) });
        if !json {
            for length in (0..good.len()).step_by(97).chain(0..header(&good)) {
                assert!(!victim.try_with(&good[..length]));
            }
        }
        victim.seeded_mutations(500);
        assert!(victim.try_with(&good));
    }
}

#[test]
fn npz() {
    let dir = copy_of("npz");
    for name in ["weights.npz", "manifest.json"] {
        let file = dir.path().join(name);
        let good = fs::read(&file).unwrap().trim_ascii_end().to_vec();
        let victim = Victim { open: dir.path(), file: &file, good: &good };
        assert!(victim.try_with(&good));
        // The archive's directory is at its end.
        victim.every_byte_of(if long_tests() { 0 } else { good.len() - good.len().min(1000) }..good.len());
        victim.every_truncation(3);
        victim.seeded_mutations(2000);
        assert!(victim.try_with(&good));
    }
    for content in [
        format!(r#"{{"format": "qint-npz", "version": 1, "config": [{}0], "tensors": {{}}}}"#, "0,".repeat(1_000_000)),
        format!(r#"{{"tensors": {{"a": {{"shape": [{}0], "dtype": ""}}}}}}"#, "0,".repeat(1_000_000)),
    ] {
        fs::write(dir.path().join("manifest.json"), &content).unwrap();
        assert!(!survives(dir.path(), content.len()));
    }
}

#[test]
fn headers_that_would_blow_up() {
    let dir = copy_of("llama2");
    let model = dir.path().join("model.safetensors");
    let refuse = |header: String, claimed: Option<u64>| {
        let mut bytes = claimed.unwrap_or(header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.into_bytes());
        fs::write(&model, &bytes).unwrap();
        assert!(!survives(dir.path(), bytes.len()));
    };
    refuse(String::new(), Some(u64::MAX));
    refuse("{}".into(), Some(100 << 20));
    let tensors: Vec<String> =
        (0..20_000).map(|i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    refuse(format!("{{{}}}", tensors[..15_000].join(",")), None);
    refuse(format!("{{{}}}", tensors.join(",")), None);
    let metadata: Vec<String> = (0..100_000).map(|i| format!(r#""{i}":"""#)).collect();
    refuse(format!(r#"{{"__metadata__":{{{}}}}}"#, metadata.join(",")), None);
    refuse(format!(r#"{{"a":{{"dtype":"U8","shape":[{}1],"data_offsets":[0,1]}}}}"#, "1,".repeat(500_000)), None);
    refuse("[".repeat(1_000_000), None);

    for (name, content) in [
        ("config.json", format!("[{}0]", "0,".repeat(65_000))),
        ("config.json", format!("[{}0]", "0,".repeat(1_000_000))),
        ("config.json", "[".repeat(130_000)),
        ("tokenizer_config.json", format!(r#"{{"chat_template": [{}0]}}"#, "0,".repeat(2_000_000))),
        ("tokenizer_config.json", format!(r#"{{"chat_template": "{}"}}"#, "x".repeat(7_000_000))),
        ("model.safetensors.index.json", format!(r#"{{"weight_map": {{{}"a":"a"}}}}"#, r#""a":"a","#.repeat(900_000))),
    ] {
        let dir = copy_of("llama2");
        if name.starts_with("model") {
            fs::remove_file(dir.path().join("model.safetensors")).unwrap();
        }
        fs::write(dir.path().join(name), &content).unwrap();
        assert!(!survives(dir.path(), content.len()), "{name} {}", &content[..40]);
    }
}

#[test]
fn gguf_that_would_blow_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    let run = |file: &GgufFile| {
        let bytes = file.to_bytes();
        fs::write(&path, &bytes).unwrap();
        survives(&path, bytes.len())
    };
    // Every cut of every piece is a merge: the square of the vocabulary's size.
    let pieces = |tokens: Vec<String>, kind: i32| {
        let mut file = tiny(tokens.len() as u32);
        file.set("tokenizer.ggml.model", Value::Text("llama".into()));
        file.set("tokenizer.ggml.scores", Value::F32s(vec![f32::NAN; tokens.len()]));
        file.set("tokenizer.ggml.token_type", Value::I32s(vec![kind; tokens.len()]));
        file.set("tokenizer.ggml.bos_token_id", Value::U32(0));
        file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
        file
    };
    assert!(!run(&pieces((1..=500).map(|length| "a".repeat(length)).collect(), 1)));
    assert!(run(&pieces((1..=8).map(|length| "a".repeat(length)).collect(), 1)));
    assert!(!run(&pieces(vec!["a".repeat(100_000)], 1)));
    // Control tokens cost 140 bytes of JSON each, control characters six for one.
    assert!(!run(&pieces((0..400_000).map(|i| format!("{i}")).collect(), 3)));
    assert!(!run(&pieces((0..50_000).map(|i| format!("{i}{}", "\0".repeat(100))).collect(), 1)));
    let mut keys = tiny(5);
    keys.pairs.extend((0..4000).map(|i| (format!("k{i}"), Value::Flag(true))));
    assert!(run(&keys));
    keys.pairs.extend((4000..5000).map(|i| (format!("k{i}"), Value::Flag(true))));
    assert!(!run(&keys));
    let mut tensors = tiny(5);
    let spare = |i| GgufTensor { name: format!("t{i}"), dimensions: vec![0; 8], kind: 0, bytes: vec![] };
    tensors.tensors.extend((0..60_000).map(spare));
    assert!(run(&tensors));
    let mut template = tiny(5);
    template.set("tokenizer.chat_template", Value::Text("x".repeat(2 << 20)));
    assert!(!run(&template));
}

#[test]
fn manifests_bent_anywhere_are_read_or_refused() {
    let source = source::open(&golden("llama3")).unwrap();
    let text = source.config().to_json().to_string().into_bytes();
    for at in 0..text.len() {
        for byte in b"0-9.eE\"{}[],:x\0 ntf" {
            let mut bent = text.clone();
            bent[at] = *byte;
            if let Ok(json) = serde_json::from_slice(&bent)
                && let Ok(config) = ModelConfig::from_json(&json)
            {
                assert!(config.architecture.check().is_ok());
            }
        }
    }
}
