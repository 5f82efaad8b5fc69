//! Tests of a relay between loopback sockets. The engine runs on a worker's thread, as in the stack. Clients and servers are
//! plain blocking sockets on the test's thread.

mod attempts;
mod close;
mod connect_first;
mod detail;
mod half_close;
mod idle;
mod last_words;
mod leaks;
mod limits;
mod live;
mod local;
mod networks;
mod permission;
mod port_blocks;
mod questions;
mod reset;
mod route;
mod splice;
mod taking;
mod transfer;
mod urgent;

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use faith_packet::access::AccessList;
use faith_packet::classify::Flow;
use faith_packet::icmpv6::Unreachable;
use faith_packet::ports::PortSet;
use faith_packet::prefix::FaithPrefix;
use faith_stack::{Answerer, Captured, GiveUp, HeldSyn, Syn as SynId, SynAnswer};
use faith_sys::{netns, reactor, tcp};
use socket2::{Domain, SockRef, Socket, Type};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::admission::Router;
use crate::engine::Engine;
use crate::options::RelayOptions;
use crate::record::{Observer, RefusalReason, RefusalRecord, SessionEnd, SessionRecord};

/// Longest wait for any condition. Only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const OWN_ADDRESS_IPV6: Ipv6Addr = Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, 8);

type Job = Box<dyn FnOnce(&Arc<Engine>) + Send>;

/// A relay, one worker and one server's address.
pub(crate) struct Lab {
    pub(crate) engine: Arc<Engine>,
    server: TcpListener,
    destination: SocketAddrV6,
    capture: SocketAddr,
    sessions: Receiver<SessionRecord>,
    refusals: Receiver<RefusalRecord>,
    jobs: Option<UnboundedSender<Job>>,
    worker: Option<JoinHandle<()>>,
}

pub(crate) struct TestRouter;

impl Router for TestRouter {
    fn is_own(&self, address: IpAddr) -> bool {
        address == OWN_ADDRESS || address == OWN_ADDRESS_IPV6
    }

    fn owns(&self, address: Ipv4Addr) -> bool {
        address == OWN_ADDRESS
    }

    fn prefix_of(&self, address: Ipv6Addr) -> Option<FaithPrefix> {
        let prefix = FaithPrefix::new("64:ff9b::".parse().unwrap(), 96).unwrap();
        prefix.contains(&address).then_some(prefix)
    }
}

pub(crate) struct Told {
    pub(crate) sessions: Sender<SessionRecord>,
    pub(crate) refusals: Sender<RefusalRecord>,
}

impl Observer for Told {
    // Sending fails when the test is over and needs no more records.
    fn ended(&self, session: SessionRecord) -> bool {
        self.sessions.send(session).is_ok()
    }

    fn refused(&self, refusal: RefusalRecord) -> bool {
        self.refusals.send(refusal).is_ok()
    }
}

/// The address inside 64:ff9b::/96 that stands for `address`.
pub(crate) fn faith(address: Ipv4Addr, port: u16) -> SocketAddrV6 {
    let [a, b, c, d] = address.octets().map(u16::from);
    let ip = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d);
    SocketAddrV6::new(ip, port, 0, 0)
}

pub(crate) fn options() -> RelayOptions {
    RelayOptions {
        access: AccessList::default().with_loopback(true),
        connect_first: false,
        connect_timeout: PATIENCE,
        idle_timeout: None,
        ..RelayOptions::new(PortSet::all())
    }
}

impl Lab {
    /// Makes a relay with these options, whose clients all dial one server.
    pub(crate) fn new(options: RelayOptions) -> Self {
        let ((sessions, ended), (refusals, refused)) = (channel(), channel());
        let mut lab = Self::watched(options, Arc::new(Told { sessions, refusals }));
        (lab.sessions, lab.refusals) = (ended, refused);
        lab
    }

