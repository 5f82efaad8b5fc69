//! The use of source addresses, as JavaScript reads it.

use faith_relay::SourceUse;
use napi_derive::napi;

use crate::stats::number;

/// The use of one address that connections to servers come from.
#[napi(object)]
pub struct NativeSource {
    /// The address.
    pub address: String,
    /// Active sessions.
    pub sessions: f64,
    /// Ports that the host connects from.
    pub ports: u32,
    /// Blocks of ports that are clients'.
    pub blocks: u32,
    /// Blocks that the ports make; 0 without blocks.
    pub max_blocks: u32,
}

impl From<SourceUse> for NativeSource {
    fn from(source: SourceUse) -> Self {
        let SourceUse { address, sessions, ports, blocks, max_blocks } = source;
        Self { address: address.to_string(), sessions: number(sessions), ports, blocks, max_blocks }
    }
}
