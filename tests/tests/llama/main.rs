//! The forward pass against Hugging Face transformers (`tests/goldens`), and against itself: the same bits for any chunking,
//! batch, team and backend.
mod checkpoint;
mod quantized;
mod session;
mod threads;

use checkpoint::{Checkpoint, FAMILIES, Golden};
use qint_core::{
    Error,
    activation::{ActivationFormat, Transform},
    backend::Backend,
    codec::Codec,
    llama::{Config, KvKind, Layer, Logits, Weights},
    matrix::Matrix,
};
use quantized::with_quantized;
use session::{Memory, Part, Setting, bits, call, score};
use threads::Threads;

const KINDS: [KvKind; 3] = [KvKind::F32, KvKind::F16, KvKind::I8];

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best }) as u32
}

/// The largest distance from the golden logits, relative to the largest of them.
fn distance(golden: &Golden, weights: &Weights<'_>, kind: KvKind) -> f32 {
    let logits = score(Setting::new(kind), weights, &golden.prompt, usize::MAX);
    let pairs = golden.positions.iter().zip(&golden.logits).flat_map(|(&at, row)| logits[at].iter().zip(row));
    let (error, largest) =
        pairs.fold((0f32, 0f32), |(error, largest), (x, y)| (error.max((x - y).abs()), largest.max(y.abs())));
    error / largest
}

fn decode_greedily(weights: &Weights<'_>, kind: KvKind, prompt: &[u32], count: usize) -> Vec<u32> {
    let setting = Setting::new(kind);
    let mut memory = Memory::new(weights.config(), kind, prompt.len() + count);
    let (mut next, mut written) = (prompt.to_vec(), Vec::new());
    for _ in 0..count {
        let part = Part { tokens: &next, memory: &mut memory, logits: Logits::Last };
        next = vec![argmax(&call(setting, weights, &mut [part]).unwrap()[0])];
        written.push(next[0]);
    }
    written
}

#[test]
fn logits_are_those_of_transformers() {
    for family in FAMILIES {
        let checkpoint = Checkpoint::load(family);
        for (kind, tolerance) in [(KvKind::F32, 1e-5), (KvKind::F16, 1e-3), (KvKind::I8, 0.05)] {
            let distance = checkpoint.with_dense(|weights| distance(&checkpoint.golden, weights, kind));
            println!("{family}, {kind:?}: {distance:.1e}");
            assert!(distance < tolerance, "{family}, {kind:?}: {distance}");
        }
    }
}

#[test]
fn quantized_models_come_close() {
    for family in FAMILIES {
        let checkpoint = Checkpoint::load(family);
        for transform in [Transform::None, Transform::Hadamard] {
            for (codec, tolerance) in [(Codec::Q8, 0.1), (Codec::Q4, 0.8)] {
                let choice = Some((codec, quantized::format(transform)));
                let distance = with_quantized(
                    &checkpoint,
                    |_| choice,
                    |weights| distance(&checkpoint.golden, weights, KvKind::F32),
                );
                println!("{family}, {codec:?}, {transform:?}: {distance:.1e}");
                assert!(distance < tolerance, "{family}, {codec:?}, {transform:?}: {distance}");
            }
        }
    }
}

#[test]
fn greedy_ids_are_those_of_transformers() {
    for family in FAMILIES {
        let checkpoint = Checkpoint::load(family);
        let golden = &checkpoint.golden;
        for kind in [KvKind::F32, KvKind::F16] {
            let ids =
                checkpoint.with_dense(|weights| decode_greedily(weights, kind, &golden.prompt, golden.greedy.len()));
            assert_eq!(ids, golden.greedy, "{family}, {kind:?}");
        }
    }
}

