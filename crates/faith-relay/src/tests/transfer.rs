//! Bytes arrive unchanged and in order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::scope;

use super::{Lab, eventually, options, read_exactly, read_to_end};
use crate::record::SessionEnd;

const MIB: usize = 1 << 20;

/// Length of the pattern. It is no multiple of any buffer's size, so bytes out of place show.
const PERIOD: usize = 1_000_003;

/// Chunk sizes from one byte to `1 << 18`, small ones as often as large ones.
struct Chunks(u64);

impl Iterator for Chunks {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let magnitude = self.0 % 19;
        Some(usize::try_from(self.0 >> 32).unwrap() % (1 << magnitude) + 1)
    }
}

fn pattern(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..PERIOD + MIB).map(|_| byte()).collect()
}

fn send(stream: &mut TcpStream, pattern: &[u8], total: usize, chunks: Chunks) {
    let mut sent = 0;
    for chunk in chunks {
        let chunk = chunk.min(total - sent);
        let start = sent % PERIOD;
        stream.write_all(&pattern[start..start + chunk]).unwrap();
        sent += chunk;
        if sent == total {
            return;
        }
    }
}

fn receive(stream: &mut TcpStream, pattern: &[u8], total: usize, chunks: Chunks) {
    let mut buffer = vec![0; MIB];
    let mut received = 0;
    for chunk in chunks {
        let length = stream.read(&mut buffer[..chunk]).unwrap();
        let start = received % PERIOD;
        assert!(buffer[..length] == pattern[start..start + length], "bytes differ after {received}");
        received += length;
        if received == total {
            return;
        }
        assert_ne!(length, 0, "the stream ended after {received} bytes");
    }
}

/// The pattern with its beginning repeated at the end, so that a chunk may start anywhere.
fn periodic(seed: u64) -> Vec<u8> {
    let mut pattern = pattern(seed);
    pattern.copy_within(..MIB, PERIOD);
    pattern
}

#[test]
fn bulk_in_random_chunks_arrives_exactly_in_both_directions_at_once() {
    const TOTAL: usize = 256 * MIB;
    let lab = Lab::new(options());
    let (client, server) = lab.session();
    let (up, down) = (&periodic(1), &periodic(2));
    scope(|scope| {
        for (mut stream, out, seed) in
            [(client.try_clone().unwrap(), up, 11), (server.try_clone().unwrap(), down, 12)]
        {
            scope.spawn(move || send(&mut stream, out, TOTAL, Chunks(seed)));
        }
        for (mut stream, into, seed) in
            [(client.try_clone().unwrap(), down, 13), (server.try_clone().unwrap(), up, 14)]
        {
            scope.spawn(move || receive(&mut stream, into, TOTAL, Chunks(seed)));
        }
    });
    drop((client, server));
    let record = lab.ended();
    assert_eq!(record.reason, SessionEnd::Closed);
    assert_eq!((record.bytes_up, record.bytes_down), (TOTAL as u64, TOTAL as u64));
    assert!(lab.on_worker(|_| crate::pipes::stock()) > 0, "nothing went through a pipe");
}

#[test]
fn messages_are_passed_on_one_by_one() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    for length in (1..200_usize).chain([16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1]) {
        let message = vec![length.to_le_bytes()[0]; length];
        client.write_all(&message).unwrap();
        assert_eq!(read_exactly(&mut server, length), message);
        server.write_all(&message).unwrap();
        assert_eq!(read_exactly(&mut client, length), message);
    }
}

#[test]
fn a_server_may_speak_first() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    server.write_all(b"220 ready\r\n").unwrap();
    assert_eq!(read_exactly(&mut client, 11), b"220 ready\r\n");
}

#[test]
fn a_reader_that_stops_stops_the_writer_and_loses_nothing() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.narrow_session();
    let pattern = periodic(3);
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let mut stalled = 0;
    eventually("the writer is stopped", || {
        let start = sent % PERIOD;
        match client.write(&pattern[start..start + MIB]) {
            Ok(length) => {
                sent += length;
                stalled = 0;
            }
            Err(_) => stalled += 1,
        }
        assert!(sent < 256 * MIB, "the relay took {sent} bytes although the server reads none");
        stalled == 100
    });
    client.set_nonblocking(false).unwrap();
    drop(client);
    receive(&mut server, &pattern, sent, Chunks(15));
    assert!(read_to_end(&mut server).is_empty());
}

#[test]
fn counters_include_the_bytes_of_active_sessions() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    client.write_all(b"question").unwrap();
    read_exactly(&mut server, 8);
    server.write_all(b"no").unwrap();
    read_exactly(&mut client, 2);
    eventually("both messages are counted", || {
        let stats = lab.engine.stats();
        let sessions = stats.sessions;
        (sessions.active, stats.accepted, sessions.bytes_up, sessions.bytes_down) == (1, 1, 8, 2)
    });
}

#[test]
fn urgent_bytes_are_not_lost() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    socket2::SockRef::from(&server).set_out_of_band_inline(true).unwrap();
    let bulk = vec![b'b'; 300 * 1024];
    let mut expected = Vec::new();
    for _ in 0..4 {
        client.write_all(&bulk).unwrap();
        socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
        expected.extend_from_slice(&bulk);
        expected.push(b'!');
        assert!(read_exactly(&mut server, bulk.len() + 1) == expected[expected.len() - bulk.len() - 1..]);
    }
    client.write_all(b"ab").unwrap();
    socket2::SockRef::from(&client).send_out_of_band(b"!").unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut server), b"ab!");
}
