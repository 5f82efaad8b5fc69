//! The access list over arbitrary rules and texts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod differential;
mod oracle;
mod strategy;
mod text;
