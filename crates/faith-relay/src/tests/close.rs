//! The end of a relay.

use std::io::Write;
use std::thread::scope;
use std::time::Duration;

use super::{Caller, Fate, Lab, PATIENCE, eventually, options, read_exactly, read_to_end, read_to_reset};
use crate::cause::Cause;
use crate::engine::Engine;
use crate::ledger::Stage;
use crate::record::{SessionEnd, SessionRecord};

pub(crate) fn close(engine: &Engine, drain: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(engine.ledger.close(drain, || ()));
}

#[test]
fn closing_without_a_drain_resets_both_sides_of_every_session() {
    let lab = Lab::new(options());
    let (mut first, mut second) = (lab.session(), lab.session());
    first.0.write_all(b"hello").unwrap();
    read_exactly(&mut first.1, 5);
    close(&lab.engine, Duration::ZERO);
    assert!(lab.is_idle());
    for (client, server) in [&mut first, &mut second] {
        read_to_reset(client);
        read_to_reset(server);
    }
    let records = [lab.ended(), lab.ended()];
    for SessionRecord { reason, cause, .. } in &records {
        assert_eq!((*reason, *cause), (SessionEnd::Aborted, Some(Cause::RelayClosed)));
    }
    assert_eq!(records.iter().map(|record| record.bytes_up).sum::<u64>(), 5);
}

#[test]
fn closing_with_a_drain_lets_sessions_end_by_themselves() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    let engine = &lab.engine;
    scope(|scope| {
        let closing = scope.spawn(|| close(engine, PATIENCE));
        eventually("the relay begins to close", || engine.ledger.is_at(Stage::Draining));
        read_to_reset(&mut lab.dial());
        assert!(!closing.is_finished());
        client.write_all(b"still here").unwrap();
        drop(client);
        assert_eq!(read_to_end(&mut server), b"still here");
        drop(server);
    });
    assert_eq!(lab.ended().reason, SessionEnd::Closed);
}

#[test]
fn closing_twice_resolves_twice() {
    let lab = Lab::new(options());
    let _session = lab.session();
    let engine = &lab.engine;
    scope(|scope| {
        scope.spawn(|| close(engine, PATIENCE));
        scope.spawn(|| close(engine, Duration::ZERO));
    });
    close(&lab.engine, PATIENCE);
    assert_eq!(lab.count(SessionEnd::Aborted), 1);
}

#[test]
fn a_syn_offered_to_a_closed_relay_is_reset() {
    let lab = Lab::new(options());
    close(&lab.engine, Duration::ZERO);
    let (syn, fate) = lab.syn(Caller::new().address);
    lab.offer(syn);
    assert_eq!(fate.recv_timeout(PATIENCE), Ok(Fate::Reset));
}

#[test]
fn a_worker_that_ends_resets_its_sessions() {
    let mut lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    drop(lab.jobs.take());
    read_to_reset(&mut client);
    read_to_reset(&mut server);
    let SessionRecord { reason, cause, .. } = lab.ended();
    assert_eq!((reason, cause), (SessionEnd::Aborted, None));
}
