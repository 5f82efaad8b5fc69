//! A program's own ports of datagrams.
//!
//! Workers put messages into an inbox, and wake the event loop once. JavaScript takes as many as it wants at a time. The
//! others stay, within the inbox's bound. So a slow program drops datagrams, as a slow reader of a socket does, and
//! the memory is bounded.

use std::collections::VecDeque;
use std::net::SocketAddrV6;
use std::sync::Arc;

use faith_packet::mapping::Mappings;
use faith_relay::{BoundUdp, BoundUdpStats, Hearer, Message, SendError};
use faith_stack::{FaithInterface, Guide};
use napi::Env;
use napi::bindgen_prelude::{Buffer, Function, PromiseRaw, spawn_blocking};
use napi_derive::napi;
use parking_lot::{Mutex, MutexGuard};

use crate::batch::Batch;
use crate::failure::{NativeFailure, Outcome, blocking};
use crate::interface::NativeInterface;
use crate::keep_alive::KeepAlive;
use crate::options::{self, NativePortRange};
use crate::relay_options::mappings;
use crate::stats::number;

/// The octets that a message counts beside its data, about as in the kernel.
const OVERHEAD: usize = 512;

/// The options of a program's own ports.
#[napi(object)]
pub struct NativeBindOptions {
    /// The ports.
    pub ports: Vec<NativePortRange>,
    /// The address; every address by default.
    pub address: Option<String>,
    /// Most bytes of messages that wait for the program.
    pub recv_buffer_size: u32,
    /// `rfc6052` or `low32`.
    pub mapping: String,
    /// Explicit mappings, as `2001:db8:64::80=198.51.100.80:8080`.
    pub mappings: Vec<String>,
}

/// A datagram of a client, or several of equal length.
#[napi(object, object_from_js = false)]
pub struct NativeMessage {
    /// The data, of all datagrams.
    pub data: Buffer,
    /// Bytes of data in each datagram but the last, if there are several.
    pub segment: Option<u16>,
    /// The client's address.
    pub address: String,
    /// The client's port.
    pub port: u16,
    /// The address that the client dialled.
    pub destination: String,
    /// The port that the client dialled.
    pub destination_port: u16,
    /// The server's address by the mappings, if they have one.
    pub ipv4: Option<String>,
    /// The server's port, likewise.
    pub ipv4_port: Option<u16>,
    /// The hop limit that was left.
    pub hop_limit: u8,
    /// The traffic class: DSCP and ECN.
    pub traffic_class: u8,
}

/// The ends and the header fields of a datagram to a client.
#[napi(object)]
pub struct NativeEnvelope {
    /// The client's address.
    pub address: String,
    /// The client's port.
    pub port: u16,
    /// The address that it comes from.
    pub from: String,
    /// The port that it comes from.
    pub from_port: u16,
    /// The hop limit.
    pub hop_limit: u8,
    /// The traffic class.
    pub traffic_class: u8,
}

/// The counters of a program's own ports.
#[napi(object)]
pub struct NativeBoundStats {
    /// Datagrams of clients, for which there was room.
    pub received: f64,
    /// Datagrams of clients, for which there was none.
    pub dropped: f64,
    /// Datagrams sent.
    pub sent: f64,
    /// Datagrams that the device did not take.
    pub lost: f64,
}

/// The messages that wait for JavaScript.
struct Inbox {
    waiting: Mutex<Waiting>,
    room: usize,
    readable: Batch<(), ()>,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    octets: usize,
    /// True if JavaScript knows that messages wait.
    told: bool,
}

impl Inbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Takes the oldest messages, `most` of them at most.
    fn take(&self, most: usize) -> Vec<Message> {
        let mut waiting = self.waiting();
        let most = most.min(waiting.messages.len());
        let taken: Vec<_> = waiting.messages.drain(..most).collect();
        waiting.octets -= taken.iter().map(weight).sum::<usize>();
        waiting.told = !waiting.messages.is_empty();
        taken
    }
}

impl Hearer for Inbox {
    fn hear(&self, message: Message) -> bool {
        let mut waiting = self.waiting();
        let octets = waiting.octets + weight(&message);
        // One message always has room, however long it is.
        if octets > self.room && !waiting.messages.is_empty() {
            return false;
        }
        waiting.octets = octets;
        waiting.messages.push_back(message);
        let tell = !std::mem::replace(&mut waiting.told, true);
        drop(waiting);
        if tell {
            self.readable.push(());
        }
        true
    }
}

fn weight(message: &Message) -> usize {
    message.data.len() + OVERHEAD
}

/// A program's own ports.
#[napi]
pub struct NativeBoundUdp {
    state: Mutex<State>,
    inbox: Mutex<Option<Arc<Inbox>>>,
    guide: Guide,
    mappings: Mappings,
    alive: KeepAlive,
}

/// Closed ports have dropped their callback: it holds the JavaScript object that holds them, so neither would ever be
/// collected.
enum State {
    Open(Arc<BoundUdp>),
    Closed(BoundUdpStats),
}

impl NativeBoundUdp {
    fn bound(&self) -> Option<Arc<BoundUdp>> {
        match &*self.state.lock() {
            State::Open(bound) => Some(Arc::clone(bound)),
            State::Closed(_) => None,
        }
    }

