//! Writes the test vectors in `vectors/` from the reference: `cargo run --release -p qint-tests --example make-vectors`.
use qint_core::codec::Codec;
use qint_tests::vectors;
use std::io;

fn main() -> io::Result<()> {
    for codec in Codec::ALL {
        std::fs::write(vectors::product_file(codec), vectors::text(&vectors::products(codec)))?;
    }
    std::fs::write(vectors::activation_file(), vectors::text(&vectors::activations()))
}
