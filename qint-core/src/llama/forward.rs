//! The pass itself.
//!
//! ```text
//! change = embedding[id]
//! for each layer:
//!   hidden += change;  input = norm(hidden)             by token
//!   q, k, v = input × three matrices                    by chunks of rows
//!   store rotated k, and v                              by sequence and KV head
//!   input = attention(rotated q, stored k and v)        by token and KV head
//!   change = input × o                                  by chunks of rows
//!   hidden += change;  input = norm(hidden)
//!   gate, up = input × two matrices;  gate = silu(gate) · up
//!   input = gate;  change = input × down
//! hidden += change;  logits = norm(hidden) × head       wanted tokens only
//! ```
//! Every `input` is quantized once per token where its matrices are quantized. Steps "by token" of a single token run on the
//! calling thread: they are shorter than a fork and a join.
use super::{
    Config, KvCache, Layer, Plan, PlanRequest, Sequence, Weights, Workspace,
    attention::{self, Block},
    batch, embedding,
    input::{Input, InputBuffers, InputShape},
    kv_store::Write,
    plan::Sizes,
    rope,
};
use crate::{
    Error,
    activation::padded_tokens,
    backend::Backend,
    layout::{PANEL_ROWS, padded_cols},
    math::{self, NormGain},
    matrix::{Matrix, expect_length},
    team::{DisjointRows, Serial, Team, all, for_each},
};
use core::iter::repeat;

/// Runs the new tokens of all `sequences` through the model and appends them to their caches.
///
/// `logits` receives `[rows][vocabulary]`: the wanted rows of the first sequence, then of the second, and so on
/// ([`Sequence::rows`]). The same bits for any split of a prompt into calls, any other sequences in the batch, any team and
/// any backend.
///
/// # Errors
/// Before any work: [`Error::Token`], [`Error::ContextFull`], [`Error::Mismatch`] (a cache of another model),
/// [`Error::Length`] (`workspace` too short for this many tokens, `logits` of another length). Later: [`Error::NotFinite`].
/// After an error no sequence has grown.
pub fn forward(
    backend: Backend,
    team: &dyn Team,
    weights: &Weights<'_>,
    sequences: &mut [Sequence<'_, '_>],
    workspace: &mut Workspace<'_>,
    logits: &mut [f32],
) -> Result<(), Error> {
    let config = weights.config();
    batch::check(sequences, config, logits.len())?;
    let tokens = batch::tokens(sequences);
    if tokens == 0 {
        return Ok(());
    }
    let mut buffers = Buffers::new(config, tokens, workspace)?;
    let pass = Pass { backend, team, weights, config, tokens };
    pass.embed(sequences, &mut buffers)?;
    for (index, layer) in weights.layers().iter().enumerate() {
        pass.attention(index, layer, sequences, &mut buffers)?;
        pass.mlp(layer, &mut buffers)?;
    }
    pass.head(sequences, &mut buffers, logits)?;
    for sequence in sequences {
        sequence.cache.grow(sequence.tokens.len());
    }
    Ok(())
}

/// What doesn't change during a pass.
struct Pass<'a> {
    backend: Backend,
    team: &'a dyn Team,
    weights: &'a Weights<'a>,
    config: &'a Config,
    tokens: usize,
}

/// The residual stream, `[tokens][hidden]`, and what is still to be added to it.
struct Stream<'a> {
    hidden: &'a mut [f32],
    changes: &'a [f32],
}

/// The parts of a workspace, one row per token.
struct Buffers<'a> {
    /// The residual stream, `[tokens][hidden]`.
    hidden: &'a mut [f32],
    /// Cosines and sines, `[tokens][head_dim]`.
    rotary: &'a mut [f32],
    /// What matrices read.
    input: InputBuffers<'a>,
    /// What matrices write, several outputs one after the other. `[tokens][hidden]` of it are the change that the residual
    /// stream waits for.
    output: &'a mut [f32],
}

