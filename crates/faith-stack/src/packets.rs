//! Packets by chance for the kernel's programs: those that the classifier of faith-packet is tested with, and plain
//! segments.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

#[expect(dead_code, reason = "faith-packet's tests need more of it")]
#[path = "../../faith-packet/tests/packets/builder.rs"]
pub(crate) mod builder;
#[path = "../../faith-packet/tests/packets/strategy.rs"]
mod strategy;

/// How many packets a test looks at, unless `PROPTEST_CASES` asks for another number.
const CASES: u32 = 6000;

/// Has `judge` look at packets by chance.
pub(crate) fn each<T: Debug>(packets: &impl Strategy<Value = T>, judge: impl Fn(T) -> TestCaseResult) {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { CASES };
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..default });
    if let Err(error) = runner.run(packets, judge) {
        panic!("{error}");
    }
}

/// A packet of any kind, or a segment of which only the flags and the options are by chance.
pub(crate) fn packet() -> impl Strategy<Value = Vec<u8>> {
    let segment = (strategy::tcp_header(), any::<bool>()).prop_map(|(header, bare)| {
        builder::tcp(builder::CLIENT, builder::SERVER, header, if bare { b"" } else { b"data" })
    });
    prop_oneof![3 => strategy::packet(), 1 => segment]
}

/// A packet that a test run of a program takes: it has a page at the most, headers of its own included.
pub(crate) fn short_packet() -> impl Strategy<Value = Vec<u8>> {
    packet().prop_filter("short enough", |packet| packet.len() <= 1500)
}

/// The same packet with its addresses exchanged.
pub(crate) fn turned(mut packet: Vec<u8>) -> Vec<u8> {
    if let Some(addresses) = packet.get_mut(8..40) {
        addresses.rotate_left(16);
    }
    packet
}
