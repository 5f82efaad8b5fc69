//! The rules of RFC 6147, RFC 7050 and RFC 8880, case by case.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod excluded;
mod ipv4only;
mod own;
mod reverse;
mod synthesis;
mod table;
mod text;

use faith_dns64::Options;

/// Options for prefixes such as `64:ff9b::/96 2001:db8:64::/64`.
fn options(prefixes: &str) -> Options {
    Options {
        prefixes: prefixes.split_whitespace().map(|prefix| prefix.parse().unwrap()).collect(),
        ..Options::default()
    }
}
