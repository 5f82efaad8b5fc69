//! Session limits, of which forged SYNs use up nothing, and keep-alive.

use std::net::Ipv6Addr;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::{Caller, DeafServer, Fate, Lab, PATIENCE, eventually, options, read_to_reset};
use crate::ClientLimits;
use crate::cause::Cause;
use crate::options::RelayOptions;
use crate::record::RefusalReason;

#[test]
fn a_client_with_as_many_sessions_as_it_may_have_is_reset() {
    let limits = ClientLimits { max_sessions: Some(1), ..ClientLimits::default() };
    let lab = Lab::new(RelayOptions { clients: limits, ..options() });
    let (first, server) = lab.session();
    assert!(read_to_reset(&mut lab.dial()).is_empty());
    let record = lab.refused();
    assert_eq!((record.reason, record.cause), (RefusalReason::Limit, Some(Cause::MaxSessionsPerClient)));
    drop((first, server));
    lab.ended();
    drop(lab.session());
}

#[test]
fn a_connection_that_the_program_makes_for_a_client_takes_a_place_until_it_ends() {
    let limits = ClientLimits { max_sessions: Some(1), ..ClientLimits::default() };
    for options in
        [RelayOptions { max_sessions: Some(1), ..options() }, RelayOptions { clients: limits, ..options() }]
    {
        let lab = Lab::new(options);
        let admission = &lab.engine.admission;
        let place = admission.take_place(&Ipv6Addr::LOCALHOST).unwrap();
        assert!(read_to_reset(&mut lab.dial()).is_empty());
        let cause = lab.refused().cause;
        assert!(cause.is_some());
        assert_eq!(admission.take_place(&Ipv6Addr::LOCALHOST).err(), cause);
        drop(place);
        drop(lab.session());
    }
}

/// Every limit, with room for one session. The last is per second, and a busy machine may let more than a second pass.
fn limited() -> impl Iterator<Item = RelayOptions> {
    let limits = ClientLimits::default();
    let options = || RelayOptions { connect_first: true, ..options() };
    [
        RelayOptions { max_sessions: Some(1), ..options() },
        RelayOptions { clients: ClientLimits { max_sessions: Some(1), ..limits }, ..options() },
        RelayOptions { clients: ClientLimits { per_second: Some(1), ..limits }, ..options() },
    ]
    .into_iter()
}

#[test]
fn forged_syns_use_up_no_session_limit_even_if_their_server_answers() {
    for options in limited() {
        for deaf in [None, Some(DeafServer::new())] {
            let lab = Lab::new(options.clone());
            let forged: Vec<_> = (0..50)
                .map(|_| {
                    let (mut syn, fate) = lab.syn(Caller::new().address);
                    if let Some(deaf) = &deaf {
                        syn.destination = deaf.destination();
                    }
                    lab.offer(syn);
                    fate
                })
                .collect();
            if deaf.is_none() {
                for fate in &forged {
                    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
                }
            }
            let caller = Caller::new();
            let (syn, fate) = lab.syn(caller.address);
            lab.offer(syn);
            assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
            let _client = caller.dial(&lab);
            eventually("the client has its session", || lab.engine.ledger.relaying() == 1);
            assert_eq!(lab.count_refused(RefusalReason::Limit), 0);
        }
    }
}

#[test]
fn a_client_beyond_its_limit_is_refused_before_its_server_sees_it() {
    for options in limited().take(2) {
        let lab = Lab::new(options);
        let _first = lab.session();
        let (syn, fate) = lab.syn(Caller::new().address);
        lab.offer(syn);
        assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
        assert_eq!(lab.refused().reason, RefusalReason::Limit);
        assert!(lab.server_has_no_connection());
    }
}

#[test]
fn clients_accepted_at_once_are_reset_beyond_the_limit() {
    for options in limited().take(2) {
        let lab = Lab::new(options);
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let caller = Caller::new();
                let (syn, fate) = lab.syn(caller.address);
                lab.offer(syn);
                assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Released));
                (caller, fate)
            })
            .collect();
        let mut clients = callers.into_iter().map(|(caller, fate)| {
            let client = caller.dial(&lab);
            assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::PlaceFree));
            (client, fate)
        });
        let _served = clients.next();
        for (mut client, fate) in clients {
            assert!(read_to_reset(&mut client).is_empty());
            assert_eq!(fate.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
            assert_eq!(lab.refused().reason, RefusalReason::Limit);
        }
        assert_eq!(lab.engine.ledger.relaying(), 1);
        assert_eq!(lab.engine.stats().sessions.active, 1);
    }
}

#[test]
fn keep_alive_is_turned_on_once_a_session_has_lasted_a_while() {
    let lab = Lab::new(RelayOptions { keep_alive: Duration::from_secs(4), ..options() });
    let (_client, server) = lab.session();
    let port = server.peer_addr().unwrap().port();
    // ss(8) shows the timer of the relay's own socket towards the server.
    eventually("the kernel probes the server", || {
        let shown = std::process::Command::new("ss")
            .args(["-Htno", "state", "established", &format!("sport = :{port}")])
            .output()
            .expect("ss(8) of iproute2");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        shown.contains("timer:(keepalive,1") || shown.contains("timer:(keepalive,9")
    });
}