    /// Makes such a relay with an observer of the test's own.
    pub(crate) fn watched(options: RelayOptions, observer: Arc<dyn Observer>) -> Self {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let destination = faith(Ipv4Addr::LOCALHOST, server.local_addr().unwrap().port());
        let engine = Engine::new(options, TestRouter, 1, Some(observer));

        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let capture = listener.local_addr().unwrap();
        let (jobs, mut queue) = unbounded_channel::<Job>();
        let on_worker = Arc::clone(&engine);
        let worker = spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default()).unwrap();
            runtime.block_on(async {
                listener.set_nonblocking(true).unwrap();
                let listener = reactor::register(Socket::from(listener)).unwrap();
                loop {
                    tokio::select! {
                        job = queue.recv() => match job {
                            Some(job) => job(&on_worker),
                            None => return,
                        },
                        ready = listener.readable() => match ready.unwrap().try_io(|it| it.get_ref().accept()) {
                            Ok(Ok((socket, client))) => {
                                socket.set_nonblocking(true).unwrap();
                                tcp::prepare_leg(&socket).unwrap();
                                tcp::send_at_once(&socket).unwrap();
                                let client = v6(client.as_socket().unwrap());
                                on_worker.accept(0, Captured { socket: socket.into(), client, destination });
                            }
                            Ok(Err(error)) => panic!("{error}"),
                            Err(_) => {}
                        },
                    }
                }
            });
        });
        let (sessions, refusals) = (channel().1, channel().1);
        let (jobs, worker) = (Some(jobs), Some(worker));
        Self { engine, server, destination, capture, sessions, refusals, jobs, worker }
    }

    /// Runs a job on the worker's thread.
    pub(crate) fn on_worker<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Arc<Engine>) -> T + Send + 'static,
    ) -> T {
        let (done, result) = channel();
        let job = Box::new(move |engine: &Arc<Engine>| {
            let _ = done.send(job(engine));
        });
        assert!(self.jobs.as_ref().unwrap().send(job).is_ok());
        result.recv_timeout(PATIENCE).unwrap()
    }

    /// Dials the server.
    pub(crate) fn dial(&self) -> TcpStream {
        patient(TcpStream::connect(self.capture).unwrap())
    }

    /// Accepts the server's end of the next session.
    pub(crate) fn answer(&self) -> TcpStream {
        accepted(&self.server)
    }

    /// Tells whether no connection has come to the server.
    pub(crate) fn server_has_no_connection(&self) -> bool {
        self.server.set_nonblocking(true).unwrap();
        self.server.accept().is_err()
    }

    /// Opens a session, and returns both ends.
    pub(crate) fn session(&self) -> (TcpStream, TcpStream) {
        self.joined(|| TcpStream::connect(self.capture).unwrap())
    }

    /// Opens a session whose ends have small buffers.
    pub(crate) fn narrow_session(&self) -> (TcpStream, TcpStream) {
        SockRef::from(&self.server).set_recv_buffer_size(4096).unwrap();
        let client = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        client.set_send_buffer_size(4096).unwrap();
        self.joined(|| {
            client.connect(&self.capture.into()).unwrap();
            client.into()
        })
    }

    fn joined(&self, dial: impl FnOnce() -> TcpStream) -> (TcpStream, TcpStream) {
        let before = self.engine.ledger.relaying();
        let client = dial();
        let server = self.answer();
        eventually("client and server have been joined", || self.engine.ledger.relaying() > before);
        (patient(client), server)
    }

    /// Has the server's port refuse connections from now on. A socket that is closed instead may listen a moment longer: a
    /// program that another test starts has a copy until it runs.
    pub(crate) fn refuse(&self) {
        SockRef::from(&self.server).shutdown(Shutdown::Both).unwrap();
    }

    /// Waits for the next session to end.
    pub(crate) fn ended(&self) -> SessionRecord {
        self.sessions.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits for the next attempt to be refused.
    pub(crate) fn refused(&self) -> RefusalRecord {
        self.refusals.recv_timeout(PATIENCE).unwrap()
    }

    /// The refusals that were told and not read yet.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = RefusalRecord> {
        self.refusals.try_iter()
    }

    pub(crate) fn nothing_ended(&self) -> bool {
        self.sessions.try_iter().next().is_none() && self.refusals().next().is_none()
    }

    /// Tells whether neither sessions nor attempts go on.
    pub(crate) fn is_idle(&self) -> bool {
        let stats = self.engine.stats();
        (stats.sessions.active, stats.attempts) == (0, 0)
    }

    /// Makes a SYN to offer, with the channel that tells its fate.
    pub(crate) fn syn(&self, client: SocketAddrV6) -> (Syn, Receiver<Fate>) {
        let (fate, told) = channel();
        (Syn { client, destination: self.destination, fate }, told)
    }

    /// Offers a SYN. Its client can give up by the returned value.
    pub(crate) fn offer(&self, syn: Syn) -> GiveUp {
        let Syn { client, destination, fate } = syn;
        self.on_worker(move |engine| {
            let flow = Flow { client, destination };
            let (syn, give_up) = HeldSyn::new(Rc::new(Teller(fate)), flow, Box::default());
            engine.offer(0, syn);
            give_up
        })
    }

    pub(crate) fn count(&self, reason: SessionEnd) -> u64 {
        self.engine.stats().sessions.ended.of(reason)
    }

    pub(crate) fn count_refused(&self, reason: RefusalReason) -> u64 {
        self.engine.stats().refused.of(reason)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(worker) = self.worker.take() {
            // If the worker panicked, the test has failed already, by a wait that did not end.
            let _ = worker.join();
        }
    }
}

