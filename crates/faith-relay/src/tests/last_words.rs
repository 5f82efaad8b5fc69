//! The bytes that a peer sent before its reset arrive first, then the reset arrives.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::spawn;
use std::time::Duration;

use faith_sys::tcp::at_mark;
use socket2::SockRef;

use super::reset::{fill, was_reset};
use super::*;
use crate::record::SessionEnd;

const LENGTHS: [usize; 5] = [1, 200, 8_000, 60_000, 1 << 20];

/// As many bytes as the relay takes from a peer whose other peer reads nothing and has a small receive buffer.
const WAITING: usize = 120_000;

/// Gives a peer a small receive buffer. While it reads nothing, the other peer's bytes wait in the relay or at their sender.
fn narrow(reader: &TcpStream) {
    SockRef::from(reader).set_recv_buffer_size(16 * 1024).unwrap();
}

/// Bytes in which missing, repeated and moved ones show.
fn speech(length: usize) -> Vec<u8> {
    (0..).flat_map(|number: u32| number.to_be_bytes()).take(length).collect()
}

fn hears_before_any_error(mut listener: &TcpStream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    listener.read_exact(&mut heard).unwrap();
    assert!(heard == words, "the words came changed");
}

/// Reads to the reset, before which the words must have come.
fn hears(mut listener: TcpStream, words: &[u8]) {
    hears_before_any_error(&listener, words);
    assert!(listener.read(&mut [0]).is_err(), "no reset came after the words");
}

/// Closes a connection that has bytes to read, like a server that refuses an upload: the kernel resets it. The kernel would
/// drop words that it has not sent, so this waits until the relay has them.
fn leave_unread(speaker: TcpStream) {
    eventually("the relay has the words", || unacknowledged(&speaker) == 0);
    assert!(speaker.peek(&mut [0]).unwrap() > 0, "nothing is left unread");
    drop(speaker);
}

/// Waits until the relay knows that the other peer of `survivor` is gone. From then on the relay takes every byte of the
/// survivor and throws it away.
fn is_noticed_by(survivor: &mut TcpStream) {
    survivor.write_all(&vec![b'?'; 64 << 20]).unwrap();
}

/// Aborts a connection whose words the relay has.
fn abort(speaker: TcpStream) {
    eventually("the relay has the words", || unacknowledged(&speaker) == 0);
    reset(speaker);
}

fn unacknowledged(stream: &TcpStream) -> u64 {
    faith_sys::peer::unacknowledged(stream)
}

#[test]
fn a_server_that_answers_early_and_leaves_an_upload_unread_delivers_its_answer() {
    for length in LENGTHS {
        let lab = Lab::new(options());
        let (client, mut server) = lab.session();
        let mut uploading = client.try_clone().unwrap();
        // This write reports the reset to the client, which reads the answer all the same.
        let chunk = vec![b'u'; 64 * 1024];
        let upload = spawn(move || while uploading.write_all(&chunk).is_ok() {});
        read_exactly(&mut server, 1000);
        let hearing = spawn(move || hears_before_any_error(&client, &speech(length)));
        server.write_all(&speech(length)).unwrap();
        leave_unread(server);
        hearing.join().unwrap();
        upload.join().unwrap();
        let record = lab.ended();
        assert_eq!((record.reason, record.bytes_down), (SessionEnd::ServerReset, length as u64));
    }
}

#[test]
fn a_client_that_reads_only_after_its_upload_hears_a_server_that_reset() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    narrow(&client);
    client.write_all(b"upload").unwrap();
    server.peek(&mut [0]).unwrap();
    let words = speech(WAITING);
    server.write_all(&words).unwrap();
    leave_unread(server);
    is_noticed_by(&mut client);
    hears(client, &words);
    assert_eq!(lab.ended().reason, SessionEnd::ServerReset);
}

#[test]
fn a_client_that_aborts_delivers_its_last_words() {
    for length in LENGTHS {
        let lab = Lab::new(options());
        let (mut client, server) = lab.session();
        let words = speech(length);
        client.write_all(&words).unwrap();
        let hearing = spawn(move || {
            hears(server, &speech(length));
        });
        abort(client);
        hearing.join().unwrap();
        let record = lab.ended();
        assert_eq!((record.reason, record.bytes_up), (SessionEnd::ClientReset, length as u64));
    }
}

