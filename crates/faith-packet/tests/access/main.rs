//! The access list over arbitrary rules and texts.

mod differential;
mod oracle;
mod strategy;
mod text;
