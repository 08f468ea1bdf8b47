//! Times attention: a step of a model that consists of little else, over keys and values that are there already.
use super::{KernelOptions, KernelResult, quickest, team};
use crate::{
    Result,
    engine::{Engine, Feed, Session},
    model::Model,
    quantize::{Recipe, Scheme},
    synthetic,
};
use qint_core::{
    backend::Backend,
    codec::Codec,
    llama::{KvKind, Logits},
};

const HEADS: usize = 32;
const KV_HEADS: usize = 8;
const HEAD_DIM: usize = 128;
/// Bytes of keys and values that take turns, unless they may be cached.
const STREAM_BYTES: u64 = 512 << 20;

pub(super) fn time(backend: Backend, options: &KernelOptions) -> Result<KernelResult> {
    let positions = options.positions;
    let config = synthetic::attention_config(HEADS, KV_HEADS, HEAD_DIM, positions)?;
    let model = Model::random(config, &Recipe::new(Scheme::of(Codec::Q8)))?;
    let (weights, architecture) = (model.weights(), model.config().architecture);
    let bytes = Session::bytes(&architecture, KvKind::F16, positions)?;
    let sessions = if options.cached { 1 } else { STREAM_BYTES.div_ceil(bytes) };
    let mut sessions =
        (0..sessions).map(|_| Session::new(&architecture, KvKind::F16, positions)).collect::<Result<Vec<_>>>()?;
    sessions.iter_mut().for_each(|session| session.pretend(positions - 1));
    let mut engine = Engine::new(backend, team(options.threads), 1);
    let mut logits = Vec::new();
    let seconds = quickest(|| {
        sessions.iter_mut().try_for_each(|session| {
            session.truncate(positions - 1);
            let feed = Feed { session, tokens: &[1], logits: Logits::None };
            engine.forward(weights, &mut [feed], &mut logits)
        })
    })? / sessions.len() as f64;
    let multiply_adds = (2 * HEADS * HEAD_DIM * positions) as f64;
    Ok(KernelResult {
        kernel: super::Kernel::Attention.name(),
        backend: backend.name(),
        codec: None,
        group: None,
        rows: positions,
        cols: HEAD_DIM,
        tokens: 1,
        threads: engine.threads(),
        cached: options.cached,
        microseconds: seconds * 1e6,
        gb_per_s: bytes as f64 / seconds / 1e9,
        gmac_per_s: Some(multiply_adds / seconds / 1e9),
        limited_by: (!options.cached).then_some("memory"),
        percent_of_limit: None,
    })
}