/// The fate of an offered SYN.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Released,
    Reset,
    Unreachable(Unreachable),
    /// Type, code and sender of an ICMPv6 error.
    Error(u8, u8, Ipv6Addr),
    Ignored,
    /// The place of a released SYN is free again.
    PlaceFree,
}

/// A SYN to offer.
pub(crate) struct Syn {
    client: SocketAddrV6,
    pub(crate) destination: SocketAddrV6,
    fate: Sender<Fate>,
}

/// Tells the test the fate of a SYN.
struct Teller(Sender<Fate>);

impl Teller {
    fn tell(&self, fate: Fate) {
        // Sending fails when the test is over.
        let _ = self.0.send(fate);
    }
}

impl Answerer for Teller {
    fn release(&self, _: &Flow, _: &[u8]) {
        self.tell(Fate::Released);
    }

    fn answer(&self, answer: SynAnswer, _: &[u8]) {
        self.tell(match answer {
            SynAnswer::Reset => Fate::Reset,
            SynAnswer::Unreachable(code) => Fate::Unreachable(code),
            SynAnswer::Error { error, from } => Fate::Error(error.kind, error.code, from),
            SynAnswer::Silence => Fate::Ignored,
        });
    }

    fn leave(&self, _: &SynId, answer: Option<SynAnswer>) {
        if answer.is_none() {
            self.tell(Fate::PlaceFree);
        }
    }
}

/// A server that does not answer: a listener whose accept queue is full drops SYNs.
pub(crate) struct DeafServer {
    listener: Socket,
    _fill: TcpStream,
}

impl DeafServer {
    pub(crate) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let fill = TcpStream::connect(listener.local_addr().unwrap().as_socket().unwrap()).unwrap();
        Self { listener, _fill: fill }
    }

    pub(crate) fn destination(&self) -> SocketAddrV6 {
        faith(Ipv4Addr::LOCALHOST, self.listener.local_addr().unwrap().as_socket().unwrap().port())
    }
}

/// A client that has not dialled yet, but has an address.
pub(crate) struct Caller {
    socket: Socket,
    pub(crate) address: SocketAddrV6,
}

impl Caller {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into()).unwrap();
        let address = v6(socket.local_addr().unwrap().as_socket().unwrap());
        Self { socket, address }
    }

    pub(crate) fn dial(self, lab: &Lab) -> TcpStream {
        self.socket.connect(&lab.capture.into()).unwrap();
        patient(self.socket.into())
    }
}

fn v6(address: SocketAddr) -> SocketAddrV6 {
    let SocketAddr::V6(address) = address else { panic!("{address} is not IPv6") };
    address
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Accepts a connection that comes in time.
fn accepted(listener: &TcpListener) -> TcpStream {
    SockRef::from(listener).set_read_timeout(Some(PATIENCE)).unwrap();
    patient(listener.accept().expect("a connection").0)
}

/// Moves this thread into a network of its own with a loopback alone, so that no other test has a port that this one counts
/// on. Without the privilege it stays in the host's.
pub(crate) fn own_network() {
    if netns::unshare_network().is_ok() {
        ip("link set lo up");
    }
}

/// Runs ip(8) in this thread's network.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// Waits for a condition to become true.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Closes a connection with a RST.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Reads until the peer's FIN.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads until the peer's RST; fails at a FIN.
pub(crate) fn read_to_reset(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).expect_err("the stream ended without a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    bytes
}

/// Reads exactly this many bytes.
pub(crate) fn read_exactly(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}
