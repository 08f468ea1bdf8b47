//! Weights, threads and memory become logits: what qint-core's forward pass needs, owned.
//!
//! An [`Engine`] holds the backend, the thread team and the workspace, and serves one call at a time; a [`Session`] holds
//! one sequence's keys and values. Neither holds weights, so several of them can share one model.
mod memory;
mod options;

pub(crate) use memory::available as memory_available;
pub use options::EngineOptions;

use crate::{Error, Result};
use half::f16;
use memory::{grow, zeroed};
use qint_core::{
    backend::Backend,
    llama::{self, Config, KvCache, KvKind, KvPlan, KvStore, Logits, Plan, PlanRequest, Sequence, Weights, Workspace},
    team::Team,
};

/// Tokens of a prompt that go through the model together, unless told otherwise.
pub const DEFAULT_CHUNK: usize = 256;

/// Runs forward passes.
pub struct Engine {
    backend: Backend,
    team: Box<dyn Team + Send>,
    chunk: usize,
    floats: Vec<f32>,
    codes: Vec<i8>,
    sums: Vec<i32>,
}

/// One sequence: its keys and values so far, and room for more.
pub struct Session {
    config: Config,
    memory: Memory,
    capacity: usize,
    len: usize,
}

/// New tokens of one session.
pub struct Feed<'a> {
    /// Where they belong.
    pub session: &'a mut Session,
    /// The tokens.
    pub tokens: &'a [u32],
    /// Whose logits are wanted.
    pub logits: Logits,
}

enum Memory {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8 { codes: Vec<i8>, scales: Vec<f32> },
}

/// Bytes of workspace for that many tokens at once.
pub(crate) fn workspace_bytes(config: &Config, tokens: usize) -> Result<u64> {
    let plan = Plan::new(config, PlanRequest { tokens }).map_err(Error::core("workspace"))?;
    Ok(4 * plan.floats as u64 + plan.codes as u64 + 4 * plan.sums as u64)
}

impl Engine {
    /// An engine on `backend` and `team`, which passes at most `chunk` tokens (at least 1) through the model at once.
    pub fn new(backend: Backend, team: Box<dyn Team + Send>, chunk: usize) -> Engine {
        Engine { backend, team, chunk: chunk.max(1), floats: Vec::new(), codes: Vec::new(), sums: Vec::new() }
    }

    /// The backend in use.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Members of the team.
    pub fn threads(&self) -> usize {
        self.team.size()
    }

    /// Tokens that go through the model together at most.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// Bytes of workspace for a model of `config`.
    pub fn workspace_bytes(&self, config: &Config) -> Result<u64> {
        workspace_bytes(config, self.chunk)
    }

    /// Appends a prompt to one session, chunk by chunk, and returns the last token's logits, `[vocabulary]`.
    ///
    /// # Errors
    /// As [`forward`](Engine::forward), and [`Error::Argument`] if there are no tokens.
    pub fn prompt(&mut self, weights: &Weights<'_>, session: &mut Session, tokens: &[u32]) -> Result<Vec<f32>> {
        session.expect_room(tokens.len())?;
        let mut logits = Vec::new();
        let chunks = tokens.chunks(self.chunk);
        let last = chunks.len().checked_sub(1).ok_or_else(|| Error::Argument {
            what: "prompt",
            given: "empty".into(),
            allowed: "give at least one token".into(),
        })?;
        for (index, tokens) in chunks.enumerate() {
            let wanted = if index == last { Logits::Last } else { Logits::None };
            self.forward(weights, &mut [Feed { session, tokens, logits: wanted }], &mut logits)?;
        }
        Ok(logits)
    }

