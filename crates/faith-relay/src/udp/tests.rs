//! Tests of one worker's part between loopback sockets. Clients are frames; the outlet keeps what they would get.

mod blocks;
mod echo;
mod errors;
mod filtering;
mod frames;
mod joined;
mod limits;
mod route;
mod sessions;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use faith_packet::classify::{DropReason, Flow};
use faith_packet::icmpv6::{self, Unreachable};
use faith_packet::protocol::Protocol;
use faith_packet::udp::{Datagram, HEADROOM, Head};
use faith_stack::{BuildError, Datagrams as _, Outlet};
use faith_sys::udp::Marks;

use super::{Part, UdpOptions};
use crate::engine::Engine;
use crate::options::RelayOptions;
use crate::record::{RefusalRecord, SessionRecord};
use crate::tests::{PATIENCE, TestRouter, Told, faith, options};

/// The way to the clients: it keeps every frame.
struct Wire {
    frames: RefCell<Vec<Vec<u8>>>,
    answers: RefCell<Vec<Unreachable>>,
    errors: RefCell<Vec<Vec<u8>>>,
    /// The messages to servers, with both addresses; `None` if servers cannot be told.
    told: RefCell<Option<Vec<Message>>>,
    dropped: RefCell<Vec<DropReason>>,
    superframes: Cell<bool>,
    /// The warnings that a way takes no superframes.
    warnings: Cell<u32>,
    mtu: Cell<u16>,
}

impl Outlet for Wire {
    fn worker(&self) -> usize {
        0
    }

    fn takes_superframes(&self) -> bool {
        self.superframes.get()
    }

    fn mtu(&self) -> u16 {
        self.mtu.get()
    }

    fn send(&self, frame: &[u8]) -> bool {
        self.frames.borrow_mut().push(frame.to_vec());
        true
    }

    fn dropped(&self, reason: DropReason) {
        self.dropped.borrow_mut().push(reason);
    }

    fn unreachable(&self, code: Unreachable, _: &[u8]) {
        self.answers.borrow_mut().push(code);
    }

    fn report(&self, _: Ipv6Addr, build: &mut BuildError<'_>) {
        let mut out = [0; icmpv6::MAX_LEN];
        let length = build(&mut out).unwrap();
        self.errors.borrow_mut().push(out[..length].to_vec());
    }

    fn warn_without_superframes(&self, _: &io::Error) {
        self.warnings.set(self.warnings.get() + 1);
    }

    fn tells_servers(&self) -> bool {
        self.told.borrow().is_some()
    }

    fn tell_server(&self, server: Ipv4Addr, from: Ipv4Addr, message: &[u8]) -> bool {
        self.told.borrow_mut().as_mut().unwrap().push((server, from, message.to_vec()));
        true
    }
}

/// A message to a server: its address, the sender's, and the octets.
type Message = (Ipv4Addr, Ipv4Addr, Vec<u8>);

/// A relay of datagrams with one worker, on the test's own thread.
struct World {
    engine: Arc<Engine>,
    part: Rc<Part>,
    wire: Rc<Wire>,
    sessions: Receiver<SessionRecord>,
    refusals: Receiver<RefusalRecord>,
}

/// A datagram as a client sees it.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    /// The sender.
    from: SocketAddrV6,
    hop_limit: u8,
    traffic_class: u8,
    data: Vec<u8>,
    segment: Option<u16>,
}

impl World {
    /// Runs a test with a relay of these settings.
    fn run<F: Future<Output = ()>>(udp: UdpOptions, test: impl FnOnce(Rc<Self>) -> F) {
        Self::run_with(RelayOptions { udp: Some(udp), ..options() }, test);
    }

    fn run_with<F: Future<Output = ()>>(options: RelayOptions, test: impl FnOnce(Rc<Self>) -> F) {
        Self::run_as(Protocol::Udp, options, test);
    }

