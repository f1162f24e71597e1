//! What the values of flags mean: one file per notion, each from text to what the API wants, refusing with a reason.

pub(crate) mod filter;