/// Calls `test` with every family, once un-quantized and once with a mixture of codecs and dense matrices.
fn for_each_model(test: impl Fn(&str, &Weights<'_>, &[u32])) {
    for family in FAMILIES {
        let checkpoint = Checkpoint::load(family);
        // More than 128 positions, so that attention takes more than one chunk.
        let tokens: Vec<u32> = checkpoint.golden.prompt.iter().cycle().take(150).copied().collect();
        checkpoint.with_dense(|weights| test(family, weights, &tokens));
        with_quantized(&checkpoint, mixture, |weights| test(&format!("quantized {family}"), weights, &tokens));
    }
}

/// Something of everything; matrices that share an input agree on its format.
fn mixture(name: &str) -> Option<(Codec, ActivationFormat)> {
    let (plain, transformed) = (quantized::format(Transform::None), quantized::format(Transform::Hadamard));
    match name.rsplit('.').next()? {
        "q_proj" => Some((Codec::Q8, transformed)),
        "k_proj" => Some((Codec::Q4, transformed)),
        "v_proj" => Some((Codec::Q4Linear, transformed)),
        "o_proj" => None,
        "gate_proj" => Some((Codec::Q2, plain)),
        "up_proj" => Some((Codec::Q4, plain)),
        "down_proj" if name.contains("layers.1") => None,
        "down_proj" => Some((Codec::Q8, plain)),
        _ => Some((Codec::Q8, transformed)),
    }
}

#[test]
fn chunks_of_a_prompt_change_no_bit() {
    for_each_model(|family, weights, tokens| {
        for kind in KINDS {
            let setting = Setting::new(kind);
            let whole = score(setting, weights, tokens, usize::MAX);
            for chunk in [1, 3, 7, 64] {
                let chunked = score(setting, weights, tokens, chunk);
                assert!(bits(&chunked) == bits(&whole), "{family}, {kind:?}, chunks of {chunk}");
            }
        }
    });
}

#[test]
fn members_change_no_bit() {
    for_each_model(|family, weights, tokens| {
        let setting = Setting::new(KvKind::F16);
        let serial = score(setting, weights, tokens, 50);
        for members in 1..=8 {
            let team = Threads(members);
            for tokens_per_call in [50, 1] {
                let tokens = if tokens_per_call == 1 { &tokens[..9] } else { tokens };
                let logits = score(Setting { team: &team, ..setting }, weights, tokens, tokens_per_call);
                assert!(bits(&logits) == bits(&serial)[..tokens.len()], "{family}, {members} members");
            }
        }
    });
}

#[test]
fn backends_change_no_bit() {
    for_each_model(|family, weights, tokens| {
        for kind in KINDS {
            let detected = score(Setting::new(kind), weights, tokens, 30);
            for backend in Backend::available() {
                let logits = score(Setting { backend, ..Setting::new(kind) }, weights, tokens, 30);
                assert!(bits(&logits) == bits(&detected), "{family}, {kind:?}, {}", backend.name());
            }
        }
    });
}

#[test]
fn company_in_a_batch_changes_no_bit() {
    for_each_model(|family, weights, tokens| {
        let setting = Setting { team: &Threads(2), ..Setting::new(KvKind::I8) };
        let prompts = [&tokens[..31], &tokens[5..6], &tokens[7..140]];
        let alone = prompts.map(|prompt| score(setting, weights, prompt, usize::MAX));
        let mut memories = prompts.map(|prompt| Memory::new(weights.config(), setting.kind, prompt.len()));
        let mut together = [const { Vec::new() }; 3];
        // Each takes 17 tokens at a time; the shorter ones end earlier and stay in the batch without tokens.
        while memories.iter().zip(prompts).any(|(memory, prompt)| memory.len() < prompt.len()) {
            let mut parts: Vec<Part<'_>> = memories
                .iter_mut()
                .zip(prompts)
                .map(|(memory, prompt)| {
                    let tokens = &prompt[memory.len()..prompt.len().min(memory.len() + 17)];
                    Part { tokens, memory, logits: Logits::All }
                })
                .collect();
            let counts: Vec<usize> = parts.iter().map(|part| part.tokens.len()).collect();
            let mut rows = call(setting, weights, &mut parts).unwrap().into_iter();
            for (together, count) in together.iter_mut().zip(counts) {
                together.extend(rows.by_ref().take(count));
            }
        }
        for (alone, together) in alone.iter().zip(&together) {
            assert!(bits(alone) == bits(together), "{family}");
        }
    });
}

#[test]
fn only_wanted_logits_are_computed() {
    for_each_model(|_, weights, tokens| {
        let setting = Setting::new(KvKind::F32);
        let all = score(setting, weights, &tokens[..20], usize::MAX);
        let [mut first, mut second, mut third] = [20; 3].map(|len| Memory::new(weights.config(), setting.kind, len));
        let parts = &mut [
            Part { tokens: &tokens[..20], memory: &mut first, logits: Logits::Last },
            Part { tokens: &tokens[..10], memory: &mut second, logits: Logits::None },
            Part { tokens: &tokens[..3], memory: &mut third, logits: Logits::All },
        ];
        let logits = call(setting, weights, parts).unwrap();
        assert!(bits(&logits) == bits(&[&all[19..], &all[..3]].concat()));
        let part = Part { tokens: &tokens[10..20], memory: &mut second, logits: Logits::Last };
        assert!(bits(&call(setting, weights, &mut [part]).unwrap()) == bits(&all[19..]));
    });
}

#[test]
fn refused_calls_leave_sequences_as_they_are() {
    let checkpoint = Checkpoint::load("llama2");
    checkpoint.with_dense(|weights| {
        let setting = Setting::new(KvKind::F32);
        let mut memory = Memory::new(weights.config(), setting.kind, 4);
        let mut refused = |tokens: &[u32]| {
            let part = Part { tokens, memory: &mut memory, logits: Logits::Last };
            call(setting, weights, &mut [part]).map(|_| memory.len())
        };
        assert_eq!(refused(&[3, 131]), Err(Error::Token { id: 131, vocabulary: 131 }));
        assert_eq!(refused(&[3, 4, 5]), Ok(3));
        assert_eq!(refused(&[6, 7]), Err(Error::ContextFull { needed: 5, capacity: 4 }));
        assert_eq!(refused(&[6]), Ok(4));
        assert_eq!(refused(&[]), Ok(4));
        assert_eq!(refused(&[6]), Err(Error::ContextFull { needed: 5, capacity: 4 }));
    });
}

/// A model whose stored norms or matrices are replaced, then run on three tokens.
fn run_broken(kind: KvKind, norm: usize, value: f32) -> Result<usize, Error> {
    let checkpoint = Checkpoint::load("llama2");
    let mut norms = checkpoint.norms();
    norms[norm][5] = value;
    let dense = |name: &str| Matrix::Dense(checkpoint.matrix(name));
    let layers = checkpoint.layers(&norms, dense);
    let head = dense(checkpoint.head_name());
    let weights = Weights::new(checkpoint.config, dense("model.embed_tokens"), &layers, &norms[4], head).unwrap();
    let mut memory = Memory::new(weights.config(), kind, 3);
    let part = Part { tokens: &[1, 2, 3], memory: &mut memory, logits: Logits::Last };
    let result = call(Setting::new(kind), &weights, &mut [part]);
    assert_eq!(memory.len(), if result.is_ok() { 3 } else { 0 });
    result.map(|logits| logits.len())
}

#[test]
fn broken_weights_are_an_error_not_a_token() {
    for kind in KINDS {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for norm in 0..5 {
                let at = match norm {
                    4 => "logits",
                    0 | 2 if kind == KvKind::I8 => "keys and values",
                    // What a norm breaks is noticed in the residual stream, at the next norm.
                    0 | 2 => "MLP input",
                    1 => "attention input",
                    _ => "head input",
                };
                match run_broken(kind, norm, value) {
                    Err(Error::NotFinite { at: found }) => assert_eq!(found, at, "{kind:?}, norm {norm}, {value}"),
                    other => panic!("{kind:?}, norm {norm}, {value}: {other:?}"),
                }
            }
        }
        assert_eq!(run_broken(kind, 0, 1.0), Ok(1));
    }
}

