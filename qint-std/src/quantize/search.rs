//! One row of weights becomes codes, sub-scales and a row scale with little squared error.
//!
//! ```text
//! per group   try scales on a grid around the group's size, both signs     keep the best scale for the levels found
//! per row     row scale = largest group scale / 127
//! per group   sub-scale = the rounded quotient or a neighbour              by true squared error
//! per row     row scale refit in closed form; codes; refit for the codes
//! ```
//!
//! Everything rests on two sums over a group, Σ x·l and Σ l² (l the level nearest to x / scale): the best scale for these
//! levels is Σxl / Σl², which removes Σxl² / Σl² of the squared error, and any scale s leaves Σx² − 2s·Σxl + s²·Σl².
//!
//! Loops instead of closures, and `#[inline(always)]` everywhere: the code takes on the CPU features of its caller.
use super::{
    grid::Grid,
    nearest::{LANES, Nearest},
};

/// One row to be quantized and where its parts go.
pub(super) struct Row<'a> {
    /// The weights without padding, of magnitudes below 2.
    pub(super) weights: &'a [f32],
    /// One per padded column; the padding gets 0.
    pub(super) codes: &'a mut [u8],
    /// One per group.
    pub(super) sub_scales: &'a mut [i8],
    /// Room for the real-valued scales of the groups.
    pub(super) scales: &'a mut [f32],
}

/// How the rows of one matrix are quantized.
#[derive(Clone, Copy)]
pub(super) struct Search<N, F> {
    pub(super) nearest: N,
    pub(super) first: F,
    pub(super) grid: Grid,
    /// Columns of a group.
    pub(super) group: usize,
}

/// Finds a group's real-valued scale.
pub(super) trait FirstScale: Copy {
    /// The best scale for the levels of some scale on the grid, or 0 if none removes any error. `largest` is the largest
    /// magnitude among `x`, not 0; `size` is what the grid's factors multiply.
    fn scale(&self, grid: Grid, x: &[f32], largest: f32, size: f32) -> f32;
}

/// [`FirstScale`] in f32, for few factors and positive scales.
#[derive(Clone, Copy)]
pub(super) struct Direct<N>(pub(super) N);

/// Σ x·l and Σ l² of a group, l the nearest levels at some scale.
#[derive(Clone, Copy, Default)]
struct Products {
    xl: f32,
    ll: f32,
}

/// The sums over a row from which its best scale follows.
#[derive(Default)]
struct Fit {
    xl: f64,
    ll: f64,
}

impl<N: Nearest, F: FirstScale> Search<N, F> {
    /// Fills in `row`'s codes and sub-scales and returns its row scale: 0 for a row of zeros.
    #[inline(always)]
    pub(super) fn row(&self, row: Row<'_>) -> f32 {
        for (x, scale) in row.weights.chunks(self.group).zip(&mut *row.scales) {
            *scale = self.group_scale(x);
        }
        let first_guess = largest(row.scales) / 127.0;
        let mut fit = Fit::default();
        for ((x, scale), sub_scale) in row.weights.chunks(self.group).zip(row.scales).zip(&mut *row.sub_scales) {
            let products;
            (*sub_scale, products) = self.sub_scale(x, *scale, first_guess);
            fit.add(*sub_scale, products);
        }
        let row_scale = fit.row_scale(first_guess);
        let mut fit = Fit::default();
        let parts = row.weights.chunks(self.group).zip(row.sub_scales).zip(row.codes.chunks_mut(self.group));
        for ((x, sub_scale), codes) in parts {
            let scale = f32::from(*sub_scale) * row_scale;
            let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
            self.encode(x, inverse, codes);
            fit.add(*sub_scale, products(self.nearest, x, inverse));
        }
        fit.row_scale(row_scale)
    }

    /// The real-valued signed scale of a group.
    #[inline(always)]
    fn group_scale(&self, x: &[f32]) -> f32 {
        let largest = largest(x);
        if largest == 0.0 {
            return 0.0;
        }
        let size = if self.grid.from_rms { root_mean_square(x) } else { largest };
        self.first.scale(self.grid, x, largest, size)
    }

    /// The sub-scale with the least squared error at `row_scale`, near `scale` / `row_scale`, and its sums.
    #[inline(always)]
    fn sub_scale(&self, x: &[f32], scale: f32, row_scale: f32) -> (i8, Products) {
        let (mut best, mut best_excess) = ((0, Products::default()), 0.0);
        if row_scale == 0.0 {
            return best;
        }
        let centre = (scale / row_scale).round_ties_even() as i32;
        for offset in [0, -1, 1] {
            let sub_scale = (centre + offset).clamp(-127, 127) as i8;
            if sub_scale == 0 {
                continue;
            }
            let scale = f32::from(sub_scale) * row_scale;
            let products = products(self.nearest, x, 1.0 / scale);
            let excess = products.excess(scale);
            if excess < best_excess {
                (best, best_excess) = ((sub_scale, products), excess);
            }
        }
        best
    }

