//! Chooses the kernels from the target: `cfg(qint_kernels = "helium" | "dsp" | "thumb2" | "thumb1" | "portable")`.
//!
//! rustc shows unstable target features to nobody, so those of Armv8-M (`-C target-feature=+dsp`, `+mve`) are read from the
//! compiler's flags.
//!
//! The Helium kernels need a core that has MVE with floating point, but the feature `mve.fp`, or a CPU's name, is refused: it
//! makes LLVM turn loops over f32 into vectors, which flush subnormal numbers, so that qint-core's own arithmetic would have
//! other bits.
use std::env;

fn main() {
    println!(
        "cargo::rustc-check-cfg=cfg(qint_kernels, values(\"helium\", \"dsp\", \"thumb2\", \"thumb1\", \"portable\"))"
    );
    println!("cargo::rustc-check-cfg=cfg(qint_armv8)");
    println!("cargo::rerun-if-changed=build.rs");

    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let enabled = |feature: &str| {
        let plus = format!("+{feature}");
        flags.split(['\x1f', '=', ',']).any(|flag| flag == plus)
    };
    let named = |cpu: &str| flags.split(['\x1f', '=']).any(|flag| flag == cpu);
    if enabled("mve.fp") || ["cortex-m52", "cortex-m55", "cortex-m85"].into_iter().any(named) {
        println!(
            "cargo::error=qint-arm is built with +mve, not with +mve.fp or the CPU's name: with those the compiler makes \
             vectors of f32 loops, which flush subnormal numbers"
        );
    }
    let kernels = match target.split('-').next() {
        Some("thumbv7em") => "dsp",
        Some("thumbv8m.main") if enabled("mve") => "helium",
        Some("thumbv8m.main") if enabled("dsp") => "dsp",
        Some("thumbv8m.main" | "thumbv7m") => "thumb2",
        Some("thumbv6m" | "thumbv8m.base") => "thumb1",
        _ => "portable",
    };
    println!("cargo::rustc-cfg=qint_kernels=\"{kernels}\"");
    if target.starts_with("thumbv8m") {
        println!("cargo::rustc-cfg=qint_armv8");
    }
}