#[test]
fn shapes_must_fit_the_configuration() {
    let checkpoint = Checkpoint::load("llama2");
    let norms = checkpoint.norms();
    let dense = |name: &str| Matrix::Dense(checkpoint.matrix(name));
    let layers = checkpoint.layers(&norms, dense);
    let build = |change: &dyn Fn(&mut Config, &mut Vec<Layer<'_>>)| {
        let (mut config, mut layers) = (checkpoint.config, layers.clone());
        change(&mut config, &mut layers);
        let (embedding, head) = (dense("model.embed_tokens"), dense("lm_head"));
        Weights::new(config, embedding, &layers, &norms[4], head).map(|_| ()).unwrap_err()
    };
    let mismatch = |what, found, expected| Error::Mismatch { what, found, expected };
    assert_eq!(build(&|config, _| config.vocabulary = 132), mismatch("embedding rows", 131, 132));
    assert_eq!(build(&|config, _| config.kv_heads = 3), mismatch("heads modulo KV heads", 1, 0));
    assert_eq!(build(&|config, _| config.kv_heads = 2), mismatch("k rows", 48, 24));
    assert_eq!(build(&|config, _| config.head_dim = 11), mismatch("head dimension modulo 2", 1, 0));
    assert_eq!(build(&|_, layers| layers[1].down = layers[1].up), mismatch("down rows", 100, 48));
    assert_eq!(build(&|_, layers| layers.truncate(1)), mismatch("layers", 1, 2));
    assert_eq!(
        build(&|config, _| config.hidden = 0),
        Error::Dimension { what: "hidden size", given: 0, limit: 1 << 24 }
    );
    assert_eq!(build(&|config, _| config.rope_theta = -1.0), Error::Number { what: "rope theta", given: -1.0 });
    assert_eq!(
        build(&|_, layers| layers[0].mlp_norm = &layers[0].mlp_norm[1..]),
        Error::Length { what: "MLP norm", given: 47, needed: 48 }
    );
}
