//! The Walsh-Hadamard transform of [`qint_core::hadamard`], the same additions in the same order, without a panic path:
//! blocks of 256 columns, the tail in descending powers of two.
//!
//! 1. Strides 1, 2, 4 and 8 happen inside sixteen neighbours, in registers: sixteen loads, 64 additions, sixteen stores.
//! 2. In a block of 256, strides 16 to 128 are the same thing, among sixteen numbers that are sixteen apart.
use qint_core::{Error, hadamard, layout::COLUMN_STEP};

type Sixteen = [f32; 16];

/// Transforms `x`, a multiple of 32 columns, in place, without any scaling.
///
/// # Errors
/// [`Error::Dimension`] if it is no multiple of 32 long.
pub fn transform(x: &mut [f32]) -> Result<(), Error> {
    if !x.len().is_multiple_of(COLUMN_STEP) {
        let limit = x.len() / COLUMN_STEP * COLUMN_STEP;
        return Err(Error::Dimension { what: "columns of a transform", given: x.len(), limit });
    }
    let (mut rest, _) = x.as_chunks_mut::<16>();
    for cols in hadamard::blocks(rest.len() * 16) {
        let Some((block, after)) = rest.split_at_mut_checked(cols / 16) else { break };
        transform_block(block);
        rest = after;
    }
    Ok(())
}

fn transform_block(block: &mut [Sixteen]) {
    for sixteen in block.iter_mut() {
        *sixteen = butterflies(*sixteen);
    }
    if let Ok(block) = <&mut [Sixteen; 16]>::try_from(&mut *block) {
        for column in 0..16 {
            let strided = butterflies(block.each_ref().map(|row| row[column]));
            block.each_mut().into_iter().zip(strided).for_each(|(row, x)| row[column] = x);
        }
    } else {
        let mut stride = 1;
        while stride < block.len() {
            one_stride(block, stride);
            stride *= 2;
        }
    }
}

/// Strides 1, 2, 4, 8.
#[inline(always)]
fn butterflies(x: Sixteen) -> Sixteen {
    one_of_sixteen::<8>(one_of_sixteen::<4>(one_of_sixteen::<2>(one_of_sixteen::<1>(x))))
}

/// One stride inside sixteen numbers: straight code, all in registers.
#[inline(always)]
fn one_of_sixteen<const STRIDE: usize>(x: Sixteen) -> Sixteen {
    core::array::from_fn(|i| if i & STRIDE == 0 { x[i] + x[i | STRIDE] } else { x[i ^ STRIDE] - x[i] })
}

/// The pairs that are `stride` sixteens apart.
fn one_stride(block: &mut [Sixteen], stride: usize) {
    for pair in block.chunks_exact_mut(2 * stride) {
        let Some((u, v)) = pair.split_at_mut_checked(stride) else { continue };
        for (u, v) in u.as_flattened_mut().iter_mut().zip(v.as_flattened_mut()) {
            (*u, *v) = (*u + *v, *u - *v);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use qint_core::backend::Backend;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn it_adds_like_everybody(x in (1..30usize).prop_flat_map(|steps| prop::collection::vec(-1e3f32..1e3, 32 * steps))) {
            let (mut ours, mut expected) = (x.clone(), x);
            transform(&mut ours).unwrap();
            hadamard::transform(Backend::detect(), &mut expected);
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&ours), bits(&expected));
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        assert!(transform(&mut [0.0; 48]).is_err());
    }
}
