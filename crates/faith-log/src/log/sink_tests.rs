//! Each sink, with a reader of the test's.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use faith_sys::log_file::append;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::tests::RECORDS;
use super::*;
use crate::datagrams::Address;
use crate::samples;

const PATIENCE: Duration = Duration::from_secs(20);
const LIMIT: usize = 1 << 20;

/// A folder that ends with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("faith-sink-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn file(path: &Path) -> Target {
    Target::File { path: path.to_owned(), owner: None }
}

fn syslog(to: Address) -> Target {
    Target::Syslog { to, facility: 3, enterprise: None }
}

fn say(log: &Log, message: impl Into<String>) {
    log.say(Level::Info, "{}".to_owned(), message.into());
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition does not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The sentences of a file.
fn read(path: &Path) -> Vec<String> {
    let read = fs::read_to_string(path).unwrap_or_default();
    read.lines().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect()
}

fn received(socket: &UnixDatagram) -> String {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 1 << 18];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// The sentence of a message of syslog.
fn sentence(message: &str) -> String {
    message.split_once("\"] ").unwrap().1.to_owned()
}

#[test]
fn a_file_is_opened_again_without_a_lost_or_torn_line() {
    let folder = Folder::new("rotated");
    let path = folder.file("log");
    let log = Log::start(file(&path), LIMIT).unwrap();
    let mut sent = Vec::new();
    for round in 0..20 {
        for number in 0..500 {
            say(&log, format!("line {round} {number}"));
            sent.push(format!("INFO: line {round} {number}"));
        }
        fs::rename(&path, folder.file(&format!("old{round}"))).unwrap();
        log.reopen();
        wait_until(|| read(&path).iter().any(|line| line.contains("is open again")));
    }
    drop(log);
    let all: Vec<_> = (0..20).flat_map(|round| read(&folder.file(&format!("old{round}")))).collect();
    let (told, lines): (Vec<_>, Vec<_>) =
        [all, read(&path)].concat().into_iter().partition(|line| line.contains("open again"));
    assert_eq!(lines, sent);
    assert_eq!(told, vec![format!("INFO: SIGUSR1: {} is open again", path.display()); 20]);
}

#[test]
fn a_folder_that_vanishes_holds_lines_up_until_it_is_back() {
    let folder = Folder::new("vanished");
    let inner = folder.file("inner");
    fs::create_dir(&inner).unwrap();
    let path = inner.join("log");
    let log = Log::start(file(&path), LIMIT).unwrap();
    say(&log, "before");
    assert!(log.flush(PATIENCE));
    fs::remove_dir_all(&inner).unwrap();
    say(&log, "while it is away");
    wait_until(|| log.trouble().is_some());
    let trouble =
        format!("cannot write the log to {}: No such file or directory (os error 2)", path.display());
    assert_eq!(log.trouble(), Some(trouble));
    assert!(!log.flush(PATIENCE), "the caller does not wait for it");
    for _ in 0..LIMIT / 128 {
        say(&log, "one of many, and not all of them have room");
    }
    fs::create_dir(&inner).unwrap();
    wait_until(|| log.trouble().is_none());
    wait_until(|| log.flush(PATIENCE));
    let lines = read(&path);
    assert_eq!(lines[0], "INFO: while it is away");
    assert!(lines.iter().any(|line| line.contains("s faithd could not write: cannot write the log to")));
    assert!(
        lines.iter().any(|line| line.ends_with(" lines of this log were lost: its reader did not keep up"))
    );
    let written = lines.iter().filter(|line| line.ends_with("have room")).count() as u64;
    assert_eq!(written + log.lost_in_all(), LIMIT as u64 / 128);
}

#[test]
fn a_file_that_cannot_be_opened_again_stays_open_and_says_so() {
    let folder = Folder::new("kept");
    let (path, old) = (folder.file("log"), folder.file("old"));
    let log = Log::start(file(&path), LIMIT).unwrap();
    fs::rename(&path, &old).unwrap();
    fs::create_dir(&path).unwrap();
    log.reopen();
    say(&log, "after it");
    wait_until(|| read(&old).len() == 2);
    let error = "Is a directory (os error 21); the log goes on in the file that was open";
    assert_eq!(read(&old)[0], format!("ERROR: SIGUSR1: cannot open {} again: {error}", path.display()));
    let error = Log::start(file(&path), LIMIT).unwrap_err();
    assert!(matches!(error, StartError::Open(error) if error.raw_os_error() == Some(21)));
}

#[test]
fn only_a_file_is_opened_again() {
    let (reader, writer) = io::pipe().unwrap();
    let log = Log::start(Target::Descriptor(Box::new(writer)), LIMIT).unwrap();
    log.reopen();
    assert!(log.flush(PATIENCE));
    drop(log);
    let said = io::read_to_string(reader).unwrap();
    assert!(said.ends_with("SIGUSR1: the log goes to stderr, so there is no file to open again\n"), "{said}");
}

/// The content of the file that a datagram without bytes carries.
fn received_file(socket: &UnixDatagram) -> String {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    assert_eq!(recvmsg(socket, &mut [], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes, 0);
    let file: OwnedFd = control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        })
        .unwrap();
    let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
    assert!(seals.contains(rustix::fs::SealFlags::SEAL | rustix::fs::SealFlags::WRITE));
    let mut file = File::from(file);
    io::Seek::rewind(&mut file).unwrap();
    io::read_to_string(file).unwrap()
}

