//! The queue and its thread, seen from outside.

use std::io::{PipeReader, PipeWriter, Read, pipe};
use std::net::UdpSocket;

use faith_relay::{Cause, RefusalReason};

use super::*;
use crate::entry::RECORD;
use crate::ipfix::{Collector, Decoder};
use crate::queue::Thread;
use crate::samples;

const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const RECORDS: Settings = Settings {
    form: Form::Text,
    records: true,
    begins: false,
    sessions: true,
    destinations: true,
    sources: false,
    errors: true,
};

fn log(limit: usize) -> (Log, PipeReader) {
    let (reader, descriptor) = pipe().unwrap();
    (Log::start(Target::Descriptor(Box::new(descriptor)), limit).unwrap(), reader)
}

fn say(log: &Log, message: impl Into<String>) {
    log.say(Level::Info, "{}".to_owned(), message.into());
}

/// The sentences of the lines.
fn read_all(mut reader: PipeReader) -> Vec<String> {
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    let said = |line: &str| line.split_once("] ").map(|(_, said)| said.to_owned());
    read.lines().filter_map(said).collect()
}

#[test]
fn lines_and_records_are_written_in_their_order() {
    let (log, reader) = log(1 << 30);
    log.set(RECORDS);
    let reading = std::thread::spawn(move || read_all(reader));
    let mut sent = Vec::new();
    for number in 0..5000 {
        say(&log, format!("line {number}"));
        log.session(SessionRecord { bytes_up: number, ..samples::session() });
        sent.push(format!("INFO: line {number}"));
    }
    assert!(log.flush(PATIENCE));
    drop(log);
    let read = reading.join().unwrap();
    let (said, records): (Vec<_>, Vec<_>) = read.iter().partition(|line| line.starts_with("INFO: line"));
    assert_eq!(said, sent.iter().collect::<Vec<_>>());
    assert!(records.iter().zip(0..).all(|(line, number)| line.contains(&format!(": {number} byte"))));
    assert_eq!(records.len(), 5000);
    assert!(read.iter().step_by(2).all(|line| line.starts_with("INFO: line")));
}

/// A pipe full of line feeds.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, descriptor) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&descriptor, true).unwrap();
    while rustix::io::write(&descriptor, &[b'\n'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&descriptor, false).unwrap();
    (reader, descriptor)
}

#[test]
fn a_stalled_reader_loses_entries_whose_number_stands_in_their_place() {
    let (reader, descriptor) = full_pipe();
    let log = Log::start(Target::Descriptor(Box::new(descriptor)), 100 * RECORD).unwrap();
    log.set(RECORDS);
    log.session(samples::session());
    log.queue.wait_for(Thread::Writing);
    // The thread has that record, and the queue has room for a hundred more.
    (0..5000).for_each(|_| log.session(samples::session()));
    say(&log, "lost too, although it is small");
    assert!(!log.flush(Duration::ZERO));

    let reading = std::thread::spawn(move || read_all(reader));
    assert!(log.flush(PATIENCE));
    say(&log, "the last");
    drop(log);
    let read = reading.join().unwrap();
    let sessions = |lines: &[String]| lines.iter().filter(|line| line.ends_with("closed")).count();
    assert_eq!((sessions(&read[..101]), read.len()), (101, 103));
    assert_eq!(read[101], "ERROR: 4901 lines of this log were lost: its reader did not keep up");
    assert_eq!(read[102], "INFO: the last");
}

