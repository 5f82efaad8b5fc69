//! A server between a scripted upstream and plain blocking sockets, on loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use faith_dns::{Fault, Gate, Server, ServerError, ServerOptions, Stats, Upstreams};
use faith_dns64::Options;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// Longest wait for any condition. Only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

pub(crate) fn record(owner: &str, ttl: u32, address: &str) -> Record {
    let data = match address.parse().unwrap() {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(name(owner), ttl, data)
}

pub(crate) fn soa() -> Record {
    let soa = SOA::new(name("ns.example."), name("admin.example."), 1, 1, 1, 1, 300);
    Record::from_rdata(name("example."), 300, RData::SOA(soa))
}

/// The response to `query` with these answers, or with a SOA record if there is none.
pub(crate) fn respond(query: &Message, answers: &[Record]) -> Message {
    let mut response = Message::response(query.id, query.op_code);
    response.metadata.recursion_desired = query.recursion_desired;
    response.metadata.recursion_available = true;
    response.queries.clone_from(&query.queries);
    response.answers.extend_from_slice(answers);
    if answers.is_empty() {
        response.authorities.push(soa());
    }
    response.edns = query.edns.as_ref().map(|_| Edns::new());
    response
}

/// The zone that most tests use: `v4.example.` has an A record, `v6.example.` an AAAA record too.
pub(crate) fn zone(query: &Message) -> Message {
    let question = &query.queries[0];
    let owner = question.name().to_ascii();
    let answers = match (owner.to_ascii_lowercase().as_str(), question.query_type()) {
        (_, RecordType::A) => vec![record(&owner, 300, "192.0.2.1")],
        ("v6.example.", RecordType::AAAA) => vec![record(&owner, 300, "2001:db8::1")],
        _ => Vec::new(),
    };
    respond(query, &answers)
}

/// The question of a query, as `v4.example. AAAA`.
pub(crate) fn question(query: &Message) -> String {
    format!("{} {}", query.queries[0].name().to_lowercase(), query.queries[0].query_type())
}

type Script = dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync;

/// The end of connections to an upstream.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// They last as long as the client likes.
    Never,
    /// They are closed after an answer.
    Closed,
    /// They are reset when another query comes after an answer.
    Reset,
}

/// An upstream that answers each query by a script, over UDP and TCP.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// The questions in the order in which they came, those over TCP with `tcp` behind them.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// The connections that were accepted.
    pub(crate) connections: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Upstream {
    /// Answers with one message.
    pub(crate) fn new(script: impl Fn(&Message) -> Message + Send + Sync + 'static) -> Self {
        Self::raw(move |query, _| vec![script(query).to_vec().unwrap()])
    }

    /// Answers with any number of datagrams. The script learns of TCP by its second argument.
    pub(crate) fn raw(script: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::ending(End::Never, script)
    }

    /// The same, with connections that end in this way.
    pub(crate) fn ending(
        ending: End,
        script: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        // Something else may have the port of one protocol for the other.
        let (udp, tcp) = wait_for(|| {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let tcp = TcpListener::bind(udp.local_addr().unwrap()).ok()?;
            Some((udp, tcp))
        });
        let address = udp.local_addr().unwrap();
        let (asked, end) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let connections = Arc::new(AtomicUsize::new(0));
        let script: Arc<Script> = Arc::new(script);
        let threads = vec![
            spawn({
                let (script, asked, end) = (Arc::clone(&script), Arc::clone(&asked), Arc::clone(&end));
                move || by_udp(&udp, &script, &asked, &end)
            }),
            spawn({
                let (asked, end, connections) =
                    (Arc::clone(&asked), Arc::clone(&end), Arc::clone(&connections));
                move || by_tcp(&tcp, ending, &script, &asked, &connections, &end)
            }),
        ];
        Self { address, asked, connections, end, threads }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn by_udp(socket: &UdpSocket, script: &Arc<Script>, asked: &Arc<Mutex<Vec<String>>>, end: &AtomicBool) {
    let mut buffer = [0; 4096];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).unwrap();
        if end.load(Ordering::Relaxed) {
            return;
        }
        let query = Message::from_vec(&buffer[..length]).unwrap();
        asked.lock().unwrap().push(question(&query));
        // A script may wait, and others must not wait for it.
        let (socket, script) = (socket.try_clone().unwrap(), Arc::clone(script));
        spawn(move || {
            for response in script(&query, false) {
                // The server may be gone.
                let _ = socket.send_to(&response, peer);
            }
        });
    }
}

