//! Limits per client, and peers that vanish.

use std::time::Duration;

use super::{Lab, eventually, options, read_to_reset};
use crate::ClientLimits;
use crate::options::RelayOptions;
use crate::record::EndReason;

#[test]
fn a_client_with_as_many_sessions_as_it_may_have_is_reset() {
    let limits = ClientLimits { max_sessions: Some(1), ..ClientLimits::default() };
    let lab = Lab::new(RelayOptions { clients: limits, ..options() });
    let (first, server) = lab.session();
    assert!(read_to_reset(&mut lab.dial()).is_empty());
    assert_eq!(lab.ended().reason, EndReason::Limit);
    drop((first, server));
    lab.ended();
    drop(lab.session());
}

#[test]
fn keep_alive_is_set_up_once_a_session_has_lasted() {
    let lab = Lab::new(RelayOptions { keep_alive: Duration::from_secs(4), ..options() });
    let (_client, server) = lab.session();
    let port = server.peer_addr().unwrap().port();
    // ss(8) shows the timer of the relay's own socket towards the server.
    eventually("the server is being asked whether it is there", || {
        let shown = std::process::Command::new("ss")
            .args(["-Htno", "state", "established", &format!("sport = :{port}")])
            .output()
            .expect("ss(8) of iproute2");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        shown.contains("timer:(keepalive,1") || shown.contains("timer:(keepalive,9")
    });
}
