//! The streams of the DSP kernels, walked by plain loops that do what `dsp.s` does, on any machine. (The kernels themselves
//! are compared on the target: firmware-examples.)
extern crate std;
use super::{Columns, Stream, Words, linear, pairs};
use proptest::prelude::*;
use qint_core::{
    activation::{ActivationBlock, Activations, padded_tokens},
    codec::{Codec, Group},
    layout::Layout,
    matrix::QMatrix,
    reference,
};
use std::{vec, vec::Vec};

/// Both products of two pairs.
fn smlad(sum: i32, a: u32, b: u32) -> i32 {
    let half = |word: u32, shift: u32| i32::from((word >> shift) as u16 as i16);
    sum.wrapping_add(half(a, 0) * half(b, 0)).wrapping_add(half(a, 16) * half(b, 16))
}

/// What meets the words of a stream: the pairs that the kernel makes of one row's word.
fn operands(codec: Codec, word: u32) -> Vec<u32> {
    let bits = codec.bits();
    if linear(codec).is_none() {
        let table: &[u32] = if codec == Codec::Q4 { &pairs::Q4 } else { &pairs::Q2 };
        return (0..16 / bits).map(|pair| table[(word >> (2 * bits * pair)) as usize % table.len()]).collect();
    }
    let mask = |field: usize| 0x0001_0001 * (0xff >> (8 - bits * (field + 1)));
    let halves = [word & 0x00ff_00ff, word >> 8 & 0x00ff_00ff];
    halves.into_iter().flat_map(|half| (0..8 / bits).rev().map(move |field| half & mask(field))).collect()
}

/// The sums of one row: `[token]`.
fn walk(layout: &Layout, panel: &[u8], row: usize, stream: &[u32], lanes: usize) -> [i32; 4] {
    let (mut sums, mut stream) = ([0i32; 4], stream.iter());
    let mut next = || *stream.next().expect("the stream is long enough");
    let (mut vector, mut group) = (0, 0);
    loop {
        let mut acc: [u32; 4] = core::array::from_fn(|_| next());
        let steps = next() as usize;
        if steps == 0 {
            break;
        }
        for _ in 0..steps * 8 / layout.codec().fields() {
            let at = layout.codes_offset() + vector * 64 + row * 4;
            let word = u32::from_le_bytes(panel[at..at + 4].try_into().unwrap());
            for operand in operands(layout.codec(), word) {
                for acc in &mut acc[..lanes] {
                    *acc = smlad(acc.cast_signed(), operand, next()).cast_unsigned();
                }
            }
            vector += 1;
        }
        let scale = i32::from(panel[layout.sub_scale_position(row, group)].cast_signed());
        for (sum, acc) in sums.iter_mut().zip(acc) {
            *sum = sum.wrapping_add(acc.cast_signed().wrapping_mul(scale));
        }
        group += 1;
    }
    assert_eq!(stream.len(), 0, "words that nothing reads");
    let shift = match layout.codec() {
        Codec::Q4Linear | Codec::Q2Linear => 4,
        Codec::Q1 => 6,
        _ => 0,
    };
    sums.map(|sum| sum >> shift)
}

proptest! {
    #[test]
    fn a_dsp_stream_gives_the_exact_sums(
        codec in 0..Codec::ALL.len(),
        group in 0..Group::ALL.len(),
        steps in 1..=32usize,
        tokens in 1..=4usize,
        extreme: bool,
        bytes in prop::collection::vec(any::<u8>(), 20 * 1024),
        x in prop::collection::vec(-127..=127i8, 4 * 1024),
    ) {
        let layout = Layout::new(16, 32 * steps, Codec::ALL[codec], Group::ALL[group]).unwrap();
        let room = padded_tokens(tokens);
        let sign = |x: i8| if extreme { 127 * x.signum() } else { x };
        let codes: Vec<i8> = x[..room * 32 * steps].iter().map(|x| sign(*x)).collect();
        let sums: Vec<i32> = (0..room * steps).map(|index| {
            let quads = codes.as_chunks::<4>().0;
            let (step, lane) = (index / room, index % room);
            (0..8).map(|quad| quads[(step * 8 + quad) * room + lane].map(i32::from).iter().sum::<i32>()).sum()
        }).collect();
        let block = ActivationBlock::B1024;
        let scales = vec![1.0; room];
        let x = Activations::new(tokens, 32 * steps, block, &codes, &scales, &sums).unwrap();

        let words: Vec<u32> = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let panel = &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>()[..layout.panels_bytes()];
        let (lanes, stream) = (room, if linear(layout.codec()).is_some() { Stream::Nested } else { Stream::Pairs });
        let mut memory = vec![0; stream.words(layout.codec(), layout.group(), 32 * steps, lanes)];
        let columns = Columns::new(&x, 0, lanes, 0, steps);
        stream.write(layout.codec(), layout.group(), columns, &mut Words::new(&mut memory));

        let mut aligned = vec![0u32; panel.len() / 4];
        for (word, bytes) in aligned.iter_mut().zip(panel.as_chunks().0) {
            *word = u32::from_ne_bytes(*bytes);
        }
        #[allow(unsafe_code)]
        // SAFETY: a word is four bytes.
        let panels = unsafe { core::slice::from_raw_parts(aligned.as_ptr().cast(), panel.len()) };
        let matrix = QMatrix::new(layout, panels, &[1.0; 16]).unwrap();
        for row in 0..16 {
            let found = walk(&layout, panel, row, &memory, lanes);
            for (token, found) in found.into_iter().enumerate().take(tokens) {
                prop_assert_eq!(found, reference::block_sum(&matrix, row, &x, token, 0));
            }
        }
    }
}
