//! Other threads list sessions and end them.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Caller, DeafServer, Lab, PATIENCE, eventually, options, read_exactly, read_to_reset};
use crate::cause::Cause;
use crate::record::SessionEnd;

const ALL: usize = 100;

#[test]
fn a_listed_session_shows_its_peers_and_its_bytes() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    client.write_all(b"hello").unwrap();
    read_exactly(&mut server, 5);
    server.write_all(b"good day").unwrap();
    read_exactly(&mut client, 8);
    eventually("the bytes are counted", || lab.engine.stats().sessions.bytes_down == 8);

    let [session] = lab.engine.ledger.sessions(0, ALL).try_into().unwrap();
    assert_eq!(session.id, lab.engine.ledger.newest());
    assert_eq!(session.client.port(), client.local_addr().unwrap().port());
    assert_eq!(session.destination, lab.destination);
    assert_eq!(session.server, Some(server.local_addr().unwrap()));
    assert_eq!((session.bytes_up, session.bytes_down), (5, 8));
    assert!(session.age < PATIENCE);

    drop((client, server));
    let record = lab.ended();
    assert_eq!((record.id, record.bytes_up, record.bytes_down), (session.id, 5, 8));
    assert_eq!(lab.engine.ledger.sessions(0, ALL), []);
}

#[test]
fn sessions_come_in_order_a_batch_at_a_time() {
    let lab = Lab::new(options());
    let mut sessions: Vec<_> = (0..5).map(|_| lab.session()).collect();
    let ids = |after, most| -> Vec<u64> {
        lab.engine.ledger.sessions(after, most).iter().map(|session| session.id).collect()
    };
    assert_eq!(ids(0, 2), [1, 2]);
    assert_eq!(ids(2, 2), [3, 4]);
    drop(sessions.remove(4));
    lab.ended();
    drop(lab.session());
    lab.ended();
    assert_eq!(ids(4, 2), []);
    assert_eq!(ids(0, ALL), [1, 2, 3, 4]);
    assert_eq!(lab.engine.ledger.newest(), 6);
}

#[test]
fn ending_a_session_by_its_id_leaves_the_others_alone() {
    let lab = Lab::new(options());
    let (mut first, mut second) = (lab.session(), lab.session());
    let ids: Vec<u64> = lab.engine.ledger.sessions(0, ALL).iter().map(|session| session.id).collect();
    assert!(lab.engine.ledger.end(ids[0]));
    read_to_reset(&mut first.0);
    read_to_reset(&mut first.1);
    let record = lab.ended();
    assert_eq!((record.id, record.reason), (ids[0], SessionEnd::Aborted));
    assert_eq!(record.cause, Some(Cause::EndedOnRequest));
    assert!(!lab.engine.ledger.end(ids[0]), "it has ended");
    assert!(!lab.engine.ledger.end(1000), "there is none");

    second.0.write_all(b"still here").unwrap();
    assert_eq!(read_exactly(&mut second.1, 10), b"still here");
}

#[test]
fn an_attempt_is_neither_listed_nor_ended_as_a_session() {
    let lab = Lab::new(options());
    let deaf = DeafServer::new();
    let (mut syn, fate) = lab.syn(Caller::new().address);
    syn.destination = deaf.destination();
    lab.offer(syn);
    let stats = lab.engine.stats();
    assert_eq!((stats.attempts, stats.sessions.active, stats.sessions.begun), (1, 0, 0));
    assert_eq!(lab.engine.ledger.sessions(0, ALL), []);
    assert!(!lab.engine.ledger.end(lab.engine.ledger.newest()));
    assert!(lab.nothing_ended());
    assert!(fate.try_recv().is_err(), "its client still waits");
}

#[test]
fn the_time_until_a_server_answers_is_counted_and_that_of_a_refusal_is_not() {
    let lab = Lab::new(options());
    let before = Instant::now();
    let _session = lab.session();
    let durations = lab.engine.stats().connect_durations;
    assert_eq!(durations.count(), 1);
    assert!(durations.sum > Duration::ZERO && durations.sum <= before.elapsed());
    lab.refuse();
    let _client = lab.dial();
    lab.refused();
    assert_eq!(lab.engine.stats().connect_durations, durations);
}
