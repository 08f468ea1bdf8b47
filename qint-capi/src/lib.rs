//! C ABI of qint. **Missing so far: everything.** There is no exported symbol and no header yet; link qint-std from Rust.
