//! An output `[tokens][stride]`, cut into chunks of rows that may be written at the same time.
use core::{marker::PhantomData, ops::Range};

/// Chunks of rows of an output, each covering those rows of every token. An iterator; a `Queue` of it deals
/// the chunks out to a team.
#[derive(Debug)]
pub struct DisjointRows<'a> {
    left: RowsMut<'a>,
    chunk: usize,
}

/// Exclusive use of the rows `range` of every token.
#[derive(Debug)]
pub struct RowsMut<'a> {
    data: *mut f32,
    stride: usize,
    tokens: usize,
    range: Range<usize>,
    borrow: PhantomData<&'a mut [f32]>,
}

#[allow(unsafe_code)]
// SAFETY: the pointer stands for an exclusive borrow of the f32 it covers; views of the same output never overlap
// (`split_off`).
unsafe impl Send for RowsMut<'_> {}

impl<'a> DisjointRows<'a> {
    /// Cuts `rows` rows, `chunk` at a time, of `data`, which holds `[tokens][stride]` with `stride >= rows`.
    ///
    /// # Panics
    /// If `data` is not a multiple of `stride` long, `stride < rows`, or `chunk` is 0.
    pub fn new(data: &'a mut [f32], stride: usize, rows: usize, chunk: usize) -> DisjointRows<'a> {
        assert!(chunk > 0, "a chunk has at least one row");
        DisjointRows { left: RowsMut::strided(data, stride, rows), chunk }
    }
}

impl<'a> Iterator for DisjointRows<'a> {
    type Item = RowsMut<'a>;

    fn next(&mut self) -> Option<RowsMut<'a>> {
        (!self.left.range.is_empty()).then(|| self.left.split_off(self.chunk))
    }
}

impl<'a> RowsMut<'a> {
    /// Rows `0..rows` of `data`, `[tokens][rows]`: the whole output at once.
    ///
    /// # Panics
    /// If `data` is not a multiple of `rows` long.
    pub fn whole(data: &'a mut [f32], rows: usize) -> RowsMut<'a> {
        RowsMut::strided(data, rows, rows)
    }

    fn strided(data: &'a mut [f32], stride: usize, rows: usize) -> RowsMut<'a> {
        assert!(rows <= stride && data.len().is_multiple_of(stride.max(1)), "rows don't fit the output");
        let tokens = data.len() / stride.max(1);
        RowsMut { data: data.as_mut_ptr(), stride, tokens, range: 0..rows, borrow: PhantomData }
    }

    /// The first `count` rows, which leave this view.
    fn split_off(&mut self, count: usize) -> RowsMut<'a> {
        let middle = self.range.start + count.min(self.range.len());
        let range = self.range.start..middle;
        self.range.start = middle;
        RowsMut { data: self.data, stride: self.stride, tokens: self.tokens, range, borrow: PhantomData }
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
        // SAFETY: token < tokens and range.end <= rows <= stride (checked in `strided`), so the offset is inside.
        let start = unsafe { self.data.add(token * self.stride + self.range.start) };
        // SAFETY: the range lies inside one token's stride; ranges of different views never overlap (`split_off`), and
        // `&mut self` keeps this view's slices apart.
        unsafe { core::slice::from_raw_parts_mut(start, self.range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_all_rows_of_all_tokens_once() {
        let mut data = [0.0; 3 * 11];
        for (index, mut rows) in DisjointRows::new(&mut data, 11, 9, 4).enumerate() {
            assert_eq!(rows.range(), 4 * index..(4 * index + 4).min(9));
            for token in 0..3 {
                rows.token(token).iter_mut().for_each(|x| *x += (10 * token + index + 1) as f32);
            }
        }
        let row = |token: f32| [1., 1., 1., 1., 2., 2., 2., 2., 3.].map(|index: f32| 10.0 * token + index);
        for token in 0..3 {
            assert_eq!(data[11 * token..11 * token + 9], row(token as f32));
            assert_eq!(data[11 * token + 9..11 * token + 11], [0.0, 0.0]);
        }
    }
}
