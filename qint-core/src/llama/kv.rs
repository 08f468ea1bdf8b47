//! The keys and values of one sequence.
//!
//! Order: `[layer][keys, values][KV head]`, each KV head's keys with positions in lanes and its values with components in lanes
//! (`kv_order` has the details); scales of [`KvKind::I8`]: `[layer][keys, values][KV head][position]`. Positions are rounded
//! up to a multiple of 16. The order is the same for every backend.
use super::{
    Config, KvStore,
    config::expect,
    kv_order::{KvOrder, Part},
    kv_store::Room,
};
use crate::{Error, element::LANES, matrix::expect_length};
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

impl KvKind {
    /// Its name: `f32`, `f16` or `i8`.
    pub const fn name(self) -> &'static str {
        match self {
            KvKind::F32 => "f32",
            KvKind::F16 => "f16",
            KvKind::I8 => "i8",
        }
    }

    /// Bytes of a number, scales not counted.
    pub const fn bytes(self) -> usize {
        match self {
            KvKind::F32 => 4,
            KvKind::F16 => 2,
            KvKind::I8 => 1,
        }
    }
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

/// One KV head's keys and values in one layer, and how they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadView<'a> {
    pub(super) order: KvOrder,
    pub(super) numbers: HeadNumbers<'a>,
}

/// Keys and values as [`KvOrder`] says; scales are `[capacity]`.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeadNumbers<'a> {
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
        let heads = config.layers * config.kv_heads;
        let width = KvOrder::new(0, config.head_dim).width();
        let limit = isize::MAX as usize / size_of::<f32>() / 2 / width / heads / LANES * LANES;
        if capacity == 0 || capacity > limit {
            return Err(Error::Dimension { what: "KV positions", given: capacity, limit });
        }
        let order = KvOrder::new(capacity, config.head_dim);
        let scales = if matches!(kind, KvKind::I8) { 2 * heads * order.capacity() } else { 0 };
        Ok(KvPlan { values: heads * (order.numbers(Part::Keys) + order.numbers(Part::Values)), scales })
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

    fn order(&self) -> KvOrder {
        KvOrder::new(self.capacity, self.head_dim)
    }

    /// What `kv_head` stored in `layer`.
    pub(super) fn head(&self, layer: usize, kv_head: usize) -> HeadView<'_> {
        let order = self.order();
        let (keys, values) = (order.numbers(Part::Keys), order.numbers(Part::Values));
        let first = layer * self.kv_heads * (keys + values);
        let k = first + kv_head * keys..first + (kv_head + 1) * keys;
        let first = first + self.kv_heads * keys;
        let v = first + kv_head * values..first + (kv_head + 1) * values;
        let numbers = match &self.store {
            KvStore::F32(all) => HeadNumbers::F32 { keys: &all[k], values: &all[v] },
            KvStore::F16(all) => HeadNumbers::F16 { keys: &all[k], values: &all[v] },
            KvStore::I8 { codes, scales } => {
                let part = |head: usize| &scales[head * order.capacity()..(head + 1) * order.capacity()];
                let head = 2 * layer * self.kv_heads + kv_head;
                let (key_scales, value_scales) = (part(head), part(head + self.kv_heads));
                HeadNumbers::I8 { keys: &codes[k], values: &codes[v], key_scales, value_scales }
            }
        };
        HeadView { order, numbers }
    }

    /// Room in one layer: for the keys of all KV heads, then for their values.
    pub(super) fn layer_mut(&mut self, layer: usize) -> impl Iterator<Item = Room<'_>> + Send {
        let (heads, order) = (self.kv_heads, self.order());
        let (keys, values) = (order.numbers(Part::Keys), order.numbers(Part::Values));
        let mut left = self.store.reborrow();
        left.split_off(layer * heads * (keys + values), 2 * layer * heads * order.capacity());
        (0..2 * heads).map(move |index| {
            let part = if index < heads { Part::Keys } else { Part::Values };
            Room { order, part, store: left.split_off(order.numbers(part), order.capacity()) }
        })
    }

    /// Whether it was made for such a model.
    pub(super) fn check(&self, config: &Config) -> Result<(), Error> {
        expect("layers of the KV cache", self.layers, config.layers)?;
        expect("KV heads of the KV cache", self.kv_heads, config.kv_heads)?;
        expect("head dimension of the KV cache", self.head_dim, config.head_dim)
    }
}
