//! Which features this CPU has, by Rust's names of target features.

/// Defines [`has`] for the names that tokens use.
macro_rules! known_features {
    ($($arch:literal $detected:ident: [$($name:tt)*])*) => {
        /// Whether this CPU has the feature. Without the `std` feature: whether the program is compiled for such CPUs only.
        /// No CPU has a feature that is not listed here.
        pub(crate) fn has(name: &str) -> bool {
            match name {
                $($(
                    #[cfg(all(target_arch = $arch, feature = "std"))]
                    $name => std::arch::$detected!($name),
                    #[cfg(all(target_arch = $arch, not(feature = "std")))]
                    $name => cfg!(target_feature = $name),
                )*)*
                _ => false,
            }
        }
    };
}
known_features! {
    "x86_64" is_x86_feature_detected: ["avx2" "fma" "f16c" "avxvnni" "avx512f" "avx512bw" "avx512vl" "avx512vnni"]
}

/// Whether this CPU has all of them.
#[cfg(target_arch = "x86_64")]
pub(super) fn all(names: &[&str]) -> bool {
    names.iter().all(|name| has(name))
}