#[test]
fn the_journal_gets_an_entry_for_each_line_and_large_ones_as_sealed_files() {
    let folder = Folder::new("journal");
    let path = folder.file("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let log = Log::start(Target::Journal(Some(path)), LIMIT).unwrap();
    log.set(RECORDS);
    log.session(samples::session());
    let large = "x".repeat(400_000);
    say(&log, &*large);
    say(&log, "small");
    let session = received(&journal);
    assert!(session.starts_with("SYSLOG_IDENTIFIER=faithd\nPRIORITY=6\nMESSAGE=[2001:db8::1]:40000 to "));
    assert!(session.ends_with('\n') && session.contains("\nFAITHD_REASON=closed\n"));
    assert_eq!(received_file(&journal), format!("SYSLOG_IDENTIFIER=faithd\nPRIORITY=6\nMESSAGE={large}\n"));
    assert!(received(&journal).ends_with("MESSAGE=small\n"));
}

/// Reads until so many lines are accounted for; returns how many arrived, and how many others tell to be lost.
fn account(socket: &UnixDatagram, line: &str, count: usize) -> (usize, usize) {
    let (mut heard, mut lost) = (0, 0);
    while heard + lost < count {
        let said = sentence(&received(socket));
        if said == line {
            heard += 1;
        } else if let Some((number, _)) = said.split_once(" of this log w") {
            lost += number.split(' ').next().unwrap().parse::<usize>().unwrap();
        }
    }
    (heard, lost)
}

#[test]
fn a_syslog_that_is_away_gets_the_lines_when_it_is_back() {
    let folder = Folder::new("syslog");
    let path = folder.file("log");
    let log = Log::start(syslog(Address::Unix(path.clone())), LIMIT).unwrap();
    say(&log, "before it is there");
    wait_until(|| log.trouble().is_some());
    let first = UnixDatagram::bind(&path).unwrap();
    assert_eq!(sentence(&received(&first)), "before it is there");
    assert!(sentence(&received(&first)).starts_with("for "));
    wait_until(|| log.trouble().is_none());

    // A restart between two lines costs nothing.
    fs::remove_file(&path).unwrap();
    drop(first);
    let second = UnixDatagram::bind(&path).unwrap();
    say(&log, "after a restart");
    assert_eq!(sentence(&received(&second)), "after a restart");
    assert!(log.flush(PATIENCE));
    assert_eq!(log.lost_in_all(), 0);

    drop(second);
    (0..LIMIT / 128).for_each(|_| say(&log, "while it is away"));
    wait_until(|| log.lost_in_all() > 0 && log.trouble().is_some());
    fs::remove_file(&path).unwrap();
    let third = UnixDatagram::bind(&path).unwrap();
    let (heard, lost) = account(&third, "while it is away", LIMIT / 128);
    assert_eq!((heard + lost, log.lost_in_all()), (LIMIT / 128, lost as u64));
}

#[test]
fn a_syslog_that_does_not_read_holds_nobody_up() {
    let folder = Folder::new("stalled");
    let path = folder.file("log");
    let stalled = UnixDatagram::bind(&path).unwrap();
    let log = Log::start(syslog(Address::Unix(path)), LIMIT).unwrap();
    (0..2 * LIMIT / 128).for_each(|_| say(&log, "read late"));
    assert!(!log.flush(Duration::from_millis(1)));
    let (heard, lost) = account(&stalled, "read late", 2 * LIMIT / 128);
    assert_eq!((heard + lost, log.lost_in_all()), (2 * LIMIT / 128, lost as u64));
    assert!(lost > 0);
}

fn received_by_udp(socket: &UdpSocket) -> String {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    sentence(std::str::from_utf8(&buffer[..length]).unwrap())
}

#[test]
fn udp_without_a_receiver_counts_what_it_lost_and_tells_it() {
    let first = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = first.local_addr().unwrap();
    let log = Log::start(syslog(Address::Udp(address)), LIMIT).unwrap();
    say(&log, "first");
    assert_eq!(received_by_udp(&first), "first");
    drop(first);
    // The kernel tells the loss of this one when the next is sent.
    say(&log, "lost");
    assert!(log.flush(PATIENCE));
    say(&log, "waits");
    wait_until(|| log.lost_in_all() == 1 && log.trouble().is_some());
    let second = UdpSocket::bind(address).unwrap();
    let mut heard: Vec<_> = (0..3).map(|_| received_by_udp(&second)).collect();
    heard.sort();
    assert_eq!(heard[0], "1 line of this log was lost: their receiver was not there");
    assert!(heard[1].starts_with("for "), "{heard:?}");
    assert_eq!(heard[2], "waits");
    assert!(log.flush(PATIENCE));
    assert_eq!(log.lost_in_all(), 1);
}

#[test]
fn udp_that_never_had_a_receiver_loses_nothing() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let log = Log::start(syslog(Address::Udp(address)), LIMIT).unwrap();
    (0..100).for_each(|number| say(&log, format!("line {number}")));
    wait_until(|| log.trouble().is_some());
    let receiver = UdpSocket::bind(address).unwrap();
    let heard: Vec<_> = (0..101).map(|_| received_by_udp(&receiver)).collect();
    let lines: Vec<_> = heard.iter().filter(|said| said.starts_with("line ")).collect();
    assert_eq!(
        lines,
        (0..100).map(|number| format!("line {number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    assert_eq!(log.lost_in_all(), 0);
}

#[test]
fn a_created_file_has_mode_640_and_an_existing_one_keeps_its_lines() {
    let folder = Folder::new("mode");
    let path = folder.file("log");
    append(&path, None).unwrap().write_all(b"[before] INFO: kept\n").unwrap();
    let log = Log::start(file(&path), LIMIT).unwrap();
    say(&log, "added");
    assert!(log.flush(PATIENCE));
    assert_eq!(read(&path), ["INFO: kept", "INFO: added"]);
}
