//! How a token turns instructions into safe methods.

/// Defines [`Isa::run`](super::Isa::run)'s way into the CPU's world, or private methods, for one token type.
///
/// A body is a safe function with the token's target features. Calling it needs one `unsafe`: holding a token proves that the
/// CPU has the features, since only `detect` makes one. The method is `#[inline(always)]`, so that the body ends up inside
/// `enter` and is inlined there in turn.
macro_rules! operations {
    ($token:ident $(<$multiplier:ident>)?, $features:literal,
     $($(#[$doc:meta])* fn $name:ident $(<const $constant:ident: usize>)? ($($argument:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => {
        impl $(<$multiplier: Copy>)? $token $(<$multiplier>)? {$(
            $(#[$doc])*
            #[inline(always)]
            pub(super) fn $name $(<const $constant: usize>)? (self, $($argument: $type),*) $(-> $result)? {
                #[target_feature(enable = $features)]
                #[inline]
                fn body $(<const $constant: usize>)? ($($argument: $type),*) $(-> $result)? $body
                // SAFETY: `self` proves that this CPU has the features: only the token's `detect` makes one.
                unsafe { body $(::<$constant>)? ($($argument),*) }
            }
        )*}
    };
    ($token:ident $(<$multiplier:ident>)?, $features:literal, enter) => {
        impl $(<$multiplier: Copy>)? $token $(<$multiplier>)? {
            /// Calls `f` in a function that is compiled for this CPU.
            #[inline(always)]
            pub(super) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
                #[target_feature(enable = $features)]
                #[inline(never)]
                fn body<R>(f: impl FnOnce() -> R) -> R {
                    f()
                }
                // SAFETY: `self` proves that this CPU has the features: only the token's `detect` makes one.
                unsafe { body(f) }
            }
        }
    };
}
pub(super) use operations;