impl<'a> Buffers<'a> {
    fn new(config: &Config, tokens: usize, workspace: &'a mut Workspace<'_>) -> Result<Buffers<'a>, Error> {
        let plan = Plan::new(config, PlanRequest { tokens })?;
        at_least("workspace floats", workspace.floats.len(), plan.floats)?;
        at_least("workspace codes", workspace.codes.len(), plan.codes)?;
        at_least("workspace sums", workspace.sums.len(), plan.sums)?;
        let sizes = Sizes::new(config);
        let (hidden, left) = workspace.floats.split_at_mut(tokens * sizes.hidden);
        let (rotary, left) = left.split_at_mut(tokens * sizes.rotary);
        let (floats, left) = left.split_at_mut(tokens * sizes.input);
        let (scales, left) = left.split_at_mut(padded_tokens(tokens) * sizes.scales);
        let output = &mut left[..tokens * sizes.output];
        let input = InputBuffers { floats, scales, codes: workspace.codes, sums: workspace.sums };
        Ok(Buffers { hidden, rotary, input, output })
    }
}

fn at_least(what: &'static str, given: usize, needed: usize) -> Result<(), Error> {
    expect_length(what, given.min(needed), needed)
}

impl Pass<'_> {
    /// Who does work that is split by token.
    fn by_token(&self) -> &dyn Team {
        if self.tokens == 1 { &Serial } else { self.team }
    }

    /// Rows in a chunk of a matrix. A single token: one chunk for every member, since memory is read ahead only as long as
    /// reading goes on in order. Several: some chunks for every member, and few enough rows that their weights stay in the
    /// second-level cache.
    fn chunk(&self, rows: usize) -> usize {
        let members = self.team.size().max(1);
        let share = match (self.tokens, members) {
            (1, _) | (_, 1) => rows.div_ceil(members),
            _ => rows.div_ceil(4 * members),
        };
        let limit = if self.tokens == 1 { usize::MAX / 2 } else { 256 };
        share.min(limit).next_multiple_of(PANEL_ROWS)
    }

    fn rows<'b>(&self, out: &'b mut [f32], rows: usize) -> DisjointRows<'b> {
        DisjointRows::new(out, rows, rows, self.chunk(rows))
    }

    fn embed(&self, sequences: &[Sequence<'_, '_>], buffers: &mut Buffers<'_>) -> Result<(), Error> {
        let (config, backend) = (self.config, self.backend);
        for_each(self.by_token(), batch::positions(sequences).zip(buffers.rotary.chunks_exact_mut(config.head_dim)), {
            |((_, position), rotary)| rope::fill(config, position, rotary)
        });
        buffers.hidden.fill(0.0);
        let changes = buffers.output.chunks_exact_mut(config.hidden);
        let scratch = buffers.input.floats.chunks_exact_mut(padded_cols(config.hidden));
        let items = batch::ids(sequences).zip(changes).zip(scratch);
        let known = all(self.by_token(), items, |((id, change), scratch)| {
            let (matrix, scale) = (self.weights.embedding(), config.embedding_scale);
            embedding::look_up(backend, matrix, id as usize, scale, scratch, change)
        });
        if known { Ok(()) } else { Err(Error::NotFinite { at: "embedding" }) }
    }

    /// Adds the waiting changes to the residual stream of the `wanted` tokens, `rows` of them, and makes its norm an input.
    fn norm<'b>(
        &self,
        shape: InputShape,
        gain: &[f32],
        stream: Stream<'_>,
        (rows, wanted): (usize, impl Iterator<Item = bool> + Send),
        input: &'b mut InputBuffers<'_>,
    ) -> Result<Input<'b>, Error> {
        let config = self.config;
        let gain = NormGain { weights: gain, plus_one: config.norm_plus_one };
        let all =
            stream.hidden.chunks_exact_mut(config.hidden).zip(stream.changes.chunks_exact(config.hidden)).zip(wanted);
        let sources = all.filter(|&(_, wanted)| wanted).map(|(source, _)| source);
        input.fill((self.backend, self.by_token()), shape, rows, sources, |(hidden, change), row| {
            for (hidden, change) in hidden.iter_mut().zip(change) {
                *hidden += change;
            }
            math::rms_norm(self.backend, hidden, gain, config.norm_epsilon, row)
        })
    }

    fn attention(
        &self,
        index: usize,
        layer: &Layer<'_>,
        sequences: &mut [Sequence<'_, '_>],
        buffers: &mut Buffers<'_>,
    ) -> Result<(), Error> {
        let (backend, tokens) = (self.backend, self.tokens);
        let (q_dim, kv_dim) = (self.config.q_dim(), self.config.kv_dim());
        let Buffers { hidden, rotary, input, output } = buffers;

        let shape = InputShape::of(&layer.q, "attention input");
        let x =
            self.norm(shape, layer.attention_norm, Stream { hidden, changes: output }, (tokens, repeat(true)), input)?;
        let (q, left) = output.split_at_mut(tokens * q_dim);
        let (k, left) = left.split_at_mut(tokens * kv_dim);
        let v = &mut left[..tokens * kv_dim];
        let q_rows = self.rows(q, q_dim).map(|rows| (&layer.q, rows));
        let k_rows = self.rows(k, kv_dim).map(|rows| (&layer.k, rows));
        let v_rows = self.rows(v, kv_dim).map(|rows| (&layer.v, rows));
        for_each(self.team, q_rows.chain(k_rows).chain(v_rows), |(matrix, mut rows)| {
            x.multiply(backend, matrix, &mut rows);
        });

        self.store(index, sequences, (k, v), rotary)?;
        let shape = InputShape::of(&layer.o, "attention output");
        self.attend(index, sequences, q, rotary, &mut input.floats[..tokens * padded_cols(q_dim)]);
        let x = input.fill((backend, self.by_token()), shape, tokens, repeat(()), |(), _| true)?;
        self.change(&layer.o, x, output);
        Ok(())
    }

    fn mlp(&self, layer: &Layer<'_>, buffers: &mut Buffers<'_>) -> Result<(), Error> {
        let (backend, tokens, intermediate) = (self.backend, self.tokens, self.config.intermediate);
        let gelu = self.config.activation == super::Activation::GeluTanh;
        let Buffers { hidden, input, output, .. } = buffers;

        let shape = InputShape::of(&layer.gate, "MLP input");
        let x = self.norm(shape, layer.mlp_norm, Stream { hidden, changes: output }, (tokens, repeat(true)), input)?;
        let (gate, left) = output.split_at_mut(tokens * intermediate);
        let up = &mut left[..tokens * intermediate];
        let pairs = self.rows(gate, intermediate).zip(self.rows(up, intermediate));
        for_each(self.team, pairs, |(mut gate, mut up)| {
            x.multiply(backend, &layer.gate, &mut gate);
            x.multiply(backend, &layer.up, &mut up);
            for token in 0..tokens {
                math::gate(backend, gelu, gate.token(token), up.token(token));
            }
        });

        let shape = InputShape::of(&layer.down, "MLP output");
        let rows = gate.chunks_exact(intermediate);
        let x = input.fill((backend, self.by_token()), shape, tokens, rows, |gate, row| {
            row.copy_from_slice(gate);
            true
        })?;
        self.change(&layer.down, x, output);
        Ok(())
    }

    /// `output = x × matrix`, the next change of the residual stream.
    fn change(&self, matrix: &Matrix<'_>, x: Input<'_>, output: &mut [f32]) {
        let hidden = self.config.hidden;
        let rows = self.rows(&mut output[..self.tokens * hidden], hidden);
        for_each(self.team, rows, |mut rows| x.multiply(self.backend, matrix, &mut rows));
    }

    /// Rotates the keys and stores them and the values.
    fn store(
        &self,
        layer: usize,
        sequences: &mut [Sequence<'_, '_>],
        (mut k, mut v): (&mut [f32], &mut [f32]),
        mut rotary: &[f32],
    ) -> Result<(), Error> {
        let (backend, head_dim, kv_dim) = (self.backend, self.config.head_dim, self.config.kv_dim());
        let items = sequences.iter_mut().flat_map(|sequence| {
            let (tokens, first) = (sequence.tokens.len(), sequence.cache.len());
            let keys = k.split_off_mut(..tokens * kv_dim).unwrap_or_default();
            let values = v.split_off_mut(..tokens * kv_dim).unwrap_or_default();
            let rotary = rotary.split_off(..tokens * head_dim).unwrap_or_default();
            let keys = DisjointRows::new(keys, kv_dim, kv_dim, head_dim).map(move |rows| (rows, Some(rotary)));
            let values = DisjointRows::new(values, kv_dim, kv_dim, head_dim).map(|rows| (rows, None));
            let vectors = keys.chain(values).zip(sequence.cache.layer_mut(layer));
            vectors.map(move |((vectors, rotary), room)| Write { room, first, vectors, rotary })
        });
        let stored = all(self.by_token(), items, |write| backend.run(write));
        if stored { Ok(()) } else { Err(Error::NotFinite { at: "keys and values" }) }
    }

    /// Rotates and scales the queries; writes attention outputs to `out`, `[tokens][padded heads · head_dim]`.
    fn attend(
        &self,
        layer: usize,
        sequences: &[Sequence<'_, '_>],
        mut q: &mut [f32],
        mut rotary: &[f32],
        mut out: &mut [f32],
    ) {
        let (head_dim, q_dim, window) = (self.config.head_dim, self.config.q_dim(), self.config.sliding_window);
        let (padded, shared, members) =
            (padded_cols(q_dim), self.config.heads / self.config.kv_heads, self.team.size());
        // All heads that share a KV head together, unless members would have nothing to do.
        let heads = if self.tokens * self.config.kv_heads < members { 1 } else { shared };
        // Some blocks of tokens for every member.
        let block = (self.tokens * self.config.kv_heads / (4 * members.max(1))).clamp(1, 16);
        let items = sequences.iter().flat_map(|sequence| {
            let (cache, tokens): (&KvCache<'_>, _) = (sequence.cache, sequence.tokens.len());
            let q = q.split_off_mut(..tokens * q_dim).unwrap_or_default().chunks_mut(block * q_dim);
            let out = out.split_off_mut(..tokens * padded).unwrap_or_default().chunks_mut(block * padded);
            let rotary = rotary.split_off(..tokens * head_dim).unwrap_or_default().chunks(block * head_dim);
            q.zip(out).zip(rotary).enumerate().flat_map(move |(index, ((q, out), rotary))| {
                let queries = DisjointRows::new(q, q_dim, q_dim, heads * head_dim);
                let out = DisjointRows::new(out, padded, q_dim, heads * head_dim);
                let first = cache.len() + index * block;
                queries.zip(out).enumerate().map(move |(part, (queries, out))| {
                    let head = cache.head(layer, part * heads / shared);
                    (head, Block { first, window, head_dim, rotary, queries, out })
                })
            })
        });
        for_each(self.team, items, |(head, block)| attention::attend(self.backend, head, block));
    }

    fn head(&self, sequences: &[Sequence<'_, '_>], buffers: &mut Buffers<'_>, logits: &mut [f32]) -> Result<(), Error> {
        let rows = batch::logits_rows(sequences);
        if rows == 0 {
            return Ok(());
        }
        let (matrix, vocabulary) = (self.weights.head(), self.config.vocabulary);
        let Buffers { hidden, input, output, .. } = buffers;
        let shape = InputShape::of(matrix, "head input");
        let stream = Stream { hidden, changes: output };
        let wanted = (rows, batch::wanted(sequences));
        let x = self.norm(shape, self.weights.final_norm(), stream, wanted, input)?;
        for_each(self.team, self.rows(logits, vocabulary), |mut rows| x.multiply(self.backend, matrix, &mut rows));
        let finite = logits.iter().fold(0, |max, x| max.max(x.to_bits() & 0x7fff_ffff)) < f32::INFINITY.to_bits();
        if finite { Ok(()) } else { Err(Error::NotFinite { at: "logits" }) }
    }
}