    /// One pass over all feeds. `logits` becomes `[rows][vocabulary]`, the wanted rows feed after feed.
    ///
    /// # Errors
    /// [`Error::Core`] as [`qint_core::llama::forward`]; [`Error::Resources`] if memory is short. After an error no session
    /// has grown.
    pub fn forward(&mut self, weights: &Weights<'_>, feeds: &mut [Feed<'_>], logits: &mut Vec<f32>) -> Result<()> {
        let tokens = feeds.iter().map(|feed| feed.tokens.len()).sum::<usize>().max(1);
        let plan = Plan::new(weights.config(), PlanRequest { tokens }).map_err(Error::core("workspace"))?;
        grow(&mut self.floats, plan.floats, 0.0, "workspace")?;
        grow(&mut self.codes, plan.codes, 0, "workspace")?;
        grow(&mut self.sums, plan.sums, 0, "workspace")?;
        let vocabulary = weights.config().vocabulary;
        let mut caches = Vec::with_capacity(feeds.len());
        let mut asked = Vec::with_capacity(feeds.len());
        for feed in feeds.iter_mut() {
            asked.push((feed.tokens, feed.logits));
            caches.push(feed.session.cache()?);
        }
        let mut sequences: Vec<Sequence<'_, '_>> = caches
            .iter_mut()
            .zip(&asked)
            .map(|(cache, &(tokens, logits))| Sequence { tokens, cache, logits })
            .collect();
        let rows: usize = sequences.iter().map(Sequence::rows).sum();
        logits.clear();
        grow(logits, rows * vocabulary, 0.0, "logits")?;
        let mut workspace = Workspace { floats: &mut self.floats, codes: &mut self.codes, sums: &mut self.sums };
        llama::forward(self.backend, &*self.team, weights, &mut sequences, &mut workspace, logits)
            .map_err(Error::core("forward pass"))?;
        for feed in feeds {
            feed.session.len += feed.tokens.len();
        }
        Ok(())
    }
}

impl Session {
    /// An empty sequence of at most `capacity` positions for models of `config`.
    ///
    /// # Errors
    /// [`Error::Core`] if `capacity` is 0, [`Error::Resources`] if memory is short.
    pub fn new(config: &Config, kind: KvKind, capacity: usize) -> Result<Session> {
        let plan = KvPlan::new(kind, capacity, config).map_err(Error::core("KV cache"))?;
        let what = "KV cache";
        let memory = match kind {
            KvKind::F32 => Memory::F32(zeroed(plan.values, what)?),
            KvKind::F16 => Memory::F16(zeroed(plan.values, what)?),
            KvKind::I8 => Memory::I8 { codes: zeroed(plan.values, what)?, scales: zeroed(plan.scales, what)? },
        };
        Ok(Session { config: *config, memory, capacity, len: 0 })
    }

    /// Bytes that a session takes.
    ///
    /// # Errors
    /// [`Error::Core`] if `capacity` is 0 or too large to be addressed.
    pub fn bytes(config: &Config, kind: KvKind, capacity: usize) -> Result<u64> {
        let plan = KvPlan::new(kind, capacity, config).map_err(Error::core("KV cache"))?;
        Ok(kind.bytes() as u64 * plan.values as u64 + 4 * plan.scales as u64)
    }

    /// Positions stored.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Behaves as if `len` positions were stored, with keys and values that are all alike: speed does not depend on them.
    pub fn pretend(&mut self, len: usize) {
        match &mut self.memory {
            Memory::F32(values) => values.fill(0.25),
            Memory::F16(values) => values.fill(f16::from_f32_const(0.25)),
            Memory::I8 { codes, scales } => {
                codes.fill(32);
                scales.fill(1.0 / 128.0);
            }
        }
        self.len = len.min(self.capacity);
    }

    /// Refuses `more` positions if they don't fit.
    pub(crate) fn expect_room(&self, more: usize) -> Result<()> {
        let needed = self.len.saturating_add(more);
        if needed <= self.capacity {
            return Ok(());
        }
        let full = qint_core::Error::ContextFull { needed, capacity: self.capacity };
        Err(Error::Core { context: "prompt".into(), source: full })
    }

    fn cache(&mut self) -> Result<KvCache<'_>> {
        let store = match &mut self.memory {
            Memory::F32(values) => KvStore::F32(values),
            Memory::F16(values) => KvStore::F16(values),
            Memory::I8 { codes, scales } => KvStore::I8 { codes, scales },
        };
        KvCache::resume(&self.config, self.capacity, store, self.len).map_err(Error::core("KV cache"))
    }
}