    /// Runs a test of the part for one protocol.
    fn run_as<F: Future<Output = ()>>(
        protocol: Protocol,
        options: RelayOptions,
        test: impl FnOnce(Rc<Self>) -> F,
    ) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let ((sessions, ended), (refusals, refused)) = (channel(), channel());
            let observer = Arc::new(Told { sessions, refusals });
            let engine = Engine::new(options, TestRouter, 1, Some(observer));
            let wire = Rc::new(Wire {
                frames: RefCell::default(),
                answers: RefCell::default(),
                errors: RefCell::default(),
                told: RefCell::new(Some(Vec::new())),
                dropped: RefCell::default(),
                superframes: Cell::new(true),
                warnings: Cell::new(0),
                mtu: Cell::new(u16::MAX),
            });
            let outlet: Rc<dyn Outlet> = Rc::<Wire>::clone(&wire);
            let part = Part::new(protocol, &engine, engine.udp.as_ref().unwrap(), outlet);
            test(Rc::new(Self { engine, part, wire, sessions: ended, refusals: refused })).await;
        });
    }

    /// Sends a datagram from this port of the client.
    fn send(&self, port: u16, destination: SocketAddrV6, data: &[u8]) {
        self.receive(&frame(client(port), destination, data, None));
    }

    /// Has the part take a frame, the only one of its drain.
    fn receive(&self, frame: &[u8]) {
        self.part.receive(frame);
        self.part.flush();
    }

    /// Waits for a condition.
    async fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "never happened: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits for the next frame to a client.
    async fn got(&self) -> Got {
        let next = || {
            let mut frames = self.wire.frames.borrow_mut();
            (!frames.is_empty()).then(|| frames.remove(0))
        };
        let frame = self.eventually("a frame to the client", next).await;
        let Datagram { flow, hop_limit, traffic_class, data, segment, .. } = Datagram::parse(&frame).unwrap();
        Got { from: flow.client, hop_limit, traffic_class, data: data.to_vec(), segment }
    }

    /// Waits for the next record.
    async fn ended(&self) -> SessionRecord {
        self.eventually("a session to end", || self.sessions.try_recv().ok()).await
    }

    fn mappings(&self) -> u32 {
        self.engine.stats().udp.unwrap().mappings
    }
}

fn client(port: u16) -> SocketAddrV6 {
    SocketAddrV6::new("2001:db8:1::2".parse().unwrap(), port, 0, 0)
}

/// A frame from one end to another.
fn frame(from: SocketAddrV6, to: SocketAddrV6, data: &[u8], segment: Option<u16>) -> Vec<u8> {
    marked_frame(from, to, data, segment, Marks { ttl: 57, tos: 0xb9 })
}

fn marked_frame(
    from: SocketAddrV6,
    to: SocketAddrV6,
    data: &[u8],
    segment: Option<u16>,
    marks: Marks,
) -> Vec<u8> {
    let flow = Flow { client: to, destination: from };
    let head = Head { flow, sequence: None, hop_limit: marks.ttl, traffic_class: marks.tos };
    let mut frame = [&[0; HEADROOM], data].concat();
    head.write(frame.first_chunk_mut().unwrap(), data.len(), segment).unwrap();
    frame
}

/// A server on loopback.
struct Server(UdpSocket);

impl Server {
    fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    fn at(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddrV4 {
        let SocketAddr::V4(address) = self.0.local_addr().unwrap() else { unreachable!() };
        address
    }

    /// The address that means this server.
    fn dialled(&self) -> SocketAddrV6 {
        faith(*self.address().ip(), self.address().port())
    }

    /// Has the port refuse datagrams of clients from now on. A socket that is closed instead may take them a moment longer:
    /// a program that another test starts has a copy until it runs.
    fn refuse(&self) {
        self.0.connect((Ipv4Addr::LOCALHOST, 9)).unwrap();
    }

    fn hears(&self) -> (Vec<u8>, SocketAddr) {
        let mut data = vec![0; 65_535];
        let (length, from) = self.0.recv_from(&mut data).unwrap();
        (data[..length].to_vec(), from)
    }

    fn says(&self, data: &[u8], to: SocketAddr) {
        self.0.send_to(data, to).unwrap();
    }
}
