//! Sessions leave no descriptor and no pipe behind.

use std::io::Write;
use std::process::Command;

use super::{Lab, eventually, options, read_exactly, reset};
use crate::options::RelayOptions;
use crate::{pipes, record::SessionEnd};

const ALONE: &str = "FAITH_RELAY_TEST_ALONE";

/// Runs a test in a process of its own, so that it can count the descriptors.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn two_thousand_sessions_leave_no_descriptor_and_no_pipe_behind() {
    alone("tests::leaks::two_thousand_sessions_leave_no_descriptor_and_no_pipe_behind", || {
        let lab = Lab::new(RelayOptions { connect_first: true, ..options() });
        let bulk = vec![3; 256 * 1024];
        let batch = |number: usize| {
            let sessions: Vec<_> = (0..100).map(|_| lab.session()).collect();
            for (index, (mut client, mut server)) in sessions.into_iter().enumerate() {
                match (index + number) % 4 {
                    0 => {}
                    1 => {
                        client.write_all(b"small").unwrap();
                        read_exactly(&mut server, 5);
                    }
                    2 => {
                        let writer = std::thread::spawn({
                            let bulk = bulk.clone();
                            move || server.write_all(&bulk).unwrap()
                        });
                        read_exactly(&mut client, bulk.len());
                        writer.join().unwrap();
                    }
                    _ => {
                        // Bytes are on their way when the session ends, some of them in a pipe.
                        client.set_nonblocking(true).unwrap();
                        let _ = client.write(&bulk);
                        reset(client);
                    }
                }
            }
            eventually("every session has ended", || lab.is_idle());
        };
        batch(0);
        let (before, stock) = (descriptors(), lab.on_worker(|_| pipes::stock()));
        for number in 1..=20 {
            batch(number);
        }
        let (after, stock_after) = (descriptors(), lab.on_worker(|_| pipes::stock()));
        // A reset closes a pipe that has bytes in it, and a later session makes a new one. So the stock may change.
        assert_eq!(after - 2 * stock_after, before - 2 * stock);
        assert_eq!(lab.engine.pairing.len(), 0);
        assert_eq!(lab.count(SessionEnd::Aborted), 0);
    });
}

#[test]
fn an_idle_session_that_has_passed_bulk_holds_two_descriptors() {
    alone("tests::leaks::an_idle_session_that_has_passed_bulk_holds_two_descriptors", || {
        let lab = Lab::new(options());
        let bulk = vec![3; 256 * 1024];
        assert_eq!(lab.on_worker(|_| pipes::stock()), 0);
        let before = descriptors();
        let mut sessions = Vec::new();
        for _ in 0..50 {
            let (mut client, mut server) = lab.session();
            let writer = std::thread::spawn({
                let bulk = bulk.clone();
                move || {
                    server.write_all(&bulk).unwrap();
                    server
                }
            });
            read_exactly(&mut client, bulk.len());
            sessions.push((client, writer.join().unwrap()));
        }
        eventually("only the pipes in stock are left beside the sockets", || {
            let stock = lab.on_worker(|_| pipes::stock());
            descriptors() == before + 4 * sessions.len() + 2 * stock
        });
    });
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<crate::session::Session>() <= 512, "{}", size_of::<crate::session::Session>());
}
