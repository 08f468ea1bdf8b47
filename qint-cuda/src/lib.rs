//! CUDA backend of qint. **Missing so far: everything.** There is no probing, no kernel and no fallback yet; models run on
//! the CPU backends of qint-core. The crate holds its place in the workspace, and what it will offer is written down in
//! ARCHITECTURE.md.
#![no_std]
