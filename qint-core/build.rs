//! Says which targets without std have a fused multiply-add that core does not offer: `cfg(qint_vfma)`, Cortex-M with an FPU.
use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(qint_vfma)");
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    if ["thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf"].contains(&target.as_str()) {
        println!("cargo::rustc-cfg=qint_vfma");
    }
}