    #[inline(always)]
    fn encode(&self, x: &[f32], inverse: f32, codes: &mut [u8]) {
        let (codes, padding) = codes.split_at_mut(x.len());
        for (code, x) in codes.iter_mut().zip(x) {
            *code = self.nearest.code(x * inverse);
        }
        padding.fill(0);
    }
}

impl<N: Nearest> FirstScale for Direct<N> {
    #[inline(always)]
    fn scale(&self, grid: Grid, x: &[f32], _: f32, size: f32) -> f32 {
        let (mut best, mut best_gain) = (0.0, 0.0);
        for factor in grid.factors {
            let products = products(self.0, x, grid.top / (factor * size));
            if products.gain() > best_gain {
                (best, best_gain) = (products.best_scale(), products.gain());
            }
        }
        best
    }
}

impl Products {
    /// The scale that suits these levels best.
    #[inline(always)]
    fn best_scale(self) -> f32 {
        if self.ll > 0.0 { self.xl / self.ll } else { 0.0 }
    }

    /// The squared error that the best scale removes.
    #[inline(always)]
    fn gain(self) -> f32 {
        self.xl * self.best_scale()
    }

    /// The squared error beyond Σx² at `scale`; 0 at scale 0.
    #[inline(always)]
    fn excess(self, scale: f32) -> f32 {
        scale * (scale * self.ll - 2.0 * self.xl)
    }
}

impl Fit {
    #[inline(always)]
    fn add(&mut self, sub_scale: i8, products: Products) {
        let sub_scale = f64::from(sub_scale);
        self.xl += sub_scale * f64::from(products.xl);
        self.ll += sub_scale * sub_scale * f64::from(products.ll);
    }

    /// The best row scale for these codes, or `otherwise` where all of them decode to 0.
    #[inline(always)]
    fn row_scale(&self, otherwise: f32) -> f32 {
        if self.ll > 0.0 { (self.xl / self.ll) as f32 } else { otherwise }
    }
}

/// The sums for levels nearest to x · `inverse`. The order of additions is fixed, so every machine finds the same.
#[inline(always)]
fn products<N: Nearest>(nearest: N, x: &[f32], inverse: f32) -> Products {
    let (mut xl, mut ll) = ([0.0; LANES], [0.0; LANES]);
    let (chunks, tail) = x.as_chunks::<LANES>();
    for chunk in chunks {
        let levels = nearest.levels(scaled(chunk, inverse));
        for lane in 0..LANES {
            xl[lane] += chunk[lane] * levels[lane];
            ll[lane] += levels[lane] * levels[lane];
        }
    }
    if !tail.is_empty() {
        let mut chunk = [0.0; LANES];
        chunk[..tail.len()].copy_from_slice(tail);
        let levels = nearest.levels(scaled(&chunk, inverse));
        for lane in 0..tail.len() {
            xl[lane] += chunk[lane] * levels[lane];
            ll[lane] += levels[lane] * levels[lane];
        }
    }
    Products { xl: sum(xl), ll: sum(ll) }
}

#[inline(always)]
fn scaled(x: &[f32; LANES], factor: f32) -> [f32; LANES] {
    let mut scaled = *x;
    for x in &mut scaled {
        *x *= factor;
    }
    scaled
}

#[inline(always)]
fn root_mean_square(x: &[f32]) -> f32 {
    let mut squares = [0.0; LANES];
    for chunk in x.chunks(LANES) {
        for (square, x) in squares.iter_mut().zip(chunk) {
            *square += x * x;
        }
    }
    (sum(squares) / x.len() as f32).sqrt()
}

/// The largest magnitude; NaN and infinity are larger than every number.
#[inline(always)]
pub(super) fn largest(x: &[f32]) -> f32 {
    let mut largest = [0u32; LANES];
    for chunk in x.chunks(LANES) {
        for (largest, x) in largest.iter_mut().zip(chunk) {
            *largest = (*largest).max(x.to_bits() & 0x7fff_ffff);
        }
    }
    let mut all = 0;
    for lane in largest {
        all = all.max(lane);
    }
    f32::from_bits(all)
}

/// Lanes i and i + 8, then 4, 2, 1.
#[inline(always)]
fn sum(mut lanes: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}
