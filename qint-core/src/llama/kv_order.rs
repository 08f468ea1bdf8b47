//! Where the numbers of one KV head lie, so that attention reads nothing but whole vectors of sixteen lanes.
//!
//! A lane of a key vector is a position; a lane of a value vector is a component. i8 numbers lie in pairs that are multiplied
//! together: a lane holds two neighbouring components of a key, or one component of two neighbouring values.
//!
//! ```text
//! depth = 2 for i8, otherwise 1;  capacity rounded up to 16 positions;  width = head_dim rounded up to 16
//! keys    [chunk of 128 positions][head_dim / depth][positions of the chunk][depth components]
//! values  [capacity / depth][width][depth positions]
//! ```
//! The last chunk has the positions that are left, a multiple of 16. Columns of values beyond `head_dim` are never written,
//! and what is computed from them is never kept.
use crate::element::LANES;

/// Positions that share one step of attention's running softmax.
pub(super) const CHUNK: usize = 128;

/// The sizes of one KV head's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KvOrder {
    /// Positions, a multiple of 16.
    capacity: usize,
    head_dim: usize,
}

/// What is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Keys,
    Values,
}

/// Where the components of one key or value are: `together` numbers at `start`, the next ones `step` further, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) step: usize,
    pub(super) together: usize,
}

impl KvOrder {
    /// Room for at least `capacity` positions.
    pub(super) const fn new(capacity: usize, head_dim: usize) -> KvOrder {
        KvOrder { capacity: capacity.next_multiple_of(LANES), head_dim }
    }

    /// Positions there is room for.
    pub(super) const fn capacity(self) -> usize {
        self.capacity
    }

    /// Numbers of one head's keys, or of its values.
    pub(super) const fn numbers(self, part: Part) -> usize {
        match part {
            Part::Keys => self.capacity * self.head_dim,
            Part::Values => self.capacity * self.width(),
        }
    }

    /// Components of a value with the padding.
    pub(super) const fn width(self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }

    /// Positions in the chunk that starts at `start`.
    pub(super) const fn chunk(self, start: usize) -> usize {
        let left = self.capacity - start;
        if left < CHUNK { left } else { CHUNK }
    }

    /// Where the key or value of `position` is.
    pub(super) const fn place(self, part: Part, position: usize, depth: usize) -> Place {
        match part {
            Part::Keys => {
                let first = position - position % CHUNK;
                let start = first * self.head_dim + position % CHUNK * depth;
                Place { start, step: self.chunk(first) * depth, together: depth }
            }
            Part::Values => {
                let start = (position - position % depth) * self.width() + position % depth;
                Place { start, step: depth, together: 1 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    #[test]
    fn every_component_has_a_place_of_its_own() {
        for (capacity, head_dim, depth) in [(1, 2, 1), (16, 12, 2), (33, 20, 1), (100, 64, 2), (300, 48, 1)] {
            let order = KvOrder::new(capacity, head_dim);
            for part in [Part::Keys, Part::Values] {
                let mut used = vec![0; order.numbers(part)];
                for position in 0..order.capacity() {
                    let Place { start, step, together } = order.place(part, position, depth);
                    for component in 0..head_dim {
                        used[start + component / together * step + component % together] += 1;
                    }
                }
                let written = used.iter().filter(|&&count| count == 1).count();
                assert_eq!(written, order.capacity() * head_dim, "{part:?}, {capacity}, {head_dim}, {depth}");
                assert!(used.iter().all(|&count| count <= 1));
            }
        }
    }

    #[test]
    fn keys_and_values_lie_as_documented() {
        let order = KvOrder::new(134, 48);
        assert_eq!((order.capacity(), order.chunk(0), order.chunk(128)), (144, 128, 16));
        assert_eq!(order.place(Part::Keys, 129, 2), Place { start: 128 * 48 + 2, step: 32, together: 2 });
        assert_eq!(order.place(Part::Keys, 127, 1), Place { start: 127, step: 128, together: 1 });
        assert_eq!(order.place(Part::Values, 65, 2), Place { start: 64 * 48 + 1, step: 2, together: 1 });
        assert_eq!(order.place(Part::Values, 65, 1), Place { start: 65 * 48, step: 1, together: 1 });
    }
}