fn by_tcp(
    listener: &TcpListener,
    ending: End,
    script: &Arc<Script>,
    asked: &Arc<Mutex<Vec<String>>>,
    connections: &AtomicUsize,
    end: &AtomicBool,
) {
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        if end.load(Ordering::Relaxed) {
            return;
        }
        connections.fetch_add(1, Ordering::Relaxed);
        let (script, asked) = (Arc::clone(script), Arc::clone(asked));
        spawn(move || {
            while let Some(query) = read_framed(&mut stream) {
                let query = Message::from_vec(&query).unwrap();
                asked.lock().unwrap().push(format!("{} tcp", question(&query)));
                for response in script(&query, true) {
                    write_framed(&mut stream, &response);
                }
                match ending {
                    End::Never => {}
                    End::Closed => return,
                    // The kernel resets a connection that is closed before everything was read.
                    End::Reset => return drop(stream.peek(&mut [0])),
                }
            }
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], self.address);
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

/// An address at which nothing answers. No other test uses the host's part of it.
pub(crate) fn gone() -> SocketAddr {
    UdpSocket::bind("127.0.0.79:0").unwrap().local_addr().unwrap()
}

/// A gate that a test opens and closes.
pub(crate) struct TestGate {
    pub(crate) open: AtomicBool,
    pub(crate) denied: Option<Ipv6Addr>,
    /// The names and addresses that clients got, as `v4.example 300 2001:db8:64::c000:201`.
    pub(crate) given: Mutex<Vec<String>>,
    /// No client is in a network of this host.
    pub(crate) is_remote: AtomicBool,
    pub(crate) heard: Mutex<Vec<Fault>>,
}

impl TestGate {
    pub(crate) fn denying(denied: Option<Ipv6Addr>) -> Arc<Self> {
        Arc::new(Self {
            open: true.into(),
            denied,
            given: Mutex::default(),
            is_remote: false.into(),
            heard: Mutex::default(),
        })
    }

    pub(crate) fn heard(&self) -> Vec<Fault> {
        self.heard.lock().unwrap().clone()
    }
}

impl Gate for TestGate {
    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    fn permits(&self, client: IpAddr, address: Ipv6Addr) -> bool {
        assert!(client.is_loopback());
        Some(address) != self.denied
    }

    fn gave(&self, client: IpAddr, name: &str, addresses: &[Ipv6Addr], ttl: u32) {
        assert!(client.is_loopback());
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        self.given.lock().unwrap().push(format!("{name} {ttl} {}", addresses.join(" ")));
    }

    fn is_local(&self, client: IpAddr) -> bool {
        assert!(client.is_loopback());
        !self.is_remote.load(Ordering::Relaxed)
    }

    fn warn_of(&self, fault: Fault) {
        self.heard.lock().unwrap().push(fault);
    }
}

/// A server with the prefix 2001:db8:64::/96.
pub(crate) struct Lab {
    pub(crate) server: Server,
    pub(crate) gate: Arc<TestGate>,
}

pub(crate) fn synthesis() -> Options {
    Options { prefixes: vec!["2001:db8:64::/96".parse().unwrap()], ..Options::default() }
}

impl Lab {
    pub(crate) fn new(upstreams: &[SocketAddr]) -> Self {
        Self::with(upstreams, |_| {})
    }

    pub(crate) fn with(upstreams: &[SocketAddr], change: impl FnOnce(&mut ServerOptions)) -> Self {
        Self::denying(upstreams, None, change)
    }

    /// The same; `None` if it cannot start.
    pub(crate) fn try_with(
        upstreams: &[SocketAddr],
        change: impl FnOnce(&mut ServerOptions),
    ) -> Option<Self> {
        Self::start(upstreams, None, change).ok()
    }

    pub(crate) fn denying(
        upstreams: &[SocketAddr],
        denied: Option<Ipv6Addr>,
        change: impl FnOnce(&mut ServerOptions),
    ) -> Self {
        Self::start(upstreams, denied, change).unwrap()
    }

    fn start(
        upstreams: &[SocketAddr],
        denied: Option<Ipv6Addr>,
        change: impl FnOnce(&mut ServerOptions),
    ) -> Result<Self, ServerError> {
        let mut options = ServerOptions {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            upstreams: Upstreams::Given(upstreams.iter().copied().map(faith_dns::Upstream::Plain).collect()),
            upstream_timeout: PATIENCE,
            synthesis: synthesis(),
            ..ServerOptions::default()
        };
        change(&mut options);
        let gate = TestGate::denying(denied);
        let server = Server::start(options, Arc::<TestGate>::clone(&gate))?;
        Ok(Self { server, gate })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub(crate) fn ask(&self, text: &str) -> Message {
        ask(self.address(), &query(text))
    }

    pub(crate) fn stats_when(&self, holds: impl Fn(&Stats) -> bool) -> Stats {
        wait_for(|| Some(self.server.stats()).filter(&holds))
    }
}

/// Waits until there is a value.
pub(crate) fn wait_for<T>(mut value: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(since.elapsed() < PATIENCE, "the condition never held");
        sleep(Duration::from_millis(5));
    }
}

/// A query such as `v4.example. AAAA`, with an OPT record if `edns` is behind it.
pub(crate) fn query(text: &str) -> Message {
    static ID: AtomicUsize = AtomicUsize::new(1);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut query = Message::query();
    query.metadata.id = u16::try_from(ID.fetch_add(1, Ordering::Relaxed)).unwrap();
    query.metadata.recursion_desired = !words.contains(&"norec");
    query.add_query(Query::query(name(words[0]), words[1].parse().unwrap()));
    if words.contains(&"edns") {
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        query.set_edns(edns);
    }
    query
}

pub(crate) fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Asks over UDP.
pub(crate) fn ask(server: SocketAddr, query: &Message) -> Message {
    let socket = client();
    socket.send_to(&query.to_vec().unwrap(), server).unwrap();
    let (response, from) = receive(&socket);
    assert_eq!((response.id, from), (query.id, server));
    response
}

pub(crate) fn receive(socket: &UdpSocket) -> (Message, SocketAddr) {
    let mut buffer = [0; 4096];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (Message::from_vec(&buffer[..length]).unwrap(), from)
}

pub(crate) fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn write_framed(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap();
    // The other end may be gone.
    let _ = stream.write_all(&[&length.to_be_bytes(), message].concat());
}

pub(crate) fn read_framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

pub(crate) fn read_message(stream: &mut TcpStream) -> Message {
    Message::from_vec(&read_framed(stream).unwrap()).unwrap()
}

/// The addresses of a response's answers.
pub(crate) fn addresses(response: &Message) -> Vec<String> {
    assert_eq!(response.response_code, ResponseCode::NoError);
    response
        .answers
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .map(|address| address.to_string())
        .collect()
}
