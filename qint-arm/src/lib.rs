//! Cortex-M kernels of qint. **Missing so far: everything.** qint-core builds for `thumbv7em-none-eabihf` and runs there with
//! its portable kernels; the DSP and Helium kernels and the flash image are not written yet.
#![no_std]