#[test]
fn a_slow_survivor_hears_everything() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    narrow(&client);
    let words = speech(WAITING);
    server.write_all(&words).unwrap();
    abort(server);
    is_noticed_by(&mut client);
    assert!(!was_reset(&client));
    assert!(lab.nothing_ended());
    hears(client, &words);
    assert_eq!(lab.ended().reason, SessionEnd::ServerReset);
}

#[test]
fn a_reset_after_a_fin_takes_no_word_before_it_away() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    narrow(&server);
    let words = speech(WAITING);
    client.write_all(&words).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    eventually("the relay has the words", || unacknowledged(&client) == 0);
    reset(client);
    let mut heard = read_exactly(&mut server, words.len());
    // Either the client's end or its reset comes next.
    assert!(!matches!(server.read(&mut [0]), Ok(1..)));
    heard.truncate(words.len());
    assert!(heard == words);
    assert_eq!(lab.ended().reason, SessionEnd::ClientReset);
}

#[test]
fn an_urgent_byte_stays_urgent_and_the_words_after_it_are_heard() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.session();
    SockRef::from(&server).set_out_of_band_inline(true).unwrap();
    client.write_all(b"before").unwrap();
    SockRef::from(&client).send_out_of_band(b"!").unwrap();
    client.write_all(b"after").unwrap();
    abort(client);
    assert_eq!(read_exactly(&mut server, 6), b"before");
    eventually("the byte arrives", || server.peek(&mut [0]).unwrap() == 1);
    assert!(at_mark(&server));
    assert_eq!(read_exactly(&mut server, 1), b"!");
    hears(server, b"after");
}

#[test]
fn a_survivor_that_reads_nothing_is_reset_after_the_keep_alive_timeout() {
    let limit = Duration::from_secs(1);
    let lab = Lab::new(RelayOptions { keep_alive: limit, ..options() });
    let (mut client, server) = lab.narrow_session();
    fill(&mut client);
    reset(client);
    eventually("the server is reset", || was_reset(&server));
    let record = lab.ended();
    assert_eq!(record.reason, SessionEnd::ClientReset);
    assert!(record.duration >= limit);
}

#[test]
fn a_survivor_that_reads_nothing_is_reset_after_the_idle_timeout_if_that_is_less() {
    let limit = Duration::from_millis(300);
    let lab = Lab::new(RelayOptions { idle_timeout: Some(limit), ..options() });
    let (mut client, server) = lab.narrow_session();
    fill(&mut client);
    reset(client);
    eventually("the server is reset", || was_reset(&server));
    lab.ended();
}

#[test]
fn a_survivor_that_resets_too_ends_the_session_at_once() {
    let lab = Lab::new(options());
    let (mut client, mut server) = lab.narrow_session();
    fill(&mut client);
    reset(client);
    is_noticed_by(&mut server);
    reset(server);
    assert_eq!(lab.ended().reason, SessionEnd::ClientReset);
}

#[test]
fn a_relay_that_drains_waits_for_last_words_and_one_that_aborts_does_not() {
    for drain in [PATIENCE, Duration::ZERO] {
        let lab = Lab::new(options());
        let (client, mut server) = lab.session();
        narrow(&client);
        let words = speech(WAITING);
        server.write_all(&words).unwrap();
        abort(server);
        let engine = &lab.engine;
        std::thread::scope(|scope| {
            let closing = scope.spawn(move || close::close(engine, drain));
            if drain.is_zero() {
                closing.join().unwrap();
                assert_eq!(lab.ended().reason, SessionEnd::Aborted);
            } else {
                hears(client, &words);
                assert_eq!(lab.ended().reason, SessionEnd::ServerReset);
            }
        });
    }
}

#[test]
fn a_client_that_sends_bytes_and_resets_before_it_is_accepted_is_heard() {
    for length in [1, 60_000] {
        let lab = Lab::new(options());
        let words = speech(length);
        // The worker accepts no connection before this job ends.
        let (go_on, told) = channel::<()>();
        let stop: Job = Box::new(move |_| told.recv().unwrap());
        assert!(lab.jobs.as_ref().unwrap().send(stop).is_ok());
        let mut client = lab.dial();
        client.write_all(&words).unwrap();
        abort(client);
        go_on.send(()).unwrap();
        hears(lab.answer(), &words);
        assert_eq!(lab.ended().reason, SessionEnd::ClientReset);
    }
}