    fn describe(&self, message: Message) -> NativeMessage {
        let Message { client, destination, hop_limit, traffic_class, data, segment } = message;
        let prefix = self.guide.prefix_of(destination.ip());
        let server = prefix.and_then(|prefix| self.mappings.resolve(&prefix, destination));
        NativeMessage {
            data: data.into(),
            segment,
            address: client.ip().to_string(),
            port: client.port(),
            destination: destination.ip().to_string(),
            destination_port: destination.port(),
            ipv4: server.map(|server| server.ip().to_string()),
            ipv4_port: server.map(|server| server.port()),
            hop_limit,
            traffic_class,
        }
    }
}

#[napi]
impl NativeInterface {
    /// Binds ports for datagrams. Calls `onReadable` when messages wait, once until the program has taken all of them.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(ts_return_type = "Promise<NativeFailure | NativeBoundUdp>")]
    pub fn bind_udp<'env>(
        &self,
        env: &'env Env,
        options: NativeBindOptions,
        #[napi(ts_arg_type = "() => void")] on_readable: Function<'_, (), ()>,
    ) -> napi::Result<PromiseRaw<'env, Outcome<NativeBoundUdp>>> {
        let interface = Arc::clone(&self.interface);
        let readable = Batch::new(&on_readable, |_: Vec<()>| ())?;
        let alive = KeepAlive::new(env)?;
        env.spawn_future(blocking(move || bind(&interface, &options, readable, alive)))
    }
}

fn bind(
    interface: &FaithInterface,
    options: &NativeBindOptions,
    readable: Batch<(), ()>,
    alive: KeepAlive,
) -> Result<NativeBoundUdp, NativeFailure> {
    let mappings = mappings(&options.mapping, &options.mappings)?;
    let ports = options::ports(&options.ports)?;
    let address = options::address(options.address.as_ref())?;
    let room = options.recv_buffer_size as usize;
    let inbox = Arc::new(Inbox { waiting: Mutex::default(), room, readable });
    let bound = BoundUdp::bind(interface, ports, address, Arc::<Inbox>::clone(&inbox))?;
    Ok(NativeBoundUdp {
        state: Mutex::new(State::Open(Arc::new(bound))),
        inbox: Mutex::new(Some(inbox)),
        guide: interface.guide(),
        mappings,
        alive,
    })
}

#[napi]
impl NativeBoundUdp {
    /// Takes the oldest messages that wait, `most` of them at most.
    #[napi]
    #[must_use]
    pub fn take(&self, most: u32) -> Vec<NativeMessage> {
        let inbox = self.inbox.lock().clone();
        let taken = inbox.map(|inbox| inbox.take(most as usize)).unwrap_or_default();
        taken.into_iter().map(|message| self.describe(message)).collect()
    }

    /// Sends a datagram to a client.
    #[napi(ts_return_type = "NativeFailure | null")]
    #[must_use]
    pub fn send(&self, data: &[u8], envelope: NativeEnvelope) -> Option<NativeFailure> {
        self.try_send(data, &envelope).err()
    }

    fn try_send(&self, data: &[u8], envelope: &NativeEnvelope) -> Result<(), NativeFailure> {
        let end = |address: &str, port| {
            Ok::<_, NativeFailure>(SocketAddrV6::new(options::ipv6(address)?, port, 0, 0))
        };
        let closed = || NativeFailure::new("ERR_FAITH_CLOSED", "the datagrams' ports are closed");
        let message = Message {
            client: end(&envelope.address, envelope.port)?,
            destination: end(&envelope.from, envelope.from_port)?,
            hop_limit: envelope.hop_limit,
            traffic_class: envelope.traffic_class,
            data: data.to_vec(),
            segment: None,
        };
        self.bound().ok_or_else(closed)?.send(message).map_err(|error| match error {
            SendError::Stack(error) => error.into(),
            SendError::NotBound(_) => NativeFailure::new("EADDRNOTAVAIL", error),
            SendError::TooLong(_) => NativeFailure::new("EMSGSIZE", error),
            SendError::Full => NativeFailure::new("ENOBUFS", error),
        })
    }

    /// The counters.
    #[napi]
    #[must_use]
    pub fn stats(&self) -> NativeBoundStats {
        let BoundUdpStats { received, dropped, sent, lost } = match &*self.state.lock() {
            State::Open(bound) => bound.stats(),
            State::Closed(stats) => *stats,
        };
        let [received, dropped, sent, lost] = [received, dropped, sent, lost].map(number);
        NativeBoundStats { received, dropped, sent, lost }
    }

    /// Keeps the event loop alive while the ports are bound, which is the default.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi(js_name = "ref")]
    pub fn keep_alive(&self, env: Env) -> napi::Result<()> {
        self.alive.hold(&env)
    }

    /// Lets the event loop end while the ports are bound.
    #[napi]
    pub fn unref(&self) {
        self.alive.release();
    }

    /// Gives the ports back. Messages that wait for the program are dropped; those that wait for clients are sent.
    ///
    /// # Errors
    /// The environment is closing.
    #[napi]
    pub async fn close(&self) -> napi::Result<()> {
        if let Some(bound) = self.bound() {
            let closing = Arc::clone(&bound);
            let closed = spawn_blocking(move || closing.close()).await;
            *self.state.lock() = State::Closed(bound.stats());
            closed.map_err(|error| napi::Error::from_reason(error.to_string()))?;
        }
        drop(self.inbox.lock().take());
        self.alive.release();
        Ok(())
    }
}