#[test]
fn sums_are_written_at_their_place_and_only_once() {
    let (log, reader) = log(1 << 20);
    log.set(RECORDS);
    let refusal = RefusalRecord { reason: RefusalReason::Limit, ..samples::refusal() };
    log.tell_sums();
    (0..3000).for_each(|_| log.sum(&refusal, 64));
    log.tell_sums();
    say(&log, "after the sums");
    assert!(log.flush(PATIENCE));
    log.tell_sums();
    log.sum(&refusal, 48);
    log.tell_sums();
    assert_eq!(log.summed(), 3001);
    drop(log);
    let read: Vec<_> =
        read_all(reader).iter().map(|line| line.split(" in ").next().unwrap().to_owned()).collect();
    assert_eq!(
        read,
        [
            "INFO: 3,000 more limit from 2001:db8::/64",
            "INFO: after the sums",
            "INFO: 1 more limit from 2001:db8::/48"
        ]
    );
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let (log, reader) = log(1000);
    drop(reader);
    say(&log, "the write of this one fails");
    assert!(log.flush(PATIENCE));
    log.queue.wait_for(Thread::Gone);
    (0..1000).for_each(|_| say(&log, "this line is discarded"));
    assert!(log.flush(PATIENCE));
    assert_eq!(log.queue.lost(), 0);
}

#[test]
fn a_full_disk_makes_flush_return_at_once() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let log = Log::start(Target::Descriptor(Box::new(full)), 1000).unwrap();
    say(&log, "there is no room for this");
    assert!(!log.flush(PATIENCE));
}

#[test]
fn only_a_log_of_records_takes_records() {
    let (log, _reader) = log(1000);
    let takes = |settings| {
        log.set(settings);
        (log.takes_records(), log.takes_begins())
    };
    assert_eq!((log.takes_records(), log.takes_begins()), (false, false));
    assert_eq!(takes(RECORDS), (true, false));
    assert_eq!(takes(Settings { begins: true, ..RECORDS }), (true, true));
    assert_eq!(takes(Settings { begins: true, records: false, ..RECORDS }), (false, false));
    assert_eq!(takes(Settings { begins: true, sessions: false, ..RECORDS }), (true, false));
}

#[test]
fn lines_without_destinations_need_the_source() {
    let (log, _reader) = log(1000);
    let takes = |settings| {
        log.set(settings);
        log.takes_sources()
    };
    assert!(!takes(RECORDS));
    assert!(takes(Settings { sources: true, ..RECORDS }));
    assert!(takes(Settings { destinations: false, ..RECORDS }));
    assert!(!takes(Settings { destinations: false, sessions: false, ..RECORDS }));
    assert!(!takes(Settings { destinations: false, records: false, ..RECORDS }));
}

#[test]
fn records_reach_a_collector_where_they_have_no_lines() {
    let (log, reader) = log(1 << 20);
    log.set(Settings { records: false, begins: true, ..RECORDS });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = socket.local_addr().unwrap();
    let template_interval = Duration::from_mins(10);
    let collector = Collector { address, domain: 1, template_interval, destinations: false };
    log.exporter().set(Some(collector)).unwrap();
    assert!(log.takes_records() && log.takes_begins() && log.takes_sources());
    log.session(samples::session());
    let cause = Some(Cause::MaxSessionsPerClient);
    let refusal = RefusalRecord { reason: RefusalReason::Limit, cause, ..samples::refusal() };
    log.refusal(refusal, Some(100));
    assert!(log.flush(PATIENCE));
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    let mut buffer = [0; 2048];
    while events.len() < 2 {
        let length = socket.recv(&mut buffer).unwrap();
        let records = decoder.decode(&buffer[..length]).records;
        events.extend(records.iter().map(|record| (record.number(230).unwrap(), record.number(473))));
    }
    assert_eq!(events, [(7, None), (13, Some(100))]);
    drop(log);
    assert!(read_all(reader).is_empty());
}

#[test]
fn a_loss_of_the_exporter_has_a_line() {
    let (log, reader) = log(1 << 20);
    log.set(Settings { records: false, ..RECORDS });
    let address = "255.255.255.255:4739".parse().unwrap();
    let template_interval = Duration::from_mins(10);
    let collector = Collector { address, domain: 1, template_interval, destinations: true };
    log.exporter().set(Some(collector)).unwrap();
    log.session(samples::session());
    assert!(log.flush(PATIENCE));
    drop(log);
    assert_eq!(
        read_all(reader),
        ["ERROR: 1 IPFIX record was lost: 255.255.255.255:4739: Permission denied (os error 13)"]
    );
}
