//! Development tasks that need an `if`: what `make` calls, on a laptop as in CI.

fn main() {}
