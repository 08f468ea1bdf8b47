//! Threads, as this crate sees them: somebody runs one job on several members at once.
//!
//! No member may depend on the order of the others. Outputs are dealt out as disjoint row ranges by [`DisjointRows`].
use core::{
    marker::PhantomData,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// A persistent group of threads. Object-safe, no allocation.
pub trait Team: Sync {
    /// How many members run a job.
    fn size(&self) -> usize;
    /// Runs `job` once on every member and returns when all have finished.
    fn run(&self, job: &(dyn Fn(&Member<'_>) + Sync));
}

/// One of the threads that run a job.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// 0..count.
    pub index: usize,
    /// Size of the team.
    pub count: usize,
    /// Where members of this job can wait for each other.
    pub barrier: &'a dyn Barrier,
}

/// A meeting point of all members of a job.
pub trait Barrier: Sync {
    /// Returns once every member of the job has called it.
    fn wait(&self);
}

/// A team of one: the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Team for Serial {
    fn size(&self) -> usize {
        1
    }
    fn run(&self, job: &(dyn Fn(&Member<'_>) + Sync)) {
        job(&Member { index: 0, count: 1, barrier: self });
    }
}

impl Barrier for Serial {
    fn wait(&self) {}
}

/// An output `[tokens][stride]` that is dealt out in chunks of rows, each chunk exactly once, to whichever member asks next.
pub struct DisjointRows<'a> {
    data: *mut f32,
    stride: usize,
    tokens: usize,
    rows: usize,
    chunk: usize,
    next: AtomicUsize,
    borrow: PhantomData<&'a mut [f32]>,
}

/// Exclusive use of the rows `range` of every token.
pub struct RowsMut<'a> {
    data: *mut f32,
    stride: usize,
    tokens: usize,
    range: Range<usize>,
    borrow: PhantomData<&'a mut [f32]>,
}

#[allow(unsafe_code)]
// SAFETY: the pointer stands for an exclusive borrow; it is handed out in parts that never overlap (`deal`).
unsafe impl Sync for DisjointRows<'_> {}

impl<'a> DisjointRows<'a> {
    /// Deals out `rows` rows, `chunk` at a time, of `data`, which holds `[tokens][stride]` with `stride >= rows`.
    ///
    /// # Panics
    /// If `data` is not a multiple of `stride` long, `stride < rows`, or `chunk` is 0.
    pub fn new(data: &'a mut [f32], stride: usize, rows: usize, chunk: usize) -> DisjointRows<'a> {
        assert!(chunk > 0 && rows <= stride && data.len().is_multiple_of(stride.max(1)), "rows don't fit the output");
        let tokens = data.len() / stride.max(1);
        DisjointRows {
            data: data.as_mut_ptr(),
            stride,
            tokens,
            rows,
            chunk,
            next: AtomicUsize::new(0),
            borrow: PhantomData,
        }
    }

    /// The next chunk that nobody has, or `None` when all are dealt.
    pub fn deal(&self) -> Option<RowsMut<'_>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed).checked_mul(self.chunk)?;
        (start < self.rows).then(|| RowsMut {
            data: self.data,
            stride: self.stride,
            tokens: self.tokens,
            range: start..self.rows.min(start + self.chunk),
            borrow: PhantomData,
        })
    }
}

impl<'a> RowsMut<'a> {
    /// Rows `0..rows` of `data`, `[tokens][rows]`: the whole output at once.
    ///
    /// # Panics
    /// If `data` is not a multiple of `rows` long.
    pub fn whole(data: &'a mut [f32], rows: usize) -> RowsMut<'a> {
        assert!(data.len().is_multiple_of(rows.max(1)), "rows don't fit the output");
        RowsMut {
            data: data.as_mut_ptr(),
            stride: rows,
            tokens: data.len() / rows.max(1),
            range: 0..rows,
            borrow: PhantomData,
        }
    }

    /// The rows this view covers.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The covered rows of one token.
    ///
    /// # Panics
    /// If `token` is not below [`tokens`](RowsMut::tokens).
    #[allow(unsafe_code)]
    #[inline]
    pub fn token(&mut self, token: usize) -> &mut [f32] {
        assert!(token < self.tokens, "token {token} of {}", self.tokens);
        // SAFETY: token < tokens and range.end <= rows <= stride (checked in `new` and `whole`), so the offset is inside.
        let start = unsafe { self.data.add(token * self.stride + self.range.start) };
        // SAFETY: the range lies inside one token's stride; ranges of different views never overlap (`deal`), and `&mut self`
        // keeps this view's slices apart.
        unsafe { core::slice::from_raw_parts_mut(start, self.range.len()) }
    }
}
