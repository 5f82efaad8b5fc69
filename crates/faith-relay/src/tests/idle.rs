//! Sessions that pass no byte end, and sessions that pass bytes do not.

use std::io::Write;
use std::time::Duration;

use super::{Lab, options, read_exactly, read_to_reset};
use crate::options::RelayOptions;
use crate::record::SessionEnd;

const SHORT: Duration = Duration::from_millis(200);

fn idle_after(timeout: Duration) -> RelayOptions {
    RelayOptions { idle_timeout: Some(timeout), ..options() }
}

#[test]
fn a_session_without_bytes_is_reset_on_both_sides_after_the_idle_timeout() {
    let lab = Lab::new(idle_after(SHORT));
    let (mut client, mut server) = lab.session();
    read_to_reset(&mut client);
    read_to_reset(&mut server);
    let record = lab.ended();
    assert_eq!(record.reason, SessionEnd::IdleTimeout);
    assert!(record.duration >= SHORT);
}

#[test]
fn every_byte_restarts_the_idle_timeout() {
    let lab = Lab::new(idle_after(SHORT));
    let (mut client, mut server) = lab.session();
    for _ in 0..8 {
        std::thread::sleep(SHORT / 4);
        client.write_all(b".").unwrap();
        read_exactly(&mut server, 1);
    }
    read_to_reset(&mut server);
    let record = lab.ended();
    assert_eq!((record.reason, record.bytes_up), (SessionEnd::IdleTimeout, 8));
    assert!(record.duration >= 3 * SHORT);
}

#[test]
fn the_longest_idle_timeout_ends_no_session() {
    let lab = Lab::new(idle_after(Duration::MAX));
    let (mut client, mut server) = lab.session();
    client.write_all(b".").unwrap();
    read_exactly(&mut server, 1);
    assert!(lab.nothing_ended());
}
