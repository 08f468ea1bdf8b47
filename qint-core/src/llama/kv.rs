//! The keys and values of one sequence.
//!
//! Order: `[layer][keys, values][KV head][position][head_dim]`, so one head's positions are neighbours; scales of
//! [`KvKind::I8`]: `[layer][keys, values][KV head][position]`.
use super::{Config, KvStore, config::expect};
use crate::{Error, matrix::expect_length};
use half::f16;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvKind {
    /// f32, for the un-quantized reference.
    F32,
    /// f16, rounded to nearest even.
    F16,
    /// i8 with one f32 scale per (position, KV head, K or V).
    I8,
}

/// The lengths of a [`KvStore`]'s buffers, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvPlan {
    /// Numbers: f32, f16 or i8.
    pub values: usize,
    /// f32 scales; 0 unless [`KvKind::I8`].
    pub scales: usize,
}

/// One sequence: stored positions and room for more.
#[derive(Debug)]
pub struct KvCache<'a> {
    store: KvStore<'a>,
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    len: usize,
}

/// One KV head's keys and values in one layer, `[capacity][head_dim]`; scales are `[capacity]`.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeadView<'a> {
    F32 { keys: &'a [f32], values: &'a [f32] },
    F16 { keys: &'a [f16], values: &'a [f16] },
    I8 { keys: &'a [i8], values: &'a [i8], key_scales: &'a [f32], value_scales: &'a [f32] },
}

impl KvPlan {
    /// The buffers for `capacity` positions of a model of `config`.
    ///
    /// # Errors
    /// As [`Config::check`]; [`Error::Dimension`] if `capacity` is 0 or the buffers can't be addressed.
    pub const fn new(kind: KvKind, capacity: usize, config: &Config) -> Result<KvPlan, Error> {
        if let Err(error) = config.check() {
            return Err(error);
        }
        let limit = isize::MAX as usize / size_of::<f32>() / 2 / config.head_dim / config.kv_heads / config.layers;
        if capacity == 0 || capacity > limit {
            return Err(Error::Dimension { what: "KV positions", given: capacity, limit });
        }
        let vectors = 2 * config.layers * config.kv_heads * capacity;
        let scales = if matches!(kind, KvKind::I8) { vectors } else { 0 };
        Ok(KvPlan { values: vectors * config.head_dim, scales })
    }
}

impl<'a> KvCache<'a> {
    /// An empty sequence of at most `capacity` positions, in buffers as long as [`KvPlan`] says. Their content doesn't
    /// matter.
    ///
    /// # Errors
    /// As [`KvPlan::new`]; [`Error::Length`] if a buffer has another length.
    pub fn new(config: &Config, capacity: usize, store: KvStore<'a>) -> Result<KvCache<'a>, Error> {
        let plan = KvPlan::new(store.kind(), capacity, config)?;
        let (values, scales) = match &store {
            KvStore::F32(values) => (values.len(), 0),
            KvStore::F16(values) => (values.len(), 0),
            KvStore::I8 { codes, scales } => (codes.len(), scales.len()),
        };
        expect_length("KV values", values, plan.values)?;
        expect_length("KV scales", scales, plan.scales)?;
        let (layers, kv_heads, head_dim) = (config.layers, config.kv_heads, config.head_dim);
        Ok(KvCache { store, layers, kv_heads, head_dim, capacity, len: 0 })
    }

    /// A sequence that goes on: as [`new`](KvCache::new), in buffers where an earlier cache of the same model, kind and
    /// capacity left `len` positions. So memory and cache need not live together.
    ///
    /// # Errors
    /// As [`new`](KvCache::new), and [`Error::ContextFull`] if `len` is above `capacity`.
    pub fn resume(config: &Config, capacity: usize, store: KvStore<'a>, len: usize) -> Result<KvCache<'a>, Error> {
        let cache = KvCache::new(config, capacity, store)?;
        if len > capacity {
            return Err(Error::ContextFull { needed: len, capacity });
        }
        Ok(KvCache { len, ..cache })
    }

    /// How it stores.
    pub const fn kind(&self) -> KvKind {
        self.store.kind()
    }

    /// Positions stored.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is stored.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions that fit.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all positions from `len` on; nothing if there are no more than that.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Counts `count` more positions as stored.
    pub(super) fn grow(&mut self, count: usize) {
        self.len += count;
    }

    /// What `kv_head` stored in `layer`.
    pub(super) fn head(&self, layer: usize, kv_head: usize) -> HeadView<'_> {
        let keys = 2 * layer * self.kv_heads + kv_head;
        let values = keys + self.kv_heads;
        let part = |head: usize, width: usize| head * self.capacity * width..(head + 1) * self.capacity * width;
        let (k, v) = (part(keys, self.head_dim), part(values, self.head_dim));
        match &self.store {
            KvStore::F32(all) => HeadView::F32 { keys: &all[k], values: &all[v] },
            KvStore::F16(all) => HeadView::F16 { keys: &all[k], values: &all[v] },
            KvStore::I8 { codes, scales } => {
                let (key_scales, value_scales) = (&scales[part(keys, 1)], &scales[part(values, 1)]);
                HeadView::I8 { keys: &codes[k], values: &codes[v], key_scales, value_scales }
            }
        }
    }

    /// Room in one layer: the keys of all KV heads, then their values, each `[capacity][head_dim]`.
    pub(super) fn layer_mut(&mut self, layer: usize) -> impl Iterator<Item = KvStore<'_>> + Send {
        let (heads, capacity, head_dim) = (2 * self.kv_heads, self.capacity, self.head_dim);
        let mut left = self.store.reborrow();
        left.split_off(layer * heads * capacity, head_dim);
        (0..heads).map(move |_| left.split_off(capacity, head_dim))
    }

    /// Whether it was made for such a model.
    pub(super) fn check(&self, config: &Config) -> Result<(), Error> {
        expect("layers of the KV cache", self.layers, config.layers)?;
        expect("KV heads of the KV cache", self.kv_heads, config.kv_heads)?;
        expect("head dimension of the KV cache", self.head_dim, config.head_dim)
    }
}
