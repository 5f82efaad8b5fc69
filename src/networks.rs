//! The active sessions of a relay by client network.

use std::vec;

use faith_relay::ClientNetwork;
use napi_derive::napi;
use parking_lot::Mutex;

use crate::stats::{milliseconds, number};

/// The active sessions of one client network.
#[napi(object)]
pub struct NativeClientNetwork {
    /// The network, with its prefix length.
    pub network: String,
    /// Number of sessions.
    pub sessions: f64,
    /// Bytes of these sessions to servers.
    pub bytes_up: f64,
    /// Bytes of these sessions from servers.
    pub bytes_down: f64,
    /// Age of the oldest session, in milliseconds.
    pub oldest_ms: f64,
    /// Time since a byte moved in any of them, in milliseconds.
    pub idle_ms: f64,
    /// Blocks of ports of source addresses.
    pub port_blocks: u32,
}

/// Client networks at one moment, in the order of their numbers of sessions. JavaScript takes some at a time, because
/// there may be very many.
#[napi]
pub struct NativeNetworks {
    networks: Mutex<vec::IntoIter<ClientNetwork>>,
    prefix_length: u8,
}

impl NativeNetworks {
    pub(crate) fn new(networks: Vec<ClientNetwork>, prefix_length: u8) -> Self {
        Self { networks: Mutex::new(networks.into_iter()), prefix_length }
    }
}

#[napi]
impl NativeNetworks {
    /// Takes the next networks, `most` of them at most.
    #[napi]
    #[must_use]
    pub fn next(&self, most: u32) -> Vec<NativeClientNetwork> {
        let describe = |it: ClientNetwork| NativeClientNetwork {
            network: format!("{}/{}", it.network, self.prefix_length),
            sessions: number(it.sessions),
            bytes_up: number(it.bytes_up),
            bytes_down: number(it.bytes_down),
            oldest_ms: milliseconds(it.oldest),
            idle_ms: milliseconds(it.idle),
            port_blocks: it.port_blocks,
        };
        self.networks.lock().by_ref().take(most as usize).map(describe).collect()
    }
}
