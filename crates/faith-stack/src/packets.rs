//! Generates packets to test the BPF programs: those of faith-packet's tests of the classifier, and plain segments.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

#[expect(dead_code, reason = "faith-packet's tests need more of it")]
#[path = "../../faith-packet/tests/packets/builder.rs"]
pub(crate) mod builder;
#[path = "../../faith-packet/tests/packets/strategy.rs"]
mod strategy;

/// The number of packets per test, unless `PROPTEST_CASES` gives another.
const CASES: u32 = 6000;

/// Runs `judge` on generated packets.
pub(crate) fn each<T: Debug>(packets: &impl Strategy<Value = T>, judge: impl Fn(T) -> TestCaseResult) {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { CASES };
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..default });
    if let Err(error) = runner.run(packets, judge) {
        panic!("{error}");
    }
}

/// A packet of any kind, or a segment with random flags and options only.
pub(crate) fn packet() -> impl Strategy<Value = Vec<u8>> {
    let segment = (strategy::tcp_header(), any::<bool>()).prop_map(|(header, bare)| {
        builder::tcp(builder::CLIENT, builder::SERVER, header, if bare { b"" } else { b"data" })
    });
    prop_oneof![3 => strategy::packet(), 1 => segment]
}

/// A packet short enough for a test run of a program, which takes at most a page, with the kernel's own headers.
pub(crate) fn short_packet() -> impl Strategy<Value = Vec<u8>> {
    packet().prop_filter("short enough", |packet| packet.len() <= 1500)
}

/// The packet with its addresses swapped.
pub(crate) fn turned(mut packet: Vec<u8>) -> Vec<u8> {
    if let Some(addresses) = packet.get_mut(8..40) {
        addresses.rotate_left(16);
    }
    packet
}
