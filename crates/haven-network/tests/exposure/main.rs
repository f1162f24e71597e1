//! Exposure beside an evaluator that is slow and obvious, and the sentences that people read. Needs no privilege.

#![allow(clippy::unwrap_used, reason = "a helper that can't go on stops its test")]

mod chance;
mod change;
mod naive;
mod policy;
mod shop;
mod speed;
