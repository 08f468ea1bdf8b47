//! Memory for a forward pass, and sequences of calls.
use half::f16;
use qint_core::{
    Error,
    backend::Backend,
    llama::{
        Config, KvCache, KvKind, KvPlan, KvStore, Logits, Plan, PlanRequest, Sequence, Weights, Workspace, forward,
    },
    team::{Serial, Team},
};

/// How a model is run.
#[derive(Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) backend: Backend,
    pub(crate) team: &'a dyn Team,
    pub(crate) kind: KvKind,
}

impl Setting<'_> {
    pub(crate) fn new(kind: KvKind) -> Setting<'static> {
        Setting { backend: Backend::detect(), team: &Serial, kind }
    }
}

/// A sequence's own memory. It starts with rubbish in it.
pub(crate) struct Memory {
    floats: Vec<f32>,
    halves: Vec<f16>,
    codes: Vec<i8>,
    kind: KvKind,
    capacity: usize,
    len: usize,
}

impl Memory {
    pub(crate) fn new(config: &Config, kind: KvKind, capacity: usize) -> Memory {
        let plan = KvPlan::new(kind, capacity, config).unwrap();
        let values = |wanted| if kind == wanted { plan.values } else { 0 };
        let (floats, halves) = (vec![f32::NAN; values(KvKind::F32) + plan.scales], vec![f16::NAN; values(KvKind::F16)]);
        Memory { floats, halves, codes: vec![99; values(KvKind::I8)], kind, capacity, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn cache(&mut self, config: &Config) -> KvCache<'_> {
        let store = match self.kind {
            KvKind::F32 => KvStore::F32(&mut self.floats),
            KvKind::F16 => KvStore::F16(&mut self.halves),
            KvKind::I8 => KvStore::I8 { codes: &mut self.codes, scales: &mut self.floats },
        };
        KvCache::resume(config, self.capacity, store, self.len).unwrap()
    }
}

/// New tokens for one of several memories.
pub(crate) struct Part<'a> {
    pub(crate) tokens: &'a [u32],
    pub(crate) memory: &'a mut Memory,
    pub(crate) logits: Logits,
}

/// One call; the logits of all wanted rows.
pub(crate) fn call(
    setting: Setting<'_>,
    weights: &Weights<'_>,
    parts: &mut [Part<'_>],
) -> Result<Vec<Vec<f32>>, Error> {
    let config = *weights.config();
    let tokens: usize = parts.iter().map(|part| part.tokens.len()).sum();
    let plan = Plan::new(&config, PlanRequest { tokens: tokens.max(1) }).unwrap();
    let (mut floats, mut codes, mut sums) = (vec![f32::NAN; plan.floats], vec![77; plan.codes], vec![7; plan.sums]);
    let mut workspace = Workspace { floats: &mut floats, codes: &mut codes, sums: &mut sums };

    let mut caches = Vec::new();
    let mut asked = Vec::new();
    for part in &mut *parts {
        asked.push((part.tokens, part.logits));
        caches.push(part.memory.cache(&config));
    }
    let mut sequences: Vec<Sequence<'_, '_>> =
        caches.iter_mut().zip(&asked).map(|(cache, &(tokens, logits))| Sequence { tokens, cache, logits }).collect();
    let rows: usize = sequences.iter().map(Sequence::rows).sum();
    let mut logits = vec![f32::NAN; rows * config.vocabulary];
    let done = forward(setting.backend, setting.team, weights, &mut sequences, &mut workspace, &mut logits);
    let lengths: Vec<usize> = caches.iter().map(KvCache::len).collect();
    for (part, len) in parts.iter_mut().zip(lengths) {
        part.memory.len = len;
    }
    done.map(|()| logits.chunks(config.vocabulary).map(<[f32]>::to_vec).collect())
}

/// Logits of all `tokens`, fed `chunk` at a time to an empty sequence.
pub(crate) fn score(setting: Setting<'_>, weights: &Weights<'_>, tokens: &[u32], chunk: usize) -> Vec<Vec<f32>> {
    let mut memory = Memory::new(weights.config(), setting.kind, tokens.len());
    let chunks = tokens.chunks(chunk);
    chunks
        .flat_map(|tokens| {
            call(setting, weights, &mut [Part { tokens, memory: &mut memory, logits: Logits::All }]).unwrap()
        })
        .collect()
}

/// Bits, so that `==` also tells −0 from +0 and finds NaN equal.
pub(crate) fn bits(logits: &[Vec<f32>]) -> Vec<Vec<u32>> {
    logits.iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}
